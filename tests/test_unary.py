"""Elementary functions where their records do not reach: extremes, edges of domains, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops.operator import ShapeError, Spec
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt

BOUNDED = [Abs(), Neg(), Erf(), Floor(), Ceil(), Round(), Sign()]
EVERY = [Exp(), Log(), Sqrt(), Reciprocal(), *BOUNDED]
STEPS = [Floor(), Ceil(), Round(), Sign()]


def run(operator, x, dy=None):
    """The output, and the gradient for ``dy``, ones when None."""
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y) if dy is None else dy, (True,))
    return y, dx


@pytest.mark.parametrize("operator", BOUNDED, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_functions_without_poles_are_finite_for_every_finite_input(operator, dtype):
    info = np.finfo(dtype)
    magnitudes = [0, 0.5, 1, 27, 28, 29, 1e4, info.max, info.tiny, info.smallest_subnormal]
    x = np.array([*magnitudes, *(-m for m in magnitudes)], dtype)
    y, dx = run(operator, x)
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == x.dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithm_and_root_are_finite_from_the_smallest_to_the_largest_number(dtype):
    info = np.finfo(dtype)
    x = np.array([info.tiny, 1.0, info.max], dtype)
    for operator, function, slope in (
        (Log(), math.log, lambda v: 1 / v),
        (Sqrt(), math.sqrt, lambda v: 0.5 / math.sqrt(v)),
    ):
        y, dx = run(operator, x)
        np.testing.assert_allclose(y, [function(v) for v in x.tolist()], rtol=1e-6)
        np.testing.assert_allclose(dx, [slope(v) for v in x.tolist()], rtol=1e-6)
        assert y.dtype == dx.dtype == x.dtype


def test_an_exponential_underflows_to_0_without_a_warning():
    y, dx = run(Exp(), np.array([-104.0, -1e38], np.float32))
    assert y.tolist() == dx.tolist() == [0, 0]


def test_an_exponential_overflows_to_infinity_with_its_slope():
    with pytest.warns(RuntimeWarning, match="overflow"):
        y, dx = run(Exp(), np.array([89.0, 0.0], np.float32))
    assert y.tolist() == dx.tolist() == [math.inf, 1]


def test_the_logarithm_follows_ieee_754_at_0_and_below():
    with np.errstate(all="ignore"):
        y, dx = run(Log(), np.array([0.0, -2.0, 2.0]))
    np.testing.assert_array_equal(y, [-math.inf, math.nan, math.log(2)])
    assert dx.tolist() == [math.inf, -0.5, 0.5]


def test_a_logarithm_that_nobody_reads_gets_no_gradient_below_0():
    with np.errstate(invalid="ignore"):
        _, saved = Log().forward(np.array([-2.0, 4.0]))
    (dx,) = Log().backward(saved, np.array([0.0, 1.0]), (True,))
    assert dx.tolist() == [0, 0.25]


def test_the_square_root_follows_ieee_754_at_0_and_below():
    with np.errstate(all="ignore"):
        y, dx = run(Sqrt(), np.array([0.0, -4.0, 4.0]))
        _, unread = run(Sqrt(), np.array([0.0]), dy=np.array([0.0]))
    np.testing.assert_array_equal(y, [0, math.nan, 2])
    np.testing.assert_array_equal(dx, [math.inf, math.nan, 0.25])
    assert np.isnan(unread).all()


def test_the_reciprocal_follows_ieee_754_at_0():
    with np.errstate(all="ignore"):
        y, dx = run(Reciprocal(), np.array([0.0, -0.0, 4.0]))
    assert y.tolist() == [math.inf, -math.inf, 0.25]
    assert dx.tolist() == [-math.inf, -math.inf, -0.0625]


@pytest.mark.parametrize("operator", [Log(), Sqrt(), Reciprocal()], ids=repr)
def test_numpy_warns_of_values_outside_the_domain(operator):
    outside = 0.0 if operator == Reciprocal() else -1.0
    with pytest.warns(RuntimeWarning, match="divide by zero|invalid value"):
        operator.forward(np.array([outside]))


def test_the_gradient_of_a_reciprocal_does_not_overflow_on_the_way():
    x, dy = np.array([1e-25], np.float32), np.array([1e-30], np.float32)
    _, dx = run(Reciprocal(), x, dy)
    np.testing.assert_allclose(dx, [-1e20], rtol=1e-5)


def test_the_gradient_of_the_absolute_value_at_its_kink_is_0():
    y, dx = run(Abs(), np.array([0.0, -0.0, -3.0, 3.0]))
    assert y.tolist() == [0, 0, 3, 3]
    assert dx.tolist() == [0, 0, -1, 1]


def test_the_error_function_reaches_its_limits():
    y, dx = run(Erf(), np.array([-math.inf, -1e30, -6.0, 0.0, 6.0, math.inf]))
    np.testing.assert_allclose(y, [-1, -1, math.erf(-6), 0, math.erf(6), 1], rtol=1e-15)
    bell = 2 / math.sqrt(math.pi) * math.exp(-36)
    np.testing.assert_allclose(dx, [0, 0, bell, 2 / math.sqrt(math.pi), bell, 0], rtol=1e-13)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Floor(), [-3, -2, -1, 0, 0, 0, 1, 2]),
        (Ceil(), [-2, -1, 0, 0, 1, 1, 2, 3]),
        (Round(), [-2, -2, 0, 0, 0, 1, 2, 2]),
        (Sign(), [-1, -1, -1, 0, 1, 1, 1, 1]),
    ],
    ids=repr,
)
def test_steps_at_halves_have_the_value_of_onnx_and_no_slope(operator, expected):
    x = np.array([-2.5, -1.5, -0.5, 0.0, 0.5, 0.75, 1.5, 2.5], np.float32)
    y, dx = run(operator, x)
    assert y.tolist() == expected
    assert y.dtype == dx.dtype == np.float32
    assert dx.tolist() == [0] * 8


@pytest.mark.parametrize("operator", [Floor(), Ceil(), Round()], ids=repr)
def test_a_whole_number_is_its_own_step(operator):
    x = np.array([-3.0, 0.0, 1.0, 2.0**24, -1e30])
    assert run(operator, x)[0].tolist() == x.tolist()


@pytest.mark.parametrize("operator", STEPS, ids=repr)
def test_nothing_is_kept_for_a_gradient_that_is_0(operator):
    assert operator.forward(np.ones(3))[1] == ()


@pytest.mark.parametrize("operator", EVERY, ids=repr)
def test_nan_stays_nan(operator):
    assert np.isnan(operator.forward(np.array([math.nan, 1.0]))[0]).tolist() == [True, False]


@pytest.mark.parametrize("operator", EVERY, ids=repr)
def test_a_gradient_nobody_needs_is_none(operator):
    y, saved = operator.forward(np.ones(3))
    assert operator.backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize("operator", EVERY, ids=repr)
def test_the_symbolic_batch_is_carried_along_and_truth_values_are_refused(operator):
    x = Spec(("N", 3, 4))
    assert operator.infer(x) == x
    assert operator.flops(x.bind(2)) == 24
    with pytest.raises(ShapeError, match=r"an input of a floating .*dtype, received bool"):
        operator.infer(Spec(("N",), "bool"))


@pytest.mark.parametrize("operator", [Exp(), Log(), Sqrt(), Reciprocal(), Erf(), Floor()], ids=repr)
def test_integers_are_refused_where_the_result_is_none(operator):
    with pytest.raises(ShapeError, match="an input of a floating dtype, received int64"):
        operator.infer(Spec(("N",), "int64"))


def test_an_unsigned_number_has_no_negative():
    with pytest.raises(ShapeError, match="an input of a signed dtype, received uint8"):
        Neg().infer(Spec(("N",), "uint8"))
