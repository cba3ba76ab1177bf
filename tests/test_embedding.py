"""Integers as vectors where the records do not reach: padding, ranges, symbols, misuse."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from ops.embedding import Embedding, OneHot
from ops.operator import Interval, ShapeError, Spec

WEIGHT = Spec((10, 4))


def integers(*shape, dtype="int64"):
    return Spec(shape, dtype)


def test_the_symbolic_batch_is_carried_along():
    assert Embedding(10, 4).infer(integers("N", 64), WEIGHT).shape == ("N", 64, 4)
    assert OneHot(7).infer(integers("N")).shape == ("N", 7)
    assert OneHot(7, axis=1).infer(integers("N", 2)).shape == ("N", 7, 2)


def test_a_vector_that_is_picked_is_no_arithmetic():
    assert Embedding(10, 4).flops(integers(3), WEIGHT) == 0


def test_the_range_of_indices_is_declared():
    assert Embedding(10, 4).domains(integers(2), WEIGHT) == {"indices": Interval(0, 10)}
    assert OneHot(3).domains(integers(2)) == {}


def test_a_fed_index_out_of_range_is_refused_and_one_in_range_is_not():
    tokens = gn.Input("tokens", ("N", 2), "int64")
    net = gn.Executor(gn.Graph(y=Embedding(5, 3)(tokens)), seed=0)
    assert net.forward(tokens=np.array([[0, 4]]))["y"].shape == (1, 2, 3)
    for wrong in (5, -1):
        with pytest.raises(gn.FeedError, match=f"0 <= v < 5, received {wrong}"):
            net.forward(tokens=np.array([[0, wrong]]))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_an_axis_may_be_longer_than_the_index_dtype_counts(dtype):
    hit, _ = OneHot(300).forward(np.array([1, 100], dtype))
    assert hit.argmax(axis=1).tolist() == [1, 100]


def test_the_row_of_the_padding_starts_at_0_and_stays_there():
    tokens = gn.Input("tokens", ("N",), "int64")
    operator = Embedding(4, 3, padding_index=-2)
    assert operator.padding_index == 2
    first = operator.parameters(tokens.spec)["weight"].initializer
    weight = first.sample((4, 3), "float32", np.random.default_rng(0))
    assert not weight[2].any() and weight[[0, 1, 3]].all()
    _, saved = operator.forward(np.array([2, 3, 2]), weight)
    _, dweight = operator.backward(saved, np.ones((3, 3), "float32"), (False, True))
    assert dweight.tolist() == [[0] * 3, [0] * 3, [0] * 3, [1] * 3]


def test_the_row_of_the_padding_is_read_like_any_other():
    weight = np.arange(8.0).reshape(4, 2)
    y, _ = Embedding(4, 2, padding_index=1).forward(np.array([1]), weight)
    assert y.tolist() == [[2, 3]]


def test_without_padding_every_row_of_an_embedding_is_random():
    first = Embedding(4, 3).parameters(integers(2))["weight"].initializer
    assert first.sample((4, 3), "float32", np.random.default_rng(0)).all()


def test_one_hot_leaves_all_off_for_an_index_out_of_range():
    indices = np.array([3, -4, -3, 2])
    y, _ = OneHot(3, on_value=5.0, off_value=-1.0).forward(indices)
    assert y.tolist() == [[-1] * 3, [-1] * 3, [5, -1, -1], [-1, -1, 5]]
    far, _ = OneHot(3).forward(np.array([2**64 - 1, 2**63], "uint64"))
    assert not far.any()


@pytest.mark.parametrize("dtype", ["float64", "int8", "bool"])
def test_one_hot_is_of_the_dtype_asked_for(dtype):
    y, _ = OneHot(2, dtype=dtype).forward(np.array([1]))
    assert y.dtype == dtype and y.tolist() == [[0, 1]]
    assert OneHot(2, dtype=dtype).infer(integers(1)) == Spec((1, 2), dtype)
    assert OneHot(2, dtype=dtype).backward((), None, (False,)) == (None,)


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Embedding(10, 4), [Spec(("N",)), WEIGHT], "integer dtype, received float32"),
        (Embedding(10, 4), [integers("N"), Spec((4, 10))], r"a weight float32 \(10, 4\), received"),
        (Embedding(10, 4), [integers("N"), integers(10, 4)], "a weight of a floating dtype"),
        (OneHot(3), [Spec(("N",))], "integer dtype, received float32"),
        (OneHot(3, axis=2), [integers("N")], "axis in -2..1, received 2"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Embedding(0, 4), ValueError, "Embedding: expected vocabulary of at least 1"),
        (lambda: Embedding(4, 2.0), TypeError, "Embedding: expected an integer for features"),
        (lambda: Embedding(4, 2, 4), ValueError, r"padding_index in -4..3, received 4"),
        (lambda: Embedding(4, 2, -5), ValueError, r"padding_index in -4..3, received -5"),
        (lambda: Embedding(4, 2, "0"), TypeError, "expected an integer for padding_index"),
        (lambda: OneHot(0), ValueError, "OneHot: expected depth of at least 1"),
        (lambda: OneHot(2, 0.0), TypeError, "OneHot: expected an integer for axis"),
        (lambda: OneHot(2, on_value="x"), TypeError, "OneHot: expected a finite number for on_"),
        (lambda: OneHot(2, off_value=np.inf), ValueError, "expected a finite number for off_value"),
        (lambda: OneHot(2, dtype="complex64"), ValueError, "OneHot: expected a boolean, integer"),
        (
            lambda: OneHot(2, dtype="uint8", off_value=-1),
            ValueError,
            "of uint8, received -1.0",
        ),
        (lambda: OneHot(2, dtype="int8", on_value=0.5), ValueError, "values of int8, received 0.5"),
        (lambda: OneHot(2, dtype="bool", on_value=2), ValueError, "values of bool, received 2.0"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    assert type(Embedding(np.int64(4), 2, np.int8(1)).padding_index) is int
    assert type(OneHot(2, on_value=np.float64(2.0)).on_value) is float
    assert OneHot(2, dtype=np.float64) == OneHot(2, dtype="float64")
