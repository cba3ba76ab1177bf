"""The way of the edges between boxes that are placed: vertical stretches in the rows."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import networkx as nx

__all__ = ["LONGEST_BENDS", "Box", "Frame", "Route", "routes_from"]

LONGEST_BENDS = 24  # rows; a longer edge runs in a lane, so that the cost stays linear
SHOULDER = 14  # the corner of a box where no edge enters, in pixels
PARALLEL = 12  # between edges from one box to the same other


@dataclass(frozen=True)
class Box:
    """The place of a node, by its horizontal centre and its top."""

    x: int
    top: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        """The lower end."""
        return self.top + self.height

    def doors(self) -> tuple[int, int]:
        """The leftmost and rightmost place where an edge may enter or leave."""
        reach = max(self.width // 2 - SHOULDER, 0)
        return self.x - reach, self.x + reach


@dataclass(frozen=True)
class Route:
    """An edge, or its part from where it leaves a shared trunk.

    ``stretches`` are vertical pieces ``(x, top, bottom)``; curves join one to the next.
    """

    source: Hashable
    target: Hashable
    stretches: list[tuple[int, int, int]]


@dataclass(frozen=True)
class Frame:
    """What the routes run between: the boxes, and the top and bottom of each row."""

    boxes: dict[Hashable, Box]
    row: dict[Hashable, int]
    tops: list[int]
    bottoms: list[int]


def routes_from(
    graph: nx.MultiDiGraph,
    source: Hashable,
    frame: Frame,
    bends: dict[int, int],
    lane: int,
) -> list[Route]:
    """The edges of one source; a trunk is drawn once, by the edge that follows it furthest."""
    routes = []
    here, box = frame.row[source], frame.boxes[source]
    drawn: set[bool] = set()
    for target in sorted(graph.successors(source), key=frame.row.__getitem__, reverse=True):
        there, goal = frame.row[target], frame.boxes[target]
        far = there - here > LONGEST_BENDS
        if far:
            way = [(lane, frame.tops[here + 1], frame.bottoms[there - 1])]
        else:
            bands = range(here + 1, there)
            way = [(bends[band], frame.tops[band], frame.bottoms[band]) for band in bands]
        parallel = graph.number_of_edges(source, target)
        for n in range(parallel):
            beside = PARALLEL * (2 * n - parallel + 1) // 2
            if way and far in drawn:
                x, _, y = way[-1]
                stretches = [(x, y, y)]
                entry = _clamp(x, goal.doors())
            elif way:
                drawn.add(far)
                exit_x = _clamp(way[0][0], box.doors())
                stretches = [(exit_x, box.bottom, frame.bottoms[here]), *way]
                entry = _clamp(way[-1][0], goal.doors())
            else:
                exit_x, entry = _facing(box.doors(), goal.doors())
                stretches = [(exit_x + beside, box.bottom, frame.bottoms[here])]
            stretches.append((entry + beside, frame.tops[there], goal.top))
            routes.append(Route(source, target, _joined(stretches)))
    return routes


def _clamp(x: int, doors: tuple[int, int]) -> int:
    return min(max(x, doors[0]), doors[1])


def _facing(upper: tuple[int, int], lower: tuple[int, int]) -> tuple[int, int]:
    """Where an edge leaves one box and enters the next: straight down where they overlap."""
    left, right = max(upper[0], lower[0]), min(upper[1], lower[1])
    if left <= right:
        return (left + right) // 2, (left + right) // 2
    return (right, left) if upper[1] < lower[0] else (left, right)


def _joined(stretches: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Stretches on the same vertical line as one."""
    joined = stretches[:1]
    for x, top, bottom in stretches[1:]:
        if joined[-1][0] == x:
            joined[-1] = (x, joined[-1][1], bottom)
        else:
            joined.append((x, top, bottom))
    return joined
