"""Quantization where its records do not reach: halves, infinities, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.quantization import Dequantize, Quantize

X = Spec(("N", 4, 6))


def test_halves_go_to_the_even_integer_and_the_rest_to_the_ends():
    x = np.array([0.5, 1.5, 2.5, -0.5, 1e30, -np.inf], "float32")
    y, saved = Quantize(0, dtype="int8").forward(x, np.array(1.0, "float32"))
    assert y.tolist() == [0, 2, 2, 0, 127, -128] and y.dtype == "int8"
    assert Quantize().backward(saved, None, (True, True, False)) == (None, None, None)


def test_a_round_trip_is_off_by_half_a_scale_at_most():
    x = np.random.default_rng(0).normal(size=(3, 4))
    scale, zero = np.array([0.1, 0.05, 0.2, 0.1]), np.array([128, 100, 120, 140], "uint8")
    again, _ = Dequantize(1).forward(Quantize(1).forward(x, scale, zero)[0], scale, zero)
    assert (np.abs(again - x) <= scale / 2 + 1e-12).all()


def test_the_symbolic_batch_is_carried_along():
    for scale in (Spec(()), Spec((1,)), Spec((4,))):
        assert Quantize().infer(X, scale) == Spec(X.shape, "uint8")
        assert Dequantize().infer(Spec(X.shape, "int8"), scale) == X
    assert Quantize(2, 3).infer(X, Spec(("N", 4, 2))) == Spec(X.shape, "uint8")
    assert Quantize().flops(X.bind(1), Spec(())) == 48


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Quantize(), [Spec(("N", 4), "int8"), Spec(())], "an input of a floating dtype"),
        (Quantize(), [X, Spec((5,))], r"one for each entry of axis 1 of float32 \(N, 4, 6\)"),
        (Quantize(), [X, Spec((4, 1))], "expected one scale, or one for each entry"),
        (Quantize(), [X, Spec((4,), "float64")], "a scale of float32, received float64"),
        (Quantize(), [X, Spec((4,), "int8")], "a scale of a floating dtype"),
        (Quantize(), [X, Spec((4,)), Spec((4,), "int8")], r"a zero point uint8 \(4,\), received"),
        (Quantize(2, 4), [X, Spec(("N", 4, 2))], "each block of 4 along axis 2"),
        (Quantize(2, 3), [X, Spec((2,))], "each block of 3 along axis 2"),
        (Quantize(2, 3), [X, Spec(("N", 5, 2))], "each block of 3 along axis 2"),
        (Dequantize(), [X, Spec(())], "an input of an integer dtype, received float32"),
        (Dequantize(), [Spec((2, 2), "int8"), Spec(()), Spec((), "uint8")], "a zero point int8"),
        (Dequantize(3), [Spec((2, 2), "int8"), Spec((2,))], "axis in -2..1, received 3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Quantize(0.5), TypeError, "Quantize: expected an integer for axis"),
        (lambda: Quantize(1, 0), ValueError, "Quantize: expected block_size of at least 1"),
        (lambda: Quantize(dtype="int32"), ValueError, 'expected "uint8", "int8", "uint16" or'),
        (lambda: Dequantize(1, 1.5), TypeError, "Dequantize: expected an integer for block_size"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_a_gradient_nobody_needs_is_none():
    y, saved = Dequantize().forward(np.array([1], "int8"), np.array(2.0), np.array(0, "int8"))
    assert Dequantize().backward(saved, y, (False, False, False)) == (None, None, None)
