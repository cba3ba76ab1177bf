"""Rules of quantized operators: each is what it means in floats, rounded where the standard rounds.

Products of 8-bit integers are summed in float64, which holds them exactly.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import ops
from graphnet.onnx.call import Call, Item, dtype_name
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known, is_computed
from graphnet.onnx.rules.base import Rule, only_read, reshape
from graphnet.onnx.rules.convolutions import conv
from ops.operator import known

__all__ = ["QUANTIZED"]

#: The sum of 8-bit products in it is exact.
_WIDE = "float64"


#: What :class:`ops.Quantize` gives.
_INTEGERS = ("uint8", "int8", "uint16", "int16")


def _along(call: Call, item: Item, x: Item, axis: int, block: int) -> Any:
    """A scale or zero point in a shape that broadcasts to x."""
    sizes, rank = call.shape(item), call.rank(x)
    if sizes in ((), (1,)):
        return reshape(call, item, (), "scalar")
    if block:
        (size,) = known(call.shape(x)[axis])
        places = Known(np.arange(size) // block)
        return call.apply(ops.Gather(axis % rank), item, places, part="blocks")
    if len(sizes) == 1:
        shape = [1] * rank
        (shape[axis],) = known(sizes[0])
        return reshape(call, item, tuple(shape), "across")
    return item


def _quantize(call: Call) -> Any:
    x, scale, zero = (call.input(number) for number in range(3))
    call.attribute("precision", 0)
    saturate = bool(call.attribute("saturate", 1))
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    wanted = call.attribute("output_dtype", 0)
    dtype = dtype_name(wanted) if wanted else "uint8" if zero is None else call.dtype(zero)
    if np.dtype(call.dtype(x)).kind in "iu":
        x = call.cast(x, call.dtype(scale), "x")
    scale = call.cast(scale, call.dtype(x), "scale")
    if dtype in _INTEGERS and is_computed(np.dtype(call.dtype(x))):
        return call.apply(ops.Quantize(axis, block or None, dtype), x, scale, zero)
    return _quantized(call, x, scale, zero, dtype, (axis, block), saturate)


def _quantized(
    call: Call,
    x: Item,
    scale: Item,
    zero: Item,
    dtype: str,
    at: tuple[int, int] = (1, 0),
    saturate: bool = True,
) -> Any:
    """``x / scale``, rounded to an integer if the dtype is one, and moved by the zero point."""
    y = call.apply(ops.Divide(), x, _along(call, scale, x, *at), part="scaled")
    limits = _limits(dtype)
    if limits is not None:
        y = call.apply(ops.Round(), y, part="rounded")
    if zero is not None:
        shift = call.cast(_along(call, zero, x, *at), call.dtype(y), "zero")
        y = call.apply(ops.Add(), y, shift, part="moved")
    if limits is not None:
        y = call.apply(ops.Clip(*limits), y, part="clipped")
    return call.cast(y, dtype, "", saturate=saturate)


def _write_scaled(name: str) -> Any:
    def write(draft: Draft, operator: Any) -> None:
        fields: dict[str, Any] = {"axis": operator.axis}
        narrow = {"uint8", "int8", "int32"}
        dtype = draft.results[0].dtype if name == "QuantizeLinear" else draft.specs[0].dtype
        if draft.opset < 21 and (operator.block_size or dtype not in narrow):
            raise OnnxError("blocks and 16-bit integers are there from opset 21 on")
        if operator.block_size:
            fields["block_size"] = operator.block_size
        inputs = draft.inputs
        if name == "QuantizeLinear" and not [*inputs, ""][2]:
            # without a zero point the dtype is uint8
            shape = known(*draft.specs[1].shape)
            zero = draft.constant(np.zeros(shape, operator.dtype), "zero")
            inputs = [*inputs[:2], zero] if operator.dtype != "uint8" else inputs
            draft.as_function = operator.dtype != "uint8"
        draft.node(name, inputs, draft.outputs, **fields)

    return write


def _limits(dtype: str) -> tuple[float, float] | None:
    """The range of an integer dtype; None for a floating one."""
    if "int" not in dtype:
        return None
    limits: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return float(limits.min), float(limits.max)


def _dequantize(call: Call) -> Any:
    x, scale, zero = (call.input(number) for number in range(3))
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    wanted = call.attribute("output_dtype", 0)
    dtype = dtype_name(wanted) if wanted else call.dtype(scale)
    floats = call.dtype(scale)
    if np.dtype(call.dtype(x)).kind in "iu" and dtype == floats and is_computed(np.dtype(floats)):
        return call.apply(ops.Dequantize(axis, block or None), x, scale, zero)
    y = _centred(call, x, zero, call.dtype(scale), (axis, block))
    y = call.apply(ops.Multiply(), y, _along(call, scale, x, axis, block))
    return call.cast(y, dtype)


def _centred(
    call: Call, x: Item, zero: Item, dtype: str, at: tuple[int, int], part: str = ""
) -> Any:
    """X less its zero point, as floats."""
    y = call.cast(x, dtype, f"{part}floats")
    if zero is None:
        return y
    shift = call.cast(_along(call, zero, x, *at), dtype, f"{part}zero")
    return call.apply(ops.Subtract(), y, shift, part=f"{part}centred")


def _matmul_integer(call: Call) -> Any:
    a, b, zero_a, zero_b = (call.input(number) for number in range(4))
    product = _product(call, a, zero_a, b, zero_b)
    return call.cast(product, "int32", "")


def _product(call: Call, a: Item, zero_a: Item, b: Item, zero_b: Item) -> Any:
    rows = max(call.rank(a) - 2, 0), 0
    columns = call.rank(b) - 1, 0
    left = _centred(call, a, zero_a, _WIDE, rows, "a.")
    right = _centred(call, b, zero_b, _WIDE, columns, "b.")
    return call.apply(ops.MatMul(), left, right, part="product")


def _conv_integer(call: Call) -> Any:
    x, weight, zero_x, zero_weight = (call.input(number) for number in range(4))
    y = _convolved(call, x, zero_x, weight, zero_weight, None)
    return call.cast(y, "int32", "")


def _convolved(
    call: Call, x: Item, zero_x: Item, weight: Item, zero_weight: Item, bias: Item
) -> Any:
    left = _centred(call, x, zero_x, _WIDE, (1, 0), "x.")
    right = _centred(call, weight, zero_weight, _WIDE, (0, 0), "weight.")
    return conv(call, left, right, bias, "convolved")


def _rescaled(
    call: Call, total: Item, scales: tuple[Item, Item, Item], zero: Item, axis: int
) -> Any:
    """Sums of products of two scales, in another scale, rounded to the dtype of its zero point."""
    a, b, y = (call.cast(scale, _WIDE, "scale") for scale in scales)
    both = call.apply(
        ops.Multiply(),
        _along(call, a, total, axis, 0),
        _along(call, b, total, axis, 0),
        part="scales",
    )
    exact = call.apply(ops.Multiply(), total, both, part="sums")
    return _quantized(call, exact, y, zero, call.dtype(zero))


def _qlinear_matmul(call: Call) -> Any:
    a, scale_a, zero_a, b, scale_b, zero_b, scale, zero = call.inputs
    for item in (scale_a, scale_b, scale):
        if call.shape(item) not in ((), (1,)):
            raise OnnxError("a scale for each row or column is not supported")
    total = _product(call, a, zero_a, b, zero_b)
    return _rescaled(call, total, (scale_a, scale_b, scale), zero, 1)


def _qlinear_conv(call: Call) -> Any:
    x, scale_x, zero_x, weight, scale_w, zero_w, scale, zero = call.inputs[:8]
    bias = call.cast(call.input(8), _WIDE, "bias")
    total = _convolved(call, x, zero_x, weight, zero_w, bias)
    return _rescaled(call, total, (scale_x, scale_w, scale), zero, 1)


QUANTIZED: tuple[Rule, ...] = (
    Rule("QuantizeLinear", _quantize, ops.Quantize, _write_scaled("QuantizeLinear")),
    Rule("DequantizeLinear", _dequantize, ops.Dequantize, _write_scaled("DequantizeLinear")),
    *only_read(_matmul_integer, "MatMulInteger"),
    *only_read(_conv_integer, "ConvInteger"),
    *only_read(_qlinear_matmul, "QLinearMatMul"),
    *only_read(_qlinear_conv, "QLinearConv"),
)
