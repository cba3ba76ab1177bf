"""Rules of what samples an image between its entries: at points, in bent windows, in boxes."""

from __future__ import annotations

from typing import Any

import ops
from graphnet.onnx.call import Call
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules.base import Rule
from graphnet.onnx.rules.window_fields import window_attributes, window_fields
from ops.operator import known
from ops.windows import Windows, per_axis

__all__ = ["REGIONS"]


def _deform_conv(call: Call) -> Any:
    x, weight, offset, bias, mask = (call.input(number) for number in range(5))
    filters, _, *sizes = known(*call.shape(weight))
    kernel = tuple(call.attribute("kernel_shape", None) or sizes)
    operator = ops.DeformConv(
        filters,
        groups=call.attribute("group"),
        offset_groups=call.attribute("offset_group"),
        bias=bias is not None,
        **window_fields(call, kernel),
    )
    return call.apply(operator, x, offset, weight, bias, mask)


def _write_deform_conv(draft: Draft, operator: ops.DeformConv) -> None:
    x, offset, weight, *rest = draft.inputs
    fields = operator.kernel_size, operator.stride, operator.padding, operator.dilation
    attributes = window_attributes(Windows.over(draft.specs[0], *fields))
    draft.node(
        "DeformConv",
        [x, weight, offset, *rest],
        draft.outputs,
        group=operator.groups,
        offset_group=operator.offset_groups,
        **attributes,
    )


def _roi_align(call: Call) -> Any:
    mode, samples = call.attribute("mode"), call.attribute("sampling_ratio")
    if mode != "avg" or samples < 1:
        raise OnnxError(
            f"mode {mode!r} with a sampling_ratio of {samples} is not supported, "
            f"'avg' with one of at least 1 is"
        )
    size = call.attribute("output_height"), call.attribute("output_width")
    how = "output_half_pixel"
    if call.opset >= 16:
        how = call.attribute("coordinate_transformation_mode")
    scale = call.attribute("spatial_scale")
    operator = ops.RoIAlign(size, samples, scale, how == "half_pixel")
    return call.apply(operator, *call.inputs)


def _write_roi_align(draft: Draft, operator: ops.RoIAlign) -> None:
    high, wide = per_axis("size", operator.size, 2)
    draft.node(
        "RoiAlign",
        draft.inputs,
        draft.outputs,
        output_height=high,
        output_width=wide,
        sampling_ratio=operator.samples,
        spatial_scale=operator.scale,
        coordinate_transformation_mode="half_pixel" if operator.aligned else "output_half_pixel",
    )


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


REGIONS: tuple[Rule, ...] = (
    Rule("GridSample", _grid_sample, ops.GridSample, _write_grid_sample, since=16),
    Rule("DeformConv", _deform_conv, ops.DeformConv, _write_deform_conv, since=19),
    Rule("RoiAlign", _roi_align, ops.RoIAlign, _write_roi_align, since=16),
)
