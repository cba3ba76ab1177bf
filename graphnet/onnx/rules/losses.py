"""Rules of losses."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call
from graphnet.onnx.draft import Draft
from graphnet.onnx.rules.base import Rule

__all__ = ["LOSSES"]


def _likelihood(call: Call) -> Any:
    x, labels, weights = (call.input(number) for number in range(3))
    reduction, ignore = call.attribute("reduction"), call.attribute("ignore_index", None)
    operator = ops.NegativeLogLikelihood(reduction, ignore)
    return call.apply(operator, x, labels, weights)


def _write_likelihood(draft: Draft, operator: ops.NegativeLogLikelihood) -> None:
    x, labels, *weights = draft.inputs
    labels = draft.as_indices(labels, 1)
    draft.node(
        "NegativeLogLikelihoodLoss",
        [x, labels, *weights],
        draft.outputs,
        reduction=operator.reduction,
        ignore_index=operator.ignore_index,
    )


def _cross_entropy(call: Call) -> Any:
    x, labels, weights = (call.input(number) for number in range(3))
    reduction, ignore = call.attribute("reduction"), call.attribute("ignore_index", None)
    if weights is None and not call.wants(1):
        return call.apply(ops.SoftmaxCrossEntropy(0.0, reduction, ignore), x, labels)
    scores = call.apply(ops.LogSoftmax(axis=1), x, part="log_probabilities")
    operator = ops.NegativeLogLikelihood(reduction, ignore)
    loss = call.apply(operator, scores, labels, weights)
    return (loss, scores) if call.wants(1) else loss


def _write_cross_entropy(draft: Draft, operator: ops.SoftmaxCrossEntropy) -> None:
    x, labels = draft.inputs[0], draft.as_indices(draft.inputs[1], 1)
    fields: dict[str, Any] = {
        "reduction": operator.reduction,
        "ignore_index": operator.ignore_index,
    }
    s = operator.label_smoothing
    if not s:
        draft.node("SoftmaxCrossEntropyLoss", [x, labels], draft.outputs, **fields)
        return
    dtype = draft.specs[0].dtype
    # (1 - s) of the loss of the label and s of the mean of all, where the label counts
    scores = draft.node("LogSoftmax", [x], axis=1)
    hard = draft.node("NegativeLogLikelihoodLoss", [scores, labels], **fields)
    classes = int(draft.specs[0].shape[1])
    # the mean of all classes as the score of each: the same labels count
    mean = draft.mean(scores, np.array([1]))
    size = draft.constant(np.array([1, classes, *[1] * (draft.specs[0].rank - 2)]), "classes")
    spread = draft.node("Tile", [mean, size])
    soft = draft.node("NegativeLogLikelihoodLoss", [spread, labels], **fields)
    shares = [
        draft.constant(np.array(v, dtype), role) for v, role in ((1 - s, "hard"), (s, "soft"))
    ]
    parts = [draft.node("Mul", pair) for pair in zip((hard, soft), shares, strict=True)]
    draft.node("Add", parts, draft.outputs)


def _reduced(draft: Draft, name: str, reduction: str) -> None:
    """The mean or sum of a loss of each entry, or the entries themselves."""
    if reduction == "none":
        draft.node("Identity", [name], draft.outputs)
    else:
        kind = {"mean": "ReduceMean", "sum": "ReduceSum"}[reduction]
        draft.node(kind, [name], draft.outputs, keepdims=0)


def _write_squared(draft: Draft, operator: ops.MeanSquaredError) -> None:
    difference = draft.node("Sub", draft.inputs)
    _reduced(draft, draft.node("Mul", [difference, difference]), operator.reduction)


def _write_absolute(draft: Draft, operator: ops.L1Loss) -> None:
    _reduced(draft, draft.node("Abs", [draft.node("Sub", draft.inputs)]), operator.reduction)


def _number(draft: Draft, value: float, role: str) -> str:
    return draft.constant(np.array(value, draft.specs[0].dtype), role)


def _write_huber(draft: Draft, operator: ops.Huber) -> None:
    delta = _number(draft, operator.delta, "delta")
    half = _number(draft, 0.5, "half")
    distance = draft.node("Abs", [draft.node("Sub", draft.inputs)])
    near = draft.node("Min", [distance, delta])
    # near * (distance - near / 2): quadratic up to delta, linear beyond
    rest = draft.node("Sub", [distance, draft.node("Mul", [half, near])])
    _reduced(draft, draft.node("Mul", [near, rest]), operator.reduction)


def _write_binary(draft: Draft, operator: ops.BinaryCrossEntropy) -> None:
    x, target = draft.inputs
    one = _number(draft, 1.0, "one")
    if operator.from_logits:
        # softplus(x) - target * x
        product = draft.node("Mul", [target, x])
        loss = draft.node("Sub", [draft.node("Softplus", [x]), product])
    else:
        lowest = _number(draft, -100.0, "lowest")
        rest = [draft.node("Sub", [one, name]) for name in (x, target)]
        logs = [draft.node("Max", [draft.node("Log", [name]), lowest]) for name in (x, rest[0])]
        hit, miss = draft.node("Mul", [target, logs[0]]), draft.node("Mul", [rest[1], logs[1]])
        loss = draft.node("Neg", [draft.node("Add", [hit, miss])])
    _reduced(draft, loss, operator.reduction)


def _write_hinge(draft: Draft, operator: ops.Hinge) -> None:
    x, labels = draft.inputs
    classes = int(draft.specs[0].shape[1])
    dtype = draft.specs[0].dtype
    depth = draft.constant(np.array(classes), "classes")
    values = draft.constant(np.array([0, 1], dtype), "values")
    hit = draft.node("OneHot", [draft.as_indices(labels, 1), depth, values], axis=1)
    own = draft.total(draft.node("Mul", [x, hit]), np.array([1]))
    margin, zero, one = (
        _number(draft, value, role)
        for value, role in ((operator.margin, "margin"), (0.0, "zero"), (1.0, "one"))
    )
    above = draft.node("Max", [draft.node("Add", [draft.node("Sub", [x, own]), margin]), zero])
    others = draft.node("Mul", [above, draft.node("Sub", [one, hit])])
    each = draft.total(others, np.array([1]), keepdims=0)
    _reduced(draft, each, operator.reduction)


def _write_divergence(draft: Draft, operator: ops.KLDivergence) -> None:
    x, target = draft.inputs
    zero, one = (_number(draft, v, role) for v, role in ((0.0, "zero"), (1.0, "one")))
    if operator.log_target:
        weight = draft.node("Exp", [target])
        difference = draft.node("Sub", [target, x])
        loss = draft.node("Mul", [weight, difference])
    else:
        empty = draft.node("Equal", [target, zero])
        safe = draft.node("Where", [empty, one, target])
        difference = draft.node("Sub", [draft.node("Log", [safe]), x])
        product = draft.node("Mul", [target, difference])
        loss = draft.node("Where", [empty, zero, product])
    if operator.reduction == "batchmean":
        axes = np.arange(1, draft.specs[0].rank)
        loss = draft.total(loss, axes) if axes.size else loss
    _reduced(draft, loss, operator.reduction.replace("batch", ""))


def _write_penalty(draft: Draft, operator: ops.L2Penalty) -> None:
    loss, *weights = draft.inputs
    squares = []
    for weight in weights:
        square = draft.node("Mul", [weight, weight])
        squares.append(draft.node("ReduceSum", [square], keepdims=0))
    strength = _number(draft, operator.strength, "strength")
    total = draft.node("Mul", [draft.node("Sum", squares), strength])
    draft.node("Add", [loss, total], draft.outputs)


LOSSES: tuple[Rule, ...] = (
    Rule("NegativeLogLikelihoodLoss", _likelihood, ops.NegativeLogLikelihood, _write_likelihood),
    Rule("SoftmaxCrossEntropyLoss", _cross_entropy, ops.SoftmaxCrossEntropy, _write_cross_entropy),
    Rule("MeanSquaredError", None, ops.MeanSquaredError, _write_squared),
    Rule("L1Loss", None, ops.L1Loss, _write_absolute),
    Rule("Huber", None, ops.Huber, _write_huber),
    Rule("BinaryCrossEntropy", None, ops.BinaryCrossEntropy, _write_binary),
    Rule("Hinge", None, ops.Hinge, _write_hinge),
    Rule("KLDivergence", None, ops.KLDivergence, _write_divergence),
    Rule("L2Penalty", None, ops.L2Penalty, _write_penalty),
)
