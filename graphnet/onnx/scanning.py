"""Looking over a model before it is read: its graphs, what is needed of it, what is unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from graphnet.onnx.bodies import has_body
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules import READERS

__all__ = [
    "expect_known_operators",
    "graphs",
    "needed",
    "overload_of",
    "plain_domain",
    "versions_of",
]


def plain_domain(domain: str) -> str:
    """The name of a domain; the standard's own is empty."""
    return "" if domain == "ai.onnx" else domain


def versions_of(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """The version of each operator set."""
    return {plain_domain(entry.domain): entry.version for entry in imports}


def overload_of(proto: NodeProto | FunctionProto) -> str:
    """The overload that a node calls, or a function is."""
    return getattr(proto, "overload", "")


def graphs(graph: GraphProto) -> Iterable[GraphProto]:
    """A graph and all graphs inside its nodes."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(_inner(found.node))


def _inner(nodes: Iterable[NodeProto]) -> Iterable[GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def needed(nodes: Iterable[NodeProto], outputs: list[str]) -> list[NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(list(nodes)):
        if wanted.isdisjoint(node.output):
            continue
        kept.append(node)
        wanted.update(node.input)
        for inner in _inner([node]):
            for graph in graphs(inner):
                wanted.update(name for part in graph.node for name in part.input)
                wanted.update(output.name for output in graph.output)
    return kept[::-1]


def expect_known_operators(
    model: ModelProto, functions: Mapping[Any, FunctionProto], opsets: Mapping[str, int]
) -> None:
    """Refuse a model with operators that nobody knows, all of them in one message."""
    bodies = [
        (function.node, {**opsets, **versions_of(function.opset_import)})
        for function in model.functions
    ]
    nodes = [(model.graph.node, dict(opsets)), *bodies]
    unknown: Counter[str] = Counter()
    newest = onnx.defs.onnx_opset_version()
    for some, versions in nodes:
        if versions.get("", 0) > newest:
            raise OnnxError(
                f"expected opset {newest} or older, the newest that the installed onnx knows, "
                f"received {versions['']}"
            )
        for graph in (None, *(g for inner in _inner(some) for g in graphs(inner))):
            for node in some if graph is None else graph.node:
                domain = plain_domain(node.domain)
                if (node.domain, node.op_type, overload_of(node)) in functions:
                    continue
                if (domain, node.op_type) in READERS or has_body(node, versions.get(domain, 0)):
                    continue
                unknown[f"{domain or 'ai.onnx'}.{node.op_type}"] += 1
    if unknown:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(unknown.items()))
        raise OnnxError(f"operators that are not supported: {listed}")
