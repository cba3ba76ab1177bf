"""A U-Net finds handwritten digits on a canvas, and says of each pixel which digit it is part of.

    python examples/unet_on_digits.py [--seconds 60]

Up to four of the embedded digits, 8x8 pixels each, lie at random places of a canvas of 24x24.
The class of a pixel is that of the digit whose ink it has, or background.  A pixel by itself
tells only whether there is ink; which digit it belongs to shows from the pixels around.

Two figures are taken on canvases with digits that no training canvas has: the accuracy over all
pixels, and the intersection over union of each class with its label, averaged over the classes.
Most of a canvas is background, so to call everything background has a high accuracy, and it is
the second figure that counts.

Measured on one thread with NumPy after a minute: accuracy 0.997, intersection over union 0.970;
all background has 0.872 and 0.079.  The aim is an intersection over union above 0.60; the exit
status says whether it was met.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import dataclass

import numpy as np

import graphnet as gn

AIM = 0.6
CANVAS, DIGIT, CLASSES = 24, 8, 11
BATCH = 32
HELD_OUT = 500

#: The part of the darkest ink from which on a pixel belongs to its digit.
INK = 0.25


@dataclass(frozen=True)
class Figures:
    """How well the classes of pixels are told."""

    accuracy: float
    overlap: float
    """Intersection over union, averaged over the classes."""


def draw(
    digits: gn.data.Dataset, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Canvases ``(count, 1, 24, 24)`` and the classes ``(count, 24, 24)`` of their pixels.

    Class 0 is background, ``d + 1`` the digit d.  Each quarter holds a digit three times of
    four, anywhere within it.
    """
    lowest, highest = digits.images.min(), digits.images.max()
    ink = (digits.images[:, 0] - lowest) / (highest - lowest)
    canvases = np.zeros((count, CANVAS, CANVAS), "float32")
    classes = np.zeros((count, CANVAS, CANVAS), "int64")
    which = np.arange(count)[:, None, None]
    quarter = CANVAS // 2
    for corner in itertools.product((0, quarter), repeat=2):
        down, right = (
            start + rng.integers(0, quarter - DIGIT + 1, (count, 1, 1)) for start in corner
        )
        place = (which, down + np.arange(DIGIT)[:, None], right + np.arange(DIGIT))
        chosen = rng.integers(0, len(digits), count)
        drawn = ink[chosen] * (rng.random((count, 1, 1)) < 0.75)
        canvases[place] = drawn
        classes[place] = np.where(drawn > INK, digits.labels[chosen][:, None, None] + 1, 0)
    return canvases[:, None], classes


def measure(predicted: np.ndarray, classes: np.ndarray) -> Figures:
    """Compare predicted with true classes of pixels, arrays of one shape."""
    pairs = np.bincount((CLASSES * classes + predicted).ravel(), minlength=CLASSES**2)
    table = pairs.reshape(CLASSES, CLASSES)  # rows: true classes, columns: predicted ones
    both = table.diagonal()
    either = table.sum(axis=0) + table.sum(axis=1) - both
    return Figures(both.sum() / table.sum(), float(np.mean(both / either)))


def train(
    seconds: float = 60.0, updates: int = 1_000_000, seed: int = 0
) -> tuple[Figures, Figures]:
    """Train for some seconds, or updates if these end first.

    Returns:
        The figures on held-out digits, and those of calling everything background.
    """
    digits = gn.data.load_digits()
    graph = gn.models.unet((1, CANVAS, CANVAS), classes=CLASSES)
    net = gn.Executor(graph, seed=seed)
    step = net.training_step(gn.optim.Adam(gn.optim.StepDecay(5e-3, every=200, factor=0.7)))
    rng = np.random.default_rng(seed)
    end = time.perf_counter() + seconds
    while step.count < updates and time.perf_counter() < end:
        images, classes = draw(digits.train, BATCH, rng)
        loss = step(image=images, label=classes)["loss"]
        if step.count % 100 == 0:
            print(f"update {step.count}: loss {float(net.to_host(loss)):.3f}")
    images, classes = draw(digits.test, HELD_OUT, np.random.default_rng(1))
    parts = (
        net.to_host(net.forward(image=part, outputs=["logits"])["logits"].argmax(axis=1))
        for part in np.split(images, 10)
    )
    return measure(np.concatenate(list(parts)), classes), measure(np.zeros_like(classes), classes)


def main() -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    learned, background = train(parser.parse_args().seconds)
    for name, figures in (("U-Net", learned), ("all background", background)):
        print(
            f"{name}: pixel accuracy {figures.accuracy:.4f}, "
            f"mean intersection over union {figures.overlap:.4f}"
        )
    print(f"the aim is an intersection over union above {AIM}")
    return 0 if learned.overlap > AIM else 1


if __name__ == "__main__":
    sys.exit(main())
