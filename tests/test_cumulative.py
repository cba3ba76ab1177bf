"""Cumulative sums and products where their records do not reach: accuracy, integers, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import ShapeError, Spec
from ops.cumulative import CumProd, CumSum


@pytest.mark.parametrize(
    ("fields", "y"),
    [
        ({}, [1, 3, 6]),
        ({"exclusive": True}, [0, 1, 3]),
        ({"reverse": True}, [6, 5, 3]),
        ({"exclusive": True, "reverse": True}, [5, 3, 0]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "uint64"])
def test_every_direction_is_that_of_onnx_for_every_dtype(fields, y, dtype):
    operator = CumSum(**fields)
    out, _ = operator.forward(np.array([1, 2, 3], dtype))
    assert out.tolist() == y and out.dtype == dtype
    assert operator.infer(Spec((3,), dtype)) == Spec((3,), dtype)


@given(
    st.sampled_from((1, 2, 31, 1000, 20_000)),
    st.sampled_from((0, 1)),
    st.booleans(),
    st.booleans(),
    st.sampled_from((0.0, 1.0, -30.0)),
    st.integers(0, 2**32 - 1),
)
def test_a_sum_in_float32_is_as_accurate_as_its_number_of_roundings_allows(
    entries, axis, exclusive, reverse, offset, seed
):
    shape = (entries, 2) if axis == 0 else (2, entries)
    x = (np.random.default_rng(seed).normal(size=shape) + offset).astype(np.float32)
    operator = CumSum(axis, exclusive, reverse)
    exact = x.astype(np.float64)
    error = np.abs(operator.forward(x)[0] - operator.forward(exact)[0])
    scale = operator.forward(np.abs(exact))[0]
    assert (error <= entries * float(np.finfo(np.float32).eps) * scale).all()


def test_an_exclusive_sum_never_meets_the_entry_it_leaves_out():
    x = np.array([1.0, 1e30, math.inf], np.float32)
    y, _ = CumSum(exclusive=True).forward(x)
    np.testing.assert_array_equal(y, np.array([0, 1, 1e30], np.float32))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_axis_without_entries_stays_one(exclusive, reverse):
    operator = CumSum(1, exclusive, reverse)
    y, saved = operator.forward(np.zeros((2, 0)))
    assert y.shape == operator.backward(saved, y, (True,))[0].shape == (2, 0)


def test_a_gradient_nobody_needs_is_none():
    y, saved = CumSum().forward(np.ones(3))
    assert CumSum().backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_symbolic_batch_is_carried_along(axis):
    assert CumSum(axis).infer(Spec(("N", 3))) == Spec(("N", 3))


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (CumSum(2), Spec(("N", 3)), "axis in -2..1, received 2"),
        (CumSum(), Spec((3,), "bool"), "floating or integer dtype, received bool"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (lambda: CumSum(None), "CumSum: expected an integer for axis"),
        (lambda: CumSum(exclusive=1), "CumSum: expected True or False for exclusive"),
        (lambda: CumSum(reverse="yes"), "CumSum: expected True or False for reverse"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, message):
    with pytest.raises(TypeError, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    fields = vars(CumSum(np.int64(1), np.True_, np.False_))
    assert [type(value) for value in fields.values()] == [int, bool, bool]


@pytest.mark.parametrize(
    ("fields", "y"),
    [
        ({}, [2, 6, 24]),
        ({"exclusive": True}, [1, 2, 6]),
        ({"reverse": True}, [24, 12, 4]),
        ({"exclusive": True, "reverse": True}, [12, 4, 1]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int32", "uint64"])
def test_a_product_runs_in_every_direction_for_every_dtype(fields, y, dtype):
    out, _ = CumProd(**fields).forward(np.array([2, 3, 4], dtype))
    assert out.tolist() == y and out.dtype == dtype


@pytest.mark.parametrize("reverse", [False, True])
def test_entries_of_0_have_the_gradient_of_the_others_product(reverse):
    operator = CumProd(reverse=reverse)
    x = np.array([2.0, 0.0, 3.0, 0.0])
    _, saved = operator.forward(x)
    (dx,) = operator.backward(
        saved, np.array([0.0, 1.0, 1.0, 1.0])[:: -1 if reverse else 1], (True,)
    )
    assert dx.tolist() == ([0, 8, 0, 0] if not reverse else [0, 0, 0, 3])


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_product_over_an_axis_without_entries_stays_one(exclusive):
    operator = CumProd(1, exclusive)
    y, saved = operator.forward(np.zeros((2, 0)))
    assert y.shape == operator.backward(saved, y, (True,))[0].shape == (2, 0)


def test_a_product_refuses_truth_values_and_axes_that_are_missing():
    with pytest.raises(ShapeError, match="floating or integer dtype, received bool"):
        CumProd().infer(Spec((3,), "bool"))
    with pytest.raises(ShapeError, match=r"axis in -2\.\.1, received 2"):
        CumProd(2).infer(Spec(("N", 3)))
    assert CumProd().backward((np.ones(3),), np.ones(3), (False,)) == (None,)
