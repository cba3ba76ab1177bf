"""The softmax and its logarithm where their records do not reach: extreme logits, misuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.operator import ShapeError, Spec
from ops.softmax import LogSoftmax, Softmax

LARGEST = float(np.finfo(np.float32).max)
MAGNITUDES = [0.0, 1.0, 88.0, 104.0, 1e4, 1e20, 1e38, LARGEST]
EXTREMES = [sign * value for value in MAGNITUDES for sign in (1, -1)]
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(EXTREMES)
X = Spec(("N", 3, 4))


@given(
    st.lists(st.lists(FINITE, min_size=3, max_size=3), min_size=1, max_size=3),
    st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3),
)
def test_softmax_and_its_logarithm_are_finite_for_every_finite_logit(rows, direction):
    x = np.array(rows, np.float32)
    below = x - x.max(axis=-1, keepdims=True).astype(np.float64)
    log_total = np.log(np.exp(below).sum(axis=-1, keepdims=True))
    exact = {
        Softmax(): np.exp(below - log_total),
        LogSoftmax(): np.maximum(below - log_total, -LARGEST),
    }
    for operator, wanted in exact.items():
        y, saved = operator.forward(x)
        dy = np.full_like(y, direction)
        (dx,) = operator.backward(saved, dy, (True,))
        assert np.isfinite(y).all() and np.isfinite(dx).all()
        assert y.dtype == dx.dtype == np.float32
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


def test_a_logit_far_below_a_large_one_gets_no_probability():
    x = np.array([1e38, -1e38, -LARGEST], np.float32)
    np.testing.assert_array_equal(Softmax().forward(x)[0], [1, 0, 0])
    np.testing.assert_allclose(LogSoftmax().forward(x)[0], [0, -2e38, -LARGEST], rtol=1e-6)
    np.testing.assert_array_equal(Softmax().forward(-x[:2])[0], [0, 1])


@pytest.mark.parametrize("operator", [Softmax(), LogSoftmax(axis=1)], ids=repr)
def test_a_softmax_carries_the_symbolic_batch(operator):
    assert operator.infer(X) == X


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
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
    ("construct", "message"),
    [
        (lambda: Softmax(axis=1.0), "Softmax: expected an integer for axis, received 1.0"),
        (lambda: LogSoftmax(axis=None), "LogSoftmax: expected an integer for axis, received None"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, message):
    with pytest.raises(TypeError, match=message):
        construct()
