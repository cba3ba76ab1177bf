"""A graph as a self-contained SVG picture: no installed program, no script, no font file."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

import networkx as nx

from graphnet.draw.labels import lines_of, plain
from graphnet.draw.layout import LABEL_GAP, Layout, Size, Spot, lay_out
from graphnet.draw.routing import Box

__all__ = ["draw_svg"]

MARGIN = 24
TITLE_HEIGHT = 36
LONGEST_LINE = 48  # characters; the rest shows when the pointer rests on the node

# Advance widths in em of a sans-serif face, rounded up: the browser's own may differ.
_NARROW, _WIDE = frozenset("fijlrtI.,:;'|!()[]/ -"), frozenset("mwMW@%—")

_STYLE = """
.graphnet-drawing { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, \
sans-serif; }
.graphnet-drawing .ground { fill: #ffffff; }
.graphnet-drawing .heading { font-size: 16px; font-weight: 600; fill: #1f2733; }
.graphnet-drawing .edge { fill: none; stroke: #93a0b1; stroke-width: 1.5; stroke-linecap: round; }
.graphnet-drawing .head { fill: #93a0b1; }
.graphnet-drawing .shape { font-size: 10.5px; fill: #67748a; stroke: #ffffff; stroke-width: 4; \
stroke-linejoin: round; paint-order: stroke; }
.graphnet-drawing .box { stroke-width: 1.25; }
.graphnet-drawing .name { font-size: 13px; font-weight: 600; text-anchor: middle; fill: #1f2733; }
.graphnet-drawing .detail { font-size: 11px; text-anchor: middle; fill: #536074; }
.graphnet-drawing .input .box { fill: #e2f5ec; stroke: #3a9a73; }
.graphnet-drawing .operator .box { fill: #edf2fc; stroke: #6f8fd0; }
.graphnet-drawing .output .box { fill: #fdeedd; stroke: #d08a3c; }
@media (prefers-color-scheme: dark) {
.graphnet-drawing .ground { fill: #14181f; }
.graphnet-drawing .heading { fill: #e6ebf2; }
.graphnet-drawing .edge { stroke: #667487; }
.graphnet-drawing .head { fill: #667487; }
.graphnet-drawing .shape { fill: #96a3b6; stroke: #14181f; }
.graphnet-drawing .name { fill: #e6ebf2; }
.graphnet-drawing .detail { fill: #a9b5c6; }
.graphnet-drawing .input .box { fill: #14342a; stroke: #3fa37c; }
.graphnet-drawing .operator .box { fill: #1d2942; stroke: #5f80c4; }
.graphnet-drawing .output .box { fill: #3a2814; stroke: #c07f38; }
}
"""


def draw_svg(graph: nx.MultiDiGraph, title: str = "") -> str:
    """An SVG picture of an acyclic graph, inputs at the top, in light or dark as the reader has it.

    Args:
        graph: nodes may carry ``label`` (a list of lines) and ``kind`` (``"input"``,
            ``"operator"`` or ``"output"``), edges ``label``.
        title: a heading, and the picture's name for screen readers.

    Raises:
        ValueError: the graph has a cycle, or a node is of another kind.

    >>> graph = nx.MultiDiGraph()
    >>> graph.add_node("x", kind="input", label=["x", "float32"])
    >>> _ = graph.add_edge("x", "relu", label="(N, 3)")
    >>> draw_svg(graph).count("<rect")
    2
    """
    nodes = {node: _Node(*lines_of(node, data)) for node, data in graph.nodes(data=True)}
    labels = _edge_labels(graph)
    layout = lay_out(graph, _sizes(nodes, labels))
    heading = plain(title)
    head = TITLE_HEIGHT if heading else 0
    width = max(layout.width, math.ceil(_width(heading, 16))) + 2 * MARGIN
    height = layout.height + head + 2 * MARGIN
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graphnet-drawing" role="img" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="max-width: 100%; height: auto">',
        f"<title>{escape(heading or 'computational graph')}</title>",
        f"<style>{_STYLE}</style>",
        f'<path class="ground" d="M0 0H{width}V{height}H0Z"/>',
    ]
    if heading:
        text.append(
            f'<text class="heading" x="{MARGIN}" y="{MARGIN + 14}">{escape(heading)}</text>'
        )
    across = (width - layout.width) // 2
    text.append(f'<g transform="translate({across} {MARGIN + head})">')
    text += _edges(layout)
    text += (nodes[node].draw(box) for node, box in layout.boxes.items())
    text += _shapes(layout, labels)
    text += ["</g>", "</svg>"]
    return "\n".join(text) + "\n"


@dataclass(frozen=True)
class _Node:
    lines: list[str]
    kind: str

    def shown(self) -> list[str]:
        return [
            line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
            for line in self.lines
        ]

    def size(self) -> tuple[int, int]:
        widths = [_width(line, 11 if n else 13) for n, line in enumerate(self.shown())]
        inside = max(math.ceil(max(widths, default=0)), 60)
        return 2 * ((inside + 29) // 2), 16 + 16 * max(len(self.lines), 1)

    def draw(self, box: Box) -> str:
        rows = "".join(
            f'<text class="{"detail" if n else "name"}" x="{box.x}" y="{box.top + 21 + 16 * n}">'
            f"{escape(line)}</text>"
            for n, line in enumerate(self.shown())
        )
        corner = box.height // 2 if self.kind != "operator" else 7
        return (
            f'<g class="{self.kind}"><title>{escape(chr(10).join(self.lines))}</title>'
            f'<rect class="box" x="{box.x - box.width // 2}" y="{box.top}" width="{box.width}" '
            f'height="{box.height}" rx="{min(corner, 16)}"/>{rows}</g>'
        )


def _edge_labels(graph: nx.MultiDiGraph) -> dict[Hashable, dict[str, Hashable]]:
    """The distinct labels on the edges of each source, each with a target that it leads to."""
    labels: dict[Hashable, dict[str, Hashable]] = {node: {} for node in graph}
    for source, target, data in graph.edges(data=True):
        label = plain(data.get("label", ""))
        if label:
            labels[source].setdefault(label, target)
    return labels


def _sizes(
    nodes: dict[Hashable, _Node], labels: dict[Hashable, dict[str, Hashable]]
) -> dict[Hashable, Size]:
    """One value's label stands below its source, those of several values above their targets."""
    below, above = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    for source, targets in labels.items():
        for label, target in targets.items():
            width = math.ceil(_width(label, 10.5))
            if len(targets) == 1:
                below[source] = width
            else:
                above[target] = max(above[target], width)
    return {node: Size(*drawn.size(), below[node], above[node]) for node, drawn in nodes.items()}


def _edges(layout: Layout) -> Iterator[str]:
    for route in layout.routes:
        x, top, bottom = route.stretches[0]
        path = f"M{x} {top}V{bottom}"
        for x_next, top_next, bottom_next in route.stretches[1:]:
            middle = (bottom + top_next) // 2
            path += f"C{x} {middle} {x_next} {middle} {x_next} {top_next}V{bottom_next}"
            x, bottom = x_next, bottom_next
        yield f'<path class="edge" d="{path}"/><path class="head" d="M{x} {bottom}l-4.5 -8h9Z"/>'


def _shapes(layout: Layout, labels: dict[Hashable, dict[str, Hashable]]) -> Iterator[str]:
    entries = {(route.source, route.target): route.stretches[-2:] for route in layout.routes}
    for source, targets in labels.items():
        for label, target in targets.items():
            if len(targets) > 1:
                *before, (x, _, bottom) = entries[source, target]
                side = -1 if before and before[0][0] > x else 1  # away from where the edge comes
                yield _shape(label, Spot(x + side * LABEL_GAP, bottom - 12, side))
            else:
                yield _shape(label, layout.spots[source])


def _shape(label: str, spot: Spot) -> str:
    anchor = {1: "start", 0: "middle", -1: "end"}[spot.side]
    return (
        f'<text class="shape" text-anchor="{anchor}" x="{spot.x}" y="{spot.y}">'
        f"{escape(label)}</text>"
    )


def _width(line: str, size: float) -> float:
    """An estimate of the width of a line in pixels, on the safe side."""
    return size * sum(map(_advance, line))


def _advance(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if unicodedata.combining(character):
        return 0.0
    if character in _WIDE:
        return 0.95
    return 0.36 if character in _NARROW else 0.68 if character.isupper() else 0.6
