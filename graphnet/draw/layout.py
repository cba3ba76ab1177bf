"""Where the boxes and edges of a layered drawing lie.

Every node gets a row, below all it depends on.  An edge that spans several rows becomes a chain
of bends, one a row, which take part in the layout as narrow boxes do, so that no edge crosses a
box.  Sweeps over the rows then choose the order within each (few crossings) and the positions
(straight edges).

Source: Sugiyama, Tagawa, Toda, "Methods for Visual Understanding of Hierarchical System
Structures", 1981; positions by isotonic regression, Barlow et al., 1972.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import networkx as nx

from graphnet.draw.routing import LONGEST_BENDS, PARALLEL, Box, Frame, Route, routes_from

__all__ = ["LABEL_GAP", "Layout", "Size", "Spot", "lay_out"]

BOX_GAP = 28  # between neighbours in a row, in pixels
LABEL_GAP = 8  # between an edge and its label
LANE_GAP = 14  # between the lanes of very long edges
SWEEPS = 4

# How strongly an item holds its place against its neighbours: the longest path is the spine.
_SPINE, _BRANCH, _BEND = 1.0, 1e-3, 1e-6


@dataclass(frozen=True)
class Size:
    """The size of a box, and the width of the labels on the edges that leave and enter it."""

    width: int
    height: int
    below: int = 0
    above: int = 0


@dataclass(frozen=True)
class Spot:
    """Where the label of a box's outgoing edges stands.

    ``side`` is 1 where it begins at ``x``, -1 where it ends there, and 0 where that is its middle.
    """

    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Layout:
    """A finished plan."""

    boxes: dict[Hashable, Box]
    routes: list[Route]
    spots: dict[Hashable, Spot]
    width: int
    height: int


@dataclass
class _Items:
    """Boxes and bends by number; boxes come first, in topological order."""

    row: list[int] = field(default_factory=list)
    hold: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)  # the room to the left of x, in pixels
    right: list[int] = field(default_factory=list)
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    x: list[float] = field(default_factory=list)

    def add(self, row: int, hold: float, reach: int) -> int:
        self.row.append(row)
        self.hold.append(hold)
        self.left.append(reach)
        self.right.append(reach)
        self.above.append([])
        self.below.append([])
        self.x.append(0.0)
        return len(self.row) - 1

    def link(self, upper: int, lower: int) -> None:
        self.below[upper].append(lower)
        self.above[lower].append(upper)


@dataclass
class _Trunk:
    """The one line on which a value reaches its consumers: bends by row, or a lane."""

    bends: dict[int, int] = field(default_factory=dict)
    lane: int = 0
    last_in_lane: int = 0


def lay_out(graph: nx.MultiDiGraph, sizes: dict[Hashable, Size]) -> Layout:
    """Place the boxes of an acyclic graph and route its edges, top-down.

    Raises:
        ValueError: the graph has a cycle.
    """
    row, spine = _rows_of(graph)
    items = _Items()
    number = {
        node: items.add(row[node], _SPINE if node in spine else _BRANCH, sizes[node].width // 2 + 1)
        for node in row
    }
    trunks = {node: _trunk(graph, node, row, number, items) for node in graph}
    lanes = _share_lanes(trunks, row)
    rows = _order(items)
    sides = {node: _side(items, rows, number[node]) for node in graph}
    for node, size in sizes.items():
        _make_room(items, number[node], size, sides[node][0])
    _place(items, rows)

    shift = min((x - room for x, room in zip(items.x, items.left, strict=True)), default=0.0)
    x = [round(place - shift) for place in items.x]
    right = max((place + room for place, room in zip(x, items.right, strict=True)), default=0)
    tops, bottoms = _heights(items, x, rows, [sizes[node].height for node in row])
    boxes = {}
    for node, item in number.items():
        size, band = sizes[node], row[node]
        top = (tops[band] + bottoms[band] - size.height) // 2
        boxes[node] = Box(x[item], top, size.width, size.height)
    frame = Frame(boxes, row, tops, bottoms)
    routes: list[Route] = []
    spots = {}
    for node, trunk in trunks.items():
        bends = {band: x[bend] for band, bend in trunk.bends.items()}
        ways = routes_from(graph, node, frame, bends, right + (1 + trunk.lane) * LANE_GAP)
        spots[node] = _spot(frame, node, ways, *sides[node])
        routes += ways
    width = right + lanes * LANE_GAP
    return Layout(boxes, routes, spots, width, bottoms[-1] if bottoms else 0)


def _rows_of(graph: nx.MultiDiGraph) -> tuple[dict[Hashable, int], set[Hashable]]:
    """The row of each node by the longest path to it, and the nodes on a longest path."""
    try:
        generations = list(nx.topological_generations(graph))
    except nx.NetworkXUnfeasible:
        raise ValueError("expected a graph without cycles") from None
    row = {node: depth for depth, nodes in enumerate(generations) for node in nodes}
    after = dict.fromkeys(row, 0)
    for node in reversed(row):
        after[node] = max((after[below] + 1 for below in graph.successors(node)), default=0)
    spine = {node for node in row if row[node] + after[node] == len(generations) - 1}
    for node in row:
        if not graph.in_degree(node) and graph.out_degree(node):
            # an input stands just above its first consumer, such as a label above the loss
            row[node] = min(row[below] for below in graph.successors(node)) - 1
    return row, spine


def _trunk(
    graph: nx.MultiDiGraph,
    node: Hashable,
    row: dict[Hashable, int],
    number: dict[Hashable, int],
    items: _Items,
) -> _Trunk:
    """Link a node with its consumers, through bends where they lie further than the next row."""
    trunk = _Trunk()
    here = row[node]
    for target in graph.successors(node):  # once a target, however many parallel edges
        if row[target] - here > LONGEST_BENDS:
            trunk.last_in_lane = max(trunk.last_in_lane, row[target] - 1)
            continue
        last = number[node]
        for band in range(here + 1, row[target]):
            if band not in trunk.bends:
                trunk.bends[band] = items.add(band, _BEND, 1)
                items.link(last, trunk.bends[band])
            last = trunk.bends[band]
        items.link(last, number[target])
    return trunk


def _share_lanes(trunks: dict[Hashable, _Trunk], row: dict[Hashable, int]) -> int:
    """Give each very long trunk a lane that is free over its rows; returns how many there are."""
    long = sorted(
        ((row[node], trunk) for node, trunk in trunks.items() if trunk.last_in_lane),
        key=lambda entry: entry[0],
    )
    busy: list[tuple[int, int]] = []  # (last row, lane)
    free: list[int] = []
    lanes = 0
    for first, trunk in long:
        while busy and busy[0][0] < first:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, lanes)
            lanes += 1
        trunk.lane = heapq.heappop(free)
        heapq.heappush(busy, (trunk.last_in_lane, trunk.lane))
    return lanes


def _order(items: _Items) -> list[list[int]]:
    """The rows, each from left to right, with few crossings: barycentre sweeps, best one kept."""
    rows: list[list[int]] = [[] for _ in range(max(items.row, default=-1) + 1)]
    for item, band in enumerate(items.row):
        rows[band].append(item)
    place = [0.0] * len(items.row)
    for row in rows:
        _number(row, place)
    best, fewest = [list(row) for row in rows], _crossings(items, rows, place)
    for sweep in range(2 * SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        neighbours = items.above if down else items.below
        for row in rows if down else reversed(rows):
            centre = {
                item: sum(place[n] for n in neighbours[item]) / len(neighbours[item])
                if neighbours[item]
                else place[item]
                for item in row
            }
            row.sort(key=centre.__getitem__)
            _number(row, place)
        crossings = _crossings(items, rows, place)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _number(row: list[int], place: list[float]) -> None:
    for position, item in enumerate(row):
        place[item] = position - (len(row) - 1) / 2


def _crossings(items: _Items, rows: list[list[int]], place: list[float]) -> int:
    total = 0
    for row in rows:
        seen: list[float] = []  # the lower ends of the edges so far, sorted
        for item in row:
            ends = sorted(place[n] for n in items.below[item])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _side(items: _Items, rows: list[list[int]], item: int) -> tuple[int, bool]:
    """On which side of the outgoing edges their label meets none, and whether it must stand low."""
    below = set(items.below[item])
    row = [n for n in rows[items.row[item] + 1] if n in below] if below else []
    if len(row) < 2:
        return 1, False
    second, straight = sorted(items.hold[n] for n in row)[-2:]
    if second == straight:
        return 0, False  # the edges part to both sides
    if items.hold[row[0]] == straight:
        return -1, False  # the others turn to the right
    return 1, items.hold[row[-1]] != straight  # below those that turn to the right


def _spot(frame: Frame, node: Hashable, ways: list[Route], side: int, low: bool) -> Spot:
    box = frame.boxes[node]
    exits = [way.stretches[0][0] for way in ways if way.stretches[0][1] == box.bottom]
    near = [x for x in exits if abs(x - box.x) <= PARALLEL] or exits[:1] or [box.x]
    x = {1: max(near), 0: box.x, -1: min(near)}[side]
    y = frame.tops[frame.row[node] + 1] - 9 if low else box.bottom + 16
    return Spot(x + side * LABEL_GAP, y, side)


def _make_room(items: _Items, item: int, size: Size, side: int) -> None:
    left = {1: 0, 0: size.below // 2, -1: size.below + LABEL_GAP}[side]
    right = {1: size.below + LABEL_GAP, 0: size.below // 2, -1: 0}[side]
    items.left[item] = max(items.left[item], left, size.above + LABEL_GAP)
    items.right[item] = max(items.right[item], right, size.above + LABEL_GAP)


def _place(items: _Items, rows: list[list[int]]) -> None:
    """Horizontal positions: down and up the rows, each item goes to its strongest neighbours."""
    for row in rows:
        _settle(items, row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS + 1):
        down = sweep % 2 == 0
        before, behind = (items.above, items.below) if down else (items.below, items.above)
        for row in rows if down else reversed(rows):
            wanted = []
            for item in row:
                near = before[item] or behind[item]
                strongest = max((items.hold[n] for n in near), default=0.0)
                places = [items.x[n] for n in near if items.hold[n] == strongest]
                wanted.append(sum(places) / len(places) if places else items.x[item])
            _settle(items, row, wanted)


def _settle(items: _Items, row: Sequence[int], wanted: Sequence[float]) -> None:
    """The positions nearest to those wanted (weighted squares) that keep everyone's distance."""
    offsets, offset = [0.0], 0.0
    for left, right in pairwise(row):
        offset += items.right[left] + BOX_GAP + items.left[right]
        offsets.append(offset)
    # without the offsets the positions need only not decrease: pool the violators
    pools: list[tuple[float, float, int]] = []  # (mean, weight, how many)
    for item, want, moved in zip(row, wanted, offsets, strict=True):
        mean, weight, count = want - moved, items.hold[item], 1
        while pools and pools[-1][0] > mean:
            other, heavy, several = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + several
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for item, mean, moved in zip(row, means, offsets, strict=True):
        items.x[item] = mean + moved


def _heights(
    items: _Items, x: list[int], rows: list[list[int]], heights: list[int]
) -> tuple[list[int], list[int]]:
    """Top and bottom of each row; rows lie further apart where edges run far sideways."""
    tops, bottoms, y = [], [], 0
    for row in rows:
        tops.append(y)
        y += max(heights[item] for item in row if item < len(heights))
        bottoms.append(y)
        turns = [abs(x[item] - x[n]) for item in row for n in items.below[item]]
        y += 44 + min(max(turns, default=0) // 12, 60)
    return tops, bottoms
