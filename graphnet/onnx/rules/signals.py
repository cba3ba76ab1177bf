"""Rules of Fourier transforms and spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item, dtype_name
from graphnet.onnx.draft import Draft
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
    length = None if call.input(1) is None else int(call.number(1, "the length"))
    return _transform(call, x, axis, length, inverse=inverse, onesided=onesided)


def _transform(
    call: Call, x: Item, axis: int, length: int | None, *, inverse: bool, onesided: bool
) -> Any:
    """The transform along an axis; the last axis holds real and imaginary parts."""
    if onesided and not inverse and call.shape(x)[-1] == 2:
        raise OnnxError("one side of the spectrum of complex numbers does not say all of it")
    return call.apply(ops.DFT(axis, inverse, onesided, length), x)


def _write_dft(draft: Draft, operator: ops.DFT) -> None:
    (x,), spec = draft.inputs, draft.specs[0]
    axis = operator.axis % spec.rank
    fields: dict[str, Any] = {"inverse": int(operator.inverse), "onesided": int(operator.onesided)}
    length = ""
    if operator.length is not None:
        length = draft.constant(np.array(operator.length, "int64"), "length")
    if draft.opset < 20:
        draft.node("DFT", [x, length], draft.outputs, axis=axis, **fields)
        return
    given = draft.constant(np.array(axis, "int64"), "axis")
    draft.node("DFT", [x, length, given], draft.outputs, **fields)


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
    return _transform(call, cut, 2, None, inverse=False, onesided=onesided)


def _mel_weights(call: Call) -> Any:
    bands, length, rate = (int(call.number(i, "the mel matrix")) for i in range(3))
    low, high = (float(call.number(i, "the mel matrix")) for i in (3, 4))
    dtype = dtype_name(call.attribute("output_datatype", 1))
    expect_affordable((Spec((length // 2 + 1, bands), "float64"),))
    return call.cast(Known(mel_weight_matrix(bands, length, rate, low, high, "float64")), dtype)


SIGNALS: tuple[Rule, ...] = (
    Rule("DFT", _dft, ops.DFT, _write_dft, since=17),
    *only_read(_stft, "STFT"),
    *only_read(_mel_weights, "MelWeightMatrix"),
)
