"""Trigonometric functions where their records do not reach: extremes, edges of domains, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.trigonometry import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Sin, Sinh, Tan

EVERY = [Acos(), Acosh(), Asin(), Asinh(), Atan(), Atanh(), Cos(), Cosh(), Sin(), Sinh(), Tan()]
PERIODIC = [Sin(), Cos()]
UNBOUNDED = [Atan(), Asinh()]


def run(operator, x):
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    return y, dx


@pytest.mark.parametrize("operator", [*PERIODIC, *UNBOUNDED], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_all_numbers_are_finite_for_every_finite_input(operator, dtype):
    info = np.finfo(dtype)
    magnitudes = [0, 0.5, 1, 1e4, info.max / 2, info.max, info.tiny]
    x = np.array([*magnitudes, *(-m for m in magnitudes)], dtype)
    y, dx = run(operator, x)
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == x.dtype


def test_the_slopes_far_out_are_those_of_the_formula():
    x = np.array([1e100, 1e200])
    np.testing.assert_allclose(run(Asinh(), x)[1], [1e-100, 1e-200], rtol=1e-12)
    np.testing.assert_allclose(run(Acosh(), x)[1], [1e-100, 1e-200], rtol=1e-12)
    np.testing.assert_allclose(run(Atan(), x)[1], [1e-200, 0.0], rtol=1e-12)


def test_the_slopes_near_the_edge_of_a_domain_keep_their_accuracy():
    x = np.array([1 - 2.0**-40])
    exact = 1 / math.sqrt(2.0**-40 * (2 - 2.0**-40))
    np.testing.assert_allclose(run(Asin(), x)[1], [exact], rtol=1e-15)
    np.testing.assert_allclose(run(Acos(), x)[1], [-exact], rtol=1e-15)
    np.testing.assert_allclose(run(Atanh(), x)[1], [exact**2], rtol=1e-15)


@pytest.mark.parametrize("operator", [Asin(), Acos(), Atanh()], ids=repr)
def test_at_the_edges_of_its_domain_a_slope_is_infinite_and_beyond_it_the_function_nan(operator):
    with np.errstate(all="ignore"):
        y, dx = run(operator, np.array([-1.0, 1.0, 1.5, -1.5]))
    assert np.isinf(dx[:2]).all() and np.isnan(y[2:]).all()


def test_the_inverse_hyperbolic_cosine_starts_at_1():
    with np.errstate(all="ignore"):
        y, dx = run(Acosh(), np.array([1.0, 0.5]))
    assert y[0] == 0 and math.isinf(dx[0]) and math.isnan(y[1])


@pytest.mark.parametrize("operator", EVERY, ids=repr)
def test_nan_stays_nan_and_integers_are_refused(operator):
    assert np.isnan(operator.forward(np.array([math.nan]))[0]).all()
    assert operator.infer(Spec(("N", 3))) == Spec(("N", 3))
    with pytest.raises(ShapeError, match="floating dtype, received int64"):
        operator.infer(Spec(("N",), "int64"))
