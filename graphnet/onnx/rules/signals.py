"""Rules of Fourier transforms, which are products with matrices of sines and cosines."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item, dtype_name
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known, expect_affordable
from graphnet.onnx.rules.base import Rule, only_read
from ops.operator import Spec, known
from ops.tapers import mel_weight_matrix

__all__ = ["SIGNALS"]


def _dft(call: Call) -> Any:
    x, rank = call.input(0), call.rank()
    inverse, onesided = bool(call.attribute("inverse")), bool(call.attribute("onesided"))
    if call.opset < 20:
        axis = call.attribute("axis")
    else:
        axis = -2 if call.input(2) is None else int(call.number(2, "the axis"))
    axis %= rank
    (size,) = known(call.shape()[axis])
    length = size
    if inverse and onesided:
        length = 2 * (size - 1)
    if call.input(1) is not None:
        length = int(call.number(1, "the length"))
    return _transform(call, x, axis, length, inverse=inverse, onesided=onesided)


def _transform(
    call: Call, x: Item, axis: int, length: int, *, inverse: bool, onesided: bool
) -> Any:
    """The transform along an axis; the last axis holds real and imaginary parts."""
    rank, sizes = call.rank(x), known(*call.shape(x))
    size, parts = sizes[axis], sizes[-1]
    if parts not in (1, 2):
        raise OnnxError(f"expected real numbers or pairs along the last axis, received {parts}")
    half = length // 2 + 1
    read = half if inverse and onesided else length
    if size > read:
        x = call.apply(ops.Slice((0,), (read,), (axis,)), x, part="cut")
        size = read
    wanted = half if onesided and not inverse else length
    matrix = _matrix(size, wanted, length, parts, inverse=inverse, onesided=onesided)
    order = (*(a for a in range(rank - 1) if a != axis), axis, rank - 1)
    # (..., size, parts) -> (..., size * parts) -> (..., wanted * results) -> (..., wanted, results)
    moved = call.apply(ops.Transpose(order), x, part="moved")
    leading = tuple(sizes[a] for a in order[:-2])
    rows = call.apply(ops.Reshape((*leading, size * parts)), moved, part="rows")
    rows = rows if leading else call.apply(ops.Unsqueeze(0), rows, part="row")
    # sums over a whole axis, whose parts cancel each other
    wide = call.cast(rows, "float64", "wide")
    product = call.apply(ops.MatMul(), wide, call.constant(matrix, wide), part="product")
    product = call.cast(product, call.dtype(x), "narrow")
    results = matrix.shape[1] // wanted
    apart = call.apply(ops.Reshape((*leading, wanted, results)), product, part="pairs")
    return call.apply(ops.Transpose(tuple(np.argsort(order).tolist())), apart)


def _matrix(
    size: int, wanted: int, length: int, parts: int, *, inverse: bool, onesided: bool
) -> np.ndarray:
    """``(size * parts, wanted * results)``; results are real alone for an inverse from one side."""
    expect_affordable((Spec((size, wanted, 4), "float64"),))
    angle = 2 * np.pi * (np.outer(np.arange(size), np.arange(wanted)) % length) / length
    sign = 1.0 if inverse else -1.0
    # exp(i sign angle): the real and imaginary part of the result, for each part of the input
    real = np.stack([np.cos(angle), sign * np.sin(angle)], axis=-1)
    imaginary = np.stack([-sign * np.sin(angle), np.cos(angle)], axis=-1)
    table = np.stack([real, imaginary][:parts], axis=1)  # (size, parts, wanted, 2)
    if inverse:
        table = table / length
        if onesided:
            # each frequency but the first, and the last of an even length, stands for two
            share = np.full(size, 2.0)
            share[0] = 1.0
            if length % 2 == 0 and size > length // 2:
                share[length // 2] = 1.0
            table = (table * share[:, None, None, None])[..., :1]
    return table.reshape(size * parts, -1)


def _stft(call: Call) -> Any:
    signal, window = call.input(0), call.input(2)
    step = int(call.number(1, "the step"))
    onesided = bool(call.attribute("onesided"))
    (size,) = known(call.shape()[1])
    if call.input(3) is not None:
        length = int(call.number(3, "the frame length"))
    elif window is not None:
        (length,) = known(call.shape(window)[0])
    else:
        length = size
    frames = (size - length) // step + 1
    places = np.arange(frames)[:, None] * step + np.arange(length)
    # (N, T, parts) -> (N, frames, length, parts)
    cut = call.apply(ops.Gather(1), signal, Known(places), part="frames")
    if window is not None:
        shaped = call.apply(ops.Reshape((length, 1)), window, part="window")
        cut = call.apply(ops.Multiply(), cut, shaped, part="windowed")
    return _transform(call, cut, 2, length, inverse=False, onesided=onesided)


def _mel_weights(call: Call) -> Any:
    bands, length, rate = (int(call.number(i, "the mel matrix")) for i in range(3))
    low, high = (float(call.number(i, "the mel matrix")) for i in (3, 4))
    dtype = dtype_name(call.attribute("output_datatype", 1))
    expect_affordable((Spec((length // 2 + 1, bands), "float64"),))
    return call.cast(Known(mel_weight_matrix(bands, length, rate, low, high, "float64")), dtype)


SIGNALS: tuple[Rule, ...] = (
    *only_read(_dft, "DFT"),
    *only_read(_stft, "STFT"),
    *only_read(_mel_weights, "MelWeightMatrix"),
)
