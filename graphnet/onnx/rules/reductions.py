"""Rules of reductions, rankings and sums along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item, elem_type
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, only_read
from ops.operator import Operator

__all__ = ["REDUCTIONS"]

#: What a reduction over no entry gives, where the standard says so.
_OF_NOTHING = {
    "ReduceSum": 0.0,
    "ReduceSumSquare": 0.0,
    "ReduceL1": 0.0,
    "ReduceL2": 0.0,
    "ReduceProd": 1.0,
    "ReduceLogSum": -math.inf,
    "ReduceLogSumExp": -math.inf,
    "ReduceMax": -math.inf,
    "ReduceMin": math.inf,
    "ReduceMean": math.nan,
}

_Step = Callable[[Call, Item], Any]


def _square(call: Call, x: Item) -> Any:
    return call.apply(ops.Multiply(), x, x, part="square")


def _log(call: Call, x: Item) -> Any:
    return call.apply(ops.Log(), x, part="log")


def _absolute(call: Call, x: Item) -> Any:
    return call.apply(ops.Abs(), x, part="abs")


def _itself(_: Call, x: Item) -> Item:
    return x


def _reduce(
    operator: Any, ahead: _Step = _itself, behind: _Step = _itself, one: _Step = _itself
) -> Callable[[Call], Any]:
    """A reduction between two steps; ``one`` is what it makes of a single entry."""

    def read(call: Call) -> Any:
        x = call.input(0)
        axes = call.axes()
        keepdims = bool(call.attribute("keepdims"))
        noop = bool(call.attribute("noop_with_empty_axes", 0))
        if not axes:
            if noop:
                return one(call, x)
            axes = None
        sizes = call.shape()
        rank = len(sizes)
        reduced = range(rank) if axes is None else {axis % rank for axis in axes}
        if any(sizes[axis] == 0 for axis in reduced):
            kept = [
                1 if axis in reduced else size
                for axis, size in enumerate(sizes)
                if keepdims or axis not in reduced
            ]
            return _of_nothing(call, kept)
        y = call.apply(operator(axis=axes, keepdims=keepdims), ahead(call, x))
        return behind(call, y)

    return read


def _of_nothing(call: Call, sizes: list[Any]) -> Known:
    value, dtype = _OF_NOTHING[call.kind], np.dtype(call.dtype())
    if dtype.kind == "b":
        value = float(value > 0)
    elif dtype.kind in "iu" and not math.isfinite(value):
        limits = np.iinfo(dtype)
        return Known(np.full(sizes, limits.min if value < 0 else limits.max, dtype))
    return Known(np.full(sizes, value, dtype))


def _extremum(operator: type[Operator]) -> Callable[[Call], Any]:
    plain = _reduce(operator)

    def read(call: Call) -> Any:
        if call.dtype() == "bool":  # the largest of bits is whether one is set
            call.inputs[0] = call.cast(call.input(0), "uint8", "bits")
            return call.cast(plain(call), "bool")
        return plain(call)

    return read


def _axes_of(operator: Any) -> tuple[int, ...] | None:
    axis = operator.axis
    return axis if axis is None or isinstance(axis, tuple) else (axis,)


def _write_reduction(name: str) -> Callable[[Draft, Any], None]:
    def write(draft: Draft, operator: Any) -> None:
        axes, keepdims = _axes_of(operator), int(operator.keepdims)
        if draft.opset >= (13 if name == "ReduceSum" else 18):
            given = [] if axes is None else [draft.constant(np.array(axes), "axes")]
            draft.node(name, [*draft.inputs, *given], draft.outputs, keepdims=keepdims)
        else:
            draft.node(name, draft.inputs, draft.outputs, axes=axes, keepdims=keepdims)

    return write


def _reduction(name: str, operator: type[Operator], **steps: _Step) -> Rule:
    return Rule(name, _reduce(operator, **steps), operator, _write_reduction(name))


def _arg_extremum(operator: Any) -> Callable[[Call], Any]:
    def read(call: Call) -> Any:
        axis, keepdims = call.attribute("axis"), bool(call.attribute("keepdims"))
        last = bool(call.attribute("select_last_index", 0))
        x = call.input(0)
        if last:
            x = call.apply(_backwards(axis), x, part="turned")
        found = call.apply(operator(axis=axis, keepdims=keepdims), x, part="first" if last else "")
        if not last:
            return found
        (size,) = (call.shape()[axis],)
        if not isinstance(size, int):
            raise OnnxError("select_last_index along the batch is not supported")
        return call.apply(ops.Subtract(), call.constant(size - 1, found), found)

    return read


def _backwards(axis: int) -> ops.Slice:
    return ops.Slice((-1,), (-(2**31),), (axis,), (-1,))


def _write_arg_extremum(name: str) -> Callable[[Draft, Any], None]:
    def write(draft: Draft, operator: Any) -> None:
        fields = {"axis": operator.axis, "keepdims": int(operator.keepdims)}
        (x,) = draft.inputs
        if draft.specs[0].dtype == "bool":  # the standard compares numbers only
            x = draft.node("Cast", [x], to=elem_type("uint8"))
        draft.node(name, [x], draft.outputs, **fields)

    return write


def _top_k(call: Call) -> Any:
    k = call.attribute("k") if call.opset < 10 else call.number(1, "k")
    axis = call.attribute("axis")
    largest = call.attribute("largest", 1)
    call.ignore("sorted")  # any order will do where none is asked for
    x = call.input(0)
    return call.apply(ops.TopK(int(k), axis, bool(largest)), x)


def _write_top_k(draft: Draft, operator: ops.TopK) -> None:
    k = draft.constant(np.array([operator.k]), "k")
    draft.node(
        "TopK",
        [*draft.inputs, k],
        draft.outputs,
        axis=operator.axis,
        largest=int(operator.largest),
    )


def _cumulative(operator: Any) -> Callable[[Call], Any]:
    def read(call: Call) -> Any:
        axis = call.number(1, "the axis")
        exclusive, reverse = (bool(call.attribute(name)) for name in ("exclusive", "reverse"))
        return call.apply(operator(int(axis), exclusive, reverse), call.input(0))

    return read


def _write_cumulative(name: str) -> Callable[[Draft, Any], None]:
    def write(draft: Draft, operator: Any) -> None:
        axis = draft.constant(np.array(operator.axis), "axis")
        draft.node(
            name,
            [*draft.inputs, axis],
            draft.outputs,
            exclusive=int(operator.exclusive),
            reverse=int(operator.reverse),
        )

    return write


REDUCTIONS: tuple[Rule, ...] = (
    _reduction("ReduceSum", ops.Sum),
    _reduction("ReduceMean", ops.Mean),
    _reduction("ReduceL1", ops.ReduceL1, one=_absolute),
    _reduction("ReduceL2", ops.ReduceL2, one=_absolute),
    _reduction("ReduceLogSumExp", ops.ReduceLogSumExp),
    _reduction("ReduceProd", ops.ReduceProd),
    Rule("ReduceMax", _extremum(ops.ReduceMax), ops.ReduceMax, _write_reduction("ReduceMax")),
    Rule("ReduceMin", _extremum(ops.ReduceMin), ops.ReduceMin, _write_reduction("ReduceMin")),
    *only_read(_reduce(ops.Sum, ahead=_square, one=_square), "ReduceSumSquare"),
    *only_read(_reduce(ops.Sum, behind=_log, one=_log), "ReduceLogSum"),
    Rule("ArgMax", _arg_extremum(ops.ArgMax), ops.ArgMax, _write_arg_extremum("ArgMax")),
    Rule("ArgMin", _arg_extremum(ops.ArgMin), ops.ArgMin, _write_arg_extremum("ArgMin")),
    Rule("TopK", _top_k, ops.TopK, _write_top_k),
    Rule("CumSum", _cumulative(ops.CumSum), ops.CumSum, _write_cumulative("CumSum"), since=14),
    Rule("CumProd", _cumulative(ops.CumProd), ops.CumProd, _write_cumulative("CumProd"), since=26),
)
