"""Writes ``pictures/*.svg``: a small network before and after each pass, for ``passes.md``.

Run as ``python -m docs.pass_pictures``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import graphnet as gn
from graphnet.passes import chain, fold, for_inference, fuse, sink
from ops import GELU, Add, BatchNorm, Conv, Dropout, Linear, MaxPool, Multiply, ReLU, Sigmoid

FOLDER = Path(__file__).parent / "pictures"


def _image() -> gn.Input:
    return gn.Input("image", ("N", 8, 16, 16))


def _for_inference() -> gn.Graph:
    y = Dropout()(ReLU()(BatchNorm()(Conv(8, 3, padding=1)(_image()))))
    return gn.Graph(logits=Linear(10)(y))


def _fold() -> gn.Graph:
    return for_inference(gn.Graph(y=BatchNorm()(Conv(8, 3, padding=1)(_image()))))


def _sink() -> gn.Graph:
    return gn.Graph(y=MaxPool(2)(ReLU()(Conv(8, 3, padding=1)(_image()))))


def _fuse() -> gn.Graph:
    x = _image()
    y = ReLU()(BatchNorm()(Conv(8, 3, padding=1)(x)))
    return gn.Graph(y=ReLU()(Add()(BatchNorm()(Conv(8, 3, padding=1)(y)), x)))


def _chain() -> gn.Graph:
    x = gn.Input("x", ("N", 64))
    gate = Sigmoid()(Linear(64)(x))
    return gn.Graph(y=Add()(Multiply()(GELU()(Linear(64)(x)), gate), x))


PASSES: dict[str, tuple[Callable[[], gn.Graph], Callable[[gn.Graph], gn.Graph]]] = {
    "for_inference": (_for_inference, for_inference),
    "fold": (_fold, fold),
    "sink": (_sink, sink),
    "fuse": (_fuse, fuse),
    "chain": (_chain, chain),
}


def pictures() -> Iterator[tuple[str, str]]:
    """The name of each file, and the picture."""
    for name, (make, change) in PASSES.items():
        graph = make()
        yield f"{name}-before.svg", graph.to_svg(f"before {name}")
        yield f"{name}-after.svg", change(graph).to_svg(f"after {name}")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, picture in pictures():
        (FOLDER / name).write_text(picture, encoding="utf-8")
    sys.exit(0)
