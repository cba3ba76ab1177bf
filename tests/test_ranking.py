"""Rankings where their records do not reach: ties, NaN, integers at their limits, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.ranking import ArgMax, ArgMin, TopK

X = Spec(("N", 3, 4))
both_places = pytest.mark.parametrize("operator", [ArgMax, ArgMin])


@both_places
def test_of_equal_entries_the_first_is_found(operator):
    x = np.array([[2.0, 2.0, 2.0], [0.0, -0.0, 0.0]])
    assert operator().forward(x)[0].tolist() == [0, 0]


@both_places
def test_nan_is_found_before_any_number(operator):
    x = np.array([-math.inf, 1.0, math.nan, math.inf])
    assert operator().forward(x)[0] == 2


@both_places
def test_a_place_is_an_array_and_has_no_gradient(operator):
    y, saved = operator().forward(np.ones(3))
    assert isinstance(y, np.ndarray) and y.shape == () and y.dtype == np.int64
    assert operator().backward(saved, None, (True,)) == (None,)


@pytest.mark.parametrize(("largest", "order"), [(True, [1, 3, 0, 4]), (False, [2, 5, 0, 4])])
def test_of_equal_entries_the_one_of_lower_index_comes_first(largest, order):
    x = np.array([1.0, 7.0, -1.0, 7.0, 1.0, -1.0])
    (values, indices), _ = TopK(4, largest=largest).forward(x)
    assert indices.tolist() == order
    np.testing.assert_array_equal(values, x[order])


def test_nan_ranks_above_every_number():
    x = np.array([math.inf, math.nan, -math.inf, math.nan, 0.0])
    assert TopK(5).forward(x)[0][1].tolist() == [1, 3, 0, 4, 2]
    assert TopK(5, largest=False).forward(x)[0][1].tolist() == [2, 4, 0, 1, 3]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64"])
def test_integers_at_their_limits_rank_right(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = np.array([5, low, high, 5], dtype)
    (values, indices), saved = TopK(4).forward(x)
    assert values.tolist() == [high, 5, 5, low] and indices.tolist() == [2, 0, 3, 1]
    assert values.dtype == dtype and indices.dtype == np.int64
    assert TopK(2, largest=False).forward(x)[0][1].tolist() == [1, 0]
    assert TopK(4).backward(saved, (None, None), (False,)) == (None,)


def test_the_gradient_of_tied_values_goes_to_the_entries_chosen():
    (values, _), saved = TopK(2).forward(np.array([3.0, 1.0, 3.0, 3.0]))
    (dx,) = TopK(2).backward(saved, (np.array([5.0, 7.0]), None), (True,))
    assert values.tolist() == [3, 3] and dx.tolist() == [5, 0, 7, 0]


@pytest.mark.parametrize("largest", [True, False])
def test_what_is_saved_is_no_larger_than_the_indices(largest):
    (_, indices), saved = TopK(1, largest=largest).forward(np.ones(100))
    assert saved[0] is indices and indices.base is None


@both_places
def test_a_place_may_be_sought_along_the_symbolic_batch(operator):
    assert operator().infer(X) == Spec(("N", 3), "int64")
    assert operator(0).infer(X) == Spec((3, 4), "int64")
    assert operator(1, keepdims=True).infer(X) == Spec(("N", 1, 4), "int64")
    assert operator().flops(X.bind(2)) == 24


def test_the_best_may_be_sought_along_the_symbolic_batch():
    assert TopK(2).infer(X) == (Spec(("N", 3, 2)), Spec(("N", 3, 2), "int64"))
    assert TopK(5, axis=0).infer(X) == (Spec((5, 3, 4)), Spec((5, 3, 4), "int64"))
    with pytest.raises(ShapeError, match=r"at least 5 entries along axis 0"):
        TopK(5, axis=0).infer(X.bind(4))
    assert TopK(1).flops(X.bind(2)) == 24 * 3


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (ArgMax(3), X, "axis in -3..2, received 3"),
        (ArgMax(), Spec(("N", 0)), r"entries along axis 1, received float32 \(N, 0\)"),
        (ArgMin(-2), Spec((0, 3)), r"entries along axis 0, received float32 \(0, 3\)"),
        (TopK(5), X, r"at least 5 entries along axis 2, received float32 \(N, 3, 4\)"),
        (TopK(1, axis=-4), X, "axis in -3..2, received -4"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: ArgMax(axis=None), TypeError, "ArgMax: expected an integer for axis"),
        (lambda: ArgMin(keepdims=0), TypeError, "ArgMin: expected True or False for keepdims"),
        (lambda: TopK(0), ValueError, "TopK: expected k of at least 1, received 0"),
        (lambda: TopK(1.0), TypeError, "TopK: expected an integer for k"),
        (lambda: TopK(1, "0"), TypeError, "TopK: expected an integer for axis"),
        (lambda: TopK(1, largest=None), TypeError, "TopK: expected True or False for largest"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    fields = vars(TopK(np.int64(2), np.int32(0), np.True_))
    assert [type(value) for value in fields.values()] == [int, int, bool]
