"""Rules of entries joined, cut, repeated and padded."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules.base import Rule, full
from ops.dimension import Dim, Size
from ops.operator import normalize_axis

__all__ = ["JOINING"]

#: What stands for the end of any axis.
_END = 2**63 - 1


def _concat(call: Call) -> Any:
    axis = call.attribute("axis", 1 if call.opset < 4 else 0)
    inputs = call.inputs
    return call.apply(ops.Concat(axis), *inputs)


def _write_concat(draft: Draft, operator: ops.Concat) -> None:
    draft.node("Concat", draft.inputs, draft.outputs, axis=operator.axis)


def _write_stack(draft: Draft, operator: ops.Stack) -> None:
    axes = draft.constant(np.array([operator.axis % (draft.specs[0].rank + 1)]), "axes")
    widened = [draft.node("Unsqueeze", [name, axes]) for name in draft.inputs]
    axis = operator.axis % (draft.specs[0].rank + 1)
    draft.node("Concat", widened, draft.outputs, axis=axis)


def _split(call: Call) -> Any:
    x, axis = call.input(0), call.attribute("axis")
    size = call.shape()[normalize_axis(axis, call.rank())]
    parts: tuple[int, ...]
    said = call.has("split") or call.input(1) is not None
    if call.has("split"):
        parts = tuple(call.attribute("split"))
    elif call.input(1) is not None:
        parts = call.integers(1, "the sizes of the parts")
    else:
        count = call.attribute("num_outputs", None) or call.outputs
        if count != call.outputs:
            raise OnnxError(f"expected num_outputs of {call.outputs}, received {count}")
        if not isinstance(size, int):
            return call.apply(ops.Split(count, axis), x)
        each = -(-size // count)
        parts = tuple(max(min(each, size - each * number), 0) for number in range(count))
    call.ignore("num_outputs")
    if len(parts) == 1:
        return x
    if all(parts) if said else len(set(parts)) == 1:
        return call.apply(ops.Split(parts if said else len(parts), axis), x)
    ends = np.cumsum(parts)
    return tuple(
        call.apply(ops.Slice((int(end - n),), (int(end),), (axis,)), x, part=str(number))
        for number, (n, end) in enumerate(zip(parts, ends, strict=True))
    )


def _write_split(draft: Draft, operator: ops.Split) -> None:
    parts = operator.parts
    if isinstance(parts, tuple):
        sizes = draft.constant(np.array(parts), "split")
        draft.node("Split", [*draft.inputs, sizes], draft.outputs, axis=operator.axis)
    else:
        count = {"num_outputs": parts} if draft.opset >= 18 else {}
        draft.node("Split", draft.inputs, draft.outputs, axis=operator.axis, **count)


def _slice(call: Call) -> Any:
    x, sizes = call.input(0), call.shape()
    if call.opset < 10:
        starts, ends = call.attribute("starts"), call.attribute("ends")
        axes, steps = call.attribute("axes", None), None
    else:
        starts, ends = call.sizes(1, "starts"), call.sizes(2, "ends")
        axes = None if call.input(3) is None else call.integers(3, "axes")
        steps = None if call.input(4) is None else call.integers(4, "steps")
    axes = tuple(range(len(starts))) if axes is None else axes
    if not axes:
        return x
    ends = [
        _END if _is_the_end(end, sizes[axis]) else end for axis, end in zip(axes, ends, strict=True)
    ]
    if any(isinstance(size, Dim) for size in (*starts, *ends)):
        raise OnnxError(f"a slice from {starts} to {ends} depends on the batch: bind it, shapes=")
    # an end from 2**31 - 1 on means no end to ops.Slice
    limit = 2**31 - 1
    starts = tuple(min(max(start, -limit), limit) for start in starts)
    ends = tuple(min(max(end, -limit - 1), limit) for end in ends)
    return call.apply(ops.Slice(starts, ends, axes, steps), x)


def _is_the_end(end: Size, size: Size) -> bool:
    """Whether a slice goes on to the end of an axis of symbolic size."""
    if isinstance(end, Dim):
        return end == size
    # what TensorFlow writes for no end is 10**9, and no batch has as many examples
    return isinstance(size, Dim) and end >= 10**9


def _write_slice(draft: Draft, operator: ops.Slice) -> None:
    fields = {name: getattr(operator, name) for name in ("starts", "ends", "axes", "steps")}
    given = [
        "" if value is None else draft.constant(np.atleast_1d(np.array(value)), name)
        for name, value in fields.items()
    ]
    while not given[-1]:
        given.pop()
    draft.node("Slice", [*draft.inputs, *given], draft.outputs)


def _tile(call: Call) -> Any:
    repeats = call.integers(1, "the repeats")
    sizes = call.shape()
    if 0 in repeats:
        return full(tuple(n * k for n, k in zip(sizes, repeats, strict=True)), 0, call.dtype())  # type: ignore[misc]
    return call.apply(ops.Tile(repeats), call.input(0))


def _write_tile(draft: Draft, operator: ops.Tile) -> None:
    repeats = draft.constant(np.array(operator.repeats, "int64"), "repeats")
    draft.node("Tile", [*draft.inputs, repeats], draft.outputs)


def _pad(call: Call) -> Any:
    x, rank, mode = call.input(0), call.rank(), call.attribute("mode")
    axes = range(rank)
    if call.opset < 11:
        pads, value = call.attribute("pads"), call.attribute("value")
    else:
        pads = call.integers(1, "the padding")
        value = 0.0 if call.input(2) is None else call.number(2, "the value")
        if call.input(3) is not None:
            axes = [axis % rank for axis in call.integers(3, "axes")]  # type: ignore[assignment]
    half = len(pads) // 2
    pairs = [(0, 0)] * rank
    for axis, begin, end in zip(axes, pads[:half], pads[half:], strict=True):
        pairs[axis] = (begin, end)
    if any(min(pair) < 0 for pair in pairs):
        cut = [(max(-begin, 0), max(-end, 0)) for begin, end in pairs]
        starts = tuple(begin for begin, _ in cut)
        ends = tuple(-end if end else 2**31 - 1 for _, end in cut)
        x = call.apply(ops.Slice(starts, ends), x, part="cut")
        pairs = [(max(begin, 0), max(end, 0)) for begin, end in pairs]
    if not any(map(any, pairs)):
        return x
    return call.apply(ops.Pad(tuple(pairs), float(value), mode), x)


def _write_pad(draft: Draft, operator: ops.Pad) -> None:
    begins, ends = zip(*operator.padding, strict=True) if operator.padding else ((), ())
    pads = draft.constant(np.array([*begins, *ends], "int64"), "pads")
    value = draft.constant(np.array(operator.value, draft.specs[0].dtype), "value")
    draft.node("Pad", [*draft.inputs, pads, value], draft.outputs, mode=operator.mode)


JOINING: tuple[Rule, ...] = (
    Rule("Concat", _concat, ops.Concat, _write_concat),
    Rule("Stack", None, ops.Stack, _write_stack),
    Rule("Split", _split, ops.Split, _write_split),
    Rule("Slice", _slice, ops.Slice, _write_slice),
    Rule("Tile", _tile, ops.Tile, _write_tile),
    Rule("Pad", _pad, ops.Pad, _write_pad),
)
