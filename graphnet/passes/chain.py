"""Chains of elementwise operators become one node, for kernels that keep what lies between."""

from __future__ import annotations

from collections.abc import Callable

from graphnet.graph import Graph
from graphnet.kernels.chain import Chain, Fixed, is_elementwise
from graphnet.passes.fuse import Chains
from graphnet.values import Constant, Node, Value, declare
from ops.elementwise import Add, Multiply
from ops.operator import Operator

__all__ = ["chain"]

#: The most operators in one kernel.
LONGEST = 16
#: The operators whose two inputs may change places.
_COMMUTATIVE = (Add, Multiply)


def chain(graph: Graph, serves: Callable[[Operator], bool] = is_elementwise) -> Graph:
    """Make one node of elementwise nodes of which each is read by the next alone.

    Inputs are float32 and of one shape; beside them an operator may have a constant of one entry,
    and is then a chain by itself too.

    Args:
        graph: where to look for them.
        serves: whether an operator may be part of a chain; those that the processor's kernels
            serve by default.

    >>> import graphnet as gn
    >>> from ops import Sigmoid, Tanh
    >>> graph = gn.Graph(y=Sigmoid()(Tanh()(gn.Input("x", ("N", 8)))))
    >>> [node.kind for node in chain(graph).nodes.values()]
    ['Chain']
    """
    chains = Chains(graph)

    def before(value: Value | None) -> tuple[Node, Operator, list[Value]] | None:
        """The node that made a value for a single reader, if it may be part of a chain."""
        node = None if value is None else chains.made_alone(value)
        part = None if node is None else _part(node, serves)
        return None if node is None or part is None else (node, *part)

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...] | None:
        chains.moved(node, inputs)
        last = _part(node, serves)
        if last is None:
            return None
        operator, given = last
        parts, nodes = [operator], [node]
        while len(parts) < LONGEST:
            found = before(given[0])
            if found is None and isinstance(parts[0], _COMMUTATIVE):
                found = before(given[1])
                if found is not None:
                    given[:2] = given[1::-1]
            if found is None:
                break
            nodes.insert(0, found[0])
            parts.insert(0, found[1])
            given[:1] = found[2]
        if len(parts) == 1 and not isinstance(operator, Fixed):
            return None
        now = tuple(map(chains.now, given))
        declared = declare(Chain(tuple(parts)), now, {}, chains.name(*nodes), node.declared_at)
        return declared.outputs

    return graph.rewrite(replace)


def _part(node: Node, serves: Callable[[Operator], bool]) -> tuple[Operator, list[Value]] | None:
    """What a node is in a chain, and the inputs it then has; None where it cannot be in one."""
    y, values = node.outputs[0].spec, [value for value in node.inputs if value is not None]
    if y.dtype != "float32":
        return None
    operator = node.operator
    if len(values) == 2:
        for position, value in enumerate(values):
            if isinstance(value, Constant) and value.array.size == 1:
                operator = Fixed(node.operator, float(value.array.item()), position)
                values = [values[1 - position]]
                break
    if not serves(operator) or any(value.spec != y for value in values):
        return None
    return operator, values
