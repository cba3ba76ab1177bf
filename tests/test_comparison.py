"""Comparisons where their records do not reach: symbolic batch, masks, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops.comparison import (
    And,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Not,
    NotEqual,
    Or,
    Xor,
)
from ops.operator import ShapeError, Spec

COMPARISONS = [Equal(), NotEqual(), Less(), LessOrEqual(), Greater(), GreaterOrEqual()]
CONNECTIVES = [And(), Or(), Xor()]
MASK = Spec(("N", 3), "bool")


@pytest.mark.parametrize("operator", COMPARISONS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_a_comparison_of_any_dtype_is_boolean_and_keeps_the_symbolic_batch(operator, dtype):
    assert operator.infer(Spec(("N", 3), dtype), Spec((3,), dtype)) == MASK
    assert operator.infer(Spec((), dtype), Spec(("N", 3), dtype)) == MASK


@pytest.mark.parametrize("operator", CONNECTIVES, ids=repr)
def test_logic_keeps_the_symbolic_batch(operator):
    assert operator.infer(MASK, Spec((4, 1, 3), "bool")) == Spec((4, "N", 3), "bool")
    assert operator.infer(Spec((), "bool"), MASK) == MASK
    assert Not().infer(MASK) == MASK


@pytest.mark.parametrize("operator", [*COMPARISONS, *CONNECTIVES], ids=repr)
def test_no_gradient_flows_through_a_truth_value_even_if_it_is_asked_for(operator):
    mask = np.array([True, False])
    _, saved = operator.forward(mask, mask)
    assert operator.backward(saved, None, (True, True)) == (None, None)
    assert saved == ()


def test_no_gradient_flows_through_a_negation_even_if_it_is_asked_for():
    _, saved = Not().forward(np.array([True, False]))
    assert Not().backward(saved, None, (True,)) == (None,)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Equal(), False),
        (NotEqual(), True),
        (Less(), False),
        (LessOrEqual(), False),
        (Greater(), False),
        (GreaterOrEqual(), False),
    ],
    ids=repr,
)
def test_nan_differs_from_everything_and_has_no_order(operator, expected):
    nan, others = np.array(np.nan, np.float32), np.array([np.nan, 0, np.inf], np.float32)
    assert operator.forward(nan, others)[0].tolist() == [expected] * 3
    assert operator.forward(others, nan)[0].tolist() == [expected] * 3


def test_large_integers_are_compared_exactly():
    a, b = np.array([2**53 + 1, 2**63 - 1]), np.array([2**53, 2**63 - 2])
    assert Equal().forward(a, b)[0].tolist() == [False, False]
    assert Greater().forward(a, b)[0].tolist() == [True, True]


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Equal(), [Spec((2,)), Spec((2,), "int64")], r"equal dtypes, received float32 \(2,\) and"),
        (Less(), [Spec((2,)), Spec((2,), "float64")], r"received .* and float64 \(2,\)"),
        (Greater(), [Spec((2,), "bool"), Spec((2,), "uint8")], "equal dtypes, received bool"),
        (LessOrEqual(), [Spec(("N", 3)), Spec((4,))], r"broadcast, received \(N, 3\) and \(4,\)"),
        (And(), [Spec(("N", 3), "uint8"), MASK], r"a of dtype bool, received uint8 \(N, 3\)"),
        (Or(), [MASK, Spec(())], r"b of dtype bool, received float32 \(\)"),
        (Xor(), [MASK, Spec((4,), "bool")], r"shapes that broadcast, received \(N, 3\) and \(4,\)"),
        (Not(), [Spec(("N",), "int64")], r"an input of dtype bool, received int64 \(N,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)
