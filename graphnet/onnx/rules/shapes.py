"""Rules of operators that move entries, and of those that tell and make shapes."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item, dtype_name
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import FILLED, Known, expect_affordable, from_sizes, is_computed
from graphnet.onnx.rules.base import Rule, only_read, reshape
from ops import dynamic
from ops.dimension import Dim, Size
from ops.operator import Spec, known

__all__ = ["SHAPES"]

#: What stands for the end of any axis.
_END = 2**63 - 1


def _full(sizes: tuple[int, ...], value: Any, dtype: Any) -> Known:
    """A new constant, unless it is far too large."""
    if is_computed(np.dtype(dtype)):
        expect_affordable((Spec(sizes, np.dtype(dtype).name),), limit=FILLED)
    return Known(np.broadcast_to(np.asarray(value, dtype), sizes))


# shapes as data


def _shape(call: Call) -> Any:
    sizes = call.shape()
    start, end = call.attribute("start", 0), call.attribute("end", None)
    return from_sizes(sizes[slice(start, end)])


def _size(call: Call) -> Any:
    total: Size = reduce(lambda a, b: a * b, call.shape(), 1)  # type: ignore[arg-type,return-value]
    found = from_sizes((total,))
    return Known(found.array.reshape(()), None if found.slope is None else found.slope.reshape(()))


def _constant(call: Call) -> Any:
    name = call.name() if call.scope.outer is None else None
    kinds = ("value", "value_float", "value_int", "value_floats", "value_ints")
    for kind, dtype in zip(kinds, (None, "float32", "int64", "float32", "int64"), strict=True):
        if call.has(kind):
            array = np.asarray(call.attribute(kind))
            return Known(array if dtype is None else array.astype(dtype), name=name)
    for kind in ("value_string", "value_strings"):
        if call.has(kind):
            return Known(np.array(call.attribute(kind), dtype=object))
    raise OnnxError("expected a dense value, which sparse_value is not")


def _constant_of_shape(call: Call) -> Any:
    sizes = call.integers(0, "the shape")
    value = call.attribute("value", None)
    entry = np.zeros(1, "float32") if value is None else value.reshape(-1)[:1]
    return _full(sizes, entry[0], entry.dtype)


def _range(call: Call) -> Any:
    if any(isinstance(item, Known) and item.slope is not None for item in call.inputs):
        raise OnnxError("a range up to the batch is not known: bind it with shapes=")
    start, limit, delta = (call.array(i, "a range").reshape(()) for i in range(3))
    if not delta:
        raise OnnxError("expected a step other than 0")
    count = max(math.ceil((float(limit) - float(start)) / float(delta)), 0)
    expect_affordable((Spec((count,), "float64"),))
    steps = np.arange(count).astype(start.dtype)
    return Known((start + steps * delta).astype(start.dtype))


def _eye_like(call: Call) -> Any:
    dtype = call.attribute("dtype", None)
    sizes = call.shape()
    if not all(isinstance(size, int) for size in sizes):
        raise OnnxError("the size of the result depends on the batch: bind it with shapes=")
    name = call.dtype() if dtype is None else dtype_name(dtype)
    expect_affordable((Spec(sizes, "float64"),))
    return Known(np.eye(*sizes, k=call.attribute("k"), dtype=name))  # type: ignore[call-overload]


def _non_zero(call: Call) -> Any:
    return Known(dynamic.nonzero(call.array(0, "the input")))


def _unique(call: Call) -> Any:
    axis, in_order = call.attribute("axis", None), bool(call.attribute("sorted"))
    found = dynamic.unique(call.array(0, "the input"), axis, in_order=in_order)
    return tuple(map(Known, found))


def _compress(call: Call) -> Any:
    x, axis = call.input(0), call.attribute("axis", None)
    if axis is None:
        x, axis = reshape(call, x, (_size_of(call),), "flat"), 0
    kept = np.flatnonzero(call.array(1, "the condition"))
    return call.apply(ops.Gather(axis), x, Known(kept.astype("int64")))


def _non_max_suppression(call: Call) -> Any:
    boxes, scores = call.array(0, "the boxes"), call.array(1, "the scores")
    given = [None if call.input(i) is None else call.number(i, "a bound") for i in (2, 3, 4)]
    most, overlap, score = (
        default if value is None else value
        for value, default in zip(given, (0, 0.0, -math.inf), strict=True)
    )
    chosen = dynamic.non_max_suppression(
        boxes,
        scores,
        most=int(most),
        overlap=float(overlap),
        score=float(score),
        centred=bool(call.attribute("center_point_box")),
    )
    return Known(chosen)


def _size_of(call: Call) -> Any:
    return reduce(lambda a, b: a * b, call.shape(), 1)  # type: ignore[arg-type,return-value]


# the same entries


def _reshape(call: Call) -> Any:
    x, sizes = call.input(0), call.shape()
    call.ignore("consumed_inputs")
    if call.opset < 5:
        raise OnnxError("expected opset 5 or newer")
    wanted = call.sizes(1, "the shape")
    allow_zero = bool(call.attribute("allowzero", 0))
    found = [sizes[at] if n == 0 and not allow_zero else n for at, n in enumerate(wanted)]
    if -1 in found:
        rest = reduce(lambda a, b: a * b, (n for n in found if n != -1), 1)  # type: ignore[arg-type,return-value]
        found[found.index(-1)] = _size_of(call) // rest if rest else 0
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
        return _full(sizes, 0, call.dtype())
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


# joined and cut


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
    size = call.shape()[axis]
    parts: tuple[int, ...]
    said = call.has("split") or call.input(1) is not None
    if call.has("split"):
        parts = tuple(call.attribute("split"))
    elif call.input(1) is not None:
        parts = call.integers(1, "the sizes of the parts")
    else:
        count = call.attribute("num_outputs", None) or call.outputs
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
        return _full(tuple(n * k for n, k in zip(sizes, repeats, strict=True)), 0, call.dtype())  # type: ignore[misc]
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


# by index


def _gather(call: Call) -> Any:
    x, indices = call.inputs
    axis = call.attribute("axis")
    if isinstance(x, Known) and x.dtype == "object" and isinstance(indices, Known):
        return Known(np.take(x.array, indices.array, axis=axis))
    return call.apply(ops.Gather(axis), x, indices)


def _write_gather(draft: Draft, operator: ops.Gather) -> None:
    draft.node("Gather", draft.indexed(), draft.outputs, axis=operator.axis)


def _gather_elements(call: Call) -> Any:
    return call.apply(ops.GatherElements(call.attribute("axis")), *call.inputs)


def _write_gather_elements(draft: Draft, operator: ops.GatherElements) -> None:
    draft.node("GatherElements", draft.indexed(), draft.outputs, axis=operator.axis)


def _scatter_elements(call: Call) -> Any:
    axis, reduction = call.attribute("axis", 0), call.attribute("reduction", "none")
    return call.apply(ops.ScatterElements(axis, reduction), *call.inputs)


def _write_scatter_elements(draft: Draft, operator: ops.ScatterElements) -> None:
    more = {"reduction": operator.reduction} if draft.opset >= 16 else {}
    if not more and operator.reduction != "none":
        raise OnnxError("ScatterElements has reductions from opset 16 on")
    draft.node("ScatterElements", draft.indexed(), draft.outputs, axis=operator.axis, **more)


def _write_embedding(draft: Draft, _: ops.Embedding) -> None:
    indices, weight = draft.inputs
    draft.node("Gather", [weight, draft.as_indices(indices, 0)], draft.outputs, axis=0)


def _one_hot(call: Call) -> Any:
    indices, axis = call.input(0), call.attribute("axis")
    depth = int(call.number(1, "the depth"))
    off, on = call.array(2, "the values")
    if np.dtype(call.dtype(indices)).kind not in "iu":
        indices = call.cast(indices, "int64", "indices")
    dtype = call.dtype(2)
    computed = dtype if is_computed(np.dtype(dtype)) else "float32"
    operator = ops.OneHot(depth, axis, float(on), float(off), computed)
    return call.cast(call.apply(operator, indices), dtype)


def _write_one_hot(draft: Draft, operator: ops.OneHot) -> None:
    depth = draft.constant(np.array(operator.depth), "depth")
    values = np.array([operator.off_value, operator.on_value], operator.dtype)
    given = [draft.as_indices(draft.inputs[0], 0), depth, draft.constant(values, "values")]
    draft.node("OneHot", given, draft.outputs, axis=operator.axis)


def _gather_nd(call: Call) -> Any:
    return call.apply(ops.GatherND(call.attribute("batch_dims", 0)), *call.inputs)


def _write_gather_nd(draft: Draft, operator: ops.GatherND) -> None:
    draft.node("GatherND", draft.indexed(("int64",)), draft.outputs, batch_dims=operator.batch_axes)


def _scatter_nd(call: Call) -> Any:
    return call.apply(ops.ScatterND(call.attribute("reduction", "none")), *call.inputs)


def _write_scatter_nd(draft: Draft, operator: ops.ScatterND) -> None:
    more = {"reduction": operator.reduction} if draft.opset >= 16 else {}
    if not more and operator.reduction != "none":
        raise OnnxError("ScatterND has reductions from opset 16 on")
    draft.node("ScatterND", draft.indexed(("int64",)), draft.outputs, **more)


def _tensor_scatter(call: Call) -> Any:
    circular = call.attribute("mode") == "circular"
    return call.apply(ops.TensorScatter(call.attribute("axis"), circular), *call.inputs)


def _write_tensor_scatter(draft: Draft, operator: ops.TensorScatter) -> None:
    mode = "circular" if operator.circular else "linear"
    draft.node("TensorScatter", draft.inputs, draft.outputs, axis=operator.axis, mode=mode)


def _reverse_sequence(call: Call) -> Any:
    operator = ops.ReverseSequence(call.attribute("batch_axis"), call.attribute("time_axis"))
    return call.apply(operator, *call.inputs)


def _write_reverse_sequence(draft: Draft, operator: ops.ReverseSequence) -> None:
    axes = (axis % draft.specs[0].rank for axis in (operator.batch_axis, operator.time_axis))
    batch, time = axes
    if {batch, time} != {0, 1}:
        raise OnnxError(f"the standard reverses along axes 0 and 1, not along {time} of {batch}")
    draft.node(
        "ReverseSequence",
        draft.indexed(("int64",)),
        draft.outputs,
        batch_axis=batch,
        time_axis=time,
    )


SHAPES: tuple[Rule, ...] = (
    *only_read(_shape, "Shape"),
    *only_read(_size, "Size"),
    *only_read(_constant, "Constant"),
    *only_read(_constant_of_shape, "ConstantOfShape"),
    *only_read(_range, "Range"),
    *only_read(_eye_like, "EyeLike"),
    *only_read(_non_zero, "NonZero"),
    *only_read(_unique, "Unique"),
    *only_read(_compress, "Compress"),
    *only_read(_non_max_suppression, "NonMaxSuppression"),
    Rule("Reshape", _reshape, ops.Reshape, _write_reshape, since=14),
    Rule("Flatten", _flatten, ops.Flatten, _write_flatten),
    Rule("Transpose", _transpose, ops.Transpose, _write_transpose),
    Rule("Squeeze", _squeeze, ops.Squeeze, _write_squeeze),
    Rule("Unsqueeze", _unsqueeze, ops.Unsqueeze, _write_unsqueeze),
    Rule("Expand", _expand, ops.Expand, _write_expand),
    Rule("Concat", _concat, ops.Concat, _write_concat),
    Rule("Stack", None, ops.Stack, _write_stack),
    Rule("Split", _split, ops.Split, _write_split),
    Rule("Slice", _slice, ops.Slice, _write_slice),
    Rule("Tile", _tile, ops.Tile, _write_tile),
    Rule("Pad", _pad, ops.Pad, _write_pad),
    Rule("DepthToSpace", _depth_to_space, ops.DepthToSpace, _write_depth_to_space),
    Rule("SpaceToDepth", _space_to_depth, ops.SpaceToDepth, _write_space_to_depth),
    Rule("Gather", _gather, ops.Gather, _write_gather),
    Rule("GatherElements", _gather_elements, ops.GatherElements, _write_gather_elements),
    Rule("ScatterElements", _scatter_elements, ops.ScatterElements, _write_scatter_elements),
    *only_read(_scatter_elements, "Scatter"),
    Rule("Embedding", None, ops.Embedding, _write_embedding),
    Rule("OneHot", _one_hot, ops.OneHot, _write_one_hot),
    Rule("GatherND", _gather_nd, ops.GatherND, _write_gather_nd),
    Rule("ScatterND", _scatter_nd, ops.ScatterND, _write_scatter_nd),
    Rule("TensorScatter", _tensor_scatter, ops.TensorScatter, _write_tensor_scatter, since=24),
    Rule("ReverseSequence", _reverse_sequence, ops.ReverseSequence, _write_reverse_sequence),
)
