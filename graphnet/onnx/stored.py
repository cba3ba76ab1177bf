"""Weights that a file keeps in nodes rather than where weights belong."""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto

__all__ = ["store_constants"]

#: The types of weights.
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def store_constants(model: onnx.ModelProto) -> None:
    """Make initializers of the constants of a model that has no other weights.

    Paddle2ONNX writes each weight as a ``Constant`` node.  Of a model without a single floating
    initializer, the constants of more than one float are taken for weights: single numbers are part
    of formulas, such as the 6 of a hard swish.  What graphnet wrote itself is left as it is.
    """
    graph = model.graph
    if model.producer_name == "graphnet":
        return
    if any(tensor.data_type in FLOATS for tensor in graph.initializer):
        return
    kept = []
    for node in graph.node:
        weight = _weight(node)
        if weight is None:
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            continue
        graph.initializer.append(weight)
        graph.initializer[-1].name = node.output[0]
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


def _weight(node: onnx.NodeProto) -> TensorProto | None:
    """The tensor of a node that is a constant of several floats."""
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx") or len(node.output) != 1:
        return None
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.t.data_type in FLOATS:
            return attribute.t if math.prod(attribute.t.dims) > 1 else None
    return None
