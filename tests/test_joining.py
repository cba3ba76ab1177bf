"""Joining and cutting where the records do not reach: symbols, parts without gradient, misuse."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from ops.dimension import Dim
from ops.joining import Concat, Split, Stack, Tile
from ops.linear import Linear
from ops.operator import ShapeError, Spec
from ops.reduction import Sum

X = Spec(("N", 3, 4))


@pytest.mark.parametrize(
    ("operator", "inputs", "shape"),
    [
        (Concat(), [X, X], ("N", 6, 4)),
        (Concat(0), [X, X, Spec((5, 3, 4))], (Dim(2, 5), 3, 4)),
        (Stack(), [X, X, X], (3, "N", 3, 4)),
        (Stack(-1), [X, X], ("N", 3, 4, 2)),
        (Tile((1, 2, 3)), [X], ("N", 6, 12)),
        (Tile((2, 1, 1)), [X], (Dim(2), 3, 4)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_symbolic_batch_is_carried_along(operator, inputs, shape):
    assert operator.infer(*inputs).shape == shape
    assert operator.flops(*inputs) == 0


def test_split_cuts_the_symbolic_batch_where_it_is_a_known_multiple():
    parts = Split(2, axis=0).infer(Spec((Dim(2), 3)))
    assert [part.shape for part in parts] == [("N", 3), ("N", 3)]
    parts = Split((1, 2)).infer(X)
    assert [part.shape for part in parts] == [("N", 1, 4), ("N", 2, 4)]


@pytest.mark.parametrize(
    ("operator", "shape"),
    [(Concat(0), (2, 3)), (Stack(), (1, 2, 3)), (Tile((2, 1)), (4, 3))],
    ids=repr,
)
def test_integers_are_moved_as_well(operator, shape):
    x = np.arange(6).reshape(2, 3)
    y, saved = operator.forward(x)
    assert (y.shape, y.dtype) == (shape, np.int64)
    assert operator.infer(Spec((2, 3), "int64")) == Spec(shape, "int64")
    assert operator.backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize("operator", [Concat(), Stack()], ids=repr)
def test_any_number_of_inputs_is_taken(operator):
    assert operator.signature().names == () and operator.signature().variadic == "xs"


def test_a_part_without_gradient_counts_as_zeros():
    _, saved = Split((1, 2, 1)).forward(np.ones((2, 4), "float32"))
    (dx,) = Split((1, 2, 1)).backward(saved, (None, np.full((2, 2), 3.0, "float32"), None), (True,))
    assert dx.tolist() == [[0, 3, 3, 0], [0, 3, 3, 0]]
    assert dx.dtype == np.float32


def test_parts_of_integers_have_no_gradient():
    (a, b), saved = Split(2).forward(np.array([[1, 2]]))
    assert (a.tolist(), b.tolist()) == ([[1]], [[2]])
    assert Split(2).backward(saved, (None, None), (False,)) == (None,)


def test_one_part_alone_can_be_trained_on():
    x = gn.Input("x", ("N", 2))
    _, last = Split((1, 3))(Linear(4)(x, name="linear"))
    net = gn.Executor(gn.Graph(loss=Sum()(last)), seed=0)
    net.forward(x=np.ones((5, 2), "float32"), training=True)
    assert net.backward("loss")["linear.bias"].tolist() == [0, 5, 5, 5]


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Concat(), [], "at least one input, received none"),
        (Concat(), [X, Spec(("N", 3, 5))], r"but for axis 1, received float32 \(N, 3, 4\) and"),
        (Concat(), [X, Spec(("N", 3))], "but for axis 1"),
        (Concat(), [X, Spec(("N", 3, 4), "float64")], "but for axis 1"),
        (Concat(3), [X], "axis in -3..2, received 3"),
        (Stack(), [], "at least one input, received none"),
        (Stack(), [X, Spec(("N", 3, 1))], r"equal inputs, received float32 \(N, 3, 4\) and"),
        (Stack(), [X, Spec(X.shape, "float64")], "equal inputs, received float32 .* and float64"),
        (Stack(4), [X], "axis in -4..3, received 4"),
        (Split(2), [X], r"2 equal parts along axis 1, received float32 \(N, 3, 4\)"),
        (Split((2, 2)), [X], r"sizes \(2, 2\) along axis 1, received"),
        (Split(2, axis=0), [X], "2 equal parts along axis 0"),
        (Split((1, 2), axis=0), [X], r"sizes \(1, 2\) along axis 0"),
        (Split(2, axis=3), [X], "axis in -3..2, received 3"),
        (Tile((2, 2)), [X], r"of 2 axes, one for each .* \(2, 2\), received float32 \(N, 3, 4\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Concat("1"), TypeError, "Concat: expected an integer for axis"),
        (lambda: Stack(0.0), TypeError, "Stack: expected an integer for axis"),
        (lambda: Split(2, None), TypeError, "Split: expected an integer for axis"),
        (lambda: Split(2.0), TypeError, "Split: expected an integer for parts"),
        (lambda: Split((0, 3)), ValueError, "Split: expected parts of at least 1, received 0"),
        (lambda: Split(1), ValueError, "Split: expected at least two parts, received 1"),
        (lambda: Split((3,)), ValueError, r"Split: expected at least two parts, received \(3,\)"),
        (lambda: Tile(2), TypeError, "Tile: expected one number per axis, received 2"),
        (lambda: Tile((1, 0)), ValueError, "Tile: expected repeats of at least 1, received 0"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    assert Split([np.int64(1), 2]).parts == (1, 2)
    assert type(Split([np.int64(1), 2]).parts[0]) is int
    assert Tile([np.int64(2)]) == Tile((2,))
    assert type(Stack(np.int64(1)).axis) is int
