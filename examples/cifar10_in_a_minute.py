"""A small convolutional network on CIFAR-10, trained for one minute.

    python examples/cifar10_in_a_minute.py DIR

DIR holds the binary version of CIFAR-10 (data_batch_1.bin to data_batch_5.bin and
test_batch.bin). The aim is a test accuracy above 0.71; the exit status says whether it was met.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import graphnet as gn

AIM = 0.71


def train(folder: Path, seconds: float = 60.0, backend: str = "numpy") -> float:
    """Train for some seconds and return the test accuracy."""
    splits = gn.data.load_cifar10(folder)
    graph = gn.models.deep_convnet(filters=(32, 48, 64), pools=(0, 1, 2))
    net = gn.Executor(graph, backend=backend)
    trainer = gn.Trainer(net, gn.optim.Adam(2e-3))
    trainer.fit(
        splits.train,
        splits.validation,
        epochs=100,
        batch_size=128,
        augment=gn.data.Flip(),
        time_limit=seconds,
    )
    return trainer.evaluate(splits.test).accuracy


def main() -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backend", default="numpy")
    options = parser.parse_args()
    accuracy = train(options.folder, backend=options.backend)
    print(f"test accuracy {accuracy:.4f}, aim {AIM}")
    return 0 if accuracy > AIM else 1


if __name__ == "__main__":
    sys.exit(main())
