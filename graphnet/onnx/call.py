"""One node of an ONNX model, as the rule that reads it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, numpy_helper

import ops
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known, is_computed, to_sizes
from graphnet.values import Value
from ops.dimension import Size
from ops.operator import Operator

__all__ = [
    "Call",
    "Item",
    "Items",
    "Reader",
    "Scope",
    "attribute_value",
    "converted",
    "dtype_name",
    "elem_type",
]

#: What flows through a model: a value of the graph, something known, a sequence, or nothing.
Item = Value | Known | list[Any] | None
Items = Item | tuple[Item, ...]

_REQUIRED = object()


def dtype_name(elem_type: int) -> str:
    """NumPy's name of an ONNX element type.

    >>> dtype_name(onnx.TensorProto.FLOAT)
    'float32'
    """
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type)).name
    except KeyError:
        raise OnnxError(f"expected an element type of the standard, received {elem_type}") from None


def elem_type(dtype: str) -> int:
    """The ONNX element type of a NumPy dtype."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def attribute_value(attribute: AttributeProto) -> Any:
    """An attribute as Python has it: text for bytes, and the shortest float that rounds to it."""
    value = onnx.helper.get_attribute_value(attribute)
    kind = attribute.type
    if kind == AttributeProto.FLOAT:
        return float(str(np.float32(value)))
    if kind == AttributeProto.FLOATS:
        return tuple(float(str(np.float32(entry))) for entry in value)
    if kind == AttributeProto.INTS:
        return tuple(map(int, value))
    if kind == AttributeProto.STRING:
        return value.decode()
    if kind == AttributeProto.STRINGS:
        return tuple(entry.decode() for entry in value)
    if kind == AttributeProto.TENSOR:
        return numpy_helper.to_array(value)
    return value


@dataclass
class Scope:
    """The names that nodes of one graph or function body see, and what they stand for."""

    items: dict[str, Item]
    opsets: Mapping[str, int]
    outer: Scope | None = None
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    depth: int = 0

    def find(self, name: str) -> Item:
        """What a name stands for; an empty one stands for nothing."""
        if not name:
            return None
        scope: Scope | None = self
        while scope is not None:
            if name in scope.items:
                return scope.items[name]
            scope = scope.outer
        raise OnnxError(f"value {name!r} is read, but neither an input nor computed before")


class Reader(Protocol):
    """What a call asks of the one that reads the model."""

    def apply(self, operator: Operator, inputs: tuple[Item, ...], name: str) -> tuple[Item, ...]:
        """Apply an operator: at once if all inputs are known, else by declaring a node."""

    def run_subgraph(
        self, graph: onnx.GraphProto, inputs: list[Item], outer: Scope
    ) -> tuple[Item, ...]:
        """The outputs of a graph inside a node."""

    def state(self, item: Item) -> Value | None:
        """An initializer that one node alone reads as a state; None for others."""

    def undecided(self, item: Item, what: str) -> OnnxError:
        """The error for an item that had to be known."""

    def computed(self, dtype: str) -> str:
        """The dtype that takes the place of one."""

    def narrowed(self, array: np.ndarray) -> np.ndarray:
        """An array in the dtype that takes the place of its own."""


