"""A MobileNet on the embedded digits, or on Fashion-MNIST, trained for one minute.

    python examples/mobilenet_on_digits.py [DIR] [--seconds 60]

DIR holds the four files of Fashion-MNIST or MNIST; without it the digits are learned.  Each
convolution is split into one of each channel by itself and one across the channels, so five
blocks and the stem have about 136,000 parameters for the digits, where whole convolutions of
the same widths would have 1,130,000.

Measured on one thread with NumPy: a test accuracy of 0.989 on the digits after a minute.  The
aims are more than 0.97, and 0.80 on Fashion-MNIST, which was not measured; the exit status says
whether the one at hand was met.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import graphnet as gn

AIM = 0.97
AIM_FASHION = 0.8


def train(
    seconds: float = 60.0, folder: Path | None = None, epochs: int = 1000, seed: int = 0
) -> float:
    """Train for some seconds, or epochs if these end first, and return the test accuracy."""
    splits = gn.data.load_digits() if folder is None else gn.data.load_idx_folder(folder)
    image = splits.train.images.shape[1:]
    # images of more pixels get fewer filters, to see more of them in a minute
    graph = gn.models.mobilenet(image, width=32 if folder is None else 8, stages=(1, 2, 2))
    rate = gn.optim.StepDecay(4e-3, every=200, factor=0.7)
    trainer = gn.Trainer(gn.Executor(graph, seed=seed), gn.optim.Adam(rate, weight_decay=1e-4))
    trainer.fit(
        splits.train,
        splits.validation,
        epochs=epochs,
        batch_size=64,
        seed=seed,
        augment=gn.data.Shift(1) if folder is None else gn.data.Flip(),
        time_limit=seconds,
    )
    return trainer.evaluate(splits.test).accuracy


def main() -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    accuracy = train(options.seconds, options.folder)
    aim = AIM if options.folder is None else AIM_FASHION
    print(f"test accuracy {accuracy:.4f}, aim {aim}")
    return 0 if accuracy > aim else 1


if __name__ == "__main__":
    sys.exit(main())
