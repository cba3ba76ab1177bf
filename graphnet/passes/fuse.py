"""Fusion: chains of nodes that one kernel computes in fewer passes over memory become one node."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Set
from typing import Any

from graphnet.graph import Graph
from graphnet.values import Node, Value, declare
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.convolution import Conv
from ops.elementwise import Add
from ops.fused import (
    BatchNormInferenceReLU,
    BatchNormReLU,
    ConvMaxPoolReLU,
    ConvReLU,
    FoldBatchNorm,
)
from ops.linear import Linear
from ops.operator import Operator, known
from ops.pooling import MaxPool
from ops.rectifier import ReLU

__all__ = ["FUSED", "Chains", "fold", "fuse", "sink"]

#: The most channels that count as few, and how many filters a vector of that kernel takes.
FEW, VECTOR = 4, 16
#: The operators that fusion makes, where they are wanted.
FUSED = frozenset((BatchNormInferenceReLU, BatchNormReLU, ConvMaxPoolReLU, ConvReLU))
#: What an operator becomes that ReLU follows.
_RECTIFIED: dict[type[Operator], type[Operator]] = {
    BatchNorm: BatchNormReLU,
    BatchNormInference: BatchNormInferenceReLU,
    Conv: ConvReLU,
}


def fuse(graph: Graph, kinds: Set[type[Operator]] = FUSED) -> Graph:
    """Make one node of BatchNorm or Conv and the ReLU behind it, or an addition and ReLU.

    So are a convolution of few channels, such as a first layer, a max pool by 2x2 and ReLU.  A
    result that somebody else reads, or that is an output of the graph, keeps its node.  The
    parameters are the same objects under the same names, and so are the states.

    Args:
        graph: what is to be fused.
        kinds: the operators that may be made of others; all of :data:`FUSED` by default.

    >>> import graphnet as gn
    >>> from ops import BatchNorm, ReLU
    >>> x = gn.Input("x", ("N", 8))
    >>> [node.kind for node in fuse(gn.Graph(y=ReLU()(BatchNorm()(x)))).nodes.values()]
    ['BatchNormReLU']
    """
    chains = Chains(graph)
    layers = [layer for layer, fused in _RECTIFIED.items() if fused in kinds]

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...] | None:
        chains.moved(node, inputs)
        if type(node.operator) is not ReLU:
            return None
        if first := chains.alone(node.inputs[0], *layers):
            return rectified(first, None, None, node)
        pool = chains.alone(node.inputs[0], MaxPool)
        if pool and ConvMaxPoolReLU in kinds:
            first = chains.alone(pool.inputs[0], Conv)
            if first and _is_first_layer(first, pool):
                windows = _fields(pool.operator)
                fields = {
                    **_fields(first.operator),
                    "pool_size": windows["kernel_size"],
                    "pool_stride": windows["stride"],
                }
                given = dict(zip(first.input_names, chains.inputs(first), strict=True))
                name = chains.name(first, pool, node)
                layer = ConvMaxPoolReLU(**fields)
                return declare(layer, (), given, name, node.declared_at).outputs
        if addition := chains.alone(node.inputs[0], Add):
            a, b = addition.inputs
            # the later of the two: what it is added to is there already
            for value, other in sorted(((b, a), (a, b)), key=_order, reverse=True):
                first = chains.alone(value, *layers)
                same = other is not None and other.spec == node.outputs[0].spec
                if first and same and value is not other:
                    return rectified(first, addition, other, node)
        return None

    def rectified(
        first: Node, addition: Node | None, added: Value | None, relu: Node
    ) -> tuple[Value, ...]:
        operator = first.operator
        own = _fields(operator)
        given = dict(zip(first.input_names, chains.inputs(first), strict=True))
        given["added"] = chains.now(added)
        parts = [first, relu] if addition is None else [first, addition, relu]
        node = declare(
            _RECTIFIED[type(operator)](**own), (), given, chains.name(*parts), relu.declared_at
        )
        # renewed states follow the result, which alone stands in for that of the ReLU
        return node.outputs[:1]

    return graph.rewrite(replace)


def fold(graph: Graph) -> Graph:
    """Let convolutions and linear layers do the normalization behind them, at inference.

    Their weights are then computed from the parameters by :class:`ops.FoldBatchNorm`.

    >>> import graphnet as gn
    >>> from ops import BatchNorm, Conv
    >>> x = gn.Input("x", ("N", 3, 8, 8))
    >>> graph = gn.passes.for_inference(gn.Graph(y=BatchNorm()(Conv(4, 3)(x))))
    >>> [node.kind for node in fold(graph).nodes.values()]
    ['FoldBatchNorm', 'Conv']
    """
    chains = Chains(graph)

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...] | None:
        chains.moved(node, inputs)
        if type(node.operator) is not BatchNormInference:
            return None
        layer = chains.alone(node.inputs[0], Conv, Linear)
        if layer is None:
            return None
        if isinstance(layer.operator, Linear) and layer.outputs[0].spec.rank != 2:
            return None  # its units lie along another axis than the one that is normalized
        x, weight, bias = chains.inputs(layer)
        at = node.declared_at
        _, *statistics = inputs
        names = ("gamma", "beta", "running_mean", "running_var")
        folded = declare(
            FoldBatchNorm(eps=_fields(node.operator)["eps"]),
            (),
            {"weight": weight, "bias": bias, **dict(zip(names, statistics, strict=True))},
            chains.name(layer, node) + ".weights",
            at,
        )
        operator = type(layer.operator)(**{**_fields(layer.operator), "bias": True})
        given = dict(zip(("x", "weight", "bias"), (x, *folded.outputs), strict=True))
        return declare(operator, (), given, chains.name(layer, node), at).outputs

    return graph.rewrite(replace)


def sink(graph: Graph) -> Graph:
    """Let a max pool come ahead of the ReLU behind a convolution, which then has less to do.

    The largest of values is the same whether those below 0 become 0 before or after it is taken,
    and so is the gradient.

    >>> import graphnet as gn
    >>> from ops import Conv, MaxPool, ReLU
    >>> y = MaxPool(2)(ReLU()(Conv(4, 3)(gn.Input("x", ("N", 3, 8, 8)))))
    >>> [node.kind for node in sink(gn.Graph(y=y)).nodes.values()]
    ['Conv', 'MaxPool', 'ReLU']
    """
    chains = Chains(graph)

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...] | None:
        chains.moved(node, inputs)
        pool = node.operator
        if type(pool) is not MaxPool:
            return None
        relu = chains.alone(node.inputs[0], ReLU)
        if relu is None or not chains.alone(relu.inputs[0], Conv) or not _sees_entries(pool, relu):
            return None
        at, name = node.declared_at, chains.name
        (value,) = chains.inputs(relu)
        pooled = declare(pool, (value,), {}, name(node), at).outputs
        return declare(relu.operator, pooled, {}, name(relu), relu.declared_at).outputs

    return graph.rewrite(replace)


def _is_first_layer(conv: Node, pool: Node) -> bool:
    """Whether a kernel may compute a convolution and the pool behind it in one.

    With more channels the methods that multiply matrices are faster.
    """
    x = conv.inputs[0]
    assert x is not None, "a convolution has an input"
    operator = conv.operator
    assert isinstance(operator, Conv) and isinstance(pool.operator, MaxPool)
    if x.spec.rank != 4 or known(x.shape[1])[0] > FEW or operator.filters % VECTOR:
        return False
    windows = pool.operator.windows(conv.outputs[0].spec)
    return (
        operator.groups == 1
        and operator.windows(x.spec).dilation == windows.dilation == (1, 1)
        and windows.kernel == windows.stride == (2, 2)
        and all(pair == (0, 0) for pair in windows.padding)
    )


def _sees_entries(pool: MaxPool, relu: Node) -> bool:
    """Whether no window lies in the padding alone, where the largest value is none of x's."""
    windows = pool.windows(relu.outputs[0].spec)
    sides = zip(windows.padding, windows.kernel, windows.dilation, strict=True)
    return all(dilation == 1 and max(pair) < kernel for pair, kernel, dilation in sides)