class Call:
    """A node with its inputs: what a rule needs to say what becomes of it.

    Attributes:
        inputs: one item per input, None for one that is left out.
        opset: the version of the node's operator set.
    """

    def __init__(
        self, importer: Reader, scope: Scope, proto: NodeProto, inputs: list[Item], opset: int
    ) -> None:
        self.importer = importer
        self.scope = scope
        self.proto = proto
        self.inputs = inputs
        self.opset = opset
        self._unread = {attribute.name: attribute for attribute in proto.attribute}

    # what the node says

    @property
    def kind(self) -> str:
        """The name of the operator."""
        return self.proto.op_type

    @property
    def outputs(self) -> int:
        """How many outputs the node names, the last of which is wanted."""
        return len(self.proto.output)

    def wants(self, index: int) -> bool:
        """Whether the node names the output."""
        return index < len(self.proto.output) and bool(self.proto.output[index])

    def attribute(self, name: str, default: Any = _REQUIRED) -> Any:
        """The value of an attribute, or else ``default``, or else what the standard has for it."""
        attribute = self._unread.pop(name, None)
        if attribute is not None and attribute.ref_attr_name:
            attribute = self.scope.attributes.get(attribute.ref_attr_name)
        if attribute is not None:
            value = attribute_value(attribute)
            if isinstance(value, np.ndarray):
                return self.importer.narrowed(value)
            return value
        if default is _REQUIRED:
            default = self._standard(name)
        return default

    def has(self, name: str) -> bool:
        """Whether the node gives the attribute."""
        attribute = self._unread.get(name)
        if attribute is not None and attribute.ref_attr_name:
            return attribute.ref_attr_name in self.scope.attributes
        return attribute is not None

    def ignore(self, *names: str) -> None:
        """Consume attributes that change nothing."""
        for name in names:
            self._unread.pop(name, None)

    def _standard(self, name: str) -> Any:
        """The default that the standard gives to an attribute; None where it has none."""
        schema = onnx.defs.get_schema(self.kind, self.opset, self.proto.domain)
        declared = schema.attributes.get(name)
        if declared is None:
            return None
        if declared.required:
            raise OnnxError(f"attribute {name!r} is missing")
        found = declared.default_value
        return attribute_value(found) if found.name else None

    def finish(self) -> None:
        """Refuse attributes that nobody has read.

        Raises:
            OnnxError: there are some.
        """
        if self._unread:
            names = ", ".join(sorted(self._unread))
            raise OnnxError(f"attribute {names} of {self.kind}-{self.opset} is not supported")

    # what its inputs are

    def input(self, index: int) -> Item:
        """An input; None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def shape(self, item: Item | int = 0) -> tuple[Size, ...]:
        """The shape of an item, or of the input of that number."""
        found = self.input(item) if isinstance(item, int) else item
        if isinstance(found, Value | Known):
            return found.shape
        raise OnnxError(f"expected a tensor, received {_words(found)}")

    def rank(self, item: Item | int = 0) -> int:
        """The number of axes."""
        return len(self.shape(item))

    def dtype(self, item: Item | int = 0) -> str:
        """The dtype of an item, or of the input of that number."""
        found = self.input(item) if isinstance(item, int) else item
        if isinstance(found, Value | Known):
            return found.dtype
        raise OnnxError(f"expected a tensor, received {_words(found)}")

    def is_known(self, item: Item | int) -> bool:
        """Whether an item is an array that is known now, the batch not among its entries."""
        found = self.input(item) if isinstance(item, int) else item
        return isinstance(found, Known) and found.slope is None

    def array(self, item: Item | int, what: str) -> np.ndarray:
        """The entries of an item that decides how the graph is built.

        Raises:
            UndecidedError: they are only known when the model runs.
        """
        found = self.input(item) if isinstance(item, int) else item
        if not isinstance(found, Known):
            raise self.importer.undecided(found, what)
        if found.slope is not None:
            raise OnnxError(
                f"{what} of {self.kind} would depend on the batch: bind it with shapes="
            )
        return found.array

    def integers(self, item: Item | int, what: str) -> tuple[int, ...]:
        """The entries of an item as Python integers."""
        return tuple(int(entry) for entry in self.array(item, what).reshape(-1))

    def number(self, item: Item | int, what: str) -> Any:
        """The only entry of an item, as a Python number."""
        array = self.array(item, what)
        if array.size != 1:
            raise OnnxError(f"expected one number for {what}, received shape {array.shape}")
        return array.reshape(()).item() if is_computed(array.dtype) else float(array.reshape(()))

    def sizes(self, item: Item | int, what: str) -> tuple[Size, ...]:
        """The entries of an item as sizes, the batch among them.

        Raises:
            UndecidedError: they are only known when the model runs.
        """
        found = self.input(item) if isinstance(item, int) else item
        if not isinstance(found, Known):
            raise self.importer.undecided(found, what)
        return to_sizes(found)

    def axes(self, index: int = 1) -> tuple[int, ...] | None:
        """The axes of newer versions, an input, or of older ones, an attribute."""
        if self.has("axes"):
            return tuple(self.attribute("axes"))
        if self.input(index) is not None:
            return self.integers(index, "axes")
        return None

    # what becomes of it

    def apply(self, operator: Operator, *inputs: Item, part: str = "") -> Any:
        """Apply an operator: at once if all inputs are known, else by declaring a node.

        Args:
            operator: of :mod:`ops`.
            inputs: items, as many as the operator takes.
            part: told apart by it are the nodes that one node becomes several of.

        Returns:
            An item, or a tuple of them for an operator with several outputs.
        """
        found = self.importer.apply(operator, inputs, self.name(part))
        return found[0] if len(found) == 1 else found

    def name(self, part: str = "") -> str:
        """What a node of the graph is called that stands for this one."""
        own = self.proto.name or next(filter(None, self.proto.output), "") or self.kind
        return f"{own}.{part}" if part else own

    def cast(self, item: Item, dtype: str, part: str = "cast", *, saturate: bool = True) -> Any:
        """An item of another dtype.

        Args:
            item: the item.
            dtype: the name of the new one.
            part: as for :meth:`apply`.
            saturate: whether what an 8-bit float cannot hold becomes its largest value.
        """
        dtype = self.importer.computed(dtype)
        if item is None or self.dtype(item) == dtype:
            return item
        if not is_computed(np.dtype(dtype)) and not isinstance(item, Known):
            raise self.importer.undecided(item, f"what becomes {dtype}")
        if isinstance(item, Known):
            slope = None if item.slope is None else item.slope.astype(dtype)
            return Known(converted(item.array, dtype, saturate), slope)
        return self.apply(ops.Cast(dtype), item, part=part)

    def constant(self, value: Any, like: Item | str) -> Known:
        """A number or array with the dtype of an item."""
        dtype = like if isinstance(like, str) else self.dtype(like)
        return Known(np.asarray(value, dtype=dtype))

    def run(self, graph: onnx.GraphProto, inputs: list[Item], step: str = "") -> tuple[Item, ...]:
        """The outputs of a subgraph for given inputs."""
        return self.importer.run_subgraph(graph, inputs, self.scope)


def converted(array: np.ndarray, dtype: str, saturate: bool = True) -> np.ndarray:
    """An array of another dtype, by the standard's rules for narrow floats and text."""
    if dtype == "object":
        texts = [str(entry) for entry in array.reshape(-1)]
        return np.array(texts, dtype=object).reshape(array.shape)
    if array.dtype.kind in "OUS":
        array = np.array([float(text) for text in array.reshape(-1)]).reshape(array.shape)
    if dtype.startswith("float8") and saturate and array.dtype.kind in "fV":
        limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        wide = array if is_computed(array.dtype) else array.astype("float32")
        array = np.clip(wide, float(limits.min), float(limits.max))
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def _words(item: Item) -> str:
    return "nothing" if item is None else "a sequence"
