"""Shapes that fit an operator are found by asking it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from graphnet.testing import check_operator
from graphnet.testing.inputs import build_case, fitting_specs
from ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    GroupNorm,
    L2Penalty,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    MeanSquaredError,
    Pad,
    Reshape,
    ShapeError,
    Softmax,
    SoftmaxCrossEntropy,
    Spec,
    Tanh,
)

FOUND = [
    Tanh(), Softmax(1), Add(), MatMul(), Linear(3), Conv(4, kernel_size=2, groups=2),
    Conv(2, kernel_size=(1, 2, 2)), MaxPool(2), BatchNorm(), GroupNorm(2), LayerNorm(-2),
    Concat(), Pad(((0, 1), (1, 0))), Reshape(("N", 2, -1)), SoftmaxCrossEntropy(),
    MeanSquaredError(), L2Penalty(0.1), Dropout(0.3),
]  # fmt: skip


@pytest.mark.parametrize("operator", FOUND, ids=repr)
def test_shapes_that_fit_are_found_smallest_first(operator):
    found = fitting_specs(operator)
    assert len(found) >= 10
    full = [specs for specs in found if all(0 not in spec.shape for spec in specs)]
    sizes = [sum(spec.elements for spec in specs) for specs in full]
    assert sizes == sorted(sizes)
    for specs in found:
        build_case(operator, specs, seed=0)
    assert len({tuple(spec.shape for spec in specs) for specs in full}) > 5


@pytest.mark.parametrize("operator", FOUND, ids=repr)
def test_an_operator_is_proven_without_a_word_about_its_inputs(operator):
    check_operator(operator, max_examples=10)


def test_labels_are_integers_within_their_domain():
    for specs in fitting_specs(SoftmaxCrossEntropy()):
        case = build_case(SoftmaxCrossEntropy(), specs, seed=3)
        scores, labels = case.inputs
        assert labels.dtype.kind in "iu"
        assert labels.min(initial=0) >= 0
        assert labels.max(initial=0) < max(scores.shape[1], 1)


def test_a_case_follows_from_operator_specs_and_seed():
    specs = (Spec((2, 3), "float64"),)
    one, again, other = (build_case(Linear(2), specs, seed) for seed in (1, 1, 2))
    for a, b, c in zip(one.inputs, again.inputs, other.inputs, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_entries_lie_in_the_range_asked_for():
    case = build_case(Tanh(), (Spec((5, 5), "float64"),), 0, low=0.5, high=3.0)
    assert case.inputs[0].min() >= 0.5 and case.inputs[0].max() <= 3.0


def test_an_operator_that_nothing_fits_is_reported():
    @dataclass(frozen=True)
    class Never(Tanh):
        def infer(self, x):
            raise ShapeError("expected the impossible")

    with pytest.raises(ShapeError, match=r"Never: no drawn shape fits; .* expected the impossible"):
        fitting_specs(Never())
    with pytest.raises(ShapeError, match="Never: no drawn shape fits; give check_operator"):
        check_operator(Never())


def test_an_error_in_infer_is_told_where_nothing_fits():
    @dataclass(frozen=True)
    class Stumbles(Tanh):
        def infer(self, x):
            return x.dtype.kind

    with pytest.raises(ShapeError, match="infer raises AttributeError: 'str' object"):
        check_operator(Stumbles())
