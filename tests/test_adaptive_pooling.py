"""Adaptive pooling where its records do not reach: ties, NaN, its relatives, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.testing.strategies import random_array, seeds
from ops import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool, ShapeError, Spec
from ops.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool

IMAGE = Spec(("N", 3, 8, 7))
BOTH = pytest.mark.parametrize("operator", [AdaptiveAvgPool, AdaptiveMaxPool])


def both_ways(operator, x, dy=None):
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y) if dy is None else dy, (True,))
    return y, dx


@pytest.mark.parametrize(
    ("adaptive", "other"),
    [
        (AdaptiveAvgPool((3, 2)), AvgPool((2, 3))),
        (AdaptiveMaxPool((3, 2)), MaxPool((2, 3))),
        (AdaptiveAvgPool(1), GlobalAvgPool()),
        (AdaptiveMaxPool(1), GlobalMaxPool()),
    ],
    ids=repr,
)
def test_sizes_that_divide_make_the_pool_with_that_kernel(adaptive, other):
    x = random_array((2, 3, 6, 6), 0)
    dy = random_array(other.forward(x)[0].shape, 1)
    for ours, theirs in zip(both_ways(adaptive, x, dy), both_ways(other, x, dy), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@BOTH
def test_as_many_outputs_as_entries_change_nothing(operator):
    x = random_array((2, 3, 4, 5), 0)
    y, dx = both_ways(operator((4, 5)), x)
    np.testing.assert_array_equal(y, x)
    assert (dx == 1).all()


def first_largest(window):
    """The place of the first NaN, or else of the first maximum, in raster order."""
    entries = window.ravel().tolist()
    nans = [number for number, entry in enumerate(entries) if math.isnan(entry)]
    number = nans[0] if nans else entries.index(max(entries))
    return np.unravel_index(number, window.shape)


@given(
    st.tuples(*[st.integers(1, 5)] * 3), st.tuples(*[st.integers(1, 7)] * 3), st.booleans(), seeds
)
def test_the_first_nan_or_else_the_first_maximum_takes_the_gradient(size, out, volume, seed):
    size, out = (size, out) if volume else (size[:2], out[:2])
    rng = np.random.default_rng(seed)
    x = rng.choice([-math.inf, -math.inf, 0.0, 1.0, 1.0, math.nan], size=(1, 2, *size))
    dy = rng.normal(size=(1, 2, *out))
    y, dx = both_ways(AdaptiveMaxPool(out), x, dy)
    wanted_y, wanted_dx = np.zeros_like(y), np.zeros_like(x)
    for c, *at in np.ndindex(2, *out):
        here = (0, c, *(
            slice(math.floor(i * n / m), math.ceil((i + 1) * n / m))
            for i, n, m in zip(at, size, out, strict=True)
        ))  # fmt: skip
        place = first_largest(x[here])
        wanted_y[(0, c, *at)] = x[here][place]
        wanted_dx[here][place] += dy[(0, c, *at)]
    np.testing.assert_array_equal(y, wanted_y)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-12, atol=1e-14)


def test_an_average_is_spoilt_by_nan_and_infinity_in_its_own_window_alone():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.nan, np.inf
    y, _ = AdaptiveAvgPool(2).forward(x)
    np.testing.assert_array_equal(y, [[[[np.nan, 0], [0, np.inf]]]])


@BOTH
def test_the_shape_follows_from_the_output_size_and_carries_the_symbolic_batch(operator):
    assert operator(3).infer(IMAGE).shape == ("N", 3, 3, 3)
    assert operator((3, 20)).infer(IMAGE).shape == ("N", 3, 3, 20)
    assert operator([2]).infer(Spec(("N", 3, 8))).shape == ("N", 3, 2)
    assert operator([2]) == operator((np.int64(2),))


@BOTH
def test_operations_count_the_entries_read_along_each_axis(operator):
    # the last axis: 2 * 3 * 8 rows of windows 0..4 and 3..7; then 2 * 3 * 2 columns of 8
    assert operator(2).flops(IMAGE.bind(2)) == 2 * 3 * 8 * (4 + 4) + 2 * 3 * 2 * 8


@BOTH
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator(2).forward(np.ones((1, 1, 3)))
    assert operator(2).backward(saved, y, (False,)) == (None,)


@BOTH
@pytest.mark.parametrize(
    ("size", "x", "message"),
    [
        (2, Spec(("N", 3)), "3 to 5 axes"),
        (2, Spec((1, 1, 2, 2, 2, 2)), "3 to 5 axes"),
        (2, Spec(("N", 3, 8), "int64"), "floating dtype, received int64"),
        ((2, 2), Spec(("N", 3, 8)), r"output_size for 1 spatial axes, received \(2, 2\)"),
        (2, Spec(("N", 3, 8, 0)), r"at least 1, received float32 \(N, 3, 8, 0\)"),
        (2, Spec((1, 3, "N")), "expected known sizes"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, size, x, message):
    with pytest.raises(ShapeError, match=message):
        operator(size).infer(x)


@BOTH
@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), ((2, 0), ValueError), (2.0, TypeError), (None, TypeError)]
)
def test_an_output_size_that_is_no_count_is_refused(operator, size, error):
    with pytest.raises(error, match=rf"{operator.__name__}: expected .*output_size"):
        operator(size)
