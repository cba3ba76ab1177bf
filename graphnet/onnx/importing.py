"""From an ONNX model to a graph: a partial evaluation.

Nodes are read in order.  What is known already (initializers, constants, shapes, and all that is
computed from them) is computed at once; the rest is declared as nodes of the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from graphnet.graph import Graph
from graphnet.onnx.bodies import expect_attributes, own_operator, standard_body
from graphnet.onnx.call import Call, Item, Items, Scope, dtype_name
from graphnet.onnx.draft import Names
from graphnet.onnx.errors import OnnxError, UndecidedError
from graphnet.onnx.known import Known, Leaf, fold, is_computed, shared
from graphnet.onnx.rules import READERS
from graphnet.onnx.scanning import (
    expect_known_operators,
    graphs,
    needed,
    overload_of,
    plain_domain,
    versions_of,
)
from graphnet.values import (
    RESERVED,
    Constant,
    GraphError,
    Input,
    Parameter,
    State,
    Value,
    declare,
    reach,
)
from ops.initializers import Initializer
from ops.operator import Operator

__all__ = ["Importer", "Stored", "Trainable"]

#: Which initializers become parameters that optimizers change.
Trainable = bool | Collection[str] | Callable[[str], bool] | None

#: How deep functions may call functions and graphs hold graphs.
DEPTH = 64

#: How many nodes a model may become, loops and functions unrolled.
NODES = 500_000

#: Floats for which there are no kernels; they can be read as float32.
NARROW = ("float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class Stored(Initializer):
    """The first value of a parameter that a file holds."""

    array: np.ndarray

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        """The stored array, whatever ``rng``."""
        return self.array.astype(dtype)


class Importer:
    """Reads one model; see :func:`graphnet.onnx.load` for the arguments.

    Args:
        model: checked before.
        source: how errors call the model.
        shapes: the sizes of inputs, where they replace those of the model.
        constants: arrays that stand in for inputs.
        trainable: which initializers optimizers may change; as the file says when None.
        dtype: what takes the place of narrow floating dtypes.
    """

    def __init__(
        self,
        model: ModelProto,
        source: str,
        *,
        shapes: Mapping[str, Iterable[int | str]] | None = None,
        constants: Mapping[str, np.ndarray] | None = None,
        trainable: Trainable = None,
        dtype: str | None = None,
    ) -> None:
        self.model = model
        self.source = source
        self._shapes = dict(shapes or {})
        self._constants = dict(constants or {})
        self._trainable = trainable
        self._dtype = dtype
        self._functions = {(f.domain, f.name, overload_of(f)): f for f in model.functions}
        self.inputs: dict[str, Input] = {}
        self._names = Names([])
        self._leaves: dict[str, Parameter | State] = {}
        self._values: dict[int, tuple[Known, Value]] = {}
        self._docs: dict[str, str] = {}
        self._where = source
        self._doc = ""
        self._count = 0
        self._uses = Counter(
            name
            for graph in graphs(model.graph)
            for name in (
                *(name for node in graph.node for name in node.input),
                *(output.name for output in graph.output),
            )
        )

    # the whole model

    def outputs(self) -> dict[str, Item]:
        """What becomes of the outputs of the model, by their names.

        Raises:
            OnnxError: the model cannot be read; the message says where.
        """
        opsets = versions_of(self.model.opset_import)
        expect_known_operators(self.model, self._functions, opsets)
        graph = self.model.graph
        scope = Scope({}, opsets)
        stored = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in stored]
        for name in (*self._shapes, *self._constants):
            if name not in {value.name for value in inputs}:
                raise OnnxError(
                    f"{self.source}: no input is called {name!r}; "
                    f"expected {[value.name for value in inputs]}"
                )
        self._names.take(value.name for value in inputs)
        self._names.take(stored)
        for value in inputs:
            scope.items[value.name] = self._input(value)
        found = self._run_graph(graph, scope)
        return dict(zip((value.name for value in graph.output), found, strict=True))

    def graph(self) -> Graph:
        """The graph of the model.

        Raises:
            OnnxError: the model cannot be read; the message says where.
        """
        outputs = {}
        for name, item in self.outputs().items():
            if not isinstance(item, Value | Known):
                raise OnnxError(f"{self.source}: output {name!r} is no tensor")
            outputs[name] = self.value(item)
        try:
            graph = Graph(**outputs)
        except GraphError as error:
            raise OnnxError(f"{self.source}: {error}") from None
        graph.metadata.update(_notes(self.model), **self._docs)
        return graph

    def _input(self, value: onnx.ValueInfoProto) -> Item:
        kind = value.type.WhichOneof("value")
        if value.name in self._constants:
            return self._bound(self._constants[value.name])
        if kind != "tensor_type":
            raise OnnxError(f"{self.source}: input {value.name!r} is no tensor but {kind}")
        tensor = value.type.tensor_type
        dtype = self.computed(dtype_name(tensor.elem_type))
        if value.name in self._shapes:
            shape: list[int | str] = list(self._shapes[value.name])
        elif not tensor.HasField("shape"):
            raise OnnxError(
                f"{self.source}: the shape of input {value.name!r} is not known: give it, "
                f"shapes={{{value.name!r}: (...)}}"
            )
        else:
            shape = self._declared(value.name, tensor.shape)
        name = value.name
        while name in RESERVED:
            name += "_"
        try:
            self.inputs[value.name] = Input(name, shape, dtype)
        except (TypeError, ValueError) as error:
            raise OnnxError(f"{self.source}: {error}") from None
        return self.inputs[value.name]

    def _bound(self, constant: Any) -> Item:
        """What stands in for an input: an array, a list of them, or nothing."""
        if isinstance(constant, list):
            return [self._bound(entry) for entry in constant]
        return None if constant is None else Known(self.narrowed(np.asarray(constant)))

    def _declared(self, name: str, shape: onnx.TensorShapeProto) -> list[int | str]:
        """The sizes that the model gives an input; a free one that is the batch is ``N``."""
        sizes: list[int | str] = []
        for axis, dim in enumerate(shape.dim):
            if dim.HasField("dim_value"):
                sizes.append(dim.dim_value)
            elif dim.dim_param == self._batch or (axis == 0 and not dim.dim_param):
                sizes.append("N")
            else:
                sizes.append(dim.dim_param or "?")
        free = [size for size in sizes if isinstance(size, str) and size != "N"]
        if free:
            wanted = ", ".join("..." if size in free else repr(size) for size in sizes)
            raise OnnxError(
                f"{self.source}: input {name!r} is ({', '.join(map(str, sizes))}), with free "
                f"sizes beside the batch: bind them, shapes={{{name!r}: ({wanted})}}"
            )
        return sizes

    @cached_property
    def _batch(self) -> str:
        """The symbol of the model that is the batch."""
        shapes = [
            value.type.tensor_type.shape.dim
            for value in self.model.graph.input
            if value.name not in self._shapes and value.name not in self._constants
        ]
        symbols = [dim.dim_param for dims in shapes for dim in dims if dim.dim_param]
        first = [dims[0].dim_param for dims in shapes if dims and dims[0].dim_param]
        for found in (["N"] if "N" in symbols else [], first, symbols):
            if found:
                return found[0]
        return "N"

    # graphs, functions and nodes

    def _run_graph(self, graph: GraphProto, scope: Scope) -> tuple[Item, ...]:
        self._store(graph, scope)
        self._run_nodes(graph.node, [value.name for value in graph.output], scope)
        return tuple(scope.find(value.name) for value in graph.output)

    def run_subgraph(self, graph: GraphProto, inputs: list[Item], outer: Scope) -> tuple[Item, ...]:
        """The outputs of a graph inside a node."""
        names = (value.name for value in graph.input)
        items = dict(zip(names, map(shared, inputs), strict=True))
        scope = Scope(items, outer.opsets, outer, outer.attributes, outer.depth + 1)
        self._expect_depth(scope)
        return self._run_graph(graph, scope)

    def run_function(
        self,
        body: FunctionProto,
        inputs: list[Item],
        attributes: Mapping[str, onnx.AttributeProto],
        outer: Scope,
        wanted: list[bool],
    ) -> tuple[Item, ...]:
        """The wanted outputs of a function for some inputs; those left out are nothing."""
        names = list(body.input)
        if len(inputs) > len(names):
            raise OnnxError(f"expected at most {len(names)} inputs, received {len(inputs)}")
        items = dict.fromkeys(names, None) | dict(zip(names, map(shared, inputs), strict=False))
        given = {attribute.name: attribute for attribute in body.attribute_proto} | {
            name: attribute
            for name, attribute in attributes.items()
            if name in set(body.attribute) | {a.name for a in body.attribute_proto}
        }
        opsets = {**outer.opsets, **versions_of(body.opset_import)}
        scope = Scope(items, opsets, None, given, outer.depth + 1)
        self._expect_depth(scope)
        pairs = zip(body.output, wanted, strict=False)
        outputs = [name if want else "" for name, want in pairs]
        self._run_nodes(body.node, list(filter(None, outputs)), scope)
        return tuple(map(scope.find, outputs))

    def _expect_depth(self, scope: Scope) -> None:
        if scope.depth > DEPTH:
            raise OnnxError(f"expected functions and graphs at most {DEPTH} deep in each other")

    def _store(self, graph: GraphProto, scope: Scope) -> None:
        if graph.sparse_initializer:
            raise OnnxError(f"{self.source}: sparse initializers are not supported")
        for tensor in graph.initializer:
            if tensor.name in scope.items:
                raise OnnxError(f"{self.source}: {tensor.name!r} is stored twice")
            decay = _properties(tensor).get("graphnet.decay")
            leaf = Leaf(
                tensor.name,
                self._may_train(tensor),
                self._uses[tensor.name] == 1,
                None if decay is None else decay == "true",
            )
            if tensor.doc_string:
                self._docs[f"onnx.value.{tensor.name}.doc_string"] = tensor.doc_string
            array = self.narrowed(numpy_helper.to_array(tensor))
            kept = scope.outer is None and is_computed(array.dtype)
            scope.items[tensor.name] = Known(array, None, leaf if kept else None, tensor.name)

    def _may_train(self, tensor: TensorProto) -> bool:
        chosen = self._trainable
        if chosen is None:
            chosen = _properties(tensor).get("graphnet.trainable") != "false"
        elif callable(chosen):
            chosen = bool(chosen(tensor.name))
        elif not isinstance(chosen, bool):
            chosen = tensor.name in chosen
        dtype = self.computed(dtype_name(tensor.data_type))
        return chosen and dtype in ("float16", "float32", "float64")

    def _run_nodes(self, nodes: Iterable[NodeProto], outputs: list[str], scope: Scope) -> None:
        for node in needed(nodes, outputs):
            self._run_node(node, scope)

    def _run_node(self, node: NodeProto, scope: Scope) -> None:
        self._spend()
        outer = self._where
        self._doc = node.doc_string
        label = node.name or next(filter(None, node.output), "")
        self._where = f"{self.source}, node {label!r}"
        try:
            inputs = [scope.find(name) for name in node.input]
            opset = scope.opsets.get(plain_domain(node.domain), 0)
            call = Call(self, scope, node, inputs, opset)
            found = self._read(call)
        except UndecidedError:
            raise
        except OnnxError as error:
            if str(error).startswith(self.source):
                raise
            raise OnnxError(f"{self._where} ({node.op_type}): {error}") from None
        except (ValueError, TypeError) as error:
            raise OnnxError(f"{self._where} ({node.op_type}): {error}") from None
        except Exception as error:
            # attributes and inputs may be anything: a rule stumbles over what nobody foresaw
            raise OnnxError(f"{self._where} ({node.op_type}): {error!r}") from error
        finally:
            self._where = outer
        items = found if isinstance(found, tuple) else (found,)
        for name, item in zip(node.output, items, strict=False):
            if name:
                scope.items[name] = item
        for name in node.output[len(items) :]:
            if name:
                raise OnnxError(
                    f"{self.source}, node {label!r} ({node.op_type}): "
                    f"output {name!r} is not supported"
                )

    def _spend(self) -> None:
        """Count what the model becomes, so that no file makes an endless graph."""
        self._count += 1
        if self._count > NODES:
            raise OnnxError(f"{self.source}: expected at most {NODES:,} nodes, loops unrolled")

    def _read(self, call: Call) -> Items:
        node, scope = call.proto, call.scope
        wanted = [bool(name) for name in node.output]
        domain = plain_domain(node.domain)
        function = self._functions.get((node.domain, node.op_type, overload_of(node)))
        if function is not None:
            own = own_operator(function)
            if own is not None:
                return self.apply(own, tuple(call.inputs), call.name())
            attributes = self._given(call)
            expect_attributes(
                call, {*function.attribute, *(a.name for a in function.attribute_proto)}
            )
            return self.run_function(function, call.inputs, attributes, scope, wanted)
        rule = READERS.get((domain, node.op_type))
        if rule is not None:
            assert rule.read is not None
            found = rule.read(call)
            if found is not NotImplemented:
                call.finish()
                return found
        body = standard_body(call)
        if body is not None:
            schema = onnx.defs.get_schema(call.kind, call.opset, node.domain)
            expect_attributes(call, set(schema.attributes))
        if body is None:
            raise OnnxError(f"{node.op_type}-{call.opset} with these inputs is not supported")
        return self.run_function(body, call.inputs, self._given(call), scope, wanted)

    def _given(self, call: Call) -> dict[str, onnx.AttributeProto]:
        """The attributes of a node, those that refer to its function's resolved."""
        given = {}
        for attribute in call.proto.attribute:
            if not attribute.ref_attr_name:
                given[attribute.name] = attribute
            elif attribute.ref_attr_name in call.scope.attributes:
                given[attribute.name] = call.scope.attributes[attribute.ref_attr_name]
        try:
            schema = onnx.defs.get_schema(call.kind, call.opset, call.proto.domain)
        except onnx.defs.SchemaError:
            return given
        for name, declared in schema.attributes.items():
            if name not in given and declared.default_value.name:
                given[name] = declared.default_value
        return given

    # items and values

    def apply(self, operator: Operator, inputs: tuple[Item, ...], name: str) -> tuple[Item, ...]:
        """Apply an operator: at once if all inputs are known, else by declaring a node."""
        self._spend()
        for item in inputs:
            if isinstance(item, list):
                raise OnnxError("expected a tensor, received a sequence")
        _expect_inputs(operator, inputs)
        known = tuple(item for item in inputs if not isinstance(item, Value))
        if len(known) == len(inputs) and (len(known) == 1 or not any(map(_is_trained, known))):
            found = fold(operator, known)  # type: ignore[arg-type]
            if not any(map(_is_trained, known)) or found[0].leaf:
                return found
        strange = [k for k in known if isinstance(k, Known) and not is_computed(k.array.dtype)]
        for item in inputs if strange else ():
            if isinstance(item, Value):
                raise self.undecided(item, f"what meets {strange[0].dtype}")
        values = tuple(None if item is None else self.value(item) for item in inputs)
        while values and values[-1] is None:
            values = values[:-1]
        variadic = type(operator).signature().variadic
        names = type(operator).signature().names
        given = {} if variadic else dict(zip(names, values, strict=False))
        try:
            node = declare(
                operator, values if variadic else (), given, self._names.fresh(name), self._where
            )
        except ValueError:
            # what has no gradient may still be computed now
            whole = [v for v in values if isinstance(v, Value) and not v.spec.is_floating]
            depends = {name for value in whole for name in self.inputs_of(value)}
            if whole and depends and all(map(self._is_feedable, whole)):
                raise self.undecided(whole[0], f"integers for {type(operator).__name__}") from None
            raise
        if self._doc and node.name:
            self._docs[f"onnx.node.{node.name}.doc_string"] = self._doc
        return node.visible_outputs

    def _is_feedable(self, value: Value) -> bool:
        return bool(self.inputs_of(value))

    def value(self, item: Item) -> Value:
        """An item as a value of the graph: a parameter for an initializer, else a constant.

        Raises:
            OnnxError: it depends on the batch, or has a dtype that no kernel computes.
        """
        if isinstance(item, Value):
            return item
        if not isinstance(item, Known):
            raise OnnxError(f"expected a tensor, received {type(item).__name__}")
        if item.slope is not None:
            raise OnnxError(
                "a shape that holds the batch is used as data: bind it with shapes={input: sizes}"
            )
        if not is_computed(item.array.dtype):
            raise OnnxError(f"{item.dtype} arrays are not supported as data of a graph")
        if item.leaf is not None:
            return self._parameter(item, item.leaf)
        if id(item) not in self._values:
            name = self._names.fresh(item.name) if item.name else None
            self._values[id(item)] = item, Constant(item.array, name)
        return self._values[id(item)][1]

    def _parameter(self, item: Known, leaf: Leaf) -> Value:
        found = self._leaves.get(leaf.name)
        if found is None:
            found = self._leaves[leaf.name] = Parameter(
                leaf.name,
                item.shape,
                Stored(item.array),
                item.dtype,
                decay=item.array.ndim > 1 if leaf.decay is None else leaf.decay,
                trainable=leaf.trainable,
            )
        return found

    def state(self, item: Item) -> Value | None:
        """An initializer that one node alone reads as a state that it renews; None for others."""
        if not isinstance(item, Known) or item.leaf is None or not item.leaf.alone:
            return None
        name = item.leaf.name
        if name in self._leaves:  # the body of a loop comes more than once
            return None
        self._leaves[name] = State(name, item.shape, Stored(item.array), item.dtype)
        return self._leaves[name]

    def undecided(self, item: Item, what: str) -> OnnxError:
        """The error for an item that had to be known."""
        if not isinstance(item, Value):
            return OnnxError(f"expected a tensor for {what}, received {type(item).__name__}")
        inputs = self.inputs_of(item)
        how = " or ".join(f"constants={{{name!r}: array}}" for name in inputs)
        return UndecidedError(
            f"{self._where}: {what} must be known while the model is read, but depends on "
            f"{list(inputs)}: bind it with {how}",
            inputs,
        )

    def inputs_of(self, value: Value) -> tuple[str, ...]:
        """The names of the model's inputs on which a value depends."""
        reached = set(reach([value]))
        return tuple(name for name, part in self.inputs.items() if part in reached)

    # dtypes

    def computed(self, dtype: str) -> str:
        """The dtype that takes the place of one."""
        return self._dtype if self._dtype and dtype in NARROW else dtype

    def narrowed(self, array: np.ndarray) -> np.ndarray:
        """An array in the dtype that takes the place of its own."""
        dtype = self.computed(array.dtype.name)
        return array if dtype == array.dtype.name else array.astype(dtype)


