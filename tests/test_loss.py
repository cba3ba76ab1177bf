"""Losses where their records do not reach: extreme logits, labels outside the classes, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import (
    Hinge,
    Interval,
    L2Penalty,
    MeanSquaredError,
    ShapeError,
    SoftmaxCrossEntropy,
    Spec,
)

LARGEST = float(np.finfo(np.float32).max)
EXTREMES = [0.0, 1.0, -1.0, 88.0, -104.0, 1e4, -1e4, 1e38, -1e38, LARGEST, -LARGEST]
X = Spec(("N", 3, 4))
LABELS = Spec(("N",), "int64")
both_classifiers = pytest.mark.parametrize("operator", [SoftmaxCrossEntropy(), Hinge()], ids=repr)


@given(
    st.lists(st.lists(st.sampled_from(EXTREMES), min_size=3, max_size=3), min_size=1, max_size=3)
)
def test_cross_entropy_is_finite_for_extreme_logits(rows):
    x = np.array(rows, np.float32)
    for label in range(3):
        loss, saved = SoftmaxCrossEntropy().forward(x, np.full(len(rows), label))
        dx, dlabels = SoftmaxCrossEntropy().backward(saved, np.ones_like(loss), (True, False))
        assert np.isfinite(loss) and loss >= 0 and np.isfinite(dx).all()
        assert dx.dtype == loss.dtype == np.float32
        assert dlabels is None


def test_the_mean_of_large_losses_does_not_overflow():
    x = np.array([[LARGEST, 0.0]] * 4, np.float32)
    loss, _ = SoftmaxCrossEntropy().forward(x, np.ones(4, np.int64))
    np.testing.assert_allclose(loss, LARGEST, rtol=1e-6)


@both_classifiers
@pytest.mark.parametrize("wrong", [-1, 3, 2**40])
def test_a_label_outside_the_classes_gives_nan(operator, wrong):
    labels = np.array([0, wrong])
    loss, saved = operator.forward(np.ones((2, 3), np.float32), labels)
    dx, _ = operator.backward(saved, np.ones_like(loss), (True, False))
    assert np.isnan(loss)
    assert np.isnan(dx[1]).any() and np.isfinite(dx[0]).all()


@both_classifiers
def test_a_classifier_says_which_labels_it_takes(operator):
    assert operator.domains(Spec(("N", 7)), LABELS) == {"labels": Interval(0, 7)}
    assert operator.signature().names == ("x", "labels")


def test_a_narrow_label_dtype_does_not_wrap_around_the_classes():
    loss, _ = SoftmaxCrossEntropy().forward(np.zeros((1, 300)), np.array([44], np.uint8))
    assert loss == pytest.approx(math.log(300))


def test_a_score_exactly_at_the_margin_has_no_gradient():
    loss, saved = Hinge(1.0).forward(np.array([[2.0, 1.0]]), np.array([0]))
    dx, _ = Hinge(1.0).backward(saved, np.ones_like(loss), (True, False))
    assert loss == 0 and dx.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("operator", "labels"),
    [
        (SoftmaxCrossEntropy(), LABELS),
        (Hinge(), LABELS),
        (MeanSquaredError(), Spec(("N", 3))),
    ],
    ids=repr,
)
def test_a_loss_is_a_scalar_array_for_a_symbolic_batch(operator, labels):
    assert operator.infer(Spec(("N", 3)), labels) == Spec(())
    y, _ = operator.forward(np.ones((2, 3), np.float32), np.zeros(labels.bind(2).shape, "int64"))
    assert isinstance(y, np.ndarray) and y.shape == ()


def test_l2_penalty_takes_any_number_of_weights():
    assert L2Penalty.signature().names == ("loss",)
    assert L2Penalty.signature().variadic == "weights"


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (SoftmaxCrossEntropy(), [Spec(("N", 3)), Spec(("N",))], "integer labels, received float32"),
        (SoftmaxCrossEntropy(), [X, LABELS], r"labels \(N, 4\) for .* received int64 \(N,\)"),
        (SoftmaxCrossEntropy(), [Spec((3, "N")), Spec((3,), "int64")], "known number of classes"),
        (SoftmaxCrossEntropy(), [Spec((0, 3)), Spec((0,), "int64")], "at least one label"),
        (SoftmaxCrossEntropy(), [Spec(("N", 3, 0)), Spec(("N", 0), "int8")], "at least one label"),
        (SoftmaxCrossEntropy(), [Spec(("N",)), LABELS], "2 or more axes"),
        (Hinge(), [X, Spec(("N", 4), "int64")], "an input of 2 axes"),
        (Hinge(), [Spec((0, 3)), Spec((0,), "int64")], "at least one label"),
        (MeanSquaredError(), [X, Spec(("N", 3))], r"labels float32 \(N, 3, 4\), received"),
        (MeanSquaredError(), [X, Spec(("N", 3, 4), "float64")], "labels float32"),
        (MeanSquaredError(), [Spec((0,)), Spec((0,))], "at least one label"),
        (L2Penalty(1.0), [Spec((2,)), Spec((2,))], r"float32 \(\), received float32 \(2,\)"),
        (L2Penalty(1.0), [Spec(())], "at least one weight"),
        (L2Penalty(1.0), [Spec(()), Spec((2,), "float64")], r"weight float32 \(2,\), received"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (
            lambda: Hinge(math.nan),
            ValueError,
            "Hinge: expected a finite number .* for margin",
        ),
        (lambda: Hinge(-1), ValueError, "Hinge: expected a finite number .* for margin"),
        (lambda: Hinge("1"), TypeError, "Hinge: expected a finite number .* for margin"),
        (
            lambda: L2Penalty(math.inf),
            ValueError,
            "L2Penalty: expected a finite number",
        ),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize("operator", [Hinge(np.float64(1)), L2Penalty(np.float64(1))], ids=repr)
def test_a_number_is_kept_as_a_plain_python_one(operator):
    assert [type(value) for value in vars(operator).values()] == [float]
