"""Kernels over views: maps of them and sums over axes, on the emulated card."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.kernels.cuda import strided_source
from graphnet.kernels.cuda.strided import Strided, joined
from tests.emulator.on_numpy import OnNumPy

DEVICE = OnNumPy()
#: Half a unit in the last place of each, for numbers around 1.
HALVES = {"float32": 2.0**-24, "float16": 2.0**-11}


@st.composite
def views(draw, dtype="float32"):
    """A view of an array, in any order of its axes, cut out with steps of either sign."""
    shape = draw(st.lists(st.integers(1, 4), min_size=0, max_size=5))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from((1, 1, 2, -1, -2))) for _ in shape]
    whole = [n * abs(step) + 1 for n, step in zip(shape, steps, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    array = (rng.normal(size=whole) * 4).astype(dtype)
    cut = array[tuple(slice(None, None, step) for step in steps)]
    cut = cut[(*(slice(n) for n in shape), ...)]
    return cut.transpose(order)


def empty_like(x, order):
    """An array of the shape whose memory is in another order, with a border that has to stay."""
    around = np.full([x.shape[axis] + 1 for axis in order], 77, x.dtype)
    inside = around[(*(slice(x.shape[axis]) for axis in order), ...)]
    return inside.transpose(np.argsort(order).tolist()), around


@given(data=st.data(), dtype=st.sampled_from(("float32", "float16", "int64", "uint8", "bool")))
def test_a_copy_is_of_every_entry_of_a_view_and_of_nothing_around(data, dtype):
    x = data.draw(views(dtype))
    y, around = empty_like(x, data.draw(st.permutations(range(x.ndim))))
    Strided(DEVICE, dtype).copied(x, y)()
    np.testing.assert_array_equal(y, x)
    inside = np.zeros(around.shape, bool)
    inside[tuple(slice(n - 1) for n in around.shape)] = True
    assert (around[~inside] == np.array(77, dtype)).all()


def test_a_copy_goes_on_where_there_are_more_entries_than_threads():
    x = np.random.default_rng(0).normal(size=(130, 131)).astype("float32")
    y = np.full((131, 130), np.nan, "float32")
    Strided(DEVICE, "float32").copied(x.T, y)()
    np.testing.assert_array_equal(y, x.T)


@given(data=st.data(), dtype=st.sampled_from(tuple(HALVES)), adds=st.booleans())
def test_a_map_computes_on_views_that_broadcast_in_float(data, dtype, adds):
    x = data.draw(views(dtype))
    kept = [n if data.draw(st.booleans()) else 1 for n in x.shape]
    rng = np.random.default_rng(0)
    b = rng.normal(size=kept[data.draw(st.integers(0, x.ndim)) :]).astype("float32")
    y, _ = empty_like(x, data.draw(st.permutations(range(x.ndim))))
    y[...] = before = rng.normal(size=x.shape).astype(dtype)
    call = Strided(DEVICE, dtype).mapped("x * b + factor", y, {"x": x, "b": b}, factor=3, adds=adds)
    call()
    wanted = x.astype("float64") * b + 3 + (before if adds else 0)
    np.testing.assert_allclose(y, wanted, rtol=HALVES[dtype] * 2, atol=8 * HALVES["float32"])


@given(
    data=st.data(),
    dtype=st.sampled_from(tuple(HALVES)),
    adds=st.booleans(),
    # rows for a warp, for threads, and stretches of both
    long=st.sampled_from((0, 3, 40, 700)),
)
def test_sums_over_any_axes_are_rounded_once(data, dtype, adds, long):
    x = data.draw(views(dtype))
    if long:
        x = np.broadcast_to(x, (long, *x.shape))
        x = np.moveaxis(x.copy(), 0, data.draw(st.integers(0, x.ndim - 1)))
    reduced = [axis for axis in range(x.ndim) if data.draw(st.booleans())]
    rng = np.random.default_rng(1)
    b = rng.normal(size=x.shape[-1:]).astype("float32")
    y = rng.normal(size=[1 if a in reduced else n for a, n in enumerate(x.shape)]).astype(dtype)
    before = y.astype("float64")
    walker = Strided(DEVICE, dtype)
    space = np.full(walker.sum_bytes(x.shape, reduced), 255, "uint8")  # NaN, if it is read
    walker.summed("x * b", y, {"x": x, "b": b}, space, factor=0.5, adds=adds)()
    # products are rounded to float32, their sum is exact beside that
    products = (x.astype("float32") * b).astype("float64")
    wanted = 0.5 * products.sum(axis=tuple(reduced), keepdims=True) + before * adds
    np.testing.assert_allclose(y, wanted, rtol=4 * HALVES[dtype], atol=4 * HALVES[dtype])


@pytest.mark.parametrize("size", [(5, 3000), (3000, 5), (3000,)])
def test_a_large_sum_is_cut_into_stretches_and_repeats_bit_for_bit(size):
    x = np.random.default_rng(0).normal(size=size).astype("float32")
    walker = Strided(DEVICE, "float32")
    for axes in [(0,), (x.ndim - 1,), tuple(range(x.ndim))]:
        y = x.sum(axis=axes, keepdims=True)
        found = np.empty_like(y), np.empty_like(y)
        for each in found:
            space = np.full(walker.sum_bytes(x.shape, axes), 255, "uint8")
            DEVICE.launches.clear()
            walker.summed("x", each, {"x": x}, space)()
        wanted = x.astype("float64").sum(axis=axes, keepdims=True)
        np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(*found)
        cut = math.prod(x.shape[a] for a in axes) > 1000 and y.size < 100
        assert DEVICE.launches == (["sums", "totals"] if cut else ["sums"])


def test_more_entries_than_31_bits_number_are_counted_in_64(monkeypatch):
    assert "typedef unsigned Index;" in strided_source.map_source({}, "float", 1, (1 << 31) - 1, "")
    assert "typedef Word Index;" in strided_source.map_source({}, "float", 1, 1 << 31, "")
    monkeypatch.setattr(strided_source, "SMALL", 1)
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    y = np.empty((5, 3, 4), "float32")
    walker = Strided(DEVICE, "float32")
    walker.copied(x.transpose(2, 0, 1), y)()
    np.testing.assert_array_equal(y, x.transpose(2, 0, 1))
    total = np.empty((3, 1, 5), "float32")
    walker.summed("x", total, {"x": x}, np.empty(1000, "uint8"))()
    np.testing.assert_allclose(total, x.sum(axis=1, keepdims=True), rtol=1e-6)


def test_neighbours_that_every_array_walks_over_alike_are_one_axis():
    whole = joined((2, 3, 4), (12, 4, 1), (12, 4, 1))
    assert whole.sizes == (24,) and whole.strides == ((1,), (1,))
    # the middle axis is broadcast in the second
    assert joined((2, 3, 4), (12, 4, 1), (4, 0, 1)).sizes == (1, 2, 3, 4)
    # walked over in the order of the first one's memory
    assert joined((3, 4), (1, 3), (4, 1)).strides == ((3, 1), (1, 4))
    assert joined((), (), ()).sizes == (1,)
