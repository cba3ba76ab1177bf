"""Smooth activations where their records do not reach: huge inputs, small results, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from ops.operator import ShapeError, Spec
from ops.special import erf, erfc

MAGNITUDES = [0.0, 1e-40, 1.0, 20.0, 88.0, 104.0, 1e4, 1e20, 1e38, math.inf]
OPERATORS = [
    Sigmoid(),
    Tanh(),
    GELU(),
    GELU("tanh"),
    SiLU(),
    Mish(),
    Softplus(),
    Softplus(20.0),
    Softplus(0.05),
    Softsign(),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_an_activation_and_its_gradient_are_finite_for_every_finite_input(operator, dtype):
    limit = float(np.finfo(dtype).max)
    near = np.minimum(MAGNITUDES, limit)
    x = np.concatenate([near, -near]).astype(dtype)
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == x.dtype


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator.forward(np.ones(3))
    assert operator.backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize(
    "operator",
    [GELU(), GELU("tanh"), SiLU(), Sigmoid(), Mish(), Softplus(), Softplus(4.0)],
    ids=repr,
)
def test_small_results_keep_their_relative_accuracy_in_float32(operator):
    x = np.linspace(-6, -1, 101, dtype=np.float32)
    exact = operator.forward(x.astype(np.float64))[0]
    np.testing.assert_allclose(operator.forward(x)[0], exact, rtol=2e-5)


@pytest.mark.parametrize("beta", [0.1, 1.0, 30.0])
def test_softplus_and_its_gradient_are_accurate_from_end_to_end(beta):
    x = np.concatenate([np.linspace(-500, 500, 1001), [-1e-9, 1e-9]]) / beta
    y, saved = Softplus(beta).forward(x)
    (dx,) = Softplus(beta).backward(saved, np.ones_like(x), (True,))
    np.testing.assert_allclose(y, np.logaddexp(0, beta * x) / beta, rtol=1e-13)
    np.testing.assert_allclose(dx, special.expit(beta * x), rtol=1e-13)


def test_mish_is_accurate_from_end_to_end():
    x = np.linspace(-700, 700, 2001)
    expected = x * np.tanh(np.logaddexp(0, x))
    np.testing.assert_allclose(Mish().forward(x)[0], expected, rtol=1e-13)


def test_the_gradient_of_softsign_falls_with_the_square_of_large_inputs():
    x = np.array([-1e30, 1e15], np.float32)
    y, saved = Softsign().forward(x)
    (dx,) = Softsign().backward(saved, np.ones_like(x), (True,))
    np.testing.assert_array_equal(y, [-1, 1])
    np.testing.assert_allclose(dx, [0, 1e-30], rtol=1e-6)


@given(st.floats(-30, 30))
def test_the_error_functions_agree_with_the_c_library(value):
    x = np.array([value])
    assert erf(x)[0] == pytest.approx(math.erf(value), rel=1e-15, abs=1e-300)
    assert erfc(x)[0] == pytest.approx(math.erfc(value), rel=2e-15, abs=1e-300)


def test_the_error_functions_agree_with_scipy_everywhere():
    x = np.concatenate(
        [np.linspace(-7, 7, 20001), [np.inf, -np.inf, np.nan, 1e308, -1e308, 1e-300]]
    )
    np.testing.assert_allclose(erf(x), special.erf(x), rtol=1e-15)
    np.testing.assert_allclose(erfc(x), special.erfc(x), rtol=2e-14)
    assert erf(x[:9].astype(np.float16)).dtype == np.float16


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_an_activation_carries_the_symbolic_batch_and_refuses_integers(operator):
    x = Spec(("N", 3, 4))
    assert operator.infer(x) == x
    with pytest.raises(ShapeError, match="floating dtype, received int64"):
        operator.infer(Spec(("N",), "int64"))


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: GELU("erf"), ValueError, 'GELU: expected "none" or "tanh" for approximate'),
        (lambda: Softplus(0), ValueError, "Softplus: expected a finite number above 0 for beta"),
        (lambda: Softplus(math.inf), ValueError, "Softplus: expected a finite number above 0"),
        (lambda: Softplus("1"), TypeError, "Softplus: expected a finite number above 0 for beta"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0, 20.0])
def test_the_slope_of_softplus_is_right_far_from_0(beta):
    x = np.linspace(-2000, 2000, 41)
    _, saved = Softplus(beta).forward(x)
    (dx,) = Softplus(beta).backward(saved, np.ones_like(x), (True,))
    slope = [1 / (1 + math.exp(-beta * v)) if beta * v > -700 else 0.0 for v in x]
    np.testing.assert_allclose(dx, slope, rtol=1e-9, atol=1e-300)
