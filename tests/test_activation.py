"""Activations where their records do not reach: huge inputs, small results, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from ops import (
    GELU,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ShapeError,
    Sigmoid,
    SiLU,
    Softmax,
    Spec,
    Tanh,
)
from ops.special import erf, erfc

LARGEST = float(np.finfo(np.float32).max)
MAGNITUDES = [0.0, 1.0, 88.0, 104.0, 1e4, 1e20, 1e38, LARGEST]
EXTREMES = [sign * value for value in MAGNITUDES for sign in (1, -1)]
ELEMENTWISE = [
    ReLU(),
    LeakyReLU(),
    LeakyReLU(0.0),
    Sigmoid(),
    Tanh(),
    GELU(),
    GELU("tanh"),
    SiLU(),
    Identity(),
]
X = Spec(("N", 3, 4))


@pytest.mark.parametrize("operator", ELEMENTWISE, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_an_activation_and_its_gradient_are_finite_for_every_finite_input(operator, dtype):
    limit = float(np.finfo(dtype).max)
    x = np.clip(np.array([*EXTREMES, limit, -limit]), -limit, limit).astype(dtype)
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == x.dtype


@pytest.mark.parametrize("operator", ELEMENTWISE, ids=repr)
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator.forward(np.ones(3))
    assert operator.backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize("operator", [GELU(), GELU("tanh"), SiLU(), Sigmoid()], ids=repr)
def test_small_results_keep_their_relative_accuracy_in_float32(operator):
    x = np.linspace(-6, -1, 101, dtype=np.float32)
    exact = operator.forward(x.astype(np.float64))[0]
    np.testing.assert_allclose(operator.forward(x)[0], exact, rtol=2e-5)


@pytest.mark.parametrize(("operator", "at_zero"), [(ReLU(), 0.0), (LeakyReLU(0.25), 0.25)])
def test_the_gradient_at_the_kink_is_that_of_the_negative_side(operator, at_zero):
    y, saved = operator.forward(np.array([0.0, -0.0]))
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert dx.tolist() == [at_zero, at_zero]


@given(
    st.lists(st.lists(st.sampled_from(EXTREMES), min_size=3, max_size=3), min_size=1, max_size=3)
)
def test_softmax_and_its_logarithm_are_finite_for_extreme_logits(rows):
    x = np.array(rows, np.float32)
    for operator in (Softmax(), LogSoftmax()):
        y, saved = operator.forward(x)
        (dx,) = operator.backward(saved, np.ones_like(y), (True,))
        assert np.isfinite(y).all() and np.isfinite(dx).all()
        assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(Softmax().forward(x)[0].sum(axis=-1), 1, rtol=1e-6)


def test_a_logit_far_below_a_large_one_gets_no_probability():
    x = np.array([1e38, -1e38, -LARGEST], np.float32)
    np.testing.assert_array_equal(Softmax().forward(x)[0], [1, 0, 0])
    np.testing.assert_allclose(LogSoftmax().forward(x)[0], [0, -2e38, -LARGEST], rtol=1e-6)
    np.testing.assert_array_equal(Softmax().forward(-x[:2])[0], [0, 1])


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


@pytest.mark.parametrize(
    "operator", [*ELEMENTWISE, Softmax(), LogSoftmax(axis=1)], ids=lambda o: repr(o)
)
def test_an_activation_carries_the_symbolic_batch(operator):
    assert operator.infer(X) == X


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (Sigmoid(), Spec(("N",), "int64"), "floating dtype, received int64"),
        (Softmax(), Spec(("N",), "int64"), "floating dtype, received int64"),
        (Softmax(axis=3), X, "axis in -3..2, received 3"),
        (Softmax(axis=-4), X, "axis in -3..2, received -4"),
        (LogSoftmax(), Spec(("N", 0)), r"entries along axis 1, received float32 \(N, 0\)"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (
            lambda: LeakyReLU(-1.0),
            ValueError,
            "LeakyReLU: expected a finite number",
        ),
        (lambda: LeakyReLU("1"), TypeError, "LeakyReLU: expected a finite number"),
        (lambda: LeakyReLU(True), TypeError, "LeakyReLU: expected a finite number"),
        (lambda: GELU("erf"), ValueError, 'GELU: expected "none" or "tanh" for approximate'),
        (lambda: Softmax(axis=1.0), TypeError, "Softmax: expected an integer for axis"),
        (lambda: LogSoftmax(axis=None), TypeError, "LogSoftmax: expected an integer for axis"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_a_slope_is_kept_as_a_plain_python_number():
    assert type(LeakyReLU(np.float64(0.1)).negative_slope) is float
    assert hash(LeakyReLU(np.float64(0.5))) == hash(LeakyReLU(0.5))
