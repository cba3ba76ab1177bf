"""Random graphs: a Hypothesis strategy that draws whole networks with data that fit.

Fan-out, diamonds and shared parameters come about because every node picks its operands from
all values so far, and its weights now and then from those of an earlier node.  All operators
are smooth, so central differences hold everywhere; kinks are proven operator by operator.
Values stay small: what may grow goes through a squashing activation first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import graphnet as gn
from graphnet.testing.strategies import random_array, seeds
from ops import (
    GELU,
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Divide,
    Dropout,
    Flatten,
    LayerNorm,
    Linear,
    MatMul,
    Mean,
    Multiply,
    Sigmoid,
    SiLU,
    Softmax,
    SoftmaxCrossEntropy,
    Subtract,
    Sum,
    Tanh,
    Transpose,
)
from ops.initializers import Normal

__all__ = ["RandomGraph", "random_graphs"]

#: A large eps keeps the curvature of a normalization within reach of central differences.
EPS = 0.1

ACTIVATIONS = (Tanh(), Sigmoid(), SiLU(), GELU(), GELU(approximate="tanh"))


@dataclass(frozen=True, eq=False)
class RandomGraph:
    """A graph with the scalar output ``loss``, and one array for each input."""

    graph: gn.Graph
    feeds: dict[str, np.ndarray]

    def __repr__(self) -> str:
        lines = [
            f"{name} = {node.operator}({', '.join(self._name(v) for v in node.inputs)})"
            for name, node in self.graph.nodes.items()
        ]
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.feeds.items())
        return "\n".join(["RandomGraph with", shapes, *lines])

    def _name(self, value: Any) -> str:
        return "None" if value is None else self.graph.name_of(value)


class Builder:
    """The values so far, the parameters that can be shared, and Hypothesis's ``draw``."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        self.values: list[Any] = []
        self.used: set[Any] = set()
        self.parameters: list[gn.Parameter] = []

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def add(self, *values: Any) -> None:
        self.values.extend(values)

    def apply(self, operator: Any, *operands: Any) -> Any:
        self.used.update(operands)
        return operator(*operands)

    def weight(self, *shape: int) -> gn.Parameter:
        """A parameter of this shape, shared with an earlier node if one fits, mostly."""
        fitting = [p for p in self.parameters if p.shape == shape]
        if fitting and self.integer(0, 3):
            return self.pick(fitting)
        self.parameters.append(gn.Parameter(f"w{len(self.parameters)}", shape, Normal(0.7)))
        return self.parameters[-1]

    def partner(self, x: Any) -> Any:
        """A second operand that broadcasts with ``x``: an earlier value or a parameter."""
        fitting = [v for v in self.values if _broadcasts(v.shape, x.shape)]
        if self.draw(st.booleans()):
            return self.pick(fitting)
        return self.weight(*(self.pick([1, n]) for n in x.shape[1:]))

    def tame(self, value: Any) -> Any:
        """The value through a bounded activation: products of it stay bounded."""
        return self.apply(self.pick([Tanh(), Sigmoid()]), value)


# Each function declares one or a few nodes on a value and returns what came out.


def activation(b: Builder, x: Any) -> Any:
    return b.apply(b.pick(ACTIVATIONS), x)


def softmax(b: Builder, x: Any) -> Any:
    return b.apply(Softmax(b.pick([1, -1])), x)


def batch_norm(b: Builder, x: Any) -> Any:
    return b.apply(BatchNorm(eps=EPS), x)


def layer_norm(b: Builder, x: Any) -> Any:
    return b.apply(LayerNorm(b.pick(range(1, len(x.shape))), eps=EPS), x)


def dropout(b: Builder, x: Any) -> Any:
    return b.apply(Dropout(0.3), x)


def add(b: Builder, x: Any) -> Any:
    return b.apply(b.pick([Add(), Subtract()]), x, b.partner(x))


def multiply(b: Builder, x: Any) -> Any:
    return b.apply(Multiply(), b.tame(x), b.tame(b.partner(x)))


def divide(b: Builder, x: Any) -> Any:
    return b.apply(Divide(), b.tame(x), 1.0 + b.apply(Sigmoid(), b.partner(x)))


