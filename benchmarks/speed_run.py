"""How long a small residual network takes on CIFAR-10 to reach an accuracy on the test images.

The clock runs over training alone, epoch after epoch, and stands still while the test images are
classified.  What is done once for a card, compiling kernels and measuring engines, is done on a
copy of the network before it starts, and told by itself.  The data lie on the card as bytes.

Source: the network and its schedule follow Page, "How to Train Your ResNet", 2018, without label
smoothing.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import graphnet as gn
from graphnet.backends import Backend
from graphnet.models.classifier import classifier
from ops import Add, BatchNorm, Conv, Flatten, Linear, MaxPool, ReLU

__all__ = ["network", "read", "speed_run"]

#: Filters of the four stages.
STAGES = (64, 128, 256, 512)
#: The highest learning rate, of the mean loss of a batch, and the epochs in which it is reached.
PEAK, RISE = 0.4, 5
MOMENTUM, DECAY = 0.9, 5e-4
#: Images that are classified at once.
TESTED = 1000

Pixels = tuple[np.ndarray, np.ndarray]


def network(filters: tuple[int, ...] = STAGES, size: int = 32) -> gn.Graph:
    """Four stages of convolutions of which the second and the last have a residual block."""

    def body(image: gn.Value) -> gn.Value:
        x = _layer(image, filters[0])
        for stage, count in enumerate(filters[1:]):
            x = MaxPool(2)(_layer(x, count))
            if stage % 2 == 0:
                x = Add()(_layer(_layer(x, count), count), x)
        x = MaxPool(size >> (len(filters) - 1))(x)
        logits: gn.Value = Linear(10, bias=False)(Flatten()(x))
        return logits

    return classifier(body, (3, size, size))


def _layer(x: gn.Value, filters: int) -> gn.Value:
    y: gn.Value = ReLU()(BatchNorm()(Conv(filters, 3, padding=1, bias=False)(x)))
    return y


def read(folder: Path) -> tuple[Pixels, Pixels]:
    """The images of CIFAR-10; the program ends with what is missing where they are not there."""
    try:
        return gn.data.read_cifar10(folder)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(
            f"no data for the speed run: {error}\nunpack cifar-10-binary.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html and name the folder with --cifar"
        ) from None


def speed_run(
    train: Pixels,
    test: Pixels,
    backend: Backend,
    *,
    accuracy: float,
    epochs: int,
    batch: int = 512,
    seed: int = 0,
    precision: str = "fast",
    graph: gn.Graph | None = None,
) -> dict[str, Any]:
    """Train until the accuracy is reached, or all epochs are over.

    Returns:
        ``reached``: whether it was; ``seconds`` of training, ``epochs`` and ``accuracy`` at the
        end; ``prepared``: the seconds spent before the clock started.
    """
    graph = network() if graph is None else graph
    mean, std = gn.data.pixels.statistics(train[0])
    batches = gn.data.PixelBatches(
        train, batch, backend, padding=4, flip=True, mean=mean, std=std, seed=seed, drop_last=True
    )
    tested = gn.data.PixelBatches(
        test, min(TESTED, len(test[0])), backend, mean=mean, std=std, shuffle=False
    )
    steps = len(batches)
    rise = min(RISE, epochs - 1) * steps or 1
    optimizer = gn.optim.SGD(
        gn.optim.WarmUp(rise, gn.optim.Cosine(PEAK, max(1, epochs * steps - rise))),
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=DECAY,
    )
    start = time.perf_counter()
    _train(gn.Executor(graph, backend, seed=seed, precision=precision), optimizer, batches, tested)
    prepared = time.perf_counter() - start
    net = gn.Executor(graph, backend, seed=seed, precision=precision)
    step = net.training_step(optimizer)
    seconds, found, epoch = 0.0, 0.0, 0
    while epoch < epochs and found < accuracy:
        backend.synchronize()
        start = time.perf_counter()
        for images, labels in batches.epoch(epoch):
            step(image=images, label=labels)
        backend.synchronize()
        seconds += time.perf_counter() - start
        epoch += 1
        found = _accuracy(net, tested)
        print(f"epoch {epoch}: {seconds:.1f} s, {found:.2%} of the test images", flush=True)
    return {"reached": found >= accuracy, "seconds": seconds, "epochs": epoch, "accuracy": found,
            "prepared": prepared}  # fmt: skip


def _train(net: gn.Executor, optimizer: Any, batches: Any, tested: Any) -> None:
    """One step, and one batch of test images, so that all kernels are there."""
    images, labels = next(batches.epoch(0))
    net.training_step(optimizer)(image=images, label=labels)
    net.forward(outputs=["logits"], image=next(tested.epoch(0))[0])
    net.backend.synchronize()


def _accuracy(net: gn.Executor, tested: Any) -> float:
    right = examples = 0
    for images, labels in tested.epoch(0):
        logits = net.forward(outputs=["logits"], image=images)["logits"]
        right += int(net.to_host((logits.argmax(axis=1) == labels).sum()))
        examples += len(labels)
    return right / examples
