"""A graph as Graphviz text."""

from __future__ import annotations

import re

import networkx as nx

from graphnet.draw.labels import lines_of, plain

__all__ = ["to_dot"]

_STYLES = {
    "input": 'shape=box, style="rounded,filled", fillcolor="#d8f3e7"',
    "operator": 'shape=box, style="rounded,filled", fillcolor="#e3ecfb"',
    "output": 'shape=box, style="rounded,filled", fillcolor="#fbe6cf"',
}


def to_dot(graph: nx.MultiDiGraph) -> str:
    """Graphviz text of a graph.

    Args:
        graph: nodes may carry ``label`` (a list of lines) and ``kind`` (``"input"``,
            ``"operator"`` or ``"output"``), edges ``label``.

    Raises:
        ValueError: a node is of another kind.

    >>> graph = nx.MultiDiGraph()
    >>> graph.add_node("x", kind="input", label=["x", "float32"])
    >>> _ = graph.add_edge("x", "relu", label="(N, 3)")
    >>> print(to_dot(graph))
    digraph {
        rankdir=TB; node [fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];
        n0 [label="x\\nfloat32", shape=box, style="rounded,filled", fillcolor="#d8f3e7"];
        n1 [label="relu", shape=box, style="rounded,filled", fillcolor="#e3ecfb"];
        n0 -> n1 [label="(N, 3)"];
    }
    """
    # numbers, since two nodes may look the same as text
    ids = {node: f"n{number}" for number, node in enumerate(graph)}
    text = ["digraph {"]
    text.append(
        '    rankdir=TB; node [fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];'
    )
    for node, attributes in graph.nodes(data=True):
        lines, kind = lines_of(node, attributes)
        label = "\\n".join(_escape(line) for line in lines)
        text.append(f'    {ids[node]} [label="{label}", {_STYLES[kind]}];')
    for source, target, attributes in graph.edges(data=True):
        label = _escape(plain(attributes.get("label", "")))
        text.append(
            f"    {ids[source]} -> {ids[target]}" + (f' [label="{label}"];' if label else ";")
        )
    text.append("}")
    return "\n".join(text)


def _escape(line: str) -> str:
    # Graphviz reads \N and \l as commands, and &lt; as an entity
    return re.sub(r'(["\\])', r"\\\1", line.replace("&", "&amp;"))
