"""Products where their records do not reach: several zeros, extreme factors, accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.product import ReduceProd


def both(operator, x):
    """The output and the gradient."""
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    return y, dx


@pytest.mark.parametrize(
    ("x", "dx"),
    [
        ([2.0, 3.0, 5.0], [15, 10, 6]),
        ([2.0, 0.0, 5.0], [0, 10, 0]),
        ([0.0, 0.0, 5.0], [0, 0, 0]),
        ([0.0, 0.0], [0, 0]),
        ([0.0], [1]),
        ([], []),
    ],
)
def test_the_gradient_of_a_factor_is_the_product_of_the_others(x, dx):
    y, gradient = both(ReduceProd(), np.array(x))
    assert y == math.prod(x) and gradient.tolist() == dx


def test_a_product_over_no_entry_is_one():
    y, dx = both(ReduceProd(axis=0), np.zeros((0, 2)))
    assert y.tolist() == [1, 1] and dx.shape == (0, 2)


@pytest.mark.parametrize(
    "x",
    [
        [1e30, 1e30, 1e-30, 1e-30],
        [1e-30, 1e-30, 1e30, 1e30, -1.0],
        [1e30] * 7 + [1e-30] * 7,
        [1e-45, 1e38, 1e-5, 2.0],
    ],
    ids=repr,
)
def test_nothing_overflows_or_vanishes_on_the_way(x):
    x = np.array(x, np.float32)
    exact = [float(value) for value in x]
    y, dx = both(ReduceProd(), x)
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(y, math.prod(exact), rtol=1e-5)
    for i, gradient in enumerate(dx):
        others = math.prod(exact[:i] + exact[i + 1 :])
        np.testing.assert_allclose(gradient, others, rtol=1e-5, atol=1e-45)


def test_zero_times_large_factors_is_zero():
    y, dx = both(ReduceProd(), np.array([1e30, 1e20, 0.0, 0.0, 5.0], np.float32))
    assert y == 0 and dx.tolist() == [0] * 5


def test_a_small_gradient_meets_a_large_product_without_overflow():
    x = np.array([1.0, 1e30, 1e30], np.float32)
    with np.errstate(over="ignore"):
        y, saved = ReduceProd().forward(x)
    (dx,) = ReduceProd().backward(saved, np.array(1e-30, np.float32), (True,))
    assert y == math.inf
    np.testing.assert_allclose(dx, [1e30, 1, 1], rtol=1e-5)


@given(st.sampled_from((1, 2, 5, 1000, 4097)), st.integers(0, 2**32 - 1))
def test_a_product_in_float32_is_as_accurate_as_its_number_of_roundings_allows(entries, seed):
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.uniform(-9, 9, size=(entries, 2)))
    # each beside its inverse, in any order: partial products far from 1, the whole one near it
    x = rng.permuted(np.concatenate([factors, -1 / factors]), axis=0).astype(np.float32)
    exact = x.astype(np.float64)
    y, _ = ReduceProd(axis=0).forward(x)
    wanted, _ = ReduceProd(axis=0).forward(exact)
    assert (np.abs(y - wanted) <= len(x) * float(np.finfo(np.float32).eps) * np.abs(wanted)).all()
    assert (np.sign(wanted) == (-1) ** entries).all()
