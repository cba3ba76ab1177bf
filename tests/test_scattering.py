"""Writing by indices where the records do not reach: ties, integers, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from graphnet.backends import get_backend
from ops import Interval, ShapeError, Spec
from ops.indexing import GatherND
from ops.scattering import ScatterElements, ScatterND, TensorScatter

ALL = (True, False, True)


def integers(*shape):
    return Spec(shape, "int64")


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32"])
def test_every_number_is_combined_in_its_own_dtype(reduction, dtype):
    x = np.array([2, 3, 5]).astype(dtype)
    indices, updates = np.array([0, 2, 0, 0]), np.array([4, 1, 3, 2]).astype(dtype)
    y, _ = ScatterElements(reduction=reduction).forward(x, indices, updates)
    expected = {"add": [11, 3, 6], "mul": [48, 3, 5], "max": [4, 3, 5], "min": [2, 3, 1]}
    assert y.tolist() == expected[reduction] and y.dtype == dtype


@pytest.mark.parametrize(("reduction", "sign"), [("max", 1.0), ("min", -1.0)])
def test_a_tie_gives_the_gradient_to_the_input_and_then_to_the_first_update(reduction, sign):
    operator = ScatterElements(reduction=reduction)
    x, updates = sign * np.array([7.0, 1.0, 0.0]), sign * np.array([7.0, 5.0, 5.0, 2.0])
    indices = np.array([0, 1, 1, 1])
    _, saved = operator.forward(x, indices, updates)
    dx, _, dupdates = operator.backward(saved, np.array([1.0, 2.0, 4.0]), ALL)
    assert dx.tolist() == [1, 0, 4] and dupdates.tolist() == [0, 2, 0, 0]


def test_a_product_with_zeros_has_the_gradient_of_the_other_factors():
    operator = ScatterElements(reduction="mul")
    x, updates = np.array([2.0, 0.0]), np.array([0.0, 3.0, 5.0, 0.0])
    y, saved = operator.forward(x, np.array([0, 0, 1, 1]), updates)
    dx, _, dupdates = operator.backward(saved, np.array([1.0, 1.0]), ALL)
    assert y.tolist() == [0, 0]
    assert dx.tolist() == [0, 0] and dupdates.tolist() == [6, 0, 0, 0]


def test_many_updates_of_one_entry_are_multiplied_in_a_few_rounds():
    operator = ScatterElements(reduction="mul")
    updates = np.where(np.arange(1000) % 2, 2.0, 0.5)
    y, saved = operator.forward(np.ones(3), np.full(1000, 1), updates)
    assert y.tolist() == [1, 1, 1]
    dx, _, dupdates = operator.backward(saved, np.ones(3), ALL)
    assert dx.tolist() == [1, 1, 1] and (dupdates == 1 / updates).all()


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_no_update_changes_nothing(reduction):
    operator = ScatterElements(reduction=reduction)
    x = np.array([1.0, 2.0])
    y, saved = operator.forward(x, np.zeros(0, "int64"), np.zeros(0))
    dx, _, dupdates = operator.backward(saved, np.array([3.0, 4.0]), ALL)
    assert y.tolist() == [1, 2] and dx.tolist() == [3, 4] and dupdates.shape == (0,)


@pytest.mark.parametrize("reduction", ["mul", "max"])
def test_nothing_is_moved_to_the_host(reduction):
    backend = get_backend("strict")
    inputs = (np.ones((3, 2)), np.array([[0, -1]]), np.full((1, 2), 2.0))
    x, indices, updates = map(backend.from_host, inputs)
    moved = backend.transfers.to_host
    operator = ScatterElements(reduction=reduction)
    y, saved = operator.forward(x, indices, updates)
    operator.backward(saved, y, ALL)
    assert backend.transfers.to_host == moved


@pytest.mark.parametrize("operator", [ScatterND(), ScatterND("add"), ScatterND("mul")], ids=repr)
def test_indices_out_of_range_raise_on_numpy(operator):
    for index in (2, -3):
        with pytest.raises(IndexError):
            operator.forward(np.ones((2, 2)), np.array([[0, index]]), np.ones(1))
        with pytest.raises(IndexError):
            GatherND().forward(np.ones((2, 2)), np.array([[0, index]]))


def test_the_symbolic_batch_is_carried_along():
    x, indices = Spec(("N", 4, 3)), integers("N", 5, 1)
    assert GatherND(1).infer(x, indices).shape == ("N", 5, 3)
    assert GatherND().infer(Spec((4, 3)), integers("N", 2)).shape == ("N",)
    assert ScatterND().infer(Spec((4, 3)), integers("N", 1), Spec(("N", 3))).shape == (4, 3)
    cache = Spec(("N", 2, 8, 4))
    assert TensorScatter().infer(cache, Spec(("N", 2, 3, 4)), integers("N")) == cache


def test_the_range_of_indices_is_declared():
    x = Spec((2, 5, 3))
    assert GatherND().domains(x, integers(7, 2)) == {"indices": Interval(-5, 5)}
    assert GatherND().domains(x, integers(7, 0)) == {}
    assert ScatterND().domains(x, integers(7, 3), Spec((7,))) == {"indices": Interval(-5, 5)}
    run = Spec((2, 2, 3))
    assert TensorScatter().domains(x, run) == {"start": Interval(0, 4)}
    assert TensorScatter(circular=True).domains(x, run) == {"start": Interval(0, 5)}


def test_only_combined_updates_are_arithmetic():
    specs = (Spec((4, 5)), integers(2, 1), Spec((2, 5)))
    assert ScatterND("mul").flops(*specs) == 10 and ScatterND().flops(*specs) == 0


def test_a_gradient_nobody_needs_is_none():
    none = (False, False, False)
    for operator in (ScatterND("mul"), ScatterND("max"), ScatterND("add"), ScatterND()):
        y, saved = operator.forward(np.ones(3), np.array([[1]]), np.ones(1))
        assert operator.backward(saved, y, none) == (None, None, None)
    y, saved = GatherND().forward(np.ones(3), np.array([[1]]))
    assert GatherND().backward(saved, y, (False, False)) == (None, None)
    y, saved = TensorScatter(1).forward(np.ones((1, 3)), np.ones((1, 2)))
    assert TensorScatter(1).backward(saved, y, none) == (None, None, None)


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (GatherND(), [Spec((4, 3)), Spec((2, 1))], "indices of an integer dtype"),
        (GatherND(), [Spec((4, 3)), integers()], "indices of 1 or more axes"),
        (GatherND(), [Spec((4, 3)), integers(2, 3)], r"for some first axes of float32 \(4, 3\)"),
        (GatherND(1), [Spec((4, 3)), integers(2, 1)], "after 1 axes in common"),
        (GatherND(), [Spec((0, 3)), integers(2, 1)], "for some first axes"),
        (ScatterND(), [Spec((4, 3)), integers(2, 1), Spec((2, 4))], r"updates float32 \(2, 3\)"),
        (ScatterND("max"), [Spec((4,), "bool"), integers(2, 1), Spec((2,), "bool")], "combine"),
        (TensorScatter(0), [Spec((4, 3)), Spec((4, 3))], "another axis than the first"),
        (TensorScatter(), [Spec((2, 4, 3)), Spec((2, 5, 3))], "at most 4 entries along axis 1"),
        (TensorScatter(), [Spec((2, 4, 3)), Spec((2, 1, 4))], "an update float32"),
        (TensorScatter(), [Spec((2, 4, 3)), Spec((2,))], "an update float32"),
        (TensorScatter(), [Spec((2, 4, 3))] * 2 + [Spec((2,))], "one start for each example"),
        (TensorScatter(), [Spec((2, 4, 3))] * 2 + [integers(3)], "one start for each example"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: GatherND(-1), ValueError, "GatherND: expected batch_axes of at least 0"),
        (lambda: GatherND(0.5), TypeError, "GatherND: expected an integer for batch_axes"),
        (lambda: ScatterND("mean"), ValueError, 'ScatterND: expected "none", "add", "mul"'),
        (lambda: TensorScatter("0"), TypeError, "TensorScatter: expected an integer for axis"),
        (lambda: TensorScatter(1, 1), TypeError, "expected True or False for circular"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()
