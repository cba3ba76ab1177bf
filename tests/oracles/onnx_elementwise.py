"""Functions of single entries, of bits and of dtypes, as the ONNX standard has them."""

from __future__ import annotations

import numpy as np

from tests.oracles.onnx_node import helper, run


def bit_shift(operator, a, b):
    return run("BitShift", a, b, direction=operator.direction.upper())


def modulo(operator, a, b):
    if not operator.truncated and a.dtype.kind == "f":
        return None  # of floating numbers the standard has the truncated one alone
    return run("Mod", a, b, fmod=int(operator.truncated))


def to_dtype(name):
    def apply(operator, x):
        return run(name, x, to=helper.np_dtype_to_tensor_dtype(np.dtype(operator.dtype)))

    return apply


def triangle(operator, x):
    return run("Trilu", x, np.int64(operator.diagonal), upper=int(operator.upper))


def quantize(operator, x, scale, zero_point=None):
    zero = np.zeros(scale.shape, operator.dtype) if zero_point is None else zero_point
    block = operator.block_size or 0
    return run("QuantizeLinear", x, scale, zero, axis=operator.axis, block_size=block)


def dequantize(operator, x, scale, zero_point=None):
    block = operator.block_size or 0
    return run("DequantizeLinear", x, scale, zero_point, axis=operator.axis, block_size=block)


def dft(operator, x):
    length = None if operator.length is None else np.int64(operator.length)
    flags = {"inverse": int(operator.inverse), "onesided": int(operator.onesided)}
    return run("DFT", x, length, np.int64(operator.axis), **flags)


def lp_normalization(operator, x):
    if operator.p != 2.0 or not x.size:
        return None  # the standard has 1 too, where its reference implementation forgets signs
    return run("LpNormalization", x, axis=operator.axis, p=2)
