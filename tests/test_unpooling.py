"""Places of maxima where the records do not reach: the standard's numbers, ties, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Interval, MaxPool, ShapeError, Spec
from ops.unpooling import MaxPoolWithIndices, MaxUnpool

X = np.arange(1.0, 26.0).reshape(1, 1, 5, 5)


@pytest.mark.parametrize(
    ("operator", "places"),
    [
        (MaxPoolWithIndices(2), [[6, 8], [16, 18]]),
        (MaxPoolWithIndices(2, column_major=True), [[6, 16], [8, 18]]),
        (
            MaxPoolWithIndices(5, stride=1, padding=2),
            [[12, 13, 14, 14, 14], [17, 18, 19, 19, 19], *[[22, 23, 24, 24, 24]] * 3],
        ),
    ],
    ids=repr,
)
def test_places_are_those_of_onnx(operator, places):
    (y, indices), _ = operator.forward(X)
    assert indices[0, 0].tolist() == places
    assert (
        y.tolist()
        == MaxPool(operator.kernel_size, operator.stride, operator.padding).forward(X)[0].tolist()
    )


def test_a_tie_has_the_place_of_the_first_and_padding_none():
    x = np.full((2, 1, 3), -np.inf)
    (_, indices), _ = MaxPoolWithIndices(3, stride=2, padding=1).forward(x)
    assert indices.tolist() == [[[0, 1]], [[3, 4]]]


def test_pooling_what_was_unpooled_gives_it_back():
    x = np.random.default_rng(0).uniform(1, 2, (2, 3, 6, 6))
    pool = MaxPoolWithIndices(2)
    (y, indices), _ = pool.forward(x)
    whole, _ = MaxUnpool((6, 6)).forward(y, indices)
    np.testing.assert_array_equal(pool.forward(whole)[0][0], y)
    np.testing.assert_array_equal(pool.forward(whole)[0][1], indices)


def test_the_symbolic_batch_is_carried_along():
    x = Spec(("N", 3, 8, 8))
    y, indices = MaxPoolWithIndices(2).infer(x)
    assert y == Spec(("N", 3, 4, 4)) and indices == Spec(("N", 3, 4, 4), "int64")
    assert MaxUnpool((8, 8)).infer(y, indices) == x
    known = y.bind(2), indices.bind(2)
    assert MaxUnpool((8, 8)).domains(*known) == {"indices": Interval(0, 2 * 3 * 64)}
    assert MaxPoolWithIndices(2).flops(x.bind(1)) == 3 * 16 * 4


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([Spec((1, 2, 3)), Spec((1, 2, 3), "int64")], "an input of 4 axes"),
        ([Spec((1, 2, 3, 3)), Spec((1, 2, 3, 3), "int32")], "an int64 index for each entry"),
        ([Spec((1, 2, 3, 3)), Spec((1, 2, 3, 2), "int64")], "an int64 index for each entry"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(ShapeError, match=message):
        MaxUnpool((6, 6)).infer(*inputs)


def test_configuration_that_makes_no_sense_is_refused():
    for size in (4, ()):
        with pytest.raises(ValueError, match="MaxUnpool: expected one size per spatial axis"):
            MaxUnpool(size)
    with pytest.raises(TypeError, match="expected True or False for column_major"):
        MaxPoolWithIndices(2, column_major=1)


def test_a_gradient_nobody_needs_is_none():
    (y, indices), saved = MaxPoolWithIndices(2).forward(X)
    assert MaxPoolWithIndices(2).backward(saved, (y, None), (False,)) == (None,)
    _, saved = MaxUnpool((5, 5)).forward(y, indices)
    assert MaxUnpool((5, 5)).backward(saved, X, (False, False)) == (None, None)
