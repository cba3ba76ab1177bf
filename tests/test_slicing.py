"""Slices and borders where the records do not reach: symbols, clipping, misuse."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ops.dimension import Dim
from ops.operator import ShapeError, Spec
from ops.slicing import Pad, Slice

X = Spec(("N", 3, 4))
END = 2**31 - 1


@pytest.mark.parametrize(
    ("operator", "x", "shape"),
    [
        (Slice(1, 3, axes=1), X, ("N", 2, 4)),
        (Slice((0, 0), (sys.maxsize, 2)), X, ("N", 2, 4)),
        (Slice(0, END), X, ("N", 3, 4)),
        (Slice(-1, -END - 1, axes=-1, steps=-2), X, ("N", 3, 2)),
        (Pad(((0, 0), (1, 0), (2, 2))), X, ("N", 4, 8)),
        (Pad(((1, 0),)), Spec(("N",)), (Dim(1, 1),)),
        (Pad(((0, 0), (2, 1), (3, 3)), mode="reflect"), X, ("N", 6, 10)),
        (Pad(((0, 0), (9, 0), (0, 0)), mode="edge"), X, ("N", 12, 4)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_symbolic_batch_is_carried_along(operator, x, shape):
    assert operator.infer(x).shape == shape
    assert operator.flops(x) == 0


@pytest.mark.parametrize(
    ("start", "end", "step", "taken"),
    [
        (-99, 99, 1, [0, 1, 2, 3]),
        (-99, 99, 3, [0, 3]),
        (99, -99, -1, [3, 2, 1, 0]),
        (99, -99, -3, [3, 0]),
        (99, -1, -1, []),
        (-99, -99, -1, [0]),
        (2, 2, 1, []),
        (3, 1, 1, []),
        (99, 99, 1, []),
        (sys.maxsize, -sys.maxsize - 1, -2, [3, 1]),
    ],
)
def test_starts_and_ends_are_clipped_as_the_standard_says(start, end, step, taken):
    y, _ = Slice(start, end, steps=step).forward(np.arange(4))
    assert y.tolist() == taken
    assert Slice(start, end, steps=step).infer(Spec((4,), "int64")).shape == (len(taken),)


@pytest.mark.parametrize("step", [1, -1])
def test_an_empty_axis_has_an_empty_slice(step):
    y, _ = Slice(-1, END * step, steps=step).forward(np.zeros((0, 2)))
    assert y.shape == (0, 2)


def test_integers_are_sliced_as_well():
    operator = Slice(1, END, axes=1)
    y, saved = operator.forward(np.arange(6).reshape(2, 3))
    assert y.tolist() == [[1, 2], [4, 5]]
    assert operator.infer(Spec((2, 3), "int64")) == Spec((2, 2), "int64")
    assert operator.backward(saved, y, (False,)) == (None,)


def test_corners_of_a_border_repeat_the_border():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    reflected, _ = Pad(((1, 0), (1, 0)), mode="reflect").forward(x)
    assert reflected.tolist() == [[4, 3, 4], [2, 1, 2], [4, 3, 4]]
    edge, _ = Pad(((1, 0), (1, 0)), mode="edge").forward(x)
    assert edge.tolist() == [[1, 1, 2], [1, 1, 2], [3, 3, 4]]


def test_each_entry_gathers_the_gradients_of_its_copies():
    x = np.array([1.0, 2.0, 3.0])
    for mode, expected in (("constant", [1, 1, 1]), ("edge", [3, 1, 2]), ("reflect", [1, 3, 2])):
        operator = Pad(((2, 1),), mode=mode)
        _, saved = operator.forward(x)
        (dx,) = operator.backward(saved, np.ones(6), (True,))
        assert dx.tolist() == expected, mode


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (Slice(0, 5), X, "all of the symbolic axis 0, .* received 0, 1 and 5"),
        (Slice(1, END), X, "all of the symbolic axis 0, .* received 1, 1 and 2147483647"),
        (Slice(0, END, steps=2), X, "all of the symbolic axis 0, .* received 0, 2 and"),
        (Slice(0, 1, axes=3), X, "axis in -3..2, received 3"),
        (Slice((0, 0), (1, 1), axes=(1, -2)), X, r"distinct axes, received \(1, -2\) for 3 axes"),
        (Slice((0, 0), (1, 1)), Spec((4,)), "axis in -1..0, received 1"),
        (Pad(((1, 1),)), X, r"of 1 axes, one for each .* received float32 \(N, 3, 4\)"),
        (Pad(((1, 1),), 0.5), Spec((2,), "int64"), "dtype holds 0.5, received int64"),
        (
            Pad(((0, 3),), mode="reflect"),
            Spec((3,)),
            r"at least 4 entries along axis 0 for reflect padding \(0, 3\), received",
        ),
        (Pad(((1, 0),), mode="edge"), Spec((0,)), "at least 1 entries along axis 0 for edge"),
        (Pad(((1, 0),), mode="edge"), Spec(("N",)), r"for edge padding \(1, 0\), .*\(N,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Slice(0.0, 1), TypeError, "Slice: expected an integer or several for starts"),
        (lambda: Slice(0, None), TypeError, "Slice: expected an integer or several for ends"),
        (lambda: Slice((0, 1), 1), ValueError, r"as many ends as the 2 starts, received \(1,\)"),
        (lambda: Slice(0, 1, (0, 1)), ValueError, "as many axes as the 1 starts"),
        (lambda: Slice(0, 1, 0, (1, 1)), ValueError, "as many steps as the 1 starts"),
        (lambda: Slice(0, 1, steps=0), ValueError, r"steps other than 0, received \(0,\)"),
        (lambda: Pad((1, 1)), TypeError, r"Pad: expected a \(begin, end\) pair"),
        (lambda: Pad(((0.5, 1),)), TypeError, "Pad: expected integers"),
        (lambda: Pad(((-1, 1),)), ValueError, "Pad: expected padding of at least 0"),
        (lambda: Pad(((1, 1),), "x"), TypeError, "Pad: expected a number"),
        (
            lambda: Pad(((1, 1),), mode="tile"),
            ValueError,
            'Pad: expected "constant", "reflect", "edge" or "wrap" for mode, received \'tile\'',
        ),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    assert Slice(np.int64(1), [np.int64(2)]) == Slice((1,), (2,), (0,), (1,))
    assert type(Slice(np.int64(1), 2).starts[0]) is int
    padded = Pad([[0, np.int64(1)]], np.float64(1.0))
    assert padded == Pad(((0, 1),), 1.0)
    assert type(padded.value) is float and type(padded.padding[0][1]) is int
