"""Operators that give entries another shape where their records do not reach: symbols, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops.dimension import Dim
from ops.operator import ShapeError, Spec
from ops.shape import Expand, Flatten, Reshape, Squeeze, Transpose, Unsqueeze

X = Spec(("N", 3, 4))


@pytest.mark.parametrize(
    ("operator", "x", "shape"),
    [
        (Flatten(), X, ("N", 12)),
        (Flatten(-1), X, ("N", 3, 4)),
        (Flatten(0), X, (Dim(12),)),
        (Reshape((-1, 4)), X, (Dim(3), 4)),
        (Reshape(("N", 12)), X, ("N", 12)),
        (Reshape(("N", 2, -1)), X, ("N", 2, 6)),
        (Reshape((2, "N", 2)), Spec((Dim(4),)), (2, "N", 2)),
        (Transpose((1, 0, 2)), X, (3, "N", 4)),
        (Transpose(), X, (4, 3, "N")),
        (Squeeze(1), Spec(("N", 1, 4)), ("N", 4)),
        (Squeeze((-1, 0)), Spec((1, "N", 1)), ("N",)),
        (Unsqueeze((0, -1)), X, (1, "N", 3, 4, 1)),
        (Expand(("N", 3, 4)), Spec(("N", 1, 4)), ("N", 3, 4)),
        (Expand((5, -1, 1, 4)), X, (5, "N", 3, 4)),
        (Expand((3, "N")), Spec((1, "N")), (3, "N")),
        (Expand((4,)), X, ("N", 3, 4)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_symbolic_batch_is_carried_along(operator, x, shape):
    assert operator.infer(x).shape == shape
    assert operator.flops(x) == 0


@pytest.mark.parametrize(
    ("operator", "shape"),
    [
        (Reshape((3, -1)), (3, 2)),
        (Flatten(0), (6,)),
        (Transpose(), (3, 2)),
        (Squeeze(), (2, 3)),
        (Unsqueeze(1), (2, 1, 3)),
        (Expand((2, 1, 1)), (2, 2, 3)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_entries_of_any_dtype_are_moved_and_have_no_gradient(operator, shape, dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    y, saved = operator.forward(x)
    assert (y.shape, y.dtype) == (shape, dtype)
    assert operator.infer(Spec((2, 3), dtype)) == Spec(shape, dtype)
    assert operator.backward(saved, y, (False,)) == (None,)


def test_reshape_and_expand_take_the_batch_for_a_wildcard():
    assert Reshape((Dim(), 12)) == Reshape(("N", 12))
    assert Reshape([2, -1]).shape == (2, -1)
    assert Expand([Dim(), 3]) == Expand(("N", 3))


def test_expand_gives_an_array_of_its_own():
    x = np.zeros((1, 2))
    y, _ = Expand((3, 2)).forward(x)
    y[0] = 1
    assert y.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert not x.any()


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (Flatten(1), Spec(("N",)), "axis in -1..0, received 1"),
        (Reshape((5, 2)), Spec((3, 4)), r"fit \(5, 2\), received float32 \(3, 4\)"),
        (Reshape((12,)), X, r"fit \(12,\), received float32 \(N, 3, 4\)"),
        (Reshape((-1, 5)), X, r"fit \(-1, 5\)"),
        (Reshape((-1, 0)), Spec((0, 3)), r"fit \(-1, 0\)"),
        (Reshape(("N", 6)), X, r"fit \(N, 6\)"),
        (Reshape(("N", -1)), Spec((4, "N")), r"fit \(N, -1\)"),
        (Reshape(("N", -1)), Spec(()), r"fit \(N, -1\)"),
        (Transpose((0, 1)), X, r"each of 3 axes once, received \(0, 1\)"),
        (Transpose((0, 1, -2)), X, "each of 3 axes once"),
        (Squeeze(), X, r"expected axes to drop, for N may be 1 in float32 \(N, 3, 4\)"),
        (Squeeze(0), X, r"size 1 along axes \(0,\), received float32 \(N, 3, 4\)"),
        (Squeeze((0, -1)), Spec((1, 3)), r"size 1 along axes \(0, -1\), received float32 \(1, 3\)"),
        (Squeeze(3), X, "axis in -3..2, received 3"),
        (Squeeze((0, -2)), Spec((1, 1)), r"distinct axes, received \(0, -2\) for 2 axes"),
        (Unsqueeze(4), X, "axis in -4..3, received 4"),
        (Unsqueeze((0, -5)), X, r"distinct axes, received \(0, -5\) for 5 axes"),
        (Expand((2, 3)), Spec((4,)), r"broadcast, received \(4,\) and \(2, 3\)"),
        (Expand((5, 3, 4)), X, r"broadcast, received \(N, 3, 4\) and \(5, 3, 4\)"),
        (Expand((-1, 4)), Spec((4,)), r"of \(-1, 4\), received float32 \(4,\)"),
        (Expand(("N", 4)), Spec((4,)), r"of \(N, 4\), received float32 \(4,\)"),
        (Expand((1, "N", 4)), X, r"the batch for N, of \(1, N, 4\)"),
        (Expand(("N", 4)), Spec((1, "N")), r"the batch for N, of \(N, 4\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Flatten(None), TypeError, "Flatten: expected an integer for start_axis"),
        (lambda: Reshape(5), TypeError, "Reshape: expected a tuple"),
        (lambda: Reshape((2.0,)), TypeError, "Reshape: expected integers"),
        (lambda: Reshape((-2,)), ValueError, "Reshape: expected sizes of at least 0, or -1"),
        (lambda: Reshape((-1, -1)), ValueError, "Reshape: expected -1 at most once"),
        (lambda: Reshape(("N", "N")), ValueError, 'Reshape: expected "N" at most once'),
        (lambda: Transpose((0, 1.0)), TypeError, "Transpose: expected an integer or several"),
        (lambda: Squeeze("0"), TypeError, "Squeeze: expected an integer or several for axes"),
        (lambda: Unsqueeze(None), TypeError, "Unsqueeze: expected an integer or several for axes"),
        (lambda: Unsqueeze((0, True)), TypeError, "Unsqueeze: expected an integer or several"),
        (lambda: Expand(3), TypeError, "Expand: expected a tuple"),
        (lambda: Expand((2.0,)), TypeError, 'Expand: expected integers, -1 or "N"'),
        (lambda: Expand((0,)), ValueError, "Expand: expected sizes of at least 1, or -1"),
        (lambda: Expand(("N", "N")), ValueError, 'Expand: expected "N" at most once'),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (Transpose([1, 0]), ((1, 0),)),
        (Reshape([np.int64(2), -1]), ((2, -1),)),
        (Squeeze(np.int64(1)), ((1,),)),
        (Unsqueeze([0, np.int8(2)]), ((0, 2),)),
        (Expand([np.int64(2), "N"]), ((2, "N"),)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fields_are_kept_as_plain_python_values(operator, fields):
    assert tuple(vars(operator).values()) == fields
    assert {type(entry) for field in fields for entry in field} <= {int, str}
    assert type(operator)(*fields) == operator
    assert {type(e) for value in vars(operator).values() for e in value} <= {int, str}
