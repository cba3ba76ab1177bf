"""Activations with hard corners where their records do not reach: corners, huge inputs, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.hard import Clip, HardSigmoid, HardSwish, ThresholdedReLU
from ops.operator import ShapeError, Spec

MAGNITUDES = [0.0, 1e-40, 1.0, 20.0, 88.0, 104.0, 1e4, 1e20, 1e38, math.inf]
OPERATORS = [
    Clip(),
    Clip(-1, 1),
    Clip(low=0.5),
    Clip(high=-0.5),
    ThresholdedReLU(),
    ThresholdedReLU(-2.0),
    HardSigmoid(),
    HardSigmoid(1 / 6),
    HardSigmoid(50.0, -3.0),
    HardSwish(),
]


def gradient(operator, x):
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    return dx


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_an_activation_and_its_gradient_are_finite_for_every_finite_input(operator, dtype):
    limit = float(np.finfo(dtype).max)
    near = np.minimum(MAGNITUDES, limit)
    x = np.concatenate([near, -near]).astype(dtype)
    y, _ = operator.forward(x)
    dx = gradient(operator, x)
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == x.dtype


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator.forward(np.ones(3))
    assert operator.backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize(
    ("operator", "at", "slopes"),
    [
        (Clip(-1, 2), [-1.0, 2.0], [1.0, 1.0]),
        (Clip(1, 1), [0.0, 1.0, 2.0], [0.0, 1.0, 0.0]),
        (ThresholdedReLU(2.0), [2.0], [0.0]),
        (ThresholdedReLU(-1.0), [-1.0, 0.0], [0.0, 1.0]),
        (HardSigmoid(0.25), [-2.0, 2.0], [0.0, 0.0]),
        (HardSwish(), [-3.0, 3.0], [0.0, 1.0]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_gradient_at_a_corner_is_the_one_documented(operator, at, slopes, dtype):
    assert gradient(operator, np.array(at, dtype)).tolist() == slopes


def test_a_value_at_the_threshold_is_0():
    assert ThresholdedReLU(0.5).forward(np.array([0.5, 0.75]))[0].tolist() == [0.0, 0.75]


def test_a_clip_without_bounds_is_the_identity_and_hands_on_a_copy():
    x, dy = np.array([-math.inf, -1e300, 0.0, 1e300]), np.arange(4.0)
    y, saved = Clip().forward(x)
    (dx,) = Clip().backward(saved, dy, (True,))
    assert y.tolist() == x.tolist() and dx.tolist() == dy.tolist()
    assert not np.shares_memory(dx, dy)


@given(st.floats(0.01, 100), st.floats(-5, 5), st.floats(1.1, 1e6))
def test_a_hard_sigmoid_is_exactly_0_and_1_beyond_its_corners(alpha, beta, beyond):
    operator = HardSigmoid(alpha, beta)
    middle = (0.5 - beta) / alpha
    x = np.array([middle - beyond / alpha, middle + beyond / alpha], np.float32)
    assert operator.forward(x)[0].tolist() == [0.0, 1.0]
    assert gradient(operator, x).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_an_activation_carries_the_symbolic_batch_and_refuses_truth_values(operator):
    x = Spec(("N", 3, 4))
    assert operator.infer(x) == x
    with pytest.raises(ShapeError, match=r"floating .*dtype, received bool"):
        operator.infer(Spec(("N",), "bool"))


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Clip(2, 1), ValueError, "low of at most high, received low=2.0 and high=1.0"),
        (lambda: Clip(low=math.nan), ValueError, "Clip: expected a finite number for low"),
        (lambda: Clip(high=math.inf), ValueError, "Clip: expected a finite number for high"),
        (lambda: Clip("0"), TypeError, "Clip: expected a finite number for low, received '0'"),
        (lambda: ThresholdedReLU(None), TypeError, "ThresholdedReLU: expected a finite number"),
        (lambda: HardSigmoid(0.0), ValueError, "HardSigmoid: expected a finite number above 0"),
        (lambda: HardSigmoid(beta=math.inf), ValueError, "HardSigmoid: expected a finite number"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_bounds_are_kept_as_plain_python_numbers():
    operator = Clip(np.float64(-1), 6)
    assert type(operator.low) is float and type(operator.high) is float
    assert hash(operator) == hash(Clip(-1.0, 6.0))
    assert operator.forward(np.ones(2, np.float32))[0].dtype == np.float32
