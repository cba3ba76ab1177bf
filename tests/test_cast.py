"""Casts where their record does not reach: narrower floating dtypes, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.cast import BitCast, Cast


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
@pytest.mark.parametrize("target", ["float16", "float32", "float64"])
def test_the_gradient_returns_in_the_dtype_of_the_input(source, target):
    x = np.array([1.5, -2.0], source)
    y, saved = Cast(target).forward(x)
    dy = np.array([0.25, 3.0], target)
    (dx,) = Cast(target).backward(saved, dy, (True,))
    assert y.dtype == target and y.tolist() == x.tolist()
    assert dx.dtype == source and dx.tolist() == dy.tolist()
    assert not np.shares_memory(dx, dy) and not np.shares_memory(x, y)


@pytest.mark.parametrize("target", ["int64", "bool"])
def test_no_gradient_flows_through_a_cast_to_integers_even_if_it_is_asked_for(target):
    _, saved = Cast(target).forward(np.array([1.5]))
    assert Cast(target).backward(saved, None, (True,)) == (None,)
    assert Cast("float64").backward(saved, np.ones(1), (False,)) == (None,)


def test_integers_wrap_around_and_fractions_are_cut_off():
    assert Cast("uint8").forward(np.array([-1, 256, 257]))[0].tolist() == [255, 0, 1]
    assert Cast("int32").forward(np.array([-1.9, 1.9]))[0].tolist() == [-1, 1]
    assert Cast("bool").forward(np.array([0.0, -0.0, 0.5, np.nan]))[0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("operator", [Cast("int32"), BitCast("int32")])
def test_the_symbolic_batch_is_carried_along(operator):
    assert operator.infer(Spec(("N", 3))) == Spec(("N", 3), "int32")
    assert operator.flops(Spec((2, 3))) == 0


def test_the_bits_of_floating_numbers_are_those_of_ieee_754():
    x = np.array([[1.0, -2.0], [0.0, np.inf]], "float32").T  # not contiguous
    y, saved = BitCast("uint32").forward(x)
    assert y.tolist() == [[0x3F800000, 0], [0xC0000000, 0x7F800000]]
    assert BitCast("uint32").backward(saved, None, (True,)) == (None,)
    np.testing.assert_array_equal(BitCast("float32").forward(y)[0], x)


def test_equal_dtypes_hand_the_gradient_on():
    y, saved = BitCast("float64").forward(np.array([0.5]))
    (dx,) = BitCast("float64").backward(saved, y, (True,))
    assert dx.tolist() == [0.5] and not np.shares_memory(dx, y)
    assert BitCast("float64").backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize("x", [Spec((2,), "float64"), Spec((4,), "bool"), Spec((1,), "int8")])
def test_bits_of_another_width_are_refused(x):
    with pytest.raises(ShapeError, match="expected entries of 4 bytes, received"):
        BitCast("float32").infer(x)


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (lambda: Cast("text"), "Cast: expected a boolean, integer or floating dtype"),
        (lambda: Cast(None), "Cast: expected a boolean, integer or floating dtype"),
        (lambda: BitCast("complex64"), "BitCast: expected a boolean, integer or floating dtype"),
        (lambda: BitCast("bool"), "BitCast: expected another dtype than bool"),
    ],
)
def test_a_dtype_that_makes_no_sense_is_refused(construct, message):
    with pytest.raises(ValueError, match=message):
        construct()


def test_the_dtype_is_kept_as_its_name():
    assert Cast(np.float32) == Cast("float32") and type(Cast(np.dtype("int8")).dtype) is str
