"""A small classifier with its batches, and short forms that many tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphnet as gn
from ops import (
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    SoftmaxCrossEntropy,
)

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "float32")


def executor(**outputs: Any) -> gn.Executor:
    return gn.Executor(gn.Graph(**outputs))


def vector(size: int = 2, name: str = "x") -> gn.Input:
    return gn.Input(name, ("N", size))


def classifier(*, dropout: float = 0.0) -> gn.Graph:
    """Small, with everything a network has: parameters, states, two outputs."""
    x, label = gn.Input("image", ("N", 2, 4, 4)), gn.Input("label", ("N",), "int64")
    y = MaxPool(2)(ReLU()(BatchNorm()(Conv(3, 3, padding="same", bias=False)(x))))
    y = Dropout(dropout)(Flatten()(y)) if dropout else Flatten()(y)
    logits = Linear(5)(y)
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def batch(size: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(size, 2, 4, 4)).astype("float32")
    return {"image": images, "label": rng.integers(0, 5, size)}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
