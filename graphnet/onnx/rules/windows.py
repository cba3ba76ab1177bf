"""Rules of convolutions, pooling and resizing."""

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
from ops.operator import Spec, known
from ops.windows import Windows

__all__ = ["WINDOWS", "conv", "shortest", "write_conv"]

_Pairs = tuple[tuple[int, int], ...]


def shortest(values: tuple[float, ...]) -> Any:
    """One number where all are equal."""
    return values[0] if len(set(values)) == 1 else values


def _padding(pairs: _Pairs) -> Any:
    """One number where all are equal, one an axis where both sides are, else pairs."""
    if all(begin == end for begin, end in pairs):
        return shortest(tuple(begin for begin, _ in pairs))
    return pairs


def _spatial(call: Call, item: Item | int = 0) -> tuple[int, ...]:
    return known(*call.shape(item)[2:])


def _windows(call: Call, kernel: tuple[int, ...]) -> dict[str, Any]:
    """The fields of a window, with the pads as pairs or a rule."""
    rank = len(kernel)
    stride = call.attribute("strides", None) or (1,) * rank
    dilation = call.attribute("dilations", None) or (1,) * rank
    pads = call.attribute("pads", None) or (0,) * (2 * rank)
    rule = call.attribute("auto_pad", "NOTSET")
    if len(pads) != 2 * rank or len(stride) != rank or len(dilation) != rank:
        raise OnnxError(
            f"expected pads, strides and dilations for {rank} spatial axes, "
            f"received {pads}, {stride} and {dilation}"
        )
    padding: Any = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if rule == "VALID":
        padding = ((0, 0),) * rank
    elif rule == "SAME_UPPER":
        padding = "same"
    elif rule == "SAME_LOWER":
        padding = _same_lower(_spatial(call), kernel, stride, dilation)
    elif rule not in ("NOTSET", ""):
        raise OnnxError(f"auto_pad {rule!r} is not supported")
    return {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def _same_lower(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: Any, dilation: Any
) -> _Pairs:
    """Padding for ``ceil(n / stride)`` windows, an odd surplus at the beginning."""
    totals = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    return tuple((total - total // 2, total // 2) for total in totals)


def _compact(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as a user would write them."""
    found = {
        name: shortest(tuple(value)) if isinstance(value, tuple) and name != "padding" else value
        for name, value in fields.items()
    }
    if not isinstance(found["padding"], str):
        found["padding"] = _padding(found["padding"])
    return found


def _begins_then_ends(pairs: _Pairs) -> list[int]:
    return [begin for begin, _ in pairs] + [end for _, end in pairs]


def _window_attributes(operator: Any, x: Spec) -> dict[str, Any]:
    """The attributes of a window over x."""
    windows = operator.windows(x)
    attributes = {
        "kernel_shape": list(windows.kernel),
        "strides": list(windows.stride),
        "dilations": list(windows.dilation),
    }
    if operator.padding == "same" and set(windows.dilation) == {1}:
        return {**attributes, "auto_pad": "SAME_UPPER"}
    return {**attributes, "pads": _begins_then_ends(windows.padding)}


# convolutions


def _conv(call: Call) -> Any:
    return conv(call, call.input(0), call.input(1), call.input(2))


def conv(call: Call, x: Item, weight: Item, bias: Item, part: str = "") -> Any:
    """The convolution that the attributes of a node describe."""
    sizes = known(*call.shape(weight))
    kernel = call.attribute("kernel_shape", None) or sizes[2:]
    fields = _compact(_windows(call, tuple(kernel)))
    groups = call.attribute("group")
    operator = ops.Conv(sizes[0], groups=groups, bias=bias is not None, **fields)
    return call.apply(operator, x, weight, bias, part=part)


def write_conv(draft: Draft, operator: ops.Conv) -> None:
    """Write a convolution."""
    attributes = _window_attributes(operator, draft.specs[0])
    draft.node("Conv", draft.inputs, draft.outputs, group=operator.groups, **attributes)


def _conv_transpose(call: Call) -> Any:
    x, weight, bias = (call.input(number) for number in range(3))
    sizes = known(*call.shape(weight))
    kernel = tuple(call.attribute("kernel_shape", None) or sizes[2:])
    rank, groups = len(kernel), call.attribute("group")
    stride = tuple(call.attribute("strides", None) or (1,) * rank)
    dilation = tuple(call.attribute("dilations", None) or (1,) * rank)
    extra = tuple(call.attribute("output_padding", None) or (0,) * rank)
    pads = call.attribute("pads", None) or (0,) * (2 * rank)
    rule = call.attribute("auto_pad", "NOTSET")
    wanted = call.attribute("output_shape", None)
    pairs: Any = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if rule == "VALID":
        pairs = ((0, 0),) * rank
    if wanted is not None or rule in ("SAME_UPPER", "SAME_LOWER"):
        inputs = _spatial(call)
        outs = wanted or tuple(n * s for n, s in zip(inputs, stride, strict=True))
        outs = outs[-rank:]
        found, more = [], []
        for n, s, k, d, plus, out in zip(
            inputs, stride, kernel, dilation, extra, outs, strict=True
        ):
            total = s * (n - 1) + plus + (k - 1) * d + 1 - out
            more.append(plus + max(-total, 0))
            total = max(total, 0)
            small, large = total // 2, total - total // 2
            found.append((small, large) if rule == "SAME_UPPER" else (large, small))
        pairs, extra = tuple(found), tuple(more)
    operator = ops.ConvTranspose(
        sizes[1] * groups,
        shortest(kernel),
        stride=shortest(stride),
        padding=_padding(pairs),
        output_padding=shortest(extra),
        dilation=shortest(dilation),
        groups=groups,
        bias=bias is not None,
    )
    return call.apply(operator, x, weight, bias)


def _write_conv_transpose(draft: Draft, operator: ops.ConvTranspose) -> None:
    windows = operator.windows(draft.specs[0])
    extra = operator.output_padding
    rank = len(windows.kernel)
    attributes = {
        "kernel_shape": list(windows.kernel),
        "strides": list(windows.stride),
        "dilations": list(windows.dilation),
        "group": operator.groups,
    }
    if operator.padding == "same":
        attributes["output_shape"] = list(windows.size)
        attributes["auto_pad"] = "SAME_UPPER"
    else:
        attributes["pads"] = _begins_then_ends(windows.padding)
        attributes["output_padding"] = [extra] * rank if isinstance(extra, int) else list(extra)
    draft.node("ConvTranspose", draft.inputs, draft.outputs, **attributes)


# pooling


def _ceiled(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with padding at the end for the windows that ``ceil_mode`` adds."""
    if not call.attribute("ceil_mode", 0) or fields["padding"] == "same":
        return fields
    pairs = []
    names = ("kernel_size", "stride", "dilation", "padding")
    axes = zip(_spatial(call), *(fields[name] for name in names), strict=True)
    for n, k, s, d, (begin, end) in axes:
        extent = d * (k - 1) + 1
        out = -(-(n + begin + end - extent) // s) + 1
        if (out - 1) * s >= n + begin:  # a window that starts in the padding does not count
            out -= 1
        pairs.append((begin, max((out - 1) * s + extent - n - begin, end)))
    return {**fields, "padding": tuple(pairs)}


def _pool_fields(call: Call) -> dict[str, Any]:
    return _windows(call, tuple(call.attribute("kernel_shape")))


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
        operator = ops.MaxPoolWithIndices(**_compact(fields), column_major=bool(order))
        return call.apply(operator, call.input(0))
    return _in_floats(call, ops.MaxPool(**_compact(fields)), call.input(0))


def _write_max_pool_with_indices(draft: Draft, operator: ops.MaxPoolWithIndices) -> None:
    attributes = _window_attributes(operator, draft.specs[0])
    order = int(operator.column_major)
    draft.node("MaxPool", draft.inputs, draft.outputs, storage_order=order, **attributes)


def _write_max_pool(draft: Draft, operator: ops.MaxPool) -> None:
    attributes = _window_attributes(operator, draft.specs[0])
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
        return call.apply(ops.AvgPool(count_include_pad=False, **_compact(fields)), x)
    return call.apply(ops.AvgPool(count_include_pad=counted, **_compact(ceiled)), x)


def _write_average_pool(draft: Draft, operator: ops.AvgPool) -> None:
    attributes = _window_attributes(operator, draft.specs[0])
    dilations = attributes.pop("dilations")
    if draft.opset >= 19:
        attributes["dilations"] = dilations
    elif set(dilations) != {1}:
        raise OnnxError("AveragePool has dilations from opset 19 on")
    counted = int(operator.count_include_pad)
    draft.node("AveragePool", draft.inputs, draft.outputs, count_include_pad=counted, **attributes)


def _lp_pool(call: Call) -> Any:
    fields = _compact(_ceiled(call, _pool_fields(call)))
    return call.apply(ops.LpPool(p=float(call.attribute("p")), **fields), call.input(0))


def _write_lp_pool(draft: Draft, operator: ops.LpPool) -> None:
    attributes = _window_attributes(operator, draft.specs[0])
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


def _col2im(call: Call) -> Any:
    image = call.integers(1, "the image shape")
    kernel = call.integers(2, "the block shape")
    fields = _compact(_windows(call, kernel))
    return call.apply(ops.Fold(image, **fields), call.input(0))


def _write_fold(draft: Draft, operator: ops.Fold) -> None:
    x = draft.results[0]
    attributes = _window_attributes(_Over(operator), x)
    kernel = draft.constant(np.array(attributes.pop("kernel_shape")), "kernel")
    size = draft.constant(np.array(operator.size), "size")
    draft.node("Col2Im", [*draft.inputs, size, kernel], draft.outputs, **attributes)


class _Over:
    """The windows of an operator that lays them back, over its result."""

    def __init__(self, operator: ops.Fold) -> None:
        self._operator = operator
        self.padding = None

    def windows(self, y: Spec) -> Windows:
        """All rules resolved."""
        fold = self._operator
        fields = fold.kernel_size, fold.stride, fold.padding, fold.dilation
        return Windows.over(y, *fields)


def _max_unpool(call: Call) -> Any:
    x, indices = call.inputs[:2]
    kernel = tuple(call.attribute("kernel_shape"))
    rank = len(kernel)
    stride = call.attribute("strides", None) or (1,) * rank
    pads = call.attribute("pads", None) or (0,) * (2 * rank)
    sides = zip(_spatial(call), kernel, stride, pads[:rank], pads[rank:], strict=True)
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


def _grid_sample(call: Call) -> Any:
    names = {"bilinear": "linear", "bicubic": "cubic"}
    mode = call.attribute("mode")
    operator = ops.GridSample(
        names.get(mode, mode),
        call.attribute("padding_mode"),
        bool(call.attribute("align_corners")),
    )
    return call.apply(operator, *call.inputs)


def _write_grid_sample(draft: Draft, operator: ops.GridSample) -> None:
    mode = operator.mode
    if draft.opset < 20:
        if draft.specs[0].rank != 4:
            raise OnnxError("the standard samples along two axes only, before opset 20")
        mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    draft.node(
        "GridSample",
        draft.inputs,
        draft.outputs,
        mode=mode,
        padding_mode=operator.padding,
        align_corners=int(operator.align_corners),
    )


WINDOWS: tuple[Rule, ...] = (
    Rule("Conv", _conv, ops.Conv, write_conv),
    Rule("ConvTranspose", _conv_transpose, ops.ConvTranspose, _write_conv_transpose),
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
    Rule("Col2Im", _col2im, ops.Fold, _write_fold, since=18),
    Rule("GridSample", _grid_sample, ops.GridSample, _write_grid_sample, since=16),
)
