"""Rules of resizing, by the operator for it or, where it has no such form, by a matrix an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules.base import Rule, only_read
from graphnet.onnx.rules.window_fields import shortest
from ops.operator import known

__all__ = ["RESIZING"]


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
        "antialias": bool(call.attribute("antialias", 0)),
    }
    value = call.attribute("extrapolation_value")
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    axes = call.attribute("axes", None)
    axes = [axis % rank for axis in axes] if axes is not None else list(range(rank))
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
    if coordinates == "tf_crop_and_resize":
        return _crop_and_resize(call, sizes, scales, axes, mode, rounding, value)
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
    fields["nearest"] = rounding
    if sizes is not None:
        fields["size"] = shortest(tuple(known(*(sizes[axis] for axis in spatial))))
    else:
        fields["scale"] = shortest(tuple(float(scales[axis]) for axis in spatial))
    reaches = mode == "cubic" or (mode == "linear" and fields.get("antialias"))
    fields["exclude_outside"] = bool(fields.get("exclude_outside") and reaches)
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
    # elsewhere no entry outside has a weight
    reaches = operator.mode == "cubic" or (operator.mode == "linear" and operator.antialias)
    attributes = {
        "mode": operator.mode,
        "coordinate_transformation_mode": operator.coordinates,
        "nearest_mode": operator.nearest,
        "cubic_coeff_a": operator.cubic_coefficient,
        "exclude_outside": int(operator.exclude_outside and reaches),
    }
    if operator.antialias:
        if draft.opset < 18:
            raise OnnxError("antialias is there from opset 18 on")
        attributes["antialias"] = 1
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
    factors: Any = scale if isinstance(scale, tuple) else (scale,) * spatial
    if draft.opset >= 18:
        attributes["axes"] = list(range(2, rank))
    else:
        factors = (1.0, 1.0, *factors)
    scales = draft.constant(np.array(factors, "float32"), "scales")
    draft.node("Resize", [*draft.inputs, "", scales], draft.outputs, **attributes)


# by a matrix along each axis


def _triangle(distance: np.ndarray) -> Any:
    return np.maximum(1 - np.abs(distance), 0)


def _crop_and_resize(
    call: Call,
    sizes: list[Any] | None,
    scales: Any,
    axes: list[int],
    mode: str,
    rounding: str,
    value: float,
) -> Any:
    """A region of the input in another size; what lies outside the input has one value."""
    region = call.array(1, "the region").reshape(2, -1)
    y, shape = call.input(0), call.shape()
    begins, ends = [0.0] * len(shape), [1.0] * len(shape)
    given = axes if region.shape[1] == len(axes) else range(len(shape))
    for axis, begin, end in zip(given, *region.tolist(), strict=True):
        begins[axis], ends[axis] = begin, end
    outside: Any = np.zeros((1,) * len(shape), bool)
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        size = shape[axis]
        scale = scales[axis] if sizes is None else 1.0
        same = scale == 1 if sizes is None else sizes[axis] == size
        if (begin, end) == (0.0, 1.0) and same:
            continue
        (n,) = known(size)
        out = math.floor(n * (end - begin) * scale) if sizes is None else int(sizes[axis])
        if out > 1:
            centre = begin * (n - 1) + np.arange(out) * (end - begin) * (n - 1) / (out - 1)
        else:
            centre = np.array([0.5 * (begin + end) * (n - 1)])
        beyond = (centre < 0) | (centre > n - 1)
        outside = outside | beyond.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        y = _along(call, y, axis, _taps(centre, n, mode, rounding))
    if not outside.any():
        return y
    return call.apply(ops.Where(), call.constant(outside, "bool"), call.constant(value, y), y)


def _taps(centre: np.ndarray, n: int, mode: str, rounding: str) -> Any:
    """The weights of n entries for outputs at some coordinates."""
    inside = np.clip(centre, 0, n - 1)
    if mode == "nearest":
        nearest = {
            "round_prefer_floor": np.ceil(inside - 0.5),
            "round_prefer_ceil": np.floor(inside + 0.5),
            "floor": np.floor(inside),
            "ceil": np.ceil(inside),
        }[rounding]
        return np.eye(n)[nearest.astype(int)]
    if mode != "linear":
        raise OnnxError(f"tf_crop_and_resize in {mode} mode is not supported")
    return _triangle(np.arange(n)[None] - inside[:, None])


def _along(call: Call, x: Item, axis: int, matrix: np.ndarray) -> Any:
    """The product of a matrix ``(out, n)`` with the entries along an axis."""
    rank = call.rank(x)
    letters = "abcdefghij"[:rank]
    result = letters.replace(letters[axis], "z")
    operator = ops.Einsum(f"{letters},z{letters[axis]}->{result}")
    return call.apply(operator, x, call.constant(matrix, x), part=f"axis{axis}")


RESIZING: tuple[Rule, ...] = (
    Rule("Resize", _resize, ops.Resize, _write_resize),
    *only_read(_resize, "Upsample"),
)
