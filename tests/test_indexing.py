"""Picking and writing by indices where the records do not reach: ranges, symbols, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from graphnet.backends import get_backend
from ops.indexing import Gather, GatherElements
from ops.operator import Interval, ShapeError, Spec
from ops.scattering import ScatterElements

X = Spec(("N", 5, 3))


def integers(*shape, dtype="int64"):
    return Spec(shape, dtype)


@pytest.mark.parametrize(
    ("operator", "inputs", "shape"),
    [
        (Gather(1), [X, integers(2)], ("N", 2, 3)),
        (Gather(-1), [X, integers(2, 7)], ("N", 5, 2, 7)),
        (Gather(1), [X, integers()], ("N", 3)),
        (Gather(), [Spec((10, 4)), integers("N", 6)], ("N", 6, 4)),
        (Gather(), [X, integers("N")], ("N", 5, 3)),
        (GatherElements(1), [X, integers("N", 2, 3)], ("N", 2, 3)),
        (GatherElements(1), [X, integers("N", 9, 1)], ("N", 9, 1)),
        (ScatterElements(2), [X, integers("N", 1, 2), Spec(("N", 1, 2))], X.shape),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_symbolic_batch_is_carried_along(operator, inputs, shape):
    assert operator.infer(*inputs).shape == shape


def test_only_added_updates_are_arithmetic():
    specs = (Spec((4, 5)), integers(2, 5), Spec((2, 5)))
    assert ScatterElements(reduction="add").flops(*specs) == 10
    assert ScatterElements().flops(*specs) == 0
    assert Gather().flops(*specs[:2]) == 0


def test_the_range_of_indices_is_declared():
    indices = integers(2, 5, 3)
    assert Gather(1).domains(Spec((2, 5, 3)), indices) == {"indices": Interval(-5, 5)}
    assert GatherElements(-1).domains(Spec((2, 5, 3)), indices) == {"indices": Interval(-3, 3)}
    written = ScatterElements().domains(Spec((2, 5, 3)), indices, Spec((2, 5, 3)))
    assert written == {"indices": Interval(-2, 2)}


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_raises_on_numpy(index):
    x, indices = np.ones((3, 2)), np.full((1, 2), index)
    with pytest.raises(IndexError):
        Gather().forward(x, indices)
    with pytest.raises(IndexError):
        GatherElements().forward(x, indices)
    for reduction in ("none", "add"):
        with pytest.raises(IndexError):
            ScatterElements(reduction=reduction).forward(x, indices, np.ones((1, 2)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_an_axis_may_be_longer_than_the_index_dtype_counts(dtype):
    x = np.arange(300.0)
    indices = np.array([1, 100], dtype)
    y, saved = Gather().forward(x, indices)
    assert y.tolist() == [1, 100]
    (dx, _) = Gather().backward(saved, np.array([2.0, 3.0]), (True, False))
    assert (dx[1], dx[100], dx.sum()) == (2, 3, 5)


@pytest.mark.parametrize("operator", [Gather(), GatherElements()], ids=repr)
def test_gradients_of_equal_indices_add_up(operator):
    _, saved = operator.forward(np.zeros(3), np.array([1, -2, 1, 0]))
    dx, dindices = operator.backward(saved, np.array([1.0, 2.0, 4.0, 8.0]), (True, False))
    assert dx.tolist() == [8, 7, 0] and dindices is None


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_entries_of_any_dtype_are_picked_and_written(dtype):
    x = np.array([0, 1, 0]).astype(dtype)
    indices = np.array([1, -1])
    assert Gather().forward(x, indices)[0].dtype == dtype
    assert GatherElements().forward(x, indices)[0].tolist() == [1, 0]
    y, saved = ScatterElements().forward(x, indices, np.array([0, 1]).astype(dtype))
    assert y.tolist() == [0, 0, 1] and y.dtype == dtype
    assert ScatterElements().backward(saved, y, (False, False, False)) == (None, None, None)


def test_what_is_written_over_has_no_gradient_and_what_is_added_to_has():
    x, indices, updates = np.zeros(3), np.array([2, 0]), np.ones(2)
    dy = np.array([1.0, 2.0, 4.0])
    for reduction, expected in (("none", [0, 2, 0]), ("add", [1, 2, 4])):
        operator = ScatterElements(reduction=reduction)
        _, saved = operator.forward(x, indices, updates)
        dx, _, dupdates = operator.backward(saved, dy, (True, False, True))
        assert (dx.tolist(), dupdates.tolist()) == (expected, [4, 1])


def test_an_empty_choice_from_no_entries_is_empty():
    none = np.zeros((0, 2))
    assert Gather().infer(Spec((0, 2)), integers(0)).shape == (0, 2)
    y, saved = Gather().forward(none, np.zeros(0, "int64"))
    assert y.shape == (0, 2)
    (dx, _) = Gather().backward(saved, y, (True, False))
    assert dx.shape == (0, 2)


def test_indices_of_a_backend_are_not_moved_to_the_host():
    backend = get_backend("strict")
    x, indices = backend.from_host(np.ones((3, 2))), backend.from_host(np.array([[0, -1]]))
    moved = backend.transfers.to_host
    y, saved = Gather().forward(x, indices)
    Gather().backward(saved, y, (True, False))
    ScatterElements(reduction="add").forward(x, indices, backend.from_host(np.ones((1, 2))))
    assert backend.transfers.to_host == moved


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Gather(), [X, Spec((2,))], "indices of an integer dtype, received float32"),
        (Gather(), [X, Spec((2,), "bool")], "indices of an integer dtype, received bool"),
        (Gather(3), [X, integers(2)], "axis in -3..2, received 3"),
        (Gather(), [Spec(()), integers(2)], "axis in 0..-1, received 0"),
        (Gather(1), [X, integers("N")], "one symbolic axis .* GatherElements"),
        (Gather(), [Spec((0, 3)), integers(2)], r"entries along axis 0 .* float32 \(0, 3\)"),
        (Gather(), [Spec((0, 3)), integers("N")], "entries along axis 0"),
        (GatherElements(), [X, integers(2, 5)], r"than float32 \(N, 5, 3\) but along axis 0"),
        (GatherElements(), [X, integers(2, 6, 3)], r"received int64 \(2, 6, 3\)"),
        (GatherElements(1), [X, integers(2, 5, 3)], r"received int64 \(2, 5, 3\)"),
        (GatherElements(), [Spec((5,)), Spec((2,))], "integer dtype, received float32"),
        (ScatterElements(), [X, integers("N", 6, 3), X], "no larger than"),
        (ScatterElements(1), [X, integers("N", 2, 3), X], r"updates float32 \(N, 2, 3\), received"),
        (
            ScatterElements(),
            [Spec((5,)), integers(2), Spec((2,), "float64")],
            r"updates float32 \(2,\), received float64 \(2,\)",
        ),
        (
            ScatterElements(reduction="add"),
            [Spec((5,), "bool"), integers(2), Spec((2,), "bool")],
            "to combine updates with of a floating or integer dtype, received bool",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Gather(None), TypeError, "Gather: expected an integer for axis"),
        (lambda: GatherElements(0.5), TypeError, "GatherElements: expected an integer for axis"),
        (lambda: ScatterElements("0"), TypeError, "ScatterElements: expected an integer for axis"),
        (
            lambda: ScatterElements(0, "mean"),
            ValueError,
            'ScatterElements: expected "none", "add", "mul", "max" or "min" for reduction',
        ),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    assert type(Gather(np.int64(1)).axis) is int
