"""Rules of pooling, and of its way back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import expect_affordable
from graphnet.onnx.rules.base import Rule, same
from graphnet.onnx.rules.window_fields import (
    attributes_of,
    compact,
    open_fields,
    spatial,
)
from ops.operator import Spec, known

__all__ = ["POOLING"]


def _ceiled(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with padding at the end for the windows that ``ceil_mode`` adds."""
    if not call.attribute("ceil_mode", 0) or fields["padding"] == "same":
        return fields
    pairs = []
    names = ("kernel_size", "stride", "dilation", "padding")
    axes = zip(spatial(call), *(fields[name] for name in names), strict=True)
    for n, k, s, d, (begin, end) in axes:
        extent = d * (k - 1) + 1
        out = -(-(n + begin + end - extent) // s) + 1
        if (out - 1) * s >= n + begin:  # a window that starts in the padding does not count
            out -= 1
        pairs.append((begin, max((out - 1) * s + extent - n - begin, end)))
    return {**fields, "padding": tuple(pairs)}


def _pool_fields(call: Call) -> dict[str, Any]:
    return open_fields(call, tuple(call.attribute("kernel_shape")))


def _in_floats(call: Call, operator: Any, x: Item) -> Any:
    """Pooling of integers, which float64 holds exactly."""
    dtype = call.dtype(x)
    if np.dtype(dtype).kind == "f":
        return call.apply(operator, x)
    return call.cast(call.apply(operator, call.cast(x, "float64", "floats")), dtype)


def _max_pool(call: Call) -> Any:
    fields = _ceiled(call, _pool_fields(call))
    order = call.attribute("storage_order", 0)
    if call.wants(1):
        operator = ops.MaxPoolWithIndices(**compact(fields), column_major=bool(order))
        return call.apply(operator, call.input(0))
    return _in_floats(call, ops.MaxPool(**compact(fields)), call.input(0))


def _write_max_pool_with_indices(draft: Draft, operator: ops.MaxPoolWithIndices) -> None:
    attributes = attributes_of(operator, draft.specs[0])
    order = int(operator.column_major)
    draft.node("MaxPool", draft.inputs, draft.outputs, storage_order=order, **attributes)


def _write_max_pool(draft: Draft, operator: ops.MaxPool) -> None:
    attributes = attributes_of(operator, draft.specs[0])
    draft.node("MaxPool", draft.inputs, draft.outputs, **attributes)


def _average_pool(call: Call) -> Any:
    x, fields = call.input(0), _pool_fields(call)
    counted = bool(call.attribute("count_include_pad", 0))
    ceiled = _ceiled(call, fields)
    if counted and ceiled["padding"] != fields["padding"]:
        # of the padding, only that which the model asks for counts
        pairs = fields["padding"]
        x = call.apply(ops.Pad(((0, 0), (0, 0), *pairs)), x, part="padded")
        rest = zip(ceiled["padding"], pairs, strict=True)
        beyond = tuple((0, more - end) for (_, more), (_, end) in rest)
        fields = {**fields, "padding": beyond}
        return call.apply(ops.AvgPool(count_include_pad=False, **compact(fields)), x)
    return call.apply(ops.AvgPool(count_include_pad=counted, **compact(ceiled)), x)


def _write_average_pool(draft: Draft, operator: ops.AvgPool) -> None:
    attributes = attributes_of(operator, draft.specs[0])
    dilations = attributes.pop("dilations")
    if draft.opset >= 19:
        attributes["dilations"] = dilations
    elif set(dilations) != {1}:
        raise OnnxError("AveragePool has dilations from opset 19 on")
    counted = int(operator.count_include_pad)
    draft.node("AveragePool", draft.inputs, draft.outputs, count_include_pad=counted, **attributes)


def _lp_pool(call: Call) -> Any:
    fields = compact(_ceiled(call, _pool_fields(call)))
    return call.apply(ops.LpPool(p=float(call.attribute("p")), **fields), call.input(0))


def _write_lp_pool(draft: Draft, operator: ops.LpPool) -> None:
    attributes = attributes_of(operator, draft.specs[0])
    whole = operator.p.is_integer()
    since = 18 if whole else 19
    if draft.opset < since and set(attributes.pop("dilations")) != {1}:
        raise OnnxError(f"dilations are there from opset {since} on")
    if whole:
        draft.node("LpPool", draft.inputs, draft.outputs, p=int(operator.p), **attributes)
        return
    power, root = _powers(draft, operator.p)
    mean = draft.node("AveragePool", [power], count_include_pad=1, **attributes)
    count = math.prod(attributes["kernel_shape"])
    size = draft.constant(np.array(count, draft.specs[0].dtype), "size")
    draft.node("Pow", [draft.node("Mul", [mean, size]), root], draft.outputs)


def _powers(draft: Draft, p: float) -> tuple[str, str]:
    """The powers of the absolute values, and the exponent of the root."""
    dtype = draft.specs[0].dtype
    exponent, root = (draft.constant(np.array(v, dtype), n) for v, n in ((p, "p"), (1 / p, "root")))
    return draft.node("Pow", [draft.node("Abs", draft.inputs), exponent]), root


def _global_lp_pool(call: Call) -> Any:
    return call.apply(ops.GlobalLpPool(float(call.attribute("p"))), call.input(0))


def _write_global_lp_pool(draft: Draft, operator: ops.GlobalLpPool) -> None:
    if operator.p.is_integer():
        draft.node("GlobalLpPool", draft.inputs, draft.outputs, p=int(operator.p))
        return
    power, root = _powers(draft, operator.p)
    total = draft.total(power, np.arange(2, draft.specs[0].rank))
    draft.node("Pow", [total, root], draft.outputs)


def _ranges(n: int, out: int) -> list[tuple[int, int]]:
    """The windows of adaptive pooling along an axis: even, and without a gap."""
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def _adaptive_axes(draft: Draft) -> list[tuple[int, int, int]]:
    """The axes that adaptive pooling changes, with their sizes before and after."""
    x, y = (known(*spec.shape[2:]) for spec in (draft.specs[0], draft.results[0]))
    sizes = enumerate(zip(x, y, strict=True), start=2)
    return [(axis, n, out) for axis, (n, out) in sizes if n != out]


def _write_adaptive_mean(draft: Draft, _: ops.AdaptiveAvgPool) -> None:
    """Along each axis the product with a matrix of shares."""
    (x,), rank = draft.inputs, draft.specs[0].rank
    letters = "nchwd"[:rank]
    for axis, n, out in _adaptive_axes(draft):
        matrix = np.zeros((out, n), draft.specs[0].dtype)
        for row, (start, end) in enumerate(_ranges(n, out)):
            matrix[row, start:end] = 1 / (end - start)
        equation = f"{letters},z{letters[axis]}->{letters.replace(letters[axis], 'z')}"
        x = draft.node("Einsum", [x, draft.constant(matrix, "shares")], equation=equation)
    draft.node("Identity", [x], draft.outputs)


def _write_adaptive_max(draft: Draft, _: ops.AdaptiveMaxPool) -> None:
    """Along each axis the largest of the entries of a window, the last of which may repeat."""
    (x,) = draft.inputs
    for axis, n, out in _adaptive_axes(draft):
        windows = _ranges(n, out)
        widest = max(end - start for start, end in windows)
        rows = [[min(start + i, end - 1) for i in range(widest)] for start, end in windows]
        entries = draft.node("Gather", [x, draft.constant(np.array(rows), "windows")], axis=axis)
        if draft.opset < 18:
            x = draft.node("ReduceMax", [entries], axes=[axis + 1], keepdims=0)
        else:
            axes = draft.constant(np.array([axis + 1]), "axes")
            x = draft.node("ReduceMax", [entries, axes], keepdims=0)
    draft.node("Identity", [x], draft.outputs)


def _max_unpool(call: Call) -> Any:
    x, indices = call.inputs[:2]
    kernel = tuple(call.attribute("kernel_shape"))
    rank = len(kernel)
    stride = call.attribute("strides", None) or (1,) * rank
    pads = call.attribute("pads", None) or (0,) * (2 * rank)
    sides = zip(spatial(call), kernel, stride, pads[:rank], pads[rank:], strict=True)
    usual = tuple((n - 1) * s - begin - end + k for n, k, s, begin, end in sides)
    wanted = usual
    if call.input(2) is not None:
        wanted = call.integers(2, "the output shape")[-rank:]
    expect_affordable((Spec(usual, "float64"), Spec(wanted, "float64")))
    y = call.apply(ops.MaxUnpool(usual), x, indices, part="" if wanted == usual else "usual")
    if wanted == usual:
        return y
    # places are counted in the usual size
    border = tuple((0, out - n) for out, n in zip(wanted, usual, strict=True))
    return call.apply(ops.Pad(((0, 0), (0, 0), *border)), y)


def _write_max_unpool(draft: Draft, operator: ops.MaxUnpool) -> None:
    # windows side by side, the last of which reaches the end: the places say the rest
    sizes = known(*draft.specs[0].shape[2:])
    kernel = [out - n + 1 for n, out in zip(sizes, operator.size, strict=True)]
    stride = [1] * len(sizes)
    if min(kernel) < 1:
        raise OnnxError(f"the standard unpools to larger sizes only, not {operator.size}")
    draft.node("MaxUnpool", draft.inputs, draft.outputs, kernel_shape=kernel, strides=stride)


POOLING: tuple[Rule, ...] = (
    Rule("MaxPool", _max_pool, ops.MaxPool, _write_max_pool),
    Rule("AveragePool", _average_pool, ops.AvgPool, _write_average_pool),
    Rule("LpPool", _lp_pool, ops.LpPool, _write_lp_pool),
    *same("GlobalAveragePool", ops.GlobalAvgPool),
    *same("GlobalMaxPool", ops.GlobalMaxPool),
    Rule("GlobalLpPool", _global_lp_pool, ops.GlobalLpPool, _write_global_lp_pool),
    Rule("AdaptiveAvgPool", None, ops.AdaptiveAvgPool, _write_adaptive_mean),
    Rule("AdaptiveMaxPool", None, ops.AdaptiveMaxPool, _write_adaptive_max),
    Rule("MaxPool", _max_pool, ops.MaxPoolWithIndices, _write_max_pool_with_indices),
    Rule("MaxUnpool", _max_unpool, ops.MaxUnpool, _write_max_unpool),
)
