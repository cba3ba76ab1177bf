"""Which initial weights let 31 layers learn: 100 digits, the same network, four weight scales.

    python examples/kaiming_31_layers.py [--seed 0]

Thirty 3x3 convolutions of 8 filters with ReLU, one linear layer, no normalization.  Kaiming's
standard deviation is sqrt(2 / 72) = 0.17 here.  Weights of a fixed smaller scale shrink the
signal at every layer, so that nothing of the image arrives at the logits, and no gradient at
the image.  Every scale gets the same learning rates and seed.

It is the ratio to Kaiming's scale that counts, and not the number 1e-1 itself: with 12 filters
Kaiming's is 0.14, and 1e-1 learns up to half of the images.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

import graphnet as gn
from graphnet.draw import render_table

SCALES: tuple[float | str, ...] = (1e-1, 1e-2, 1e-3, "kaiming")
RATES = (3e-4, 1e-3)
FILTERS = (8,) * 30
EPOCHS = 50


@dataclass(frozen=True)
class Result:
    """How one weight scale fared at one learning rate."""

    scale: float | str
    rate: float
    logits: float
    """Standard deviation of the logits ahead of training."""
    loss: float
    accuracy: float


def train(scale: float | str, rate: float, seed: int = 0) -> Result:
    """Train on 100 digits; loss of the last epoch and best training accuracy of any."""
    images = gn.data.load_digits().train.subset(range(100))
    graph = gn.models.deep_convnet(
        (1, 8, 8), filters=FILTERS, pools=(9,), batchnorm=False, weight_scale=scale
    )
    net = gn.Executor(graph, seed=seed)
    logits = net.forward(image=images.images, outputs=["logits"])["logits"]
    spread = float(net.to_host(logits.std()))
    trainer = gn.Trainer(net, gn.optim.Adam(rate))
    with np.errstate(over="ignore", invalid="ignore"):  # to diverge is an outcome
        history = trainer.fit(images, epochs=EPOCHS, batch_size=25, seed=seed, quiet=True)
    records = history.records
    best = max(record.train_accuracy for record in records)
    return Result(scale, rate, spread, records[-1].train_loss, best)


def main(seed: int = 0) -> list[Result]:
    """Train every scale at every rate, and print a table."""
    results = [train(scale, rate, seed) for scale in SCALES for rate in RATES]
    rows = [
        (r.scale, f"{r.rate:g}", f"{r.logits:.1e}", f"{r.loss:.3f}", f"{r.accuracy:.0%}")
        for r in results
    ]
    columns = ("weights", "learning rate", "logits at the start", "last loss", "best accuracy")
    print(render_table(columns, rows, title="31 layers on 100 digits; chance is about 10%"))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args().seed)
