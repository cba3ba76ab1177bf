"""``graphnet summary`` and ``graphnet draw``: what a network is made of."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from graphnet.cli.arguments import positive_integer
from graphnet.cli.network import add_network, find_network
from ops.operator import show

__all__ = ["add_draw", "add_summary"]


def add_summary(commands: Any) -> None:
    """Add ``graphnet summary`` to the commands."""
    summary = commands.add_parser(
        "summary",
        help="a table of a network's nodes: operators, shapes, parameters, FLOPs, bytes",
        description="Prints a table of a network's nodes, before any data.",
    )
    summary.set_defaults(run=_summary)
    add_network(summary)
    summary.add_argument("--batch", type=positive_integer, default=1, help="default 1")


def add_draw(commands: Any) -> None:
    """Add ``graphnet draw`` to the commands."""
    draw = commands.add_parser(
        "draw",
        help="a picture of a network, as SVG or for Graphviz",
        description="Draws a network; no other program is needed for SVG.",
    )
    draw.set_defaults(run=_draw)
    add_network(draw)
    draw.add_argument(
        "--out",
        type=Path,
        default=Path("graph.svg"),
        metavar="FILE",
        help="ends in .svg or .dot; default graph.svg",
    )


def _summary(options: argparse.Namespace) -> int:
    graph = find_network(options)
    print(graph.summary(options.batch))
    for what, values in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        print(f"{what}: {', '.join(f'{name} {show(v.spec)}' for name, v in values.items())}")
    return 0


def _draw(options: argparse.Namespace) -> int:
    out: Path = options.out
    if out.suffix not in (".svg", ".dot"):
        raise ValueError(f"expected a file that ends in .svg or .dot, received {out}")
    graph = find_network(options)
    text = graph.to_svg(options.model) if out.suffix == ".svg" else graph.to_dot()
    out.write_text(text, encoding="utf-8")
    print(f"{graph!r} drawn to {out}")
    return 0
