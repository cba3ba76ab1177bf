"""Rectifiers where their records do not reach: the kink, huge inputs, learned slopes, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from ops.operator import ShapeError, Spec
from ops.rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU

MAGNITUDES = [0.0, 1e-40, 1.0, 20.0, 88.0, 104.0, 1e4, 1e20, 1e38, math.inf]
FIXED = [
    ReLU(),
    LeakyReLU(),
    LeakyReLU(0.0),
    ELU(),
    ELU(0.0),
    ELU(3.0),
    CELU(),
    CELU(0.01),
    CELU(20.0),
    SELU(),
]
X = Spec(("N", 3, 4))


@pytest.mark.parametrize("operator", [*FIXED, PReLU(shared=True)], ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_rectifier_and_its_gradients_are_finite_for_every_finite_input(operator, dtype):
    limit = float(np.finfo(dtype).max)
    near = np.minimum(MAGNITUDES, limit)
    x = np.concatenate([near, -near]).astype(dtype)
    slope = [np.array([0.25], dtype)] if isinstance(operator, PReLU) else []
    y, saved = operator.forward(x, *slope)
    # a dy of 0.1 where x is largest: the slope's gradient is a sum over all entries
    dy = np.where(np.abs(x) < limit, 0.0, 0.1).astype(dtype)
    gradients = operator.backward(saved, dy, (True,) * (1 + len(slope)))
    assert np.isfinite(y).all() and y.dtype == x.dtype
    for gradient in gradients:
        assert np.isfinite(gradient).all() and gradient.dtype == x.dtype


@pytest.mark.parametrize("operator", FIXED, ids=repr)
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator.forward(np.ones(3))
    assert operator.backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize(
    ("operator", "at_zero"),
    [
        (ReLU(), 0.0),
        (LeakyReLU(0.25), 0.25),
        (ELU(0.5), 0.5),
        (CELU(0.5), 1.0),
        (SELU(), 1.0507009873554805 * 1.6732632423543772),
    ],
    ids=repr,
)
def test_the_gradient_at_the_kink_is_that_of_the_negative_side(operator, at_zero):
    y, saved = operator.forward(np.array([0.0, -0.0]))
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert y.tolist() == [0.0, 0.0]
    assert dx.tolist() == [at_zero, at_zero]


def test_at_the_kink_of_prelu_the_gradient_is_the_slope_and_the_slope_gets_none():
    x, slope = np.zeros((2, 2)), np.array([0.25, -3.0])
    _, saved = PReLU().forward(x, slope)
    dx, dslope = PReLU().backward(saved, np.ones_like(x), (True, True))
    assert dx.tolist() == [[0.25, -3.0], [0.25, -3.0]]
    assert dslope.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("operator", [ELU(2.0), CELU(2.0), SELU()], ids=repr)
def test_small_results_and_small_slopes_keep_their_relative_accuracy_in_float32(operator):
    for x in (-np.geomspace(1e-30, 1e-3, 28), -np.linspace(1, 60, 60)):
        single = x.astype(np.float32)
        (y, saved), (exact, whole) = operator.forward(single), operator.forward(x)
        np.testing.assert_allclose(y, exact, rtol=1e-6)
        (dx,) = operator.backward(saved, np.ones_like(single), (True,))
        (slope,) = operator.backward(whole, np.ones_like(x), (True,))
        np.testing.assert_allclose(dx, slope, rtol=1e-5)


def test_selu_keeps_mean_0_and_variance_1():
    # a standard normal, by its quantiles
    x = special.ndtri((np.arange(200_000) + 0.5) / 200_000)
    y, _ = SELU().forward(x)
    assert y.mean() == pytest.approx(0, abs=1e-5)
    assert y.var() == pytest.approx(1, abs=1e-4)


def test_selu_does_not_reach_infinity_in_any_dtype():
    for dtype in ("float16", "float32", "float64"):
        limit = np.finfo(dtype).max
        y, _ = SELU().forward(np.array([0.94 * limit, 0.951 * limit, limit], dtype))
        assert np.isfinite(y).all() and (np.diff(y) >= 0).all()
        assert y[0] == pytest.approx(float(0.94 * limit) * 1.0507009873554805, rel=1e-3)


def test_a_slope_of_prelu_belongs_to_a_channel_unless_it_is_shared():
    assert PReLU().parameters(X)["slope"].shape == (3,)
    assert PReLU(shared=True).parameters(X)["slope"].shape == (1,)
    assert PReLU(shared=True).parameters(Spec(()))["slope"].shape == (1,)


def test_a_slope_of_prelu_starts_at_init_and_does_not_decay():
    for operator, first in ((PReLU(), 0.25), (PReLU(init=-1), -1.0)):
        slope = operator.parameters(Spec(("N", 2), "float64"))["slope"]
        assert slope.initializer.sample(slope.shape, slope.dtype, None).tolist() == [first, first]
        assert slope.dtype == "float64" and not slope.decay


def test_a_rectifier_carries_the_symbolic_batch():
    for operator in FIXED:
        assert operator.infer(X) == X
    assert PReLU().infer(X, Spec((3,))) == X
    assert PReLU(shared=True).infer(Spec(("N",)), Spec((1,))) == Spec(("N",))


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (ReLU(), [Spec(("N",), "bool")], "integer dtype, received bool"),
        (ELU(), [Spec(("N",), "bool")], "floating dtype, received bool"),
        (PReLU(), [Spec(("N", 3), "int64"), Spec((3,))], "floating dtype, received int64"),
        (PReLU(), [Spec(("N",)), Spec((1,))], r"2 or more axes, received float32 \(N,\)"),
        (PReLU(), [Spec((4, "N")), Spec((4,))], r"known sizes, received \(N,\)"),
        (PReLU(), [X, Spec((4,))], r"a slope float32 \(3,\), received float32 \(4,\)"),
        (PReLU(), [X, Spec((3,), "float64")], r"received float64 \(3,\)"),
        (PReLU(shared=True), [X, Spec((3,))], r"a slope float32 \(1,\), received float32 \(3,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: LeakyReLU(-1.0), ValueError, "LeakyReLU: expected a finite number of at least 0"),
        (lambda: LeakyReLU("1"), TypeError, "LeakyReLU: expected a finite number"),
        (lambda: LeakyReLU(True), TypeError, "LeakyReLU: expected a finite number"),
        (lambda: PReLU(shared=1), TypeError, "PReLU: expected True or False for shared"),
        (lambda: PReLU(init=math.inf), ValueError, "PReLU: expected a finite number for init"),
        (lambda: PReLU(init=None), TypeError, "PReLU: expected a finite number for init"),
        (lambda: ELU(-1.0), ValueError, "ELU: expected a finite number of at least 0 for alpha"),
        (lambda: CELU(0.0), ValueError, "CELU: expected a finite number above 0 for alpha"),
        (lambda: CELU([1.0]), TypeError, "CELU: expected a finite number above 0 for alpha"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_a_slope_is_kept_as_a_plain_python_number():
    assert type(LeakyReLU(np.float64(0.1)).negative_slope) is float
    assert hash(LeakyReLU(np.float64(0.5))) == hash(LeakyReLU(0.5))
    assert type(PReLU(init=np.float32(0.5)).init) is float
