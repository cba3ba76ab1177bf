"""From a graph to an ONNX model, in the form that inference has."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from graphnet.graph import Graph
from graphnet.onnx.call import elem_type
from graphnet.onnx.datafile import DataFile
from graphnet.onnx.draft import DOMAIN, OPERATOR, Draft, Names
from graphnet.onnx.errors import OnnxError, OpsetError
from graphnet.onnx.rules import WRITERS
from graphnet.onnx.rules.base import Rule
from graphnet.values import Node, Parameter, Value
from ops.operator import Operator, Spec, known

__all__ = ["OLDEST", "Exporter", "expect_opset"]

#: The oldest opset that can be written.
OLDEST = 13


def expect_opset(opset: int) -> None:
    """Refuse an opset that cannot be written.

    Raises:
        TypeError: it is no integer.
        OnnxError: it is too old, or newer than the installed onnx.
    """
    if not isinstance(opset, int) or isinstance(opset, bool):
        raise TypeError(f"expected an opset such as 21, received {opset!r}")
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= opset <= newest:
        raise OnnxError(f"expected an opset in {OLDEST}..{newest}, received {opset}")


class Exporter:
    """Writes one graph.

    Args:
        graph: in any form; each operator is written as what it does at inference.
        arrays: the values of parameters and states by name.
        opset: the version of the operator set.
        beside: takes the large arrays, which are part of the model when None.
    """

    def __init__(
        self,
        graph: Graph,
        arrays: Mapping[str, np.ndarray],
        opset: int,
        beside: DataFile | None = None,
    ) -> None:
        self._graph = graph
        self._beside = beside
        self._arrays = arrays
        self._opset = opset
        leaves = (graph.inputs, graph.parameters, graph.states, graph.constants)
        self._values: dict[Value, str] = {
            value: name for some in leaves for name, value in some.items()
        }
        self._names = Names([*self._values.values(), *graph.outputs])
        self._nodes: list[NodeProto] = []
        self._functions: dict[Any, FunctionProto] = {}

    def model(self) -> ModelProto:
        """The model.

        Raises:
            OnnxError: an operator cannot be written; the message names the nodes.
        """
        graph = self._graph
        self._expect_writable()
        outputs = self._name_outputs()
        for name, node in graph.nodes.items():
            self._write(name, node)
        for key, value in outputs.items():
            self._nodes.append(onnx.helper.make_node("Identity", [self._values[value]], [key]))
        used = {name for node in self._nodes for name in node.input}
        used |= set(graph.outputs)
        leaves = {**graph.parameters, **graph.states}
        tensors = [self._tensor(n, leaf) for n, leaf in leaves.items() if n in used]
        fixed = [
            onnx.helper.make_node(
                "Constant", [], [name], value=numpy_helper.from_array(np.array(c.array), name)
            )
            for name, c in graph.constants.items()
            if name in used
        ]
        notes = graph.metadata
        proto = onnx.helper.make_graph(
            [*fixed, *self._nodes],
            notes.get("onnx.graph.name", "graph"),
            [self._info(name, value) for name, value in graph.inputs.items()],
            [self._info(name, value) for name, value in graph.outputs.items()],
            tensors,
            doc_string=notes.get("onnx.graph.doc_string") or None,
        )
        opsets = [onnx.helper.make_opsetid("", self._opset)]
        if self._functions:
            opsets.append(onnx.helper.make_opsetid(DOMAIN, 1))
        model = onnx.helper.make_model(
            proto,
            opset_imports=opsets,
            functions=list(self._functions.values()),
            producer_name="graphnet",
            ir_version=max(onnx.helper.find_min_ir_version_for(opsets[:1]), 8),
        )
        model.doc_string = notes.get("onnx.doc_string", "")
        model.domain = notes.get("onnx.domain", "")
        model.model_version = int(notes.get("onnx.model_version", 0))
        onnx.helper.set_model_props(
            model,
            {
                key.removeprefix("onnx.property."): value
                for key, value in notes.items()
                if key.startswith("onnx.property.")
            },
        )
        return model

    def _expect_writable(self) -> None:
        unknown: Counter[str] = Counter()
        for node in self._graph.nodes.values():
            if _form(node.operator) is None:
                unknown[node.kind] += 1
        if unknown:
            listed = ", ".join(f"{kind} ({count})" for kind, count in sorted(unknown.items()))
            raise OnnxError(f"operators that cannot be written as ONNX: {listed}")

    def _name_outputs(self) -> dict[str, Value]:
        """Give values the names of the outputs; those left over are copies of others."""
        copies: dict[str, Value] = {}
        for key, value in self._graph.outputs.items():
            if self._values.get(value) == key:
                continue
            if value.producer is None or value in self._values:
                copies[key] = value
            else:
                self._values[value] = key
        for key in self._graph.outputs:
            owner = next((v for v, name in self._values.items() if name == key), None)
            if owner is not None and owner is not self._graph.outputs[key]:
                raise OnnxError(f"output {key!r} has the name of another value; rename one")
        return copies

    def _write(self, name: str, node: Node) -> None:
        operator = _form(node.operator)
        assert operator is not None, "checked before"
        rule = WRITERS[type(operator)]
        inputs = ["" if v is None else self._values[v] for v in node.inputs]
        for index, value in enumerate(node.visible_outputs):
            if value not in self._values:
                tail = f":{index}" if len(node.visible_outputs) > 1 else ""
                self._values[value] = self._names.fresh(name + tail)
        outputs = [self._values[value] for value in node.visible_outputs]
        specs = [None if v is None else v.spec for v in node.inputs]
        results = [value.spec for value in node.visible_outputs]
        if type(operator) is not type(node.operator):
            kept = type(operator).signature().names
            pairs = [
                pair
                for role, *pair in zip(node.input_names, inputs, specs, strict=True)
                if role in kept
            ]
            inputs, specs = [list(column) for column in zip(*pairs, strict=True)]
        draft = Draft(name, self._opset, inputs, outputs, specs, results, self._names)
        try:
            if self._opset < rule.since and rule.read is not None and not rule.older:
                raise OpsetError(f"{rule.name} is there from opset {rule.since} on", rule.since)
            rule.write(draft, operator)  # type: ignore[misc]
        except OpsetError as error:
            raise OpsetError(f"{self._graph.describe(node)}: {error}", error.since) from None
        except OnnxError as error:
            raise OnnxError(f"{self._graph.describe(node)}: {error}") from None
        computing = [proto for proto in draft.nodes if proto.op_type != "Constant"]
        apart = rule.read is None or draft.as_function
        if apart or (len(computing) > 1 and not rule.plain):
            self._nodes.append(self._call(name, operator, rule, inputs, outputs, specs, results))
        else:
            self._nodes.extend(draft.nodes)
        doc = self._graph.metadata.get(f"onnx.node.{name}.doc_string")
        if doc:
            self._nodes[-1].doc_string = doc

    def _call(
        self,
        name: str,
        operator: Operator,
        rule: Rule,
        inputs: list[str],
        outputs: list[str],
        specs: list[Spec | None],
        results: list[Spec],
    ) -> NodeProto:
        """A call of a function that stands for the operator."""
        kind = type(operator).__name__
        key = (operator, *specs)
        if key not in self._functions:
            number = sum(type(found[0]) is type(operator) for found in self._functions) + 1
            title = kind if number == 1 else f"{kind}_{number}"
            given = [f"x{i}" if spec is not None else "" for i, spec in enumerate(specs)]
            wanted = [f"y{i}" for i in range(len(outputs))]
            draft = Draft(
                kind, self._opset, given, wanted, specs, results, Names([*given, *wanted])
            )
            rule.write(draft, operator)  # type: ignore[misc]
            for node in draft.nodes:
                node.name = ""
            body = onnx.helper.make_function(
                DOMAIN,
                title,
                [f"x{i}" for i in range(len(specs))],
                wanted,
                draft.nodes,
                [onnx.helper.make_opsetid("", self._opset)],
            )
            entry = body.metadata_props.add()
            entry.key, entry.value = OPERATOR, _as_json(operator)
            self._functions[key] = body
        title = self._functions[key].name
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        return onnx.helper.make_node(title, inputs, outputs, name, domain=DOMAIN)

    def _tensor(self, name: str, leaf: Value) -> TensorProto:
        array = np.asarray(self._arrays[name], dtype=leaf.dtype)
        array = np.ascontiguousarray(array).reshape(known(*leaf.shape))
        tensor = TensorProto(name=name, dims=array.shape, data_type=elem_type(leaf.dtype))
        if self._beside is None or not self._beside.take(tensor, array):
            tensor = numpy_helper.from_array(array, name)
        tensor.doc_string = self._graph.metadata.get(f"onnx.value.{name}.doc_string", "")
        if isinstance(leaf, Parameter):
            notes = {
                "graphnet.trainable": leaf.trainable or not leaf.spec.is_floating,
                "graphnet.decay": leaf.decay == (leaf.spec.rank > 1),
            }
            for key, usual in notes.items():
                if not usual:
                    entry = tensor.metadata_props.add()
                    entry.key = key
                    said = leaf.decay if key == "graphnet.decay" else leaf.trainable
                    entry.value = str(said).lower()
        return tensor

    def _info(self, name: str, value: Value) -> ValueInfoProto:
        sizes = [size if isinstance(size, int) else str(size) for size in value.shape]
        doc = self._graph.metadata.get(f"onnx.value.{name}.doc_string", "")
        return onnx.helper.make_tensor_value_info(name, elem_type(value.dtype), sizes, doc)


def _form(operator: Operator) -> Operator | None:
    """The operator that is written, which may be the one that stands in at inference."""
    if type(operator) in WRITERS:
        return operator
    stand_in = operator.for_inference()
    return stand_in if type(stand_in) in WRITERS else None


def _as_json(operator: Operator) -> str:
    fields = {f.name: getattr(operator, f.name) for f in dataclasses.fields(operator)}  # type: ignore[arg-type]
    return json.dumps({"name": type(operator).__name__, "fields": fields})
