"""Arithmetic and choices where their records do not reach: special values, ties, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops.elementwise import (
    Add,
    Divide,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    Power,
    Subtract,
    Where,
)
from ops.operator import ShapeError, Spec

X = Spec(("N", 3, 4))
BINARY = [Add(), Subtract(), Multiply(), Divide(), Power(), Maximum(), Minimum()]


def run(operator, *inputs, needs=(True, True)):
    """The output, and the gradients for a ``dy`` of ones."""
    y, saved = operator.forward(*inputs)
    return y, *operator.backward(saved, np.ones_like(y), needs)


@pytest.mark.parametrize("operator", BINARY, ids=repr)
def test_arithmetic_keeps_the_symbolic_batch(operator):
    assert operator.infer(Spec(("N", 3)), Spec((3,))).shape == ("N", 3)
    assert operator.infer(Spec(("N", 1)), Spec((1, 4))).shape == ("N", 4)
    assert operator.infer(Spec(()), X) == X
    assert operator.signature().names == ("a", "b")


def test_arithmetic_on_one_value_with_itself_gives_two_separate_gradients():
    x = np.ones(3)
    y, saved = Add().forward(x, x)
    da, db = Add().backward(saved, np.ones_like(y), (True, True))
    da += 1
    np.testing.assert_array_equal(db, np.ones(3))


def test_a_quotient_of_large_numbers_has_a_gradient_that_does_not_overflow():
    a, b = np.array([1e30], np.float32), np.array([1e25], np.float32)
    y, saved = Divide().forward(a, b)
    _, db = Divide().backward(saved, np.ones_like(y), (True, True))
    np.testing.assert_allclose(db, [-1e-20], rtol=1e-5)


def test_powers_of_0_have_the_gradients_next_to_0_and_no_warning():
    a, b = np.zeros(5), np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    y, da, db = run(Power(), a, b)
    assert y.tolist() == [1, 0, 0, 0, 0]
    assert da.tolist() == [0, 1, 0, 0, 0]
    assert db.tolist() == [0, 0, 0, 0, 0]


def test_a_power_of_0_below_1_has_an_infinite_slope():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y, da, _ = run(Power(), np.array([0.0, 0.0]), np.array([0.5, -1.0]), needs=(True, False))
    assert y.tolist() == [0, math.inf]
    assert da.tolist() == [math.inf, -math.inf]


def test_the_power_0_of_an_infinite_number_has_the_slope_0():
    y, saved = Power().forward(np.array([np.inf, -np.inf]), np.zeros(2))
    da, _ = Power().backward(saved, np.ones(2), (True, False))
    assert y.tolist() == [1.0, 1.0] and da.tolist() == [0.0, 0.0]


def test_whole_powers_of_a_negative_number_have_a_gradient_in_the_base():
    a, b = np.array([-2.0, -2.0, -2.0, -2.0]), np.array([3.0, 2.0, 0.0, -1.0])
    y, da, db = run(Power(), a, b, needs=(True, False))
    assert y.tolist() == [-8, 4, 1, -0.5]
    assert da.tolist() == [12, -4, 0, -0.25]
    assert db is None


def test_a_power_of_a_negative_number_has_no_gradient_in_the_exponent():
    with np.errstate(invalid="ignore"):
        y, _, db = run(Power(), np.array([-2.0, -2.0]), np.array([3.0, 0.5]))
    np.testing.assert_array_equal(y, [-8, math.nan])
    assert np.isnan(db).all()


def test_a_power_keeps_float32_and_its_gradients_do_not_overflow_on_the_way():
    a, b = np.array([1e-30, 1e30], np.float32), np.array([0.5, 1.25], np.float32)
    y, saved = Power().forward(a, b)
    dy = np.array([1.0, 1e-20], np.float32)
    da, db = Power().backward(saved, dy, (True, True))
    assert y.dtype == da.dtype == db.dtype == np.float32
    np.testing.assert_allclose(da, [5e14, 1.25e-20 * 10**7.5], rtol=1e-4)
    logarithm = 30 * math.log(10)
    np.testing.assert_allclose(db, [-1e-15 * logarithm, 10**17.5 * logarithm], rtol=1e-4)


@pytest.mark.parametrize("operator", [Maximum(), Minimum()], ids=repr)
def test_the_first_input_gets_the_whole_gradient_of_a_tie(operator):
    a, b = np.array([2.0, 0.0, -0.0, np.inf]), np.array([2.0, -0.0, 0.0, np.inf])
    _, da, db = run(operator, a, b)
    assert da.tolist() == [1, 1, 1, 1]
    assert db.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("operator", [Maximum(), Minimum()], ids=repr)
def test_an_extremum_with_nan_is_nan(operator):
    y, _ = operator.forward(np.array([np.nan, 1.0, 1.0]), np.array([1.0, np.nan, 1.0]))
    np.testing.assert_array_equal(y, [np.nan, np.nan, 1])


def test_what_where_does_not_take_can_spoil_neither_result_nor_gradient():
    condition = np.array([True, False])
    a, b = np.array([1.0, np.nan]), np.array([np.inf, 2.0])
    y, saved = Where().forward(condition, a, b)
    _, da, db = Where().backward(saved, np.array([np.inf, np.nan]), (False, True, True))
    assert y.tolist() == [1, 2]
    np.testing.assert_array_equal(da, [np.inf, 0])
    np.testing.assert_array_equal(db, [0, np.nan])


def test_where_keeps_the_symbolic_batch_and_moves_entries_only():
    condition = Spec(("N", 1, 1), "bool")
    assert Where().infer(condition, Spec((3, 1)), Spec((4,))) == X
    assert Where().infer(Spec((), "bool"), X, Spec((1,))) == X
    assert Where().flops(condition, X, X) == 0
    assert Where().signature().names == ("condition", "a", "b")


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_where_serves_every_dtype(dtype):
    condition, a, b = np.array([True, False]), np.array([[1], [0]], dtype), np.array(1, dtype)
    y, saved = Where().forward(condition, a, b)
    assert y.tolist() == [[1, 1], [0, 1]]
    assert y.dtype == dtype
    inferred = Where().infer(Spec((2,), "bool"), Spec((2, 1), dtype), Spec((), dtype))
    assert inferred == Spec((2, 2), dtype)
    assert Where().backward(saved, None, (False, False, False)) == (None, None, None)


def test_identity_serves_integers():
    labels = Spec(("N",), "int64")
    assert Identity().infer(labels) == labels
    assert Identity().forward(np.array([1, 2]))[0].tolist() == [1, 2]
    assert Identity().flops(labels) == 0


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Add(), [X, Spec((5,))], r"shapes that broadcast, received \(N, 3, 4\) and \(5,\)"),
        (Subtract(), [X, Spec((7, 3, 4))], r"received \(N, 3, 4\) and \(7, 3, 4\)"),
        (Add(), [X, Spec((4,), "float64")], r"equal dtypes, received float32 .* float64 \(4,\)"),
        (Multiply(), [X, Spec((), "int64")], "equal dtypes, received float32"),
        (Divide(), [Spec((), "bool"), X], "a of a floating or integer dtype, received bool"),
        (Power(), [X, Spec((), "int64")], "equal dtypes, received float32"),
        (Maximum(), [X, Spec((), "float64")], r"equal dtypes, received .* float64 \(\)"),
        (Minimum(), [X, Spec((3,))], r"shapes that broadcast, received \(N, 3, 4\) and \(3,\)"),
        (Where(), [X, X, X], r"condition of dtype bool, received float32 \(N, 3, 4\)"),
        (
            Where(),
            [Spec((), "bool"), X, Spec((), "float64")],
            r"equal dtypes, received float32 \(N, 3, 4\) and float64 \(\)",
        ),
        (
            Where(),
            [Spec((5,), "bool"), X, X],
            r"broadcast, received \(5,\) and \(N, 3, 4\) and \(N, 3, 4\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)
