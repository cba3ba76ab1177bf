"""Reversed sequences where their record does not reach: dtypes, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Interval, ShapeError, Spec
from ops.sequence import ReverseSequence


def test_entries_of_any_dtype_are_moved():
    x = np.array([[1, 2, 3]], "uint8")
    y, _ = ReverseSequence().forward(x, np.array([3], "int32"))
    assert y.tolist() == [[3, 2, 1]] and y.dtype == "uint8"


def test_lengths_are_declared_and_the_symbolic_batch_carried_along():
    x, lengths = Spec(("N", 7, 2)), Spec(("N",), "int64")
    assert ReverseSequence().infer(x, lengths) == x
    assert ReverseSequence().domains(x, lengths) == {"lengths": Interval(0, 8)}


def test_a_gradient_nobody_needs_is_none():
    y, saved = ReverseSequence().forward(np.ones((1, 2)), np.array([2]))
    assert ReverseSequence().backward(saved, y, (False, False)) == (None, None)


@pytest.mark.parametrize(
    ("operator", "lengths", "message"),
    [
        (ReverseSequence(), Spec((3,), "int64"), "one length for each entry"),
        (ReverseSequence(), Spec((2,)), "one length for each entry"),
        (ReverseSequence(1, -2), Spec((3,), "int64"), "two axes, received axis 1 for both"),
        (ReverseSequence(0, 3), Spec((2,), "int64"), "axis in -3..2, received 3"),
    ],
)
def test_lengths_and_axes_that_do_not_fit_are_refused(operator, lengths, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(Spec((2, 3, 4)), lengths)


def test_an_axis_that_is_none_is_refused():
    with pytest.raises(TypeError, match="ReverseSequence: expected an integer for time_axis"):
        ReverseSequence(0, None)
