"""Reductions where their records do not reach: the symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Mean, ShapeError, Spec, Sum

X = Spec(("N", 3, 4))
each_reduction = pytest.mark.parametrize("operator", [Sum, Mean])


@each_reduction
def test_a_full_reduction_gives_an_array_of_shape_zero(operator):
    y, _ = operator().forward(np.ones((2, 3)))
    assert isinstance(y, np.ndarray) and y.shape == ()


@each_reduction
def test_a_reduction_may_drop_or_keep_the_symbolic_batch(operator):
    assert operator().infer(X).shape == ()
    assert operator(axis=0).infer(X).shape == (3, 4)
    assert operator(axis=(0, -1), keepdims=True).infer(X).shape == (1, 3, 1)
    assert operator(axis=[1, 2]).infer(X).shape == ("N",)
    assert operator().flops(X.bind(2)) == 24


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (Sum(), Spec(("N",), "int64"), "floating dtype, received int64"),
        (Sum(axis=-4), X, "axis in -3..2, received -4"),
        (Sum(axis=(1, -2)), X, r"distinct axes, received \(1, -2\) for 3 axes"),
        (Mean(axis=1), Spec(("N", 0)), r"mean of, received float32 \(N, 0\)"),
        (Mean(), Spec((0, 3)), r"mean of, received float32 \(0, 3\)"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Sum(axis=1.5), TypeError, "Sum: expected None, an integer or several"),
        (lambda: Sum(axis=(0, "1")), TypeError, "Sum: expected None, an integer or several"),
        (lambda: Mean(axis=()), ValueError, "Mean: expected at least one axis"),
        (lambda: Sum(keepdims=1), TypeError, "Sum: expected True or False"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_axes_are_kept_as_plain_python_integers():
    assert type(Sum(axis=np.int64(1)).axis) is int
    assert Mean(axis=[np.int64(0), 1]) == Mean(axis=(0, 1))
