"""Local response normalization where its record does not reach: windows, extremes, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.local_response import LocalResponseNorm

X = Spec(("N", 4, 5))
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("size", "reached"), [(1, [2]), (2, [1, 2]), (3, [1, 2, 3]), (4, [0, 1, 2, 3]), (9, range(5))]
)
def test_an_even_window_reaches_one_channel_further_forward(size, reached):
    x = np.full((1, 5), 1e-3)
    x[0, 2] = 1.0
    y, _ = LocalResponseNorm(size, alpha=100.0).forward(x)
    # the channels whose window holds the large entry
    assert np.flatnonzero(y[0] / x[0] < 0.5).tolist() == list(reached)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5, 0.75, 2.0])
def test_no_square_overflows_in_float32(beta):
    rng = np.random.default_rng(0)
    operator = LocalResponseNorm(3, beta=beta)
    x = rng.choice([0.0, 1.0, -1e-30, 1e15, 1e25, -1e38, LARGEST], (4, 6, 8)).astype(np.float32)
    dy = rng.normal(size=x.shape).astype(np.float32)
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, dy, (True,))
    y64, saved64 = operator.forward(x.astype(np.float64))
    (dx64,) = operator.backward(saved64, dy.astype(np.float64), (True,))
    np.testing.assert_allclose(y, y64, rtol=1e-4, atol=1e-36)
    np.testing.assert_allclose(dx, dx64, rtol=1e-2, atol=1e-6)


def test_the_squares_of_large_entries_agree_with_the_formula():
    x = np.array([[1e30, 2e30, 1.0]], np.float32)
    y, _ = LocalResponseNorm(3, alpha=3e-4).forward(x)
    squares = [5e60, 5e60, 4e60]
    expected = [
        v * math.exp(-0.75 * math.log(1e-4 * s))
        for v, s in zip([1e30, 2e30, 1], squares, strict=True)
    ]
    np.testing.assert_allclose(y[0], expected, rtol=1e-4, atol=1e-36)


def test_the_symbolic_batch_is_carried_along():
    assert LocalResponseNorm(5).infer(X) == X


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (Spec(("N",)), r"2 or more axes, received float32 \(N,\)"),
        (Spec(("N", 4), "int64"), "floating dtype, received int64"),
        (Spec((4, "N")), "known sizes"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ShapeError, match=message):
        LocalResponseNorm(3).infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: LocalResponseNorm(0), ValueError, "expected size of at least 1, received 0"),
        (lambda: LocalResponseNorm(2.0), TypeError, "expected an integer for size"),
        (lambda: LocalResponseNorm(3, alpha=-1), ValueError, "at least 0 for alpha, received -1"),
        (lambda: LocalResponseNorm(3, beta=math.nan), ValueError, "at least 0 for beta"),
        (lambda: LocalResponseNorm(3, k=0), ValueError, "above 0 for k, received 0"),
        (lambda: LocalResponseNorm(3, k="1"), TypeError, "above 0 for k, received '1'"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=f"LocalResponseNorm: .*{message}"):
        construct()