def _notes(model: ModelProto) -> dict[str, str]:
    """What a model says about itself."""
    notes = {
        "onnx.doc_string": model.doc_string,
        "onnx.domain": model.domain,
        "onnx.model_version": str(model.model_version or ""),
        "onnx.graph.name": model.graph.name,
        "onnx.graph.doc_string": model.graph.doc_string,
    }
    notes |= {f"onnx.property.{entry.key}": entry.value for entry in model.metadata_props}
    for value in (*model.graph.input, *model.graph.output):
        notes[f"onnx.value.{value.name}.doc_string"] = value.doc_string
    return {key: text for key, text in notes.items() if text}


def _expect_inputs(operator: Operator, inputs: tuple[Item, ...]) -> None:
    """Refuse to leave out what an operator needs: it would be created anew, or be nothing."""
    cls = type(operator)
    signature = cls.signature()
    if signature.variadic:
        return
    # states such as the key of a generator are made by the node itself
    names = signature.names if cls.states is Operator.states else signature.data
    for name, item in zip(names, (*inputs, *[None] * len(names)), strict=False):
        if item is None and name not in signature.optional:
            raise OnnxError(f"input {name!r} is missing")


def _is_trained(item: Item) -> bool:
    return isinstance(item, Known) and item.leaf is not None and item.leaf.trainable


def _properties(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.metadata_props}
