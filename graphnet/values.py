"""Declaring a network: values, and the nodes that compute them.

Nothing here computes.  Applying an operator to values declares a node; shapes are inferred
at once, so an error carries the line that made it.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ops.dimension import Size, is_symbolic
from ops.elementwise import Add, Divide, Multiply, Subtract
from ops.initializers import Initializer, Kaiming
from ops.linear import MatMul
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_configuration,
    expect_outputs,
    learned_inputs,
    show_shape,
)
from ops.unary import Neg

__all__ = [
    "Constant",
    "GraphError",
    "Input",
    "Node",
    "Parameter",
    "Part",
    "State",
    "Value",
    "declare",
    "reach",
    "snake_case",
    "sources",
]

#: Words that ``Executor.forward`` takes beside the feeds, and so no input can be called.
RESERVED = frozenset({"training", "differentiate", "outputs", "self"})

_sequence = itertools.count()


class GraphError(ValueError):
    """A graph that cannot run: a cycle, a name used twice, an input that leads nowhere."""


class Value:
    """One array on an edge of a graph: its shape and dtype, and the node that computes it.

    Values come from :class:`Input` and from applying operators; arithmetic with ``+ - * / @``
    declares the operator of that name.
    """

    __slots__ = ("declared_at", "index", "name", "order", "producer", "spec")

    def __init__(
        self,
        spec: Spec,
        producer: Node | None = None,
        index: int = 0,
        name: str | None = None,
        declared_at: str | None = None,
    ) -> None:
        self.spec = spec
        self.producer = producer
        self.index = index
        self.name = name
        self.declared_at = declared_at or _users_line()
        self.order = next(_sequence)

    @property
    def shape(self) -> tuple[Size, ...]:
        """The shape, with ``N`` for the batch."""
        return self.spec.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return self.spec.dtype

    def __declare__(
        self,
        operator: Operator,
        inputs: tuple[Any, ...],
        named: dict[str, Any],
        name: str | None,
    ) -> Value | tuple[Value, ...]:
        """Apply an operator; :class:`ops.Operator` calls this when it is called with values."""
        visible = declare(operator, inputs, named, name).visible_outputs
        return visible[0] if len(visible) == 1 else visible

    def __add__(self, other: Any) -> Any:
        return Add()(self, self._operand(other))

    def __radd__(self, other: Any) -> Any:
        return Add()(self._operand(other), self)

    def __sub__(self, other: Any) -> Any:
        return Subtract()(self, self._operand(other))

    def __rsub__(self, other: Any) -> Any:
        return Subtract()(self._operand(other), self)

    def __mul__(self, other: Any) -> Any:
        return Multiply()(self, self._operand(other))

    def __rmul__(self, other: Any) -> Any:
        return Multiply()(self._operand(other), self)

    def __truediv__(self, other: Any) -> Any:
        return Divide()(self, self._operand(other))

    def __rtruediv__(self, other: Any) -> Any:
        return Divide()(self._operand(other), self)

    def __matmul__(self, other: Any) -> Any:
        return MatMul()(self, self._operand(other))

    def __rmatmul__(self, other: Any) -> Any:
        return MatMul()(self._operand(other), self)

    def __neg__(self) -> Any:
        return Neg()(self)

    def __getitem__(self, key: Any) -> Any:
        raise TypeError(
            f"{self!r} takes no [...]: ops.Slice takes out a range, ops.Gather chosen entries"
        )

    def _operand(self, other: Any) -> Value:
        if isinstance(other, Value):
            return other
        array = np.asarray(other)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"{self!r}: expected a graph value or real numbers beside it, "
                f"received {type(other).__name__}"
            )
        return Constant(array.astype(self.dtype))

    # NumPy arrays on the left leave the operation to the value
    __array_ufunc__ = None

    def __repr__(self) -> str:
        kind = type(self).__name__ if self.producer is None else self.producer.kind
        return f"<{self.name or kind} {self.dtype} {show_shape(self.shape)}>"


class Input(Value):
    """A value that is fed at every run.

    Args:
        name: the keyword under which ``forward`` takes the array.
        shape: sizes, with ``"N"`` for the batch.
        dtype: default float32; labels are usually int64.

    Raises:
        GraphError: the name is empty or reserved.
        TypeError, ValueError: the shape or dtype makes no sense.

    >>> Input("image", ("N", 3, 32, 32))
    <image float32 (N, 3, 32, 32)>
    """

    __slots__ = ()

    def __init__(self, name: str, shape: Iterable[int | str], dtype: str = "float32") -> None:
        if not isinstance(name, str) or not name or name in RESERVED:
            raise GraphError(f"expected a name other than {sorted(RESERVED)}, received {name!r}")
        try:
            spec = Spec(tuple(shape), dtype)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise type(error)(f"input {name!r} (declared at {_users_line()}): {error}") from None
        super().__init__(spec, name=name)


class Parameter(Value):
    """A learned value that the executor owns.

    Operators create theirs by themselves; declare one to share it among nodes.

    Args:
        name: how weight files and gradients call it; the first node that uses it names it
            (``conv_1.weight``) when None.
        shape: its sizes, all known.
        initializer: its first value; default :class:`ops.initializers.Kaiming`.
        dtype: default float32.
        decay: whether weight decay applies; default True.
        trainable: whether optimizers change it; default True.

    Raises:
        ShapeError: a size is the batch ``N``, which only data know.
        TypeError, ValueError: the shape or dtype makes no sense.

    >>> import graphnet as gn
    >>> from ops import MatMul
    >>> x, w = Input("x", ("N", 4)), Parameter("projection", (4, 2))
    >>> list(gn.Graph(y=MatMul()(x, w)).parameters)
    ['projection']
    """

    __slots__ = ("decay", "initializer", "trainable")

    def __init__(
        self,
        name: str | None,
        shape: tuple[int, ...],
        initializer: Initializer | None = None,
        dtype: str = "float32",
        *,
        decay: bool = True,
        trainable: bool = True,
    ) -> None:
        super().__init__(_known_spec(name, shape, dtype), name=name)
        self.initializer = initializer if initializer is not None else Kaiming()
        self.decay = decay
        self.trainable = trainable


class State(Value):
    """A value that a node renews in training, such as a running mean; the executor owns it."""

    __slots__ = ("initializer",)

    def __init__(
        self, name: str | None, shape: tuple[int, ...], initializer: Initializer, dtype: str
    ) -> None:
        super().__init__(_known_spec(name, shape, dtype), name=name)
        self.initializer = initializer


class Constant(Value):
    """A fixed array that belongs to the graph itself.

    >>> Constant(np.ones(3, dtype="float32")).shape
    (3,)
    """

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray, name: str | None = None) -> None:
        copy = np.array(array)
        super().__init__(Spec(copy.shape, copy.dtype.name), name=name)
        self.array = copy
        self.array.flags.writeable = False


class Node:
    """An operator applied to values.

    ``inputs`` has one entry per argument of the operator's ``infer``, None where an optional
    one is absent.  ``outputs`` ends with the renewed states, one for each of ``renews``.
    """

    __slots__ = ("declared_at", "inputs", "name", "operator", "order", "outputs", "renews")

    def __init__(
        self,
        operator: Operator,
        inputs: tuple[Value | None, ...],
        renews: tuple[Value, ...],
        name: str | None,
        declared_at: str,
    ) -> None:
        self.operator = operator
        self.inputs = inputs
        self.renews = renews
        self.name = name
        self.declared_at = declared_at
        self.order = next(_sequence)
        self.outputs: tuple[Value, ...] = ()

    @property
    def kind(self) -> str:
        """The name of the operator's class."""
        return type(self.operator).__name__

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of ``inputs``, variadic ones numbered: ``xs0, xs1``."""
        return type(self.operator).signature().inputs(len(self.inputs))

    @property
    def visible_outputs(self) -> tuple[Value, ...]:
        """The outputs other than renewed states."""
        return self.outputs[: len(self.outputs) - len(self.renews)]

    def describe(self, name: str | None = None) -> str:
        """How errors call this node: ``conv_3 (Conv, declared at model.py:17)``."""
        known = name or self.name or self._likely_name()
        return f"{known} ({self.kind}, declared at {self.declared_at})"

    def _likely_name(self) -> str:
        """The name a graph will give: its number among the nodes of its kind so far."""
        reached = reach(value for value in self.inputs if value is not None)
        nodes = (part for part in reached if isinstance(part, Node) and part.order < self.order)
        earlier = sum(node.kind == self.kind for node in nodes)
        return f"{snake_case(self.kind)}_{earlier + 1}"

    def infer(self, specs: Iterable[Spec | None], name: str | None = None) -> tuple[Spec, ...]:
        """The specs of the outputs for given specs of the inputs; errors call it ``name``.

        Raises:
            ShapeError: the inputs do not fit; the message names this node.
        """
        try:
            inferred = self.operator.infer(*specs)
        except ValueError as error:  # ShapeError, and sizes that cannot be computed
            raise ShapeError(f"{self.describe(name)}: {error}") from None
        except Exception as error:
            error.add_note(f"in infer of {self.describe(name)}")
            raise
        try:
            return expect_outputs(inferred)
        except TypeError as error:
            raise TypeError(f"{self.describe(name)}: {error}") from None

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


def _known_spec(name: str | None, shape: tuple[int, ...], dtype: str) -> Spec:
    spec = Spec(shape, dtype)
    if is_symbolic(spec.shape):
        raise ShapeError(f"{name}: expected known sizes, received {show_shape(spec.shape)}")
    return spec


def declare(
    operator: Operator,
    inputs: tuple[Any, ...],
    named: Mapping[str, Any],
    name: str | None = None,
    declared_at: str | None = None,
) -> Node:
    """Declare a node: match inputs to names, create what is learned, infer the shapes.

    Raises:
        ShapeError: the inputs do not fit.
        TypeError: an input is missing, given twice, unknown, or not a value.
    """
    where = declared_at or _users_line()
    known = (value for value in (*inputs, *named.values()) if isinstance(value, Value))
    node = Node(operator, tuple(known), (), name, where)  # what errors need to describe it
    try:
        signature = type(operator).signature()
        expect_configuration(operator)
    except TypeError as error:
        raise TypeError(f"{node.describe()}: {error}") from None
    if signature.variadic:
        fixed = len(signature.names)
        given: dict[str, Any] = dict(zip(signature.inputs(len(inputs)), inputs, strict=True))
        names = tuple(given) if len(inputs) >= fixed else signature.names
    else:
        names = signature.names
        if len(inputs) > len(names):
            raise TypeError(
                f"{node.describe()}: expected at most {len(names)} inputs {names}, "
                f"received {len(inputs)}"
            )
        given = dict(zip(names, inputs, strict=False))
    for key, value in named.items():
        if key not in names or key in given:
            problem = "received twice" if key in given else f"is none of {names}"
            raise TypeError(f"{node.describe()}: input {key!r} {problem}")
        given[key] = value
    for key, value in given.items():
        if not isinstance(value, (Value, Initializer)) and value is not None:
            raise TypeError(
                f"{node.describe()}: expected a graph value for {key!r}, "
                f"received {type(value).__name__}; feed arrays through graphnet.Input or "
                f"graphnet.Constant"
            )
    renews = _create_learned(node, given)
    for key in names:
        if given.get(key) is None and key not in signature.optional:
            raise TypeError(f"{node.describe()}: input {key!r} is missing")
        if isinstance(given.get(key), Initializer):
            raise TypeError(f"{node.describe()}: input {key!r} is not learned, so takes a value")
    node.inputs = tuple(given.get(key) for key in names)
    node.renews = renews
    node.order = next(_sequence)  # after what was created for it: the order is topological
    specs = node.infer(None if value is None else value.spec for value in node.inputs)
    if len(specs) <= len(renews):
        raise TypeError(
            f"{node.describe()}: infer must return one spec per output and state, "
            f"received {len(specs)} for {len(renews)} states and at least one output"
        )
    node.outputs = tuple(Value(spec, node, i, declared_at=where) for i, spec in enumerate(specs))
    return node


def _create_learned(node: Node, given: dict[str, Any]) -> tuple[Value, ...]:
    """Add the parameters and states that were not given; return the states."""
    operator = node.operator
    cls = type(operator)
    if cls.parameters is Operator.parameters and cls.states is Operator.states:
        return ()
    names = cls.signature().data
    if any(not isinstance(given.get(key), Value) for key in names):
        missing = [key for key in names if not isinstance(given.get(key), Value)]
        raise TypeError(f"{node.describe()}: input {missing[0]!r} is missing")
    specs = [given[key].spec for key in names]
    try:
        parameters, states = learned_inputs(operator, specs)
    except ValueError as error:
        raise ShapeError(f"{node.describe()}: {error}") from None
    except TypeError as error:
        raise TypeError(f"{node.describe()}: {error}") from error
    for key, parameter in parameters.items():
        first = given.get(key, parameter.initializer)
        if isinstance(first, Initializer):
            given[key] = Parameter(
                None, parameter.shape, first, parameter.dtype, decay=parameter.decay
            )
    for key, state in states.items():
        if given.get(key) is None:
            given[key] = State(None, state.shape, state.initializer, state.dtype)
        elif not isinstance(given[key], State):
            raise TypeError(
                f"{node.describe()}: expected a graphnet.State for {key!r}, which training "
                f"renews, received {type(given[key]).__name__}"
            )
    return tuple(given[key] for key in states)


#: What a graph is made of: leaves, which are values, and nodes.
Part = Node | Value


def reach(outputs: Iterable[Value]) -> list[Part]:
    """Every leaf and node that the outputs depend on, in no particular order."""
    found: dict[Part, None] = {}
    waiting: list[Part] = [v if v.producer is None else v.producer for v in outputs]
    while waiting:
        part = waiting.pop()
        if part in found:
            continue
        found[part] = None
        if isinstance(part, Node):
            waiting.extend(sources(part))
    return list(found)


def sources(node: Node) -> list[Part]:
    """What a node reads directly: leaves, and the nodes that compute its other inputs."""
    return [v if v.producer is None else v.producer for v in node.inputs if v is not None]


@cache
def snake_case(name: str) -> str:
    """``BatchNorm`` -> ``batch_norm``, ``ReLU`` -> ``relu``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _users_line() -> str:
    """The file and line of the nearest caller outside this package and ``ops``."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("graphnet", "ops"):
        frame = frame.f_back
    return f"{_file_name(frame.f_code.co_filename)}:{frame.f_lineno}"


@cache
def _file_name(path: str) -> str:
    return Path(path).name
