"""Operators that move entries where their records do not reach: symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Concat, Flatten, Pad, Reshape, ShapeError, Spec, Transpose
from ops.dimension import Dim

X = Spec(("N", 3, 4))


@pytest.mark.parametrize(
    ("operator", "inputs", "shape"),
    [
        (Flatten(), [X], ("N", 12)),
        (Flatten(-1), [X], ("N", 3, 4)),
        (Flatten(0), [X], (Dim(12),)),
        (Reshape((-1, 4)), [X], (Dim(3), 4)),
        (Reshape(("N", 12)), [X], ("N", 12)),
        (Reshape(("N", 2, -1)), [X], ("N", 2, 6)),
        (Reshape((2, "N", 2)), [Spec((Dim(4),))], (2, "N", 2)),
        (Transpose((1, 0, 2)), [X], (3, "N", 4)),
        (Transpose(), [X], (4, 3, "N")),
        (Concat(), [X, X], ("N", 6, 4)),
        (Concat(0), [X, X, Spec((5, 3, 4))], (Dim(2, 5), 3, 4)),
        (Pad(((0, 0), (1, 0), (2, 2))), [X], ("N", 4, 8)),
        (Pad(((1, 0),)), [Spec(("N",))], (Dim(1, 1),)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_symbolic_batch_is_carried_along(operator, inputs, shape):
    assert operator.infer(*inputs).shape == shape
    assert operator.flops(*inputs) == 0


@pytest.mark.parametrize(
    ("operator", "shape"),
    [(Reshape((3, -1)), (3, 2)), (Flatten(0), (6,)), (Transpose(), (3, 2)), (Concat(0), (2, 3))],
    ids=repr,
)
def test_integers_are_moved_as_well(operator, shape):
    x = np.arange(6).reshape(2, 3)
    y, _ = operator.forward(x)
    assert (y.shape, y.dtype) == (shape, np.int64)
    assert operator.infer(Spec((2, 3), "int64")) == Spec(shape, "int64")


def test_reshape_takes_the_batch_for_a_wildcard():
    assert Reshape((Dim(), 12)) == Reshape(("N", 12))
    assert Reshape([2, -1]).shape == (2, -1)


def test_concat_takes_any_number_of_inputs():
    assert Concat.signature().names == () and Concat.signature().variadic == "xs"


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Flatten(1), [Spec(("N",))], "axis in -1..0, received 1"),
        (Reshape((5, 2)), [Spec((3, 4))], r"fit \(5, 2\), received float32 \(3, 4\)"),
        (Reshape((12,)), [X], r"fit \(12,\), received float32 \(N, 3, 4\)"),
        (Reshape((-1, 5)), [X], r"fit \(-1, 5\)"),
        (Reshape((-1, 0)), [Spec((0, 3))], r"fit \(-1, 0\)"),
        (Reshape(("N", 6)), [X], r"fit \(N, 6\)"),
        (Reshape(("N", -1)), [Spec((4, "N"))], r"fit \(N, -1\)"),
        (Reshape(("N", -1)), [Spec(())], r"fit \(N, -1\)"),
        (Transpose((0, 1)), [X], r"each of 3 axes once, received \(0, 1\)"),
        (Transpose((0, 1, -2)), [X], "each of 3 axes once"),
        (Concat(), [], "at least one input, received none"),
        (Concat(), [X, Spec(("N", 3, 5))], r"but for axis 1, received float32 \(N, 3, 4\) and"),
        (Concat(), [X, Spec(("N", 3))], "but for axis 1"),
        (Concat(), [X, Spec(("N", 3, 4), "float64")], "but for axis 1"),
        (Concat(3), [X], "axis in -3..2, received 3"),
        (Pad(((1, 1),)), [X], r"of 1 axes, one for each .* received float32 \(N, 3, 4\)"),
        (Pad(((1, 1),)), [Spec((2,), "int64")], "floating dtype, received int64"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Flatten(None), TypeError, "Flatten: expected an integer for start_axis"),
        (lambda: Reshape(5), TypeError, "Reshape: expected a tuple"),
        (lambda: Reshape((2.0,)), TypeError, "Reshape: expected integers"),
        (lambda: Reshape((-2,)), ValueError, "Reshape: expected sizes of at least -1"),
        (lambda: Reshape((-1, -1)), ValueError, "Reshape: expected -1"),
        (lambda: Reshape(("N", "N")), ValueError, 'and "N" at most once'),
        (lambda: Transpose((0, 1.0)), TypeError, "Transpose: expected integers"),
        (lambda: Concat("1"), TypeError, "Concat: expected an integer for axis"),
        (lambda: Pad((1, 1)), TypeError, r"Pad: expected a \(begin, end\) pair"),
        (lambda: Pad(((0.5, 1),)), TypeError, "Pad: expected integers"),
        (lambda: Pad(((-1, 1),)), ValueError, "Pad: expected padding of at least 0"),
        (lambda: Pad(((1, 1),), "x"), TypeError, "Pad: expected a number"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize(
    "operator",
    [Pad([[0, 0]], np.float64(1.0)), Transpose([1, 0]), Reshape([np.int64(2), -1])],
    ids=lambda operator: type(operator).__name__,
)
def test_fields_are_kept_as_plain_python_values(operator):
    for value in vars(operator).values():
        assert type(value) in (float, tuple)
    assert hash(operator) == hash(type(operator)(**vars(operator)))
