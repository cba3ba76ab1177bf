"""How operators are written that stand for chains of others; they are read as functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.draft import Draft
from graphnet.onnx.rules.base import Rule
from graphnet.onnx.rules.convolutions import write_conv
from graphnet.onnx.rules.normalization import write_batch_norm
from graphnet.onnx.rules.window_fields import attributes_of

__all__ = ["FUSED"]


def _rectified(first: Any, count: int) -> Any:
    """The first operator, an addition where there is a further input, and ReLU."""

    def write(draft: Draft, operator: Any) -> None:
        inputs, outputs = draft.inputs, draft.outputs
        inner = draft.name("inner")
        draft.inputs, draft.outputs = inputs[:count], [inner]
        first(draft, operator)
        draft.inputs, draft.outputs = inputs, outputs
        if inputs[count:] and inputs[count]:
            inner = draft.node("Add", [inner, inputs[count]])
        draft.node("Relu", [inner], outputs)

    return write


def _write_first_layer(draft: Draft, operator: ops.ConvMaxPoolReLU) -> None:
    outputs = draft.outputs
    convolved, pooled = draft.name("convolved"), draft.name("pooled")
    draft.outputs = [convolved]
    write_conv(draft, operator)
    draft.outputs = outputs
    x = draft.specs[0]
    y = x.with_shape((x.shape[0], operator.filters, *operator.windows(x).out))
    draft.node("MaxPool", [convolved], [pooled], **attributes_of(operator.pool, y))
    draft.node("Relu", [pooled], outputs)


def _write_folded(draft: Draft, operator: ops.FoldBatchNorm) -> None:
    weight, gamma, beta, mean, var, *bias = draft.inputs
    spec = draft.specs[0]
    eps = draft.constant(np.array(operator.eps, spec.dtype), "eps")
    root = draft.node("Sqrt", [draft.node("Add", [var, eps])])
    scale = draft.node("Div", [gamma, root])
    across = draft.constant(np.array([-1, *[1] * (spec.rank - 1)]), "across")
    if 0 in spec.shape:
        across = draft.constant(np.array([spec.shape[0], *[1] * (spec.rank - 1)]), "sizes")
    factor = draft.node("Reshape", [scale, across], allowzero=1 if 0 in spec.shape else None)
    draft.node("Mul", [weight, factor], draft.outputs[:1])
    given = bias and bias[0]
    centred = draft.node("Sub", [bias[0], mean]) if given else draft.node("Neg", [mean])
    draft.node("Add", [beta, draft.node("Mul", [centred, scale])], draft.outputs[1:])


FUSED: tuple[Rule, ...] = (
    Rule("ConvMaxPoolReLU", None, ops.ConvMaxPoolReLU, _write_first_layer),
    Rule("ConvReLU", None, ops.ConvReLU, _rectified(write_conv, 3)),
    Rule(
        "BatchNormInferenceReLU",
        None,
        ops.BatchNormInferenceReLU,
        _rectified(write_batch_norm, 5),
    ),
    Rule("FoldBatchNorm", None, ops.FoldBatchNorm, _write_folded),
)
