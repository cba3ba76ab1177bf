"""Rules of the same entries in another shape or order."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules.base import Rule, full, size_of
from ops.dimension import Dim, Size
from ops.operator import known

__all__ = ["SHAPES"]


def _reshape(call: Call) -> Any:
    x, sizes = call.input(0), call.shape()
    call.ignore("consumed_inputs")
    if call.opset < 5:
        raise OnnxError("expected opset 5 or newer")
    wanted = call.sizes(1, "the shape")
    allow_zero = bool(call.attribute("allowzero", 0))
    if not allow_zero and any(n == 0 for n in wanted[len(sizes) :]):
        raise OnnxError(f"a size of 0 stands for that of the input, which is {sizes}")
    found = [sizes[at] if n == 0 and not allow_zero else n for at, n in enumerate(wanted)]
    if -1 in found:
        rest = reduce(lambda a, b: a * b, (n for n in found if n != -1), 1)  # type: ignore[arg-type,return-value]
        found[found.index(-1)] = size_of(call) // rest if rest else 0
    return reshape_always(call, x, tuple(found))


def reshape_always(call: Call, x: Item, sizes: tuple[Size, ...]) -> Any:
    """A reshape that stays a node, even where nothing changes."""
    symbols = [size for size in sizes if isinstance(size, Dim)]
    wanted = [
        size if isinstance(size, int) else "N" if size == "N" and len(symbols) == 1 else -1
        for size in sizes
    ]
    return call.apply(ops.Reshape(tuple(wanted)), x)


def _write_reshape(draft: Draft, operator: ops.Reshape) -> None:
    x = draft.specs[0]
    shape: list[Any] = list(operator.shape)
    if "N" in shape:
        at = shape.index("N")
        if -1 not in shape:
            shape[at] = -1
        elif at == 0:
            shape[at] = 0  # the size that x has there
        else:
            # the batch moves: the other size is known from the shapes
            size = draft.results[0].shape[shape.index(-1)]
            shape[shape.index(-1)], shape[at] = size, -1
            if not isinstance(size, int):
                raise OnnxError(f"a reshape of {x} to {operator.shape} cannot be written")
    if 0 in draft.results[0].shape and -1 in shape:
        # of no entry, no size can be inferred
        shape = [n if isinstance(n, int) else -1 for n in draft.results[0].shape]
    allow = {"allowzero": 1} if 0 in operator.shape or 0 in draft.results[0].shape else {}
    given = draft.constant(np.array(shape, "int64"), "shape")
    draft.node("Reshape", [*draft.inputs, given], draft.outputs, **allow)


def _flatten(call: Call) -> Any:
    x, sizes, axis = call.input(0), call.shape(), call.attribute("axis")
    if axis == 1 and len(sizes) > 1:
        return call.apply(ops.Flatten(), x)
    axis = axis + len(sizes) if axis < 0 else axis
    halves = (sizes[:axis], sizes[axis:])
    rows, columns = (reduce(lambda a, b: a * b, half, 1) for half in halves)  # type: ignore[arg-type,return-value]
    return reshape_always(call, x, (rows, columns))


def _write_flatten(draft: Draft, operator: ops.Flatten) -> None:
    start = operator.start_axis % draft.specs[0].rank
    if start == 1:
        draft.node("Flatten", draft.inputs, draft.outputs, axis=1)
        return
    draft.as_function = True  # the standard joins the leading axes as well
    shape = [0] * start + [-1]
    if 0 in draft.results[0].shape:
        shape = [n if isinstance(n, int) else -1 for n in draft.results[0].shape]
    draft.node("Reshape", [*draft.inputs, draft.constant(np.array(shape), "shape")], draft.outputs)


def _transpose(call: Call) -> Any:
    axes = call.attribute("perm", None)
    return call.apply(ops.Transpose(axes), call.input(0))


def _write_transpose(draft: Draft, operator: ops.Transpose) -> None:
    axes = operator.axes
    order = None if axes is None else [axis % draft.specs[0].rank for axis in axes]
    draft.node("Transpose", draft.inputs, draft.outputs, perm=order)


def _squeeze(call: Call) -> Any:
    return call.apply(ops.Squeeze(call.axes()), call.input(0))


def _write_squeeze(draft: Draft, operator: ops.Squeeze) -> None:
    axes = [] if operator.axes is None else [draft.constant(np.array(operator.axes), "axes")]
    draft.node("Squeeze", [*draft.inputs, *axes], draft.outputs)


def _unsqueeze(call: Call) -> Any:
    return call.apply(ops.Unsqueeze(call.axes() or ()), call.input(0))


def _write_unsqueeze(draft: Draft, operator: ops.Unsqueeze) -> None:
    axes = draft.constant(np.array(operator.axes), "axes")
    draft.node("Unsqueeze", [*draft.inputs, axes], draft.outputs)


def _expand(call: Call) -> Any:
    x = call.input(0)
    wanted = call.sizes(1, "the shape")
    if any(size == 0 for size in (*wanted, *call.shape())):
        sizes = np.broadcast_shapes(call.shape(), wanted)  # type: ignore[arg-type]
        return full(sizes, 0, call.dtype())
    shape: list[int | str] = []
    sizes_x = call.shape()
    for at, size in enumerate(wanted):
        own = at - len(wanted) + len(sizes_x)
        if isinstance(size, int):
            shape.append(size)
        elif own >= 0 and sizes_x[own] == size:
            shape.append("N" if size == "N" and "N" not in shape else -1)
        else:
            raise OnnxError(
                f"{call.shape()} is expanded to {wanted}, which holds the batch: bind it, shapes="
            )
    return call.apply(ops.Expand(tuple(shape)), x)


def _write_expand(draft: Draft, operator: ops.Expand) -> None:
    shape = [1 if size in (-1, "N") else size for size in operator.shape]
    given = draft.constant(np.array(shape, "int64"), "shape")
    draft.node("Expand", [*draft.inputs, given], draft.outputs)


def _depth_to_space(call: Call) -> Any:
    size, mode = call.attribute("blocksize"), call.attribute("mode", "DCR")
    return call.apply(ops.DepthToSpace(size, mode), call.input(0))


def _write_depth_to_space(draft: Draft, operator: ops.DepthToSpace) -> None:
    x, size, mode = draft.specs[0], operator.block_size, operator.mode
    if x.rank == 4:
        draft.node("DepthToSpace", draft.inputs, draft.outputs, blocksize=size, mode=mode)
        return
    count = x.rank - 2
    channels, *spatial = known(*x.shape[1:])
    blocks = [size] * count
    few = channels // size**count
    # (N, b, b, C, H, W) or (N, C, b, b, H, W) -> (N, C, H, b, W, b)
    apart = [*blocks, few] if mode == "DCR" else [few, *blocks]
    channel, first = (count + 1, 1) if mode == "DCR" else (1, 2)
    order = [axis for i in range(count) for axis in (count + 2 + i, first + i)]
    whole = [few, *(n * size for n in spatial)]
    _write_rearranged(draft, [*apart, *spatial], [0, channel, *order], whole)


def _write_rearranged(draft: Draft, apart: list[int], order: list[int], joined: list[int]) -> None:
    """Axes cut apart, put in another order and joined again; the first one stays."""
    (x,) = draft.inputs
    batch = draft.specs[0].shape[0]
    first = batch if isinstance(batch, int) else -1
    for name, sizes in (("apart", apart), ("joined", joined)):
        shape = draft.constant(np.array([first, *sizes]), name)
        last = name == "joined"
        outputs = draft.outputs if last else None
        x = draft.node("Reshape", [x, shape], outputs, allowzero=1 if first == 0 else None)
        x = x if last else draft.node("Transpose", [x], perm=order)


def _space_to_depth(call: Call) -> Any:
    return call.apply(
        ops.SpaceToDepth(call.attribute("blocksize"), call.attribute("mode", "DCR") or "DCR"),
        call.input(0),
    )


def _write_space_to_depth(draft: Draft, operator: ops.SpaceToDepth) -> None:
    x, size = draft.specs[0], operator.block_size
    if x.rank == 4 and operator.mode == "DCR":
        draft.node("SpaceToDepth", draft.inputs, draft.outputs, blocksize=size)
        return
    count = x.rank - 2
    channels, *spatial = known(*x.shape[1:])
    few = [n // size for n in spatial]
    # (N, C, H, b, W, b) -> (N, b, b, C, H, W) or (N, C, b, b, H, W)
    apart = [channels, *(part for n in few for part in (n, size))]
    positions, inside = range(2, 2 + 2 * count, 2), range(3, 3 + 2 * count, 2)
    leading = [*inside, 1] if operator.mode == "DCR" else [1, *inside]
    joined = [channels * size**count, *few]
    _write_rearranged(draft, apart, [0, *leading, *positions], joined)


SHAPES: tuple[Rule, ...] = (
    Rule("Reshape", _reshape, ops.Reshape, _write_reshape, since=14),
    Rule("Flatten", _flatten, ops.Flatten, _write_flatten),
    Rule("Transpose", _transpose, ops.Transpose, _write_transpose),
    Rule("Squeeze", _squeeze, ops.Squeeze, _write_squeeze),
    Rule("Unsqueeze", _unsqueeze, ops.Unsqueeze, _write_unsqueeze),
    Rule("Expand", _expand, ops.Expand, _write_expand),
    Rule("DepthToSpace", _depth_to_space, ops.DepthToSpace, _write_depth_to_space),
    Rule("SpaceToDepth", _space_to_depth, ops.SpaceToDepth, _write_space_to_depth),
)
