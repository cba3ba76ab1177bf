"""Rules of convolutions, and of windows laid back into an image."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.rules.base import Rule
from graphnet.onnx.rules.window_fields import (
    attributes_of,
    begins_then_ends,
    compact,
    compact_padding,
    open_fields,
    shortest,
    spatial,
    window_attributes,
)
from ops.operator import known
from ops.windows import Windows

__all__ = ["CONVOLUTIONS", "conv", "write_conv"]


def _conv(call: Call) -> Any:
    return conv(call, call.input(0), call.input(1), call.input(2))


def conv(call: Call, x: Item, weight: Item, bias: Item, part: str = "") -> Any:
    """The convolution that the attributes of a node describe."""
    sizes = known(*call.shape(weight))
    kernel = call.attribute("kernel_shape", None) or sizes[2:]
    fields = compact(open_fields(call, tuple(kernel)))
    groups = call.attribute("group")
    operator = ops.Conv(sizes[0], groups=groups, bias=bias is not None, **fields)
    return call.apply(operator, x, weight, bias, part=part)


def write_conv(draft: Draft, operator: ops.Conv) -> None:
    """Write a convolution."""
    attributes = attributes_of(operator, draft.specs[0])
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
        inputs = spatial(call)
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
        padding=compact_padding(pairs),
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
        attributes["pads"] = begins_then_ends(windows.padding)
        attributes["output_padding"] = [extra] * rank if isinstance(extra, int) else list(extra)
    draft.node("ConvTranspose", draft.inputs, draft.outputs, **attributes)


def _col2im(call: Call) -> Any:
    image = call.integers(1, "the image shape")
    kernel = call.integers(2, "the block shape")
    fields = compact(open_fields(call, kernel))
    return call.apply(ops.Fold(image, **fields), call.input(0))


def _write_fold(draft: Draft, operator: ops.Fold) -> None:
    fields = operator.kernel_size, operator.stride, operator.padding, operator.dilation
    attributes = window_attributes(Windows.over(draft.results[0], *fields))
    kernel = draft.constant(np.array(attributes.pop("kernel_shape")), "kernel")
    size = draft.constant(np.array(operator.size), "size")
    draft.node("Col2Im", [*draft.inputs, size, kernel], draft.outputs, **attributes)


CONVOLUTIONS: tuple[Rule, ...] = (
    Rule("Conv", _conv, ops.Conv, write_conv),
    Rule("ConvTranspose", _conv_transpose, ops.ConvTranspose, _write_conv_transpose),
    Rule("Col2Im", _col2im, ops.Fold, _write_fold, since=18),
)
