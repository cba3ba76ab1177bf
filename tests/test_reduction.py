"""Reductions where their records do not reach: accuracy, extreme values, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import ShapeError, Spec
from ops.extremum import ReduceMax, ReduceMin
from ops.product import ReduceProd
from ops.reduction import Mean, ReduceL1, ReduceL2, ReduceLogSumExp, Sum

LARGEST = float(np.finfo(np.float32).max)
EXTREMES = [0.0, 1.0, -1.0, 88.0, -104.0, 1e4, -1e4, 1e38, -1e38, LARGEST, -LARGEST]
X = Spec(("N", 3, 4))
REDUCTIONS = [
    Sum,
    Mean,
    ReduceL1,
    ReduceL2,
    ReduceLogSumExp,
    ReduceProd,
    ReduceMax,
    ReduceMin,
]
#: Those of integers as well, whose results are integers.
NUMERIC = [Sum, ReduceL1, ReduceProd]
#: Those of floating numbers alone.
FLOATING = [Mean, ReduceL2, ReduceLogSumExp]

each_reduction = pytest.mark.parametrize("operator", REDUCTIONS)

#: What the error of n roundings is relative to, for each sum.
SCALES = {
    Sum: lambda x, axis: abs(x).sum(axis=axis),
    Mean: lambda x, axis: abs(x).mean(axis=axis),
    ReduceL1: lambda x, axis: abs(x).sum(axis=axis),
    ReduceL2: lambda x, axis: np.sqrt((x * x).sum(axis=axis)),
    # a relative error of the sum is an absolute one of its logarithm
    ReduceLogSumExp: lambda x, axis: 1 + abs(x).max(axis=axis),
}


def both(operator, x, dy=None):
    """The output and the gradient."""
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y) if dy is None else dy, (True,))
    return y, dx


@given(
    st.sampled_from(sorted(SCALES, key=lambda operator: operator.__name__)),
    st.sampled_from((1, 2, 31, 1000, 40_000)),
    st.sampled_from((0, 1, None)),
    st.sampled_from((0.0, 1.0, -30.0)),
    st.integers(0, 2**32 - 1),
)
def test_a_sum_in_float32_is_as_accurate_as_its_number_of_roundings_allows(
    operator, entries, axis, offset, seed
):
    # tall and wide: NumPy sums pairwise only along the axis that is contiguous
    shape = (2, entries) if axis == 1 else (entries, 2)
    x = (np.random.default_rng(seed).normal(size=shape) + offset).astype(np.float32)
    exact = x.astype(np.float64)
    count = x.size if axis is None else entries
    error = np.abs(operator(axis).forward(x)[0] - operator(axis).forward(exact)[0])
    allowed = count * float(np.finfo(np.float32).eps) * SCALES[operator](exact, axis)
    assert (error <= allowed).all()


@each_reduction
@pytest.mark.parametrize("shape", [(), (2, 3)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_a_full_reduction_gives_an_array(operator, shape, keepdims):
    y, _ = operator(keepdims=keepdims).forward(np.ones(shape))
    assert isinstance(y, np.ndarray) and y.shape == (1,) * len(shape) * keepdims


@each_reduction
def test_a_reduction_may_drop_or_keep_the_symbolic_batch(operator):
    assert operator().infer(X).shape == ()
    assert operator(axis=0).infer(X).shape == (3, 4)
    assert operator(axis=(0, -1), keepdims=True).infer(X).shape == (1, 3, 1)
    assert operator(axis=[1, 2]).infer(X).shape == ("N",)
    assert operator().flops(X.bind(2)) % 24 == 0 < operator().flops(X.bind(2))


@each_reduction
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator().forward(np.ones(3))
    assert operator().backward(saved, y, (False,)) == (None,)


@each_reduction
def test_the_gradient_of_axes_in_any_order_is_the_same(operator):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    y, dx = both(operator((2, 0)), x)
    again, other = both(operator((0, -1)), x)
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(dx, other)


def test_the_absolute_value_has_no_slope_at_zero():
    y, dx = both(ReduceL1(), np.array([0.0, -0.0, -2.0, 3.0]))
    assert y == 5 and dx.tolist() == [0, 0, -1, 1]


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1.0, 1e30, 8e37])
def test_a_length_neither_overflows_nor_vanishes(scale):
    x = np.array([3 * scale, -4 * scale, 0], np.float32) / np.float32(2)
    y, dx = both(ReduceL2(), x)
    assert y.dtype == dx.dtype == np.float32
    # halves of 3e-42 and 4e-42 are multiples of 1.4e-45, which rounds them by 1e-3
    rtol = 1e-6 if scale > 1e-40 else 2e-3
    np.testing.assert_allclose(y, 2.5 * scale, rtol=rtol)
    np.testing.assert_allclose(dx, [0.6, -0.8, 0], rtol=rtol)


def test_the_gradient_of_a_length_beyond_the_largest_number_is_right():
    with np.errstate(over="ignore"):
        y, dx = both(ReduceL2(), np.full(4, LARGEST, np.float32))
    assert y == math.inf
    np.testing.assert_allclose(dx, 0.5, rtol=1e-6)


def test_the_gradient_of_a_length_of_zero_is_zero():
    y, dx = both(ReduceL2(axis=1), np.array([[0.0, -0.0], [0.0, 2.0]]))
    assert y.tolist() == [0, 2] and dx.tolist() == [[0, 0], [0, 1]]


def test_a_length_with_an_infinite_entry_is_infinite():
    y, _ = ReduceL2(axis=0).forward(np.array([[math.inf, math.nan], [1.0, 1.0]]))
    assert y[0] == math.inf and math.isnan(y[1])


@given(
    st.lists(st.lists(st.sampled_from(EXTREMES), min_size=3, max_size=3), min_size=1, max_size=3)
)
def test_log_sum_exp_is_finite_for_extreme_inputs(rows):
    x = np.array(rows, np.float32)
    y, dx = both(ReduceLogSumExp(axis=1), x)
    assert (y >= x.max(axis=1)).all() and (y <= x.max(axis=1) + np.float32(1.1)).all()
    # equal entries share the gradient even where the logarithm of their number is rounded off
    np.testing.assert_allclose(dx.sum(axis=1), 1, rtol=1e-6)


def test_log_sum_exp_of_masked_entries_counts_the_others():
    x = np.array([[-math.inf, 2.0, -math.inf], [-math.inf] * 3, [math.inf, 0, -math.inf]])
    y, _ = ReduceLogSumExp(axis=1).forward(x)
    assert y.tolist() == [2, -math.inf, math.inf]


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        *((operator(), Spec(("N",), "int64"), "dtype, received int64") for operator in FLOATING),
        *((operator(), Spec(("N",), "bool"), "dtype, received bool") for operator in NUMERIC),
        (Sum(axis=-4), X, "axis in -3..2, received -4"),
        (Sum(axis=(1, -2)), X, r"distinct axes, received \(1, -2\) for 3 axes"),
        (Mean(axis=1), Spec(("N", 0)), r"the mean of, received float32 \(N, 0\)"),
        (Mean(), Spec((0, 3)), r"the mean of, received float32 \(0, 3\)"),
        (ReduceLogSumExp(), Spec((0, 3)), r"the log-sum-exp of, received float32 \(0, 3\)"),
        (ReduceMax(axis=1), Spec(("N", 0)), r"the maximum of, received float32 \(N, 0\)"),
        (ReduceMin(), Spec((0,)), r"the minimum of, received float32 \(0,\)"),
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
        (lambda: ReduceMax(axis=True), TypeError, "ReduceMax: expected None, an integer"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_axes_are_kept_as_plain_python_integers():
    assert type(Sum(axis=np.int64(1)).axis) is int
    assert Mean(axis=[np.int64(0), 1]) == Mean(axis=(0, 1))
