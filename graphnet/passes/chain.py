"""Chains of elementwise operators become one node, for kernels that keep what lies between."""

from __future__ import annotations

from graphnet.graph import Graph
from graphnet.kernels.chain import Chain
from graphnet.kernels.cuda.elementwise import FORMULAS
from graphnet.passes.fuse import Chains
from graphnet.values import Node, Value, declare

__all__ = ["chain"]

#: The most operators in one kernel.
LONGEST = 16


def chain(graph: Graph) -> Graph:
    """Make one node of elementwise nodes of which each is read by the next alone.

    >>> import graphnet as gn
    >>> from ops import Sigmoid, Tanh
    >>> graph = gn.Graph(y=Sigmoid()(Tanh()(gn.Input("x", ("N", 8)))))
    >>> [node.kind for node in chain(graph).nodes.values()]
    ['Chain']
    """
    chains = Chains(graph)

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...] | None:
        chains.moved(node, inputs)
        if not _chains(node):
            return None
        parts, nodes, given = [node.operator], [node], list(node.inputs)
        while (before := chains.alone(given[0], *FORMULAS)) and _chains(before):
            if len(parts) == LONGEST:
                break
            parts.insert(0, before.operator)
            nodes.insert(0, before)
            given[:1] = before.inputs
        if len(parts) == 1:
            return None
        now = tuple(map(chains.now, given))
        declared = declare(Chain(tuple(parts)), now, {}, chains.name(*nodes), node.declared_at)
        return declared.outputs

    return graph.rewrite(replace)


def _chains(node: Node) -> bool:
    """Whether a node maps floating inputs of one shape entry by entry."""
    specs = {value.spec for value in node.inputs if value}
    return type(node.operator) in FORMULAS and len(specs) == 1 and specs.pop().is_floating
