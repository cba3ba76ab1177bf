"""Pooling where its records do not reach: NaN and infinity, huge windows, huge entries, misuse."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given

from graphnet.testing.strategies import seeds, window_inputs
from ops import AvgPool, GlobalMaxPool, MaxPool, ShapeError, Spec
from ops.pooling import GlobalLpPool, LpPool
from ops.windows import Windows

IMAGE = Spec(("N", 3, 8, 8))
LARGEST = float(np.finfo(np.float32).max)


def real_entries(windows, o):
    """The places of the input that window ``o`` sees, in raster order."""
    axes = zip(
        o, windows.stride, windows.dilation, windows.kernel, windows.padding, windows.size,
        strict=True,
    )  # fmt: skip
    ranges = [
        [e for e in range(at * s - begin, at * s - begin + d * k, d) if 0 <= e < n]
        for at, s, d, k, (begin, _), n in axes
    ]
    return list(itertools.product(*ranges))


def first_largest(entries):
    """The number of the first NaN, or else of the first maximum."""
    nans = [number for number, entry in enumerate(entries) if math.isnan(entry)]
    return nans[0] if nans else entries.index(max(entries))


@given(window_inputs(pad_below_kernel=True), seeds)
def test_the_first_nan_or_else_the_first_maximum_takes_the_gradient_and_padding_never(drawn, seed):
    fields, size = drawn
    pool = MaxPool(**fields)
    rng = np.random.default_rng(seed)
    x = rng.choice([-math.inf, -math.inf, -math.inf, math.nan, -1.0, 2.0], size=(1, 2, *size))
    windows = pool.windows(Spec(x.shape, "float64"))
    assume(not windows.only_padding())
    y, saved = pool.forward(x)
    dy = rng.normal(size=y.shape)
    (dx,) = pool.backward(saved, dy, (True,))
    wanted_y, wanted_dx = np.zeros_like(y), np.zeros_like(x)
    for c, *o in np.ndindex(2, *windows.out):
        places = real_entries(windows, o)
        place = places[first_largest([float(x[(0, c, *at)]) for at in places])]
        wanted_y[(0, c, *o)] = x[(0, c, *place)]
        wanted_dx[(0, c, *place)] += dy[(0, c, *o)]
    np.testing.assert_array_equal(y, wanted_y)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-12, atol=1e-14)


def test_a_kernel_of_more_than_256_entries_keeps_its_winners_apart():
    x = np.full((1, 1, 300), -np.inf)
    x[0, 0, 299] = np.nan
    y, saved = MaxPool(300).forward(x)
    (dx,) = MaxPool(300).backward(saved, np.ones_like(y), (True,))
    assert np.isnan(y).all() and dx.nonzero()[2].tolist() == [299]


@pytest.mark.parametrize("special", [math.nan, -math.inf])
def test_global_maximum_gives_the_gradient_of_nan_and_of_nothing_but_infinity_to_one_entry(special):
    x = np.array([[[-math.inf, special, special]]])
    y, saved = GlobalMaxPool().forward(x)
    (dx,) = GlobalMaxPool().backward(saved, np.ones_like(y), (True,))
    np.testing.assert_array_equal(y, [[[special]]])
    assert dx.tolist() == [[[0.0, 1.0, 0.0]] if math.isnan(special) else [[1.0, 0.0, 0.0]]]


def test_a_window_that_meets_padding_alone_is_found():
    counted = {True: 0, False: 0}
    for size, kernel, begin, end, stride, dilation in itertools.product(
        range(4), range(1, 4), range(6), range(4), range(1, 4), range(1, 7)
    ):
        if dilation * (kernel - 1) + 1 > size + begin + end:
            continue
        windows = Windows.over(Spec((1, 1, size)), kernel, stride, ((begin, end),), dilation)
        met = [real_entries(windows, (o,)) for o in range(windows.out[0])]
        assert windows.only_padding() == ([] in met), windows
        counted[[] in met] += 1
    assert min(counted.values()) > 100


@pytest.mark.parametrize("pool", [MaxPool, AvgPool, LpPool])
def test_the_shape_of_a_huge_window_is_found_at_once(pool):
    half = 10**8
    operator = pool(2 * half, 1, padding=half)
    assert operator.infer(Spec(("N", 1, 2 * half))).shape == ("N", 1, 2 * half + 1)
    with pytest.raises(ShapeError, match="one meets padding alone"):
        pool(half, 1, padding=half).infer(Spec(("N", 1, 2 * half)))
    with pytest.raises(ShapeError, match="one meets padding alone"):
        pool(half, 1, padding=((0, 2 * half),)).infer(Spec(("N", 1, half)))


@pytest.mark.parametrize("operator", [LpPool(2, p=3), GlobalLpPool(3)], ids=repr)
@pytest.mark.parametrize("size", [1e30, 1e-30, 1e-44])
def test_a_norm_neither_overflows_nor_vanishes_on_the_way(operator, size):
    x = np.array([[[3.0, -4.0]]], np.float32) * np.float32(size)
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    a, b = (abs(float(entry)) for entry in x.ravel())
    norm = b * ((a / b) ** 3 + 1) ** (1 / 3)
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(y.ravel(), [norm], rtol=1e-5 if size > 1e-40 else 0.3)
    if size > 1e-40:
        wanted = [(a / norm) ** 2, -((b / norm) ** 2)]
        np.testing.assert_allclose(dx.ravel(), wanted, rtol=1e-5)


@pytest.mark.parametrize("p", [1, 1.5, 2, 7, 1000])
@pytest.mark.parametrize("operator", [LpPool, GlobalLpPool], ids=lambda c: c.__name__)
def test_the_gradient_of_a_norm_is_finite_for_extreme_entries_and_0_where_all_are_0(operator, p):
    pool = LpPool(3, p=p) if operator is LpPool else GlobalLpPool(p)
    x = np.array([[[0, 0, 0]], [[LARGEST / 4, 1e-45, 0]], [[-1e-45, 0, 1e-45]]], np.float32)
    y, saved = pool.forward(x)
    (dx,) = pool.backward(saved, np.ones_like(y), (True,))
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert (y.ravel()[0], dx[0].tolist()) == (0, [[0, 0, 0]])
    assert dx[1, 0, 0] == 1 and dx[1, 0, 2] == 0
    assert dx[2, 0, 0] < 0 < dx[2, 0, 2]


@pytest.mark.parametrize("operator", [LpPool(2), GlobalLpPool()], ids=repr)
def test_a_norm_with_infinity_is_infinite_and_one_with_nan_is_nan(operator):
    x = np.array([[[-np.inf, 1.0]], [[np.nan, 1.0]], [[np.nan, np.inf]]])
    y = operator.forward(x)[0].ravel()
    assert y[0] == np.inf and np.isnan(y[1]) and np.isnan(y[2])


def test_the_norm_of_exponent_1_has_the_sign_as_its_gradient_even_where_it_overflows():
    x = np.array([[[LARGEST, -LARGEST]]], np.float32)
    with np.errstate(over="ignore"):
        y, saved = LpPool(2, p=1).forward(x)
    assert y.item() == np.inf
    assert LpPool(2, p=1).backward(saved, np.ones_like(y), (True,))[0].tolist() == [[[1.0, -1.0]]]


@pytest.mark.parametrize(
    "pool", [MaxPool(2), AvgPool(2), LpPool(2), GlobalMaxPool(), GlobalLpPool()], ids=repr
)
def test_a_gradient_nobody_needs_is_none(pool):
    y, saved = pool.forward(np.ones((1, 1, 2, 2)))
    assert pool.backward(saved, y, (False,)) == (None,)


def test_a_norm_carries_the_symbolic_batch_and_counts_three_operations_an_entry():
    assert LpPool(2, 3).infer(IMAGE).shape == ("N", 3, 3, 3)
    assert GlobalLpPool().infer(IMAGE).shape == ("N", 3, 1, 1)
    assert LpPool(2).flops(IMAGE.bind(2)) == 3 * 4 * (2 * 3 * 4 * 4)
    assert GlobalLpPool().flops(IMAGE.bind(2)) == 3 * 2 * 3 * 8 * 8


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (LpPool(2), Spec(("N", 3, 8), "int64"), "floating dtype, received int64"),
        (LpPool(9), IMAGE, "kernel size 9 for size 8"),
        (LpPool(2, padding=2), IMAGE, "every window to meet the input"),
        (GlobalLpPool(), Spec(("N", 3)), "3 or more axes"),
        (GlobalLpPool(), Spec(("N", 3, 0)), "spatial sizes of at least 1"),
        (GlobalLpPool(), Spec(("N", 3, 8), "bool"), "floating dtype, received bool"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: LpPool(2, p=0.5), ValueError, "LpPool: expected a finite number of at least 1"),
        (lambda: LpPool(2, p=math.inf), ValueError, "of at least 1 for p, received inf"),
        (lambda: LpPool(2, p="2"), TypeError, "LpPool: expected a finite number"),
        (lambda: LpPool(0), ValueError, "LpPool: expected kernel_size of at least 1"),
        (lambda: GlobalLpPool(math.nan), ValueError, "GlobalLpPool: expected a finite number"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_an_exponent_is_kept_as_a_plain_python_number():
    assert type(LpPool(2, p=np.int64(3)).p) is float
    assert GlobalLpPool(np.float32(2)) == GlobalLpPool()
