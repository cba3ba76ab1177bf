"""Arithmetic where its records do not reach: the symbolic batch, special values, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Add, Divide, Identity, Multiply, ShapeError, Spec, Subtract

X = Spec(("N", 3, 4))


@pytest.mark.parametrize("operator", [Add(), Subtract(), Multiply(), Divide()], ids=repr)
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
        (Multiply(), [X, Spec((), "int64")], "b of a floating dtype, received int64"),
        (Divide(), [Spec((), "int64"), X], "a of a floating dtype, received int64"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)
