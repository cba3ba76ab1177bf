"""Inference of networks read from ONNX files beside the same ones declared by hand.

Both take turns on the same images, and are checked to agree before anything is timed.  What is
read is to be no slower: a ratio of 1, but for noise.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import graphnet as gn
import graphnet.onnx
from benchmarks.timing import alternate, machine, write_json
from graphnet.draw import render_table

NETWORKS = {
    "three-layer": (32, gn.models.three_layer_convnet),
    "ResNet-18": (8, gn.models.resnet),
    "MobileNet": (8, gn.models.mobilenet),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (median)")


def run(options: argparse.Namespace) -> None:
    """Time both; print medians and their ratio."""
    rows = []
    for name, (batch, model) in NETWORKS.items():
        graph = model().select("logits")
        declared = gn.Executor(graph, seed=0)
        content = graphnet.onnx.to_model(declared).SerializeToString()
        start = time.perf_counter()
        loaded = gn.Executor(graphnet.onnx.load(content))
        seconds = time.perf_counter() - start
        shape = (batch, *graph.inputs["image"].shape[1:])
        image = np.random.default_rng(0).normal(size=shape).astype("float32")
        expected = declared.forward(image=image)["logits"]
        difference = float(np.abs(loaded.forward(image=image)["logits"] - expected).max())
        if not difference <= 1e-4 * np.abs(expected).max():
            raise SystemExit(f"{name}: results differ by {difference}")
        medians = alternate(
            {
                "declared": lambda net=declared, image=image: net.forward(image=image),
                "loaded": lambda net=loaded, image=image: net.forward(image=image),
            },
            options.rounds,
        )
        rows.append(
            {
                "work": f"{name}, batch {batch}",
                "load_s": seconds,
                "declared_ms": medians["declared"] * 1e3,
                "loaded_ms": medians["loaded"] * 1e3,
                "ratio": medians["loaded"] / medians["declared"],
            }
        )
    table = [
        (
            str(row["work"]),
            f"{row['load_s']:.2f}",
            f"{row['declared_ms']:.2f}",
            f"{row['loaded_ms']:.2f}",
            f"{row['ratio']:.3f}",
        )
        for row in rows
    ]
    columns = ("work", "load s", "declared ms", "loaded ms", "ratio")
    title = f"medians of {options.rounds}, {machine()['processor']}"
    print(render_table(columns, table, title=title))
    if options.json:
        write_json(options.json, {"benchmark": "imported", "rows": rows})
