"""Rules of normalizations and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, full
from graphnet.values import Value
from ops.operator import known

__all__ = ["NORMALIZATION", "write_batch_norm"]


def _batch_norm(call: Call) -> Any:
    x, gamma, beta, mean, var = call.inputs[:5]
    eps, momentum = call.attribute("epsilon"), call.attribute("momentum")
    call.ignore("is_test", "consumed_inputs")
    if not call.attribute("spatial", 1) and call.rank() > 2:
        raise OnnxError("spatial=0, statistics for each position, is not supported")
    training = call.attribute("training_mode", 0) if call.opset >= 14 else call.wants(1)
    if training:
        return _batch_norm_training(call, eps, momentum)
    arrays = [call.cast(item, call.dtype(x), "statistics") for item in (gamma, beta, mean, var)]
    states = [call.importer.state(item) for item in arrays[2:]] if _stored(arrays) else [None]
    if None not in states:
        operator = ops.BatchNorm(eps=eps, momentum=momentum)
        return call.apply(operator, x, *arrays[:2], *states)
    return call.apply(ops.BatchNormInference(eps=eps), x, *arrays)


def _stored(items: list[Item]) -> bool:
    """Whether the last two are initializers that no other node reads."""
    mean, var = items[2:]
    leaves = [item.leaf for item in (mean, var) if isinstance(item, Known) and item.leaf]
    return len(leaves) == 2 and all(leaf.alone for leaf in leaves) and leaves[0] != leaves[1]


def _batch_norm_training(call: Call, eps: float, momentum: float) -> Any:
    """With the statistics of the batch, which renew the running ones as outputs."""
    x, gamma, beta, running_mean, running_var = call.inputs[:5]
    axes = (0, *range(2, call.rank()))
    (channels,) = known(call.shape()[1])
    across = (channels, *[1] * (call.rank() - 2))
    mean = call.apply(ops.Mean(axes, keepdims=True), x, part="mean")
    centred = call.apply(ops.Subtract(), x, mean, part="centred")
    square = call.apply(ops.Multiply(), centred, centred, part="square")
    var = call.apply(ops.Mean(axes, keepdims=True), square, part="var")
    above = call.apply(ops.Add(), var, call.constant(eps, var), part="above")
    spread = call.apply(ops.Sqrt(), above, part="spread")
    hat = call.apply(ops.Divide(), centred, spread, part="hat")
    shaped = [
        call.apply(ops.Reshape(across), item, part=part)
        for item, part in ((gamma, "gamma"), (beta, "beta"))
    ]
    scaled = call.apply(ops.Multiply(), hat, shaped[0], part="scaled")
    y = call.apply(ops.Add(), scaled, shaped[1])
    outputs = [y]
    for old, new, part in ((running_mean, mean, "mean"), (running_var, var, "var")):
        flat = call.apply(ops.Reshape((channels,)), new, part=f"{part}.flat")
        kept = call.apply(ops.Multiply(), old, call.constant(momentum, old), part=f"{part}.kept")
        share = call.constant(1 - momentum, flat)
        added = call.apply(ops.Multiply(), flat, share, part=f"{part}.new")
        outputs.append(call.apply(ops.Add(), kept, added, part=f"{part}.running"))
    if call.opset >= 14:
        return tuple(outputs)
    flats = [call.apply(ops.Reshape((channels,)), v, part="saved") for v in (mean, var)]
    return (*outputs, *flats)


def write_batch_norm(draft: Draft, operator: Any) -> None:
    """Write a batch normalization with its running statistics."""
    momentum = {"momentum": operator.momentum} if isinstance(operator, ops.BatchNorm) else {}
    draft.node(
        "BatchNormalization",
        draft.inputs[:5],
        draft.outputs[:1],
        epsilon=operator.eps,
        **momentum,
    )


def _layer_norm(call: Call) -> Any:
    if call.wants(1) or call.wants(2):
        return NotImplemented
    x, scale, bias = (call.input(number) for number in range(3))
    axis, eps = call.attribute("axis"), call.attribute("epsilon")
    precision = call.attribute("stash_type", 1)
    if precision != 1:
        return NotImplemented
    rank, sizes = call.rank(), call.shape()
    axis = axis + rank if axis < 0 else axis
    wanted = sizes[axis:]
    if any(not isinstance(size, int) for size in wanted) or eps <= 0:
        return NotImplemented
    if call.shape(scale) != wanted or (bias is not None and call.shape(bias) != wanted):
        return NotImplemented
    if bias is None:
        bias = call.constant(np.zeros(wanted), x)
    return call.apply(ops.LayerNorm(axis - rank, eps), x, scale, bias)


def _write_layer_norm(draft: Draft, operator: ops.LayerNorm) -> None:
    if draft.opset < 17:
        _write_layer_norm_in_parts(draft, operator)
        return
    draft.node(
        "LayerNormalization",
        draft.inputs,
        draft.outputs,
        axis=operator.axis,
        epsilon=operator.eps,
    )


def _write_layer_norm_in_parts(draft: Draft, operator: ops.LayerNorm) -> None:
    x, gamma, beta = draft.inputs
    rank = draft.specs[0].rank
    axes = np.arange(operator.axis % rank, rank)
    centred = draft.node("Sub", [x, draft.mean(x, axes)])
    var = draft.mean(draft.node("Mul", [centred, centred]), axes)
    eps = draft.constant(np.array(operator.eps, draft.specs[0].dtype), "eps")
    root = draft.node("Sqrt", [draft.node("Add", [var, eps])])
    scaled = draft.node("Mul", [draft.node("Div", [centred, root]), gamma])
    draft.node("Add", [scaled, beta], draft.outputs)


def _rms_norm(call: Call) -> Any:
    x, scale = call.inputs
    axis, eps = call.attribute("axis"), call.attribute("epsilon")
    call.attribute("stash_type", 1)
    axis = axis + call.rank() if axis < 0 else axis
    wanted = call.shape()[axis:]
    if call.shape(scale) != wanted or any(not isinstance(size, int) for size in wanted):
        return NotImplemented
    return call.apply(ops.RMSNorm(axis - call.rank(), eps), x, scale)


def _write_rms_norm(draft: Draft, operator: ops.RMSNorm) -> None:
    x, gamma = draft.inputs
    if draft.opset >= 23:
        fields = {"axis": operator.axis, "epsilon": operator.eps}
        draft.node("RMSNormalization", [x, gamma], draft.outputs, **fields)
        return
    rank = draft.specs[0].rank
    axes = np.arange(operator.axis % rank, rank)
    square = draft.node("Mul", [x, x])
    mean = draft.mean(square, axes)
    eps = draft.constant(np.array(operator.eps, draft.specs[0].dtype), "eps")
    root = draft.node("Sqrt", [draft.node("Add", [mean, eps])])
    draft.node("Mul", [draft.node("Div", [x, root]), gamma], draft.outputs)


def _group_norm(call: Call) -> Any:
    x, scale, bias = call.inputs
    groups, eps = call.attribute("num_groups"), call.attribute("epsilon")
    call.attribute("stash_type", 1)
    channels = call.shape()[1]
    if call.shape(scale) != (channels,) and isinstance(channels, int):
        # before opset 21, one number for each group
        places = Known(np.repeat(np.arange(groups), channels // groups))
        scale, bias = (
            call.apply(ops.Gather(), item, places, part=part)
            for item, part in ((scale, "scale"), (bias, "bias"))
        )
    return call.apply(ops.GroupNorm(groups, eps), x, scale, bias)


def _write_group_norm(draft: Draft, operator: ops.GroupNorm) -> None:
    x, gamma, beta = draft.inputs
    if draft.opset >= 21:
        fields = {"num_groups": operator.groups, "epsilon": operator.eps}
        draft.node("GroupNormalization", draft.inputs, draft.outputs, **fields)
        return
    sizes = draft.specs[0].shape
    shape = draft.constant(np.array([0, operator.groups, -1]), "groups")
    grouped = draft.node("Reshape", [x, shape])
    ones, zeros = (
        draft.constant(np.full(operator.groups, v, draft.specs[0].dtype), role)
        for v, role in ((1, "ones"), (0, "zeros"))
    )
    hat = draft.node("InstanceNormalization", [grouped, ones, zeros], epsilon=operator.eps)
    back = draft.constant(np.array([0, *sizes[1:]]), "shape")
    whole = draft.node("Reshape", [hat, back])
    across = draft.constant(np.array([sizes[1], *[1] * (len(sizes) - 2)]), "across")
    gain, shift = (draft.node("Reshape", [name, across]) for name in (gamma, beta))
    draft.node("Add", [draft.node("Mul", [whole, gain]), shift], draft.outputs)


def _instance_norm(call: Call) -> Any:
    call.ignore("consumed_inputs")
    return call.apply(ops.InstanceNorm(eps=call.attribute("epsilon")), *call.inputs)


def _write_instance_norm(draft: Draft, operator: ops.InstanceNorm) -> None:
    draft.node("InstanceNormalization", draft.inputs, draft.outputs, epsilon=operator.eps)


def _local_response(call: Call) -> Any:
    names = {"size": "size", "alpha": "alpha", "beta": "beta", "bias": "k"}
    fields = {field: call.attribute(name) for name, field in names.items()}
    return call.apply(ops.LocalResponseNorm(**fields), call.input(0))


def _write_local_response(draft: Draft, operator: ops.LocalResponseNorm) -> None:
    draft.node(
        "LRN",
        draft.inputs,
        draft.outputs,
        size=operator.size,
        alpha=operator.alpha,
        beta=operator.beta,
        bias=operator.k,
    )


def _lp_normalization(call: Call) -> Any:
    operator = ops.LpNormalization(call.attribute("axis"), float(call.attribute("p")))
    return call.apply(operator, call.input(0))


def _write_lp_normalization(draft: Draft, operator: ops.LpNormalization) -> None:
    if operator.p not in (1, 2):
        raise OnnxError(f"the standard has the norms 1 and 2 only, not {operator.p}")
    fields = {"axis": operator.axis, "p": int(operator.p)}
    draft.node("LpNormalization", draft.inputs, draft.outputs, **fields)


def _dropout(call: Call) -> Any:
    x = call.input(0)
    call.ignore("is_test", "consumed_inputs")
    seed = call.attribute("seed", None)
    if call.opset >= 12:
        ratio = 0.5 if call.input(1) is None else float(call.number(1, "the ratio"))
        training = call.input(2) is not None and bool(call.number(2, "the training mode"))
    else:
        ratio, training = call.attribute("ratio"), False
    if training and ratio:
        return _dropped(call, ratio, seed)
    y: Any = x
    if isinstance(x, Value) and 0 <= ratio < 1:
        y = call.apply(ops.Dropout(ratio), x)
    if not call.wants(1):
        return y
    dtype = "bool" if call.opset >= 10 else call.dtype()
    return y, full(known(*call.shape()), 1, dtype)


def _dropped(call: Call, ratio: float, seed: int | None) -> Any:
    """In training mode, the entries that a seed chooses: with it the node is a function."""
    if seed is None:
        raise OnnxError("training_mode=true without a seed gives other results at each run")
    sizes = known(*call.shape())
    kept = np.random.RandomState(seed).uniform(size=sizes) >= ratio
    scaled = call.constant(kept / (1 - ratio), call.input(0))
    return call.apply(ops.Multiply(), call.input(0), scaled), call.constant(kept, "bool")


def _write_dropout(draft: Draft, operator: ops.Dropout) -> None:
    ratio = draft.constant(np.array(operator.probability, "float32"), "ratio")
    draft.node("Dropout", [draft.inputs[0], ratio], draft.outputs[:1])


NORMALIZATION: tuple[Rule, ...] = (
    Rule("BatchNormalization", _batch_norm, ops.BatchNorm, write_batch_norm),
    Rule("BatchNormalization", _batch_norm, ops.BatchNormInference, write_batch_norm),
    Rule("LayerNormalization", _layer_norm, ops.LayerNorm, _write_layer_norm, since=17, older=True),
    Rule("RMSNormalization", _rms_norm, ops.RMSNorm, _write_rms_norm, since=23, older=True),
    Rule("GroupNormalization", _group_norm, ops.GroupNorm, _write_group_norm, since=21, older=True),
    Rule("InstanceNormalization", _instance_norm, ops.InstanceNorm, _write_instance_norm),
    Rule("LRN", _local_response, ops.LocalResponseNorm, _write_local_response),
    Rule("LpNormalization", _lp_normalization, ops.LpNormalization, _write_lp_normalization),
    Rule("Dropout", _dropout, ops.Dropout, _write_dropout),
)