def reduce(b: Builder, x: Any) -> Any:
    return b.apply(b.pick([Sum, Mean])(b.pick(range(1, len(x.shape))), keepdims=True), x)


def diamond(b: Builder, x: Any) -> Any:
    left, right = activation(b, x), activation(b, x)
    return b.apply(Add(), left, right)


def linear(b: Builder, x: Any) -> Any:
    units = b.integer(1, 3)
    x = b.tame(x)
    bias = b.pick([None, b.weight(units)])
    operator = Linear(units, bias=bias is not None, axis=-1)
    return b.apply(operator, x, b.weight(units, x.shape[-1]), bias)


def matmul(b: Builder, x: Any) -> Any:
    return b.apply(MatMul(), b.tame(x), b.weight(x.shape[-1], b.integer(1, 3)))


def concat(b: Builder, x: Any) -> Any:
    fitting = [v for v in b.values if v.shape[:1] + v.shape[2:] == x.shape[:1] + x.shape[2:]]
    return b.apply(Concat(1), x, *(b.pick(fitting) for _ in range(b.integer(1, 2))))


def convolution(b: Builder, x: Any) -> Any:
    filters, kernel = b.integer(1, 2), b.pick([1, 2, 3])
    groups = b.pick([n for n in (1, x.shape[1]) if filters % n == 0])
    operator = Conv(filters, kernel, stride=b.integer(1, 2), padding="same", groups=groups)
    weight = b.weight(filters, x.shape[1] // groups, kernel, kernel)
    return b.apply(operator, b.tame(x), weight, b.weight(filters))


def pool(b: Builder, x: Any) -> Any:
    return b.apply(AvgPool(2, stride=1, padding="same"), x)


def transpose(b: Builder, x: Any) -> Any:
    return b.apply(Transpose((0, 1, 3, 2)), x)


def flatten(b: Builder, x: Any) -> Any:
    return b.apply(Flatten(), x)


ANY = (
    activation, softmax, batch_norm, layer_norm, dropout, add, multiply, divide, reduce, diamond,
    linear, matmul, concat,
)  # fmt: skip
IMAGE = (convolution, pool, transpose, flatten)


@st.composite
def random_graphs(draw: Callable[..., Any], *, max_nodes: int = 12) -> RandomGraph:
    """A graph of ``3..max_nodes`` drawn operations on one or two inputs, and its feeds.

    What no operation reads goes into the scalar ``loss``, weighted by random constants, and
    now and then through a softmax cross-entropy against the input ``label``.
    """
    b = Builder(draw)
    seed, batch = draw(seeds), b.integer(2, 3)
    b.add(gn.Input("x", ("N", b.integer(1, 3))))
    if draw(st.booleans()):
        b.add(gn.Input("image", ("N", b.integer(1, 2), b.integer(2, 3), b.integer(1, 3))))
    inputs = list(b.values)
    for _ in range(b.integer(3, max_nodes)):
        x = b.pick(b.values)
        operation = b.pick((*ANY, *IMAGE, *IMAGE) if len(x.shape) == 4 else ANY)
        b.add(operation(b, x))
    ends = [value for value in b.values if value not in b.used]
    loss = None
    for number, value in enumerate(ends):
        shape = tuple(int(n) for n in value.shape[1:])
        weights = random_array(shape, seed + number).astype("float32")
        term = Sum()(value * weights)
        loss = term if loss is None else loss + term
    if len(value.shape) == 2 and draw(st.booleans()):
        label = gn.Input("label", ("N",), "int64")
        loss = loss + SoftmaxCrossEntropy()(value, label)
    graph = gn.Graph(loss=loss)
    rng = np.random.default_rng(seed)
    feeds = {
        leaf.name: rng.normal(size=(batch, *leaf.shape[1:]))
        for leaf in inputs
        if leaf.name in graph.inputs
    }
    if "label" in graph.inputs:
        feeds["label"] = rng.integers(0, value.shape[1], batch)
    return RandomGraph(graph, feeds)


def _broadcasts(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return len(a) == len(b) and all(m == n or 1 in (m, n) for m, n in zip(a, b, strict=True))
