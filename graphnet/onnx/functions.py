"""Functions of a model: none calls itself, and written out they are not endless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import networkx as nx
import onnx

from graphnet.onnx.limits import NODES
from graphnet.onnx.problems import shown
from graphnet.onnx.scopes import subgraphs

__all__ = ["Key", "function_problems", "key_of"]

#: Domain, name and overload: what a node calls a function by.
Key = tuple[str, str, str]


def key_of(node: onnx.NodeProto | onnx.FunctionProto) -> Key:
    """What a node calls, or what a function is called by."""
    name = node.name if isinstance(node, onnx.FunctionProto) else node.op_type
    return _domain(node.domain), name, node.overload


def function_problems(model: onnx.ModelProto) -> Iterator[str]:
    """What is wrong with the functions of a model as a whole."""
    keys = {key_of(function) for function in model.functions}
    if len(keys) < len(model.functions):
        counts = Counter(map(key_of, model.functions))
        for key, count in counts.items():
            if count > 1:
                yield f"function {_shown(key)} is there {count} times"
    calls = {key_of(function): _calls(function) for function in model.functions}
    graph = nx.DiGraph()
    graph.add_nodes_from(keys)
    graph.add_edges_from(
        (k, other) for k, found in calls.items() for other in found if other in keys
    )
    try:
        innermost_first = list(reversed(list(nx.topological_sort(graph))))
    except nx.NetworkXUnfeasible:
        circle = [_shown(edge[0]) for edge in nx.find_cycle(graph)]
        yield f"functions call each other in a circle: {' -> '.join(circle[:8])} -> ..."
        return
    written_out: dict[Key, int] = {}
    for key in innermost_first:
        written_out[key] = _size(calls[key], written_out)
    total = _size(_calls(model.graph), written_out)
    if total > NODES:
        yield f"has more than {NODES:,} nodes, once its functions are written out"


def _calls(body: onnx.GraphProto | onnx.FunctionProto) -> Counter[Key]:
    """How often each operator or function is called, subgraphs included."""
    found: Counter[Key] = Counter()
    waiting = [body]
    while waiting:
        for node in waiting.pop().node:
            found[key_of(node)] += 1
            waiting.extend(graph for _, graph in subgraphs(node, ""))
    return found


def _size(calls: Counter[Key], written_out: dict[Key, int]) -> int:
    return sum(count * written_out.get(key, 1) for key, count in calls.items())


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _shown(key: Key) -> str:
    return shown(":".join(part for part in key if part))