class Chains:
    """Who reads what in a graph, and what has become of it in the one that is being made."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        nodes = graph.nodes.values()
        self._readers = Counter(v for node in nodes for v in node.inputs if v is not None)
        self._readers.update(graph.outputs.values())
        self._now: dict[Value, Value] = {}

    def moved(self, node: Node, inputs: tuple[Value | None, ...]) -> None:
        """Note the inputs of a node in the new graph."""
        for old, new in zip(node.inputs, inputs, strict=True):
            if old is not None and new is not None:
                self._now[old] = new

    def now(self, value: Value | None) -> Value | None:
        """A value in the new graph; its readers so far have been noted."""
        return None if value is None else self._now.get(value, value)

    def inputs(self, node: Node) -> tuple[Value | None, ...]:
        """The inputs of a node in the new graph."""
        return tuple(map(self.now, node.inputs))

    def alone(self, value: Value | None, *kinds: type[Operator]) -> Node | None:
        """The node of one of these kinds that made a value for a single reader."""
        node = None if value is None else self.made_alone(value)
        return node if node is not None and type(node.operator) in kinds else None

    def made_alone(self, value: Value) -> Node | None:
        """The node whose first output a value is, if it has a single reader."""
        node = value.producer
        if node is None or value is not node.outputs[0] or self._readers[value] != 1:
            return None
        return node

    def name(self, *nodes: Node) -> str:
        """What a node is called that stands for several."""
        return "+".join(self._graph.name_of(node) for node in nodes)


def _fields(operator: Operator) -> dict[str, Any]:
    """The configuration of an operator, which is a dataclass."""
    return {f.name: getattr(operator, f.name) for f in dataclasses.fields(operator)}  # type: ignore[arg-type]


def _order(pair: tuple[Value | None, Value | None]) -> int:
    value = pair[0]
    return -1 if value is None else value.order
