"""Names in a graph of ONNX: who makes them, who reads them, and an order in which that works.

A subgraph (of If, Loop, Scan) sees the names of the graphs around it. What it reads of them counts
as an input of the node that holds it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import networkx as nx
import onnx

from graphnet.onnx.problems import shown

__all__ = ["Scope", "called", "subgraphs"]

#: Nodes of a cycle that an error names.
SHOWN = 8


class Scope:
    """The names of one graph, or of the body of a function.

    Args:
        body: the graph or function.
        label: how errors call it.

    Attributes:
        leaves: what is there before the first node: inputs and weights.
        outputs: what it hands out.
        labels, reads, makes: of each node, how errors call it, its inputs and its outputs.
        inner: the subgraphs by the number of the node that holds them.
        makers: the number of the node that makes a name, -1 for a leaf.
    """

    def __init__(self, body: onnx.GraphProto | onnx.FunctionProto, label: str) -> None:
        self.body = body
        self.label = label
        if isinstance(body, onnx.FunctionProto):
            self.leaves, self.outputs = list(body.input), list(body.output)
        else:
            inputs = {value.name for value in body.input}
            weights = [tensor.name for tensor in body.initializer]
            weights += [tensor.values.name for tensor in body.sparse_initializer]
            # a weight that is an input too is the default of that input
            defaults = inputs.intersection(weights)
            self.leaves = [value.name for value in body.input]
            self.leaves += [weight for weight in weights if weight not in defaults]
            self.leaves += _again(weight for weight in weights if weight in defaults)
            self.outputs = [value.name for value in body.output]
        # lists of texts rather than an object a node: a hundred thousand of them are no rarity
        self.labels: list[str] = []
        self.reads: list[tuple[str, ...]] = []
        self.makes: list[tuple[str, ...]] = []
        self.inner: dict[int, list[Scope]] = {}
        self.makers = dict.fromkeys(self.leaves, -1)
        for index, node in enumerate(body.node):
            self.labels.append(called(node, index))
            self.reads.append(tuple(filter(None, node.input)))
            self.makes.append(tuple(filter(None, node.output)))
            for name in self.makes[-1]:
                self.makers.setdefault(name, index)
            held = [Scope(graph, where) for where, graph in subgraphs(node, self.labels[-1])]
            if held:
                self.inner[index] = held

    @cached_property
    def free(self) -> list[str]:
        """What is read here and made around it."""
        read = (name for index in range(len(self.labels)) for name in self._needs(index))
        return list(dict.fromkeys(n for n in (*read, *self.outputs) if n not in self.makers))

    def problems(self, around: tuple[Mapping[str, int], ...] = ()) -> Iterator[str]:
        """What is wrong with the names, here and in the subgraphs; ``around``: the outer makers."""
        visible = (*around, self.makers)
        for name in _again(self.leaves):
            yield f"{self.label} has two inputs or weights of the name {shown(name)}"
        made = set(self.leaves)
        for index, label in enumerate(self.labels):
            for name in self.makes[index]:
                if name in made:
                    yield f"{label} makes {shown(name)}, which is there already"
                made.add(name)
            for name in self.reads[index]:
                if not any(name in names for names in visible):
                    yield f"{label} reads {shown(name)}, which nothing makes"
            for scope in self.inner.get(index, ()):
                yield from scope.problems(visible)
        for name in _again(self.outputs):
            yield f"{self.label} has two outputs of the name {shown(name)}"
        for name in self.outputs:
            if not any(name in names for names in visible):
                yield f"{self.label} hands out {shown(name)}, which nothing makes"
        if not self._is_ordered and self._order is None:
            yield self._cycle()

    def put_in_order(self) -> None:
        """Put the nodes of the body, and of its subgraphs, behind those they read from."""
        for scopes in self.inner.values():
            for scope in scopes:
                scope.put_in_order()
        if not self._is_ordered and self._order is not None:
            nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in self.body.node]
            del self.body.node[:]
            self.body.node.extend(nodes[index] for index in self._order)

    def _needs(self, index: int) -> Iterable[str]:
        """The inputs of a node, and what its subgraphs read from around them."""
        if index not in self.inner:
            return self.reads[index]
        return (*self.reads[index], *(n for scope in self.inner[index] for n in scope.free))

    def _edges(self) -> Iterator[tuple[int, int]]:
        """Which node reads from which: (maker, reader)."""
        for index in range(len(self.labels)):
            for name in self._needs(index):
                maker = self.makers.get(name, -1)
                if maker >= 0:
                    yield maker, index

    @cached_property
    def _is_ordered(self) -> bool:
        return all(maker < reader for maker, reader in self._edges())

    @cached_property
    def _order(self) -> list[int] | None:
        """The nodes, each after those it reads from, else as in the file; None if there is none."""
        waits = [0] * len(self.labels)
        readers: list[list[int]] = [[] for _ in self.labels]
        for maker, reader in self._edges():
            readers[maker].append(reader)
            waits[reader] += 1
        ready = [index for index, count in enumerate(waits) if not count]
        found = []
        while ready:
            found.append(heapq.heappop(ready))
            for reader in readers[found[-1]]:
                waits[reader] -= 1
                if not waits[reader]:
                    heapq.heappush(ready, reader)
        return found if len(found) == len(self.labels) else None

    def _cycle(self) -> str:
        circle = [self.labels[edge[0]] for edge in nx.find_cycle(nx.DiGraph(self._edges()))]
        way = " -> ".join((*circle[:SHOWN], "..." if len(circle) > SHOWN else circle[0]))
        return f"{self.label} has a cycle of {len(circle)} nodes: {way}"


def called(node: onnx.NodeProto, index: int) -> str:
    """How errors call a node: ``'conv_1' (Conv)``, or by its number where it has no name."""
    name = shown(node.name) if node.name else f"node {index}"
    return f"{name} ({shown(node.op_type)[1:-1] or 'no operator'})"


def subgraphs(node: onnx.NodeProto, label: str) -> Iterator[tuple[str, onnx.GraphProto]]:
    """The graphs that a node holds, each with what errors call it."""
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            yield f"{shown(attribute.name)[1:-1]} of {label}", graph


def _again(names: Iterable[str]) -> list[str]:
    """The names that were there before."""
    seen: set[str] = set()
    found = []
    for name in names:
        if name in seen:
            found.append(name)
        seen.add(name)
    return found
