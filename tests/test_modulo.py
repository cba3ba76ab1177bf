"""Remainders where their record does not reach: zeros, infinities, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.modulo import Modulo


def test_the_sign_is_that_of_the_divisor_or_of_the_dividend():
    a, b = np.array([-7, 7, -6]), np.array([3, -3, 3])
    assert Modulo().forward(a, b)[0].tolist() == [2, -2, 0]
    assert Modulo(truncated=True).forward(a, b)[0].tolist() == [-1, 1, 0]


def test_a_divisor_of_0_gives_nan():
    with np.errstate(invalid="ignore"):
        y, _ = Modulo().forward(np.array([1.0]), np.array([0.0]))
    assert np.isnan(y).all()


def test_the_gradient_at_a_jump_is_that_of_the_quotient():
    operator = Modulo()
    _, saved = operator.forward(np.array([6.0]), np.array([3.0]))
    da, db = operator.backward(saved, np.array([2.0]), (True, True))
    assert da.tolist() == [2.0] and db.tolist() == [-4.0]


def test_a_gradient_nobody_needs_is_none():
    _, saved = Modulo().forward(np.ones(2), np.ones(2))
    assert Modulo().backward(saved, np.ones(2), (False, False)) == (None, None)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([Spec((2,), "bool")] * 2, "a of a floating or integer dtype, received bool"),
        ([Spec((2,)), Spec((2,), "int64")], "equal dtypes, received float32"),
        ([Spec(("N", 2)), Spec((3,))], "shapes that broadcast"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(ShapeError, match=message):
        Modulo().infer(*inputs)


def test_a_flag_that_is_none_is_refused():
    with pytest.raises(TypeError, match="Modulo: expected True or False for truncated"):
        Modulo(truncated=1)
