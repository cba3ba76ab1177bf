"""Batch normalization over learning rates: the same network with and without it.

    python examples/batchnorm_learning_rates.py [--seed 0]

Both start from Kaiming's weights, which is the fair comparison: from small fixed weights the
plain network does not learn at all.  At small rates normalization is no faster.  It bears
larger rates, at which it gets further in the same number of steps, and works over more of them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

import graphnet as gn
from graphnet.draw import render_table

RATES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
EPOCHS = 4


@dataclass(frozen=True)
class Result:
    """How one network fared at one learning rate."""

    batchnorm: bool
    rate: float
    loss: float
    """Training loss of the last epoch; infinite where it became NaN."""
    accuracy: float
    """Validation accuracy at the end."""


def train(batchnorm: bool, rate: float, seed: int = 0) -> Result:
    """Train on 600 digits by plain gradient descent."""
    digits = gn.data.load_digits()
    graph = gn.models.deep_convnet(
        (1, 8, 8), filters=(8, 8, 16, 16), pools=(1,), batchnorm=batchnorm
    )
    trainer = gn.Trainer(gn.Executor(graph, seed=seed), gn.optim.SGD(rate))
    with np.errstate(over="ignore", invalid="ignore"):  # to diverge is an outcome
        history = trainer.fit(
            digits.train.subset(range(600)),
            digits.validation,
            epochs=EPOCHS,
            batch_size=50,
            seed=seed,
            keep_best=False,
            quiet=True,
        )
    last = history.records[-1]
    loss = last.train_loss if np.isfinite(last.train_loss) else float("inf")
    return Result(batchnorm, rate, loss, last.validation_accuracy or 0.0)


def main(seed: int = 0) -> list[Result]:
    """Train both networks at every rate, and print a table."""
    results = [train(batchnorm, rate, seed) for rate in RATES for batchnorm in (True, False)]
    rows = []
    for normalized, plain in zip(results[::2], results[1::2], strict=True):
        rows.append(
            (
                f"{normalized.rate:g}",
                f"{normalized.loss:.3f}",
                f"{plain.loss:.3f}",
                f"{normalized.accuracy:.0%}",
                f"{plain.accuracy:.0%}",
            )
        )
    columns = ("learning rate", "loss with", "loss without", "accuracy with", "accuracy without")
    print(render_table(columns, rows, title=f"batch normalization, {EPOCHS} epochs of 600 digits"))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args().seed)
