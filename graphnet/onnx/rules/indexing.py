"""Rules of entries picked and written by index."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known, is_computed
from graphnet.onnx.rules.base import Rule, only_read

__all__ = ["INDEXING"]


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


INDEXING: tuple[Rule, ...] = (
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
