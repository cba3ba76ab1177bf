"""Logic on bits where its records do not reach: symbolic batch, wide shifts, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.bitwise import BitShift, BitwiseAnd, BitwiseNot, BitwiseOr, BitwiseXor

PAIRS = [BitwiseAnd(), BitwiseOr(), BitwiseXor(), BitShift("left"), BitShift("right")]


@pytest.mark.parametrize("operator", PAIRS, ids=repr)
def test_the_symbolic_batch_is_carried_along_and_no_gradient_flows(operator):
    a, b = Spec(("N", 3), "uint8"), Spec((3,), "uint8")
    assert operator.infer(a, b) == a
    assert operator.backward((), None, (True, True)) == (None, None)
    assert BitwiseNot().infer(a) == a
    assert BitwiseNot().backward((), None, (True,)) == (None,)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_a_shift_by_the_width_or_more_leaves_no_bit(dtype):
    width = 8 * np.dtype(dtype).itemsize
    ones = np.full(3, np.iinfo(dtype).max, dtype)
    places = np.array([width - 1, width, width + 7], dtype)
    assert BitShift("left").forward(ones, places)[0].tolist() == [2 ** (width - 1), 0, 0]
    assert BitShift("right").forward(ones, places)[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (BitwiseAnd(), [Spec((2,)), Spec((2,))], "a of an integer dtype, received float32"),
        (BitwiseOr(), [Spec((2,), "bool")] * 2, "a of an integer dtype, received bool"),
        (BitwiseXor(), [Spec((2,), "int8"), Spec((2,), "int64")], "equal dtypes, received int8"),
        (BitwiseNot(), [Spec((2,), "bool")], "an input of an integer dtype, received bool"),
        (BitShift("left"), [Spec((2,), "int8")] * 2, "a of an unsigned dtype, received int8"),
        (BitwiseAnd(), [Spec((2,), "int8"), Spec((3,), "int8")], "shapes that broadcast"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


def test_a_direction_that_is_none_is_refused():
    with pytest.raises(ValueError, match='BitShift: expected "left" or "right" for direction'):
        BitShift("up")
