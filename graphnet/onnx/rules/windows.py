"""Rules of convolutions, pooling and resizing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules.base import Rule, only_read, same
from ops.operator import Spec, known

if TYPE_CHECKING:
    from graphnet.onnx.draft import Draft

__all__ = ["WINDOWS"]

_Pairs = tuple[tuple[int, int], ...]


def _shortest(values: tuple[int, ...]) -> Any:
    """One number where all are equal."""
    return values[0] if len(set(values)) == 1 else values


def _padding(pairs: _Pairs) -> Any:
    """One number where all are equal, one an axis where both sides are, else pairs."""
    if all(begin == end for begin, end in pairs):
        return _shortest(tuple(begin for begin, _ in pairs))
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
        name: _shortest(tuple(value)) if isinstance(value, tuple) and name != "padding" else value
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
    if operator.padding == "same":
        return {**attributes, "auto_pad": "SAME_UPPER"}
    return {**attributes, "pads": _begins_then_ends(windows.padding)}


# convolutions


def _conv(call: Call) -> Any:
    x, weight, bias = (call.input(number) for number in range(3))
    sizes = known(*call.shape(weight))
    kernel = call.attribute("kernel_shape", None) or sizes[2:]
    fields = _compact(_windows(call, tuple(kernel)))
    groups = call.attribute("group")
    operator = ops.Conv(sizes[0], groups=groups, bias=bias is not None, **fields)
    return call.apply(operator, x, weight, bias)


def _write_conv(draft: Draft, operator: ops.Conv) -> None:
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
        _shortest(kernel),
        stride=_shortest(stride),
        padding=_padding(pairs),
        output_padding=_shortest(extra),
        dilation=_shortest(dilation),
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
    kernel = tuple(call.attribute("kernel_shape"))
    fields = _windows(call, kernel)
    return fields


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
        return _with_places(call, fields, order)
    return _in_floats(call, ops.MaxPool(**_compact(fields)), call.input(0))


def _with_places(call: Call, fields: dict[str, Any], order: int) -> Any:
    """Maxima, and where they lie in the flattened input."""
    x, sizes = call.input(0), known(*call.shape())
    y = _in_floats(call, ops.MaxPool(**_compact(fields)), x)
    operator = ops.MaxPool(**_compact(fields))
    windows = operator.windows(Spec(sizes))
    spatial = sizes[2:]
    numbers = np.arange(math.prod(spatial)).reshape(spatial, order="F" if order else "C")
    padded = np.pad(numbers, windows.padding, constant_values=-1)
    entries: Any = call.cast(x, "float64", "entries")
    low = ops.Pad(((0, 0), (0, 0), *windows.padding), -math.inf)
    entries = call.apply(low, entries, part="padded") if padded.shape != spatial else entries
    # all entries of a window side by side: (N, C, *out, kernel)
    places = [padded[here] for here in windows.positions]
    parts = []
    flat = np.arange(padded.size).reshape(padded.shape)
    rows = call.apply(ops.Reshape((sizes[0], sizes[1], -1)), entries, part="rows")
    for number, here in enumerate(windows.positions):
        picked = call.constant(flat[here].reshape(-1), "int64")
        parts.append(call.apply(ops.Gather(2), rows, picked, part=f"window{number}"))
    stacked = call.apply(ops.Stack(3), *parts, part="windows")  # (N, C, out, kernel)
    best = call.apply(ops.ArgMax(axis=3, keepdims=True), stacked, part="best")
    table = np.stack([place.reshape(-1) for place in places], axis=-1)  # (out, kernel)
    shape = (sizes[0], sizes[1], *table.shape)
    where = call.constant(np.broadcast_to(table, shape), "int64")
    found = call.apply(ops.GatherElements(3), where, best, part="places")  # (N, C, out, 1)
    # the first entry of each image of the batch
    first = np.arange(sizes[0] * sizes[1]).reshape(sizes[0], sizes[1], 1, 1) * math.prod(spatial)
    base = call.constant(np.broadcast_to(first, (*shape[:3], 1)), "int64")
    whole = call.apply(ops.Add(), found, base, part="whole")
    return y, call.apply(ops.Reshape((sizes[0], sizes[1], *windows.out)), whole, part="indices")


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
    if not operator.p.is_integer():
        raise OnnxError(f"the standard has whole exponents of LpPool, not {operator.p}")
    attributes = _window_attributes(operator, draft.specs[0])
    dilations = attributes.pop("dilations")
    if draft.opset >= 18:
        attributes["dilations"] = dilations
    elif set(dilations) != {1}:
        raise OnnxError("LpPool has dilations from opset 18 on")
    draft.node("LpPool", draft.inputs, draft.outputs, p=int(operator.p), **attributes)


def _global_lp_pool(call: Call) -> Any:
    return call.apply(ops.GlobalLpPool(float(call.attribute("p"))), call.input(0))


def _write_global_lp_pool(draft: Draft, operator: ops.GlobalLpPool) -> None:
    if not operator.p.is_integer():
        raise OnnxError(f"the standard has whole exponents of GlobalLpPool, not {operator.p}")
    draft.node("GlobalLpPool", draft.inputs, draft.outputs, p=int(operator.p))


def _write_adaptive(name: str) -> Any:
    """Adaptive pooling whose windows are all of one size and distance."""

    def write(draft: Draft, operator: Any) -> None:
        x, y = draft.specs[0], draft.results[0]
        pairs = list(zip(known(*x.shape[2:]), known(*y.shape[2:]), strict=True))
        if any(n % out for n, out in pairs):
            raise OnnxError(
                f"the standard has no adaptive pooling, and {x} does not divide into "
                f"equal windows, {y.shape[2:]} of them"
            )
        kernel = [n // out for n, out in pairs]
        draft.node(name, draft.inputs, draft.outputs, kernel_shape=kernel, strides=kernel)

    return write


# resizing


def _resize(call: Call) -> Any:
    x, rank = call.input(0), call.rank()
    if call.kind == "Upsample":
        attribute = call.attribute("scales", None)
        scales = attribute if attribute is not None else call.array(1, "the scales").tolist()
        mode = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}
        return _interpolate(
            call, x, mode[call.attribute("mode")], None, scales, "asymmetric", "floor"
        )
    if call.opset < 11:
        scales = call.array(1, "the scales").tolist()
        return _interpolate(call, x, call.attribute("mode"), None, scales, "asymmetric", "floor")
    mode = call.attribute("mode")
    coordinates = call.attribute("coordinate_transformation_mode")
    rounding = call.attribute("nearest_mode")
    options = {
        "cubic_coefficient": call.attribute("cubic_coeff_a"),
        "exclude_outside": bool(call.attribute("exclude_outside")),
    }
    value = call.attribute("extrapolation_value")
    antialias = call.attribute("antialias", 0)
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    axes = call.attribute("axes", None)
    axes = [axis % rank for axis in axes] if axes is not None else list(range(rank))
    if antialias:
        return NotImplemented
    if coordinates == "tf_crop_and_resize":
        return NotImplemented
    del value
    names = {"half_pixel": "half_pixel", "tf_half_pixel_for_nn": None}
    if coordinates in names and names[coordinates] is None:
        return NotImplemented
    sizes_input, scales_input = call.input(3), call.input(2)
    sizes = scales = None
    if sizes_input is not None:
        given = call.sizes(sizes_input, "the sizes")
        sizes = list(call.shape())
        for axis, size in zip(axes, given, strict=True):
            sizes[axis] = size
        if policy != "stretch":
            sizes = _keep_aspect(call, sizes, axes, policy)
    else:
        factors = call.array(2 if scales_input is not None else 1, "the scales").tolist()
        scales = [1.0] * rank
        for axis, factor in zip(axes, factors, strict=True):
            scales[axis] = factor
    return _interpolate(call, x, mode, sizes, scales, coordinates, rounding, **options)


def _keep_aspect(call: Call, sizes: list[Any], axes: list[int], policy: str | None) -> list[Any]:
    """The sizes for one scale of all axes, inside or outside the given ones."""
    now = call.shape()
    ratios = [sizes[axis] / known(now[axis])[0] for axis in axes]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    for axis in axes:
        # the standard rounds halves up
        sizes[axis] = math.floor(scale * known(now[axis])[0] + 0.5)
    return sizes


def _interpolate(
    call: Call,
    x: Item,
    mode: Any,
    sizes: list[Any] | None,
    scales: Any,
    coordinates: str,
    rounding: str,
    **options: Any,
) -> Any:
    """Resize the axes that change, which are made the spatial ones."""
    shape = call.shape(x)
    rank = len(shape)
    if sizes is not None:
        changed = [axis for axis in range(rank) if sizes[axis] != shape[axis]]
    else:
        changed = [axis for axis in range(rank) if scales[axis] != 1]
    if not changed:
        return x
    spatial = changed
    if rank in (3, 4, 5) and min(changed) >= 2:
        spatial = list(range(2, rank))
    fields: dict[str, Any] = {"mode": mode, "coordinates": coordinates, **options}
    if mode == "nearest":
        fields["nearest"] = rounding
    if sizes is not None:
        fields["size"] = _shortest(tuple(known(*(sizes[axis] for axis in spatial))))
    else:
        fields["scale"] = _shortest(tuple(float(scales[axis]) for axis in spatial))
    fields["exclude_outside"] = bool(fields.get("exclude_outside")) and mode == "cubic"
    operator = ops.Resize(**fields)
    dtype = call.dtype(x)
    floating = np.dtype(dtype).kind == "f"
    y: Any = x if floating else call.cast(x, "float64", "floats")
    if spatial == list(range(2, rank)):
        y = call.apply(operator, y)
    else:
        kept = [axis for axis in range(rank) if axis not in spatial]
        order = (*kept, *spatial)
        moved = tuple(shape[axis] for axis in order)
        y = call.apply(ops.Transpose(order), y, part="moved") if order != tuple(range(rank)) else y
        leading = (1,) * max(2 - len(kept), 0)
        joined = (*leading, *moved)
        if len(kept) > 2:
            front = known(*moved[: len(kept) - 1])
            joined = (math.prod(front), *moved[len(kept) - 1 :])
        y = call.apply(ops.Reshape(tuple(known(*joined))), y, part="joined")
        y = call.apply(operator, y, part="resized")
        outs = call.shape(y)[2:]
        y = call.apply(ops.Reshape((*known(*moved[: len(kept)]), *known(*outs))), y, part="apart")
        inverse = tuple(sorted(range(rank), key=order.__getitem__))
        y = call.apply(ops.Transpose(inverse), y) if inverse != tuple(range(rank)) else y
    return y if floating else call.cast(y, dtype)


def _write_resize(draft: Draft, operator: ops.Resize) -> None:
    rank = draft.specs[0].rank
    attributes = {
        "mode": operator.mode,
        "coordinate_transformation_mode": operator.coordinates,
        "nearest_mode": operator.nearest,
        "cubic_coeff_a": operator.cubic_coefficient,
        "exclude_outside": int(operator.exclude_outside and operator.mode == "cubic"),
    }
    if operator.coordinates == "half_pixel_symmetric" and draft.opset < 19:
        raise OnnxError("half_pixel_symmetric coordinates are there from opset 19 on")
    spatial = rank - 2
    x = draft.specs[0]
    if operator.size is not None:
        size = (operator.size,) * spatial if isinstance(operator.size, int) else operator.size
        if draft.opset >= 18:
            attributes["axes"] = list(range(2, rank))
            given = [draft.constant(np.array(size, "int64"), "sizes")]
        else:
            whole = [*known(*x.shape[:2]), *size]
            given = [draft.constant(np.array(whole, "int64"), "sizes")]
        draft.node("Resize", [*draft.inputs, "", "", *given], draft.outputs, **attributes)
        return
    scale = operator.scale
    factors = scale if isinstance(scale, tuple) else (scale,) * spatial
    if draft.opset >= 18:
        attributes["axes"] = list(range(2, rank))
    else:
        factors = (1.0, 1.0, *factors)
    scales = draft.constant(np.array(factors, "float32"), "scales")
    draft.node("Resize", [*draft.inputs, "", scales], draft.outputs, **attributes)


WINDOWS: tuple[Rule, ...] = (
    Rule("Conv", _conv, ops.Conv, _write_conv),
    Rule("ConvTranspose", _conv_transpose, ops.ConvTranspose, _write_conv_transpose),
    Rule("MaxPool", _max_pool, ops.MaxPool, _write_max_pool),
    Rule("AveragePool", _average_pool, ops.AvgPool, _write_average_pool),
    Rule("LpPool", _lp_pool, ops.LpPool, _write_lp_pool),
    *same("GlobalAveragePool", ops.GlobalAvgPool),
    *same("GlobalMaxPool", ops.GlobalMaxPool),
    Rule("GlobalLpPool", _global_lp_pool, ops.GlobalLpPool, _write_global_lp_pool),
    Rule("AdaptiveAvgPool", None, ops.AdaptiveAvgPool, _write_adaptive("AveragePool")),
    Rule("AdaptiveMaxPool", None, ops.AdaptiveMaxPool, _write_adaptive("MaxPool")),
    Rule("Resize", _resize, ops.Resize, _write_resize),
    *only_read(_resize, "Upsample"),
)
