"""The same network in PyTorch and ONNX, made from the graph itself: node by node, same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import graphnet as gn
import ops
from graphnet.values import Node, Value

__all__ = ["onnx_model", "torch_module"]


def torch_module(graph: gn.Graph, weights: dict[str, np.ndarray], output: str) -> Any:
    """A ``torch.nn.Module`` that computes one output of the graph from its input ``image``."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in weights.items():
                tensor = torch.from_numpy(value.copy())
                if name in graph.parameters:
                    self.register_parameter(_attribute(name), torch.nn.Parameter(tensor))
                else:
                    self.register_buffer(_attribute(name), tensor)
            part = graph.select(output)
            self.steps = [
                (_torch_step(node), [_leaf(graph, v) for v in node.inputs], node.inputs, node)
                for node in part.nodes.values()
            ]
            self.source = graph.inputs["image"]
            self.result = graph.outputs[output]

        def forward(self, image: Any) -> Any:
            values = {self.source: image}
            for step, names, inputs, node in self.steps:
                given = [
                    getattr(self, name) if name else values.get(value)
                    for name, value in zip(names, inputs, strict=True)
                ]
                values[node.outputs[0]] = step(self.training, *given)
            return values[self.result]

    return Network()


def _attribute(name: str) -> str:
    return name.replace(".", "__")


def _leaf(graph: gn.Graph, value: Value | None) -> str | None:
    """The attribute that holds a parameter or state; None for what nodes compute."""
    if value is None or value.producer is not None or isinstance(value, gn.Input):
        return None
    return _attribute(graph.name_of(value))


def _pads(node: Node) -> Any:
    windows = node.operator.windows(node.inputs[0].spec)  # type: ignore[attr-defined, union-attr]
    if any(begin != end for begin, end in windows.padding):
        raise ValueError(f"{node.describe()}: padding differs between the sides")
    return windows


def _torch_step(node: Node) -> Callable[..., Any]:
    from torch.nn import functional

    operator = node.operator
    if isinstance(operator, ops.Conv):
        w = _pads(node)
        padding = [begin for begin, _ in w.padding]
        return lambda _, x, weight, bias: functional.conv2d(
            x, weight, bias, w.stride, padding, w.dilation, operator.groups
        )
    if isinstance(operator, ops.BatchNorm):
        renew, eps = 1 - operator.momentum, operator.eps
        return lambda training, x, gamma, beta, mean, var: functional.batch_norm(
            x, mean, var, gamma, beta, training, renew, eps
        )
    if isinstance(operator, ops.MaxPool):
        w = _pads(node)
        padding = [begin for begin, _ in w.padding]
        return lambda _, x: functional.max_pool2d(x, w.kernel, w.stride, padding, w.dilation)
    if isinstance(operator, ops.Linear):
        return lambda _, x, weight, bias: functional.linear(x.flatten(operator.axis), weight, bias)
    simple: dict[type, Callable[..., Any]] = {
        ops.ReLU: lambda _, x: functional.relu(x),
        ops.Add: lambda _, a, b: a + b,
        ops.GlobalAvgPool: lambda _, x: functional.adaptive_avg_pool2d(x, 1),
        ops.Flatten: lambda _, x: x.flatten(1),
    }
    return simple[type(operator)]


def onnx_model(graph: gn.Graph, weights: dict[str, np.ndarray], output: str, batch: int) -> bytes:
    """The inference form of one output as an ONNX model."""
    import onnx
    from onnx import helper, numpy_helper

    part = graph.select(output)
    names = {graph.inputs["image"]: "image"}
    nodes, constants = [], {}

    def name_of(value: Value | None) -> str:
        if value is None:
            return ""
        if value in names:
            return names[value]
        leaf = graph.name_of(value)
        constants[leaf] = weights[leaf]
        return leaf

    for name, node in part.nodes.items():
        names[node.outputs[0]] = name
        inputs = [name_of(v) for v in node.inputs]
        for kind, given, attributes in _onnx_steps(node, inputs, name):
            nodes.append(
                helper.make_node(kind, given[:-1], given[-1:], name=given[-1], **attributes)
            )
    shape = [batch, *graph.inputs["image"].shape[1:]]
    float32, result = onnx.TensorProto.FLOAT, part.outputs[output]
    model = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", float32, shape)],
        [helper.make_tensor_value_info(names[result], float32, [batch, *result.shape[1:]])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    found = helper.make_model(model, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(found)
    return bytes(found.SerializeToString())


def _onnx_steps(
    node: Node, inputs: list[str], result: str
) -> Iterable[tuple[str, list[str], dict[str, Any]]]:
    """The ONNX nodes of a node: kind, inputs and the output, attributes."""
    operator = node.operator
    if isinstance(operator, ops.Conv | ops.MaxPool):
        w = _pads(node)
        attributes: dict[str, Any] = {
            "kernel_shape": w.kernel,
            "strides": w.stride,
            "dilations": w.dilation,
            "pads": [pad for side in zip(*w.padding, strict=True) for pad in side],
        }
        if isinstance(operator, ops.Conv):
            given = [name for name in inputs if name]
            return [("Conv", [*given, result], {**attributes, "group": operator.groups})]
        return [("MaxPool", [*inputs, result], attributes)]
    if isinstance(operator, ops.BatchNorm):
        return [("BatchNormalization", [*inputs, result], {"epsilon": operator.eps})]
    if isinstance(operator, ops.Linear):
        x, weight, bias = inputs
        flat = result + ".flat"
        return [
            ("Flatten", [x, flat], {"axis": operator.axis}),
            ("Gemm", [flat, weight, bias, result], {"transB": 1}),
        ]
    kinds = {
        ops.ReLU: "Relu",
        ops.Add: "Add",
        ops.GlobalAvgPool: "GlobalAveragePool",
        ops.Flatten: "Flatten",
    }
    return [(kinds[type(operator)], [*inputs, result], {})]
