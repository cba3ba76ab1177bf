"""Time against memory: the training step of ResNet-18 under limits on its memory.

A limit is a share of what the step takes without one.  Whatever the limit, losses and gradients
are the same to the last bit; that is checked before anything is timed.  ``--picture`` draws the
curve of the page on speed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import graphnet as gn
from benchmarks.timing import alternate, machine, write_json
from graphnet.draw import render_table

#: Shares of the memory without a limit, in turn; those that cannot be kept are left out.
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3)
LR, MOMENTUM = 0.01, 0.9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (median)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also draw the curve")


def run(options: argparse.Namespace) -> None:
    """Time the step under each limit; print a table."""
    graph = gn.models.resnet()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(options.batch, *graph.inputs["image"].shape[1:])).astype("float32")
    feeds = {"image": image, "label": rng.integers(0, 10, options.batch)}

    def prepare(limit: int | None) -> tuple[Any, int, dict[str, np.ndarray]]:
        net = gn.Executor(graph, memory_limit=limit)
        net.forward(training=True, **feeds)
        gradients = net.backward("loss")
        step = net.training_step(gn.optim.SGD(LR, momentum=MOMENTUM))
        return (lambda: step(**feeds)), net.planned_bytes(options.batch, training=True), gradients

    whole, most, wanted = prepare(None)
    functions, sizes = {"no limit": whole}, {"no limit": most}
    for share in SHARES:
        try:
            step, nbytes, gradients = prepare(int(share * most))
        except gn.ExecutorError as error:
            print(f"{share:.0%}: {error}")
            break
        for name, gradient in gradients.items():
            if not np.array_equal(gradient, wanted[name]):
                raise SystemExit(f"{share:.0%}: the gradient of {name} differs")
        functions[f"{share:.0%}"], sizes[f"{share:.0%}"] = step, nbytes
    seconds = alternate(functions, options.rounds)
    rows = [
        {
            "limit": name,
            "MiB": sizes[name] / 2**20,
            "ms": seconds[name] * 1e3,
            "memory": sizes[name] / most,
            "time": seconds[name] / seconds["no limit"],
        }
        for name in functions
    ]
    shown = [
        (
            str(row["limit"]),
            f"{row['MiB']:.0f}",
            f"{row['ms']:.0f}",
            f"{row['memory']:.2f}",
            f"{row['time']:.2f}",
        )
        for row in rows
    ]
    title = f"batch {options.batch}, medians of {options.rounds}, {machine()['processor']}"
    print(render_table(("limit", "MiB", "ms a step", "memory", "time"), shown, title=title))
    if options.picture:
        _draw(rows, options.picture)
    if options.json:
        write_json(options.json, {"benchmark": "memory", "batch": options.batch, "rows": rows})


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    points = [row["MiB"] for row in rows], [row["ms"] for row in rows]
    axes.plot(*points, marker="o", color="#3b6fd4")
    axes.set_xlabel("memory of a training step, MiB")
    axes.set_ylabel("milliseconds")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
