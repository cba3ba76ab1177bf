"""Windows as fields of our operators and as attributes of the standard's."""

from __future__ import annotations

from typing import Any

from graphnet.onnx.call import Call, Item
from graphnet.onnx.errors import OnnxError
from ops.operator import Spec, known
from ops.windows import Windows

__all__ = [
    "Pairs",
    "attributes_of",
    "begins_then_ends",
    "compact",
    "compact_padding",
    "open_fields",
    "shortest",
    "spatial",
    "window_attributes",
    "window_fields",
]

#: The padding ahead and behind of each axis.
Pairs = tuple[tuple[int, int], ...]


def shortest(values: tuple[float, ...]) -> Any:
    """One number where all are equal."""
    return values[0] if len(set(values)) == 1 else values


def compact_padding(pairs: Pairs) -> Any:
    """One number where all are equal, one an axis where both sides are, else pairs."""
    if all(begin == end for begin, end in pairs):
        return shortest(tuple(begin for begin, _ in pairs))
    return pairs


def spatial(call: Call, item: Item | int = 0) -> tuple[int, ...]:
    """The spatial sizes of an input."""
    return known(*call.shape(item)[2:])


def open_fields(call: Call, kernel: tuple[int, ...]) -> dict[str, Any]:
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
    if min((*kernel, *stride, *dilation), default=1) < 1:
        raise OnnxError(
            f"expected kernels, strides and dilations of at least 1, "
            f"received {kernel}, {stride} and {dilation}"
        )
    padding: Any = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if rule == "VALID":
        padding = ((0, 0),) * rank
    elif rule == "SAME_UPPER":
        padding = "same"
    elif rule == "SAME_LOWER":
        padding = _same_lower(spatial(call), kernel, stride, dilation)
    elif rule not in ("NOTSET", ""):
        raise OnnxError(f"auto_pad {rule!r} is not supported")
    return {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def _same_lower(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: Any, dilation: Any
) -> Pairs:
    """Padding for ``ceil(n / stride)`` windows, an odd surplus at the beginning."""
    totals = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    return tuple((total - total // 2, total // 2) for total in totals)


def compact(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as a user would write them."""
    found = {
        name: shortest(tuple(value)) if isinstance(value, tuple) and name != "padding" else value
        for name, value in fields.items()
    }
    if not isinstance(found["padding"], str):
        found["padding"] = compact_padding(found["padding"])
    return found


def window_fields(call: Call, kernel: tuple[int, ...]) -> dict[str, Any]:
    """The fields of a window as a user would write them."""
    return compact(open_fields(call, kernel))


def begins_then_ends(pairs: Pairs) -> list[int]:
    """Padding as the standard's attributes have it."""
    return [begin for begin, _ in pairs] + [end for _, end in pairs]


def window_attributes(windows: Windows, *, same: bool = False) -> dict[str, Any]:
    """The attributes of windows; those of a rule that all runtimes know are left to it."""
    attributes = {
        "kernel_shape": list(windows.kernel),
        "strides": list(windows.stride),
        "dilations": list(windows.dilation),
    }
    if same and set(windows.dilation) == {1}:
        return {**attributes, "auto_pad": "SAME_UPPER"}
    return {**attributes, "pads": begins_then_ends(windows.padding)}


def attributes_of(operator: Any, x: Spec) -> dict[str, Any]:
    """The attributes of an operator with windows over x."""
    return window_attributes(operator.windows(x), same=operator.padding == "same")
