"""``graphnet finetune``: a trained network learns other classes of images."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from graphnet import optim
from graphnet.backends import BACKENDS
from graphnet.cli.arguments import positive_integer, positive_number, seed_number
from graphnet.cli.network import add_network, find_network
from graphnet.data import Splits, load_digits, load_image_folder
from graphnet.executor import Executor
from graphnet.training import Trainer, image_shape, replace_head

__all__ = ["add_finetune"]

#: The data sets that come along.
EMBEDDED = {"digits": load_digits}


def add_finetune(commands: Any) -> None:
    """Add ``graphnet finetune`` to the commands."""
    finetune = commands.add_parser(
        "finetune",
        help="give a trained network a new last layer, and train it on images of yours",
        description="Replaces the last linear layer of a network, trains it on images, and writes "
        "an ONNX model that takes such images as they are.",
    )
    finetune.set_defaults(run=_finetune)
    add_network(finetune)
    finetune.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help=f"a folder with a folder of images for each class, or one of {', '.join(EMBEDDED)}",
    )
    finetune.add_argument(
        "--head",
        type=positive_integer,
        metavar="CLASSES",
        help="outputs of the new layer; default: the classes of the data",
    )
    finetune.add_argument(
        "--freeze", action="store_true", help="train the new layer alone, and keep the others"
    )
    finetune.add_argument("--epochs", type=positive_integer, default=10, help="default 10")
    finetune.add_argument("--batch-size", type=positive_integer, default=32, help="default 32")
    finetune.add_argument(
        "--lr", type=positive_number, default=1e-3, help="highest rate of Adam; default 0.001"
    )
    finetune.add_argument("--backend", choices=sorted(BACKENDS), default="numpy")
    finetune.add_argument("--seed", type=seed_number, default=0)
    finetune.add_argument("--time-limit", type=positive_number, metavar="SECONDS")
    finetune.add_argument(
        "--out", type=Path, default=Path("runs/finetune"), metavar="DIR", help="run folder"
    )


def _finetune(options: argparse.Namespace) -> int:
    from graphnet.onnx import save

    graph = find_network(options)
    splits = _load(options.data, image_shape(graph), options.seed)
    classes = splits.train.classes
    head = options.head or len(classes)
    if head < len(classes):
        raise ValueError(
            f"expected --head of at least {len(classes)}, the classes of {options.data}, "
            f"received {head}"
        )
    mean, std = _statistics(splits.train.images)
    graph = replace_head(
        graph,
        head,
        freeze=options.freeze,
        image=splits.train.images.shape[1:],
        mean=mean,
        std=std,
    )
    net = Executor(graph, options.backend, seed=options.seed)
    steps = options.epochs * math.ceil(len(splits.train) / options.batch_size)
    trainer = Trainer(net, optim.Adam(optim.Cosine(options.lr, steps)))
    trained = sum(leaf.spec.elements for leaf in graph.parameters.values() if leaf.trainable)
    print(f"{splits.train!r}; {trained:,} numbers are trained")
    print(f"test accuracy before {trainer.evaluate(splits.test).accuracy:.4f}")
    start = time.perf_counter()
    history = trainer.fit(
        splits.train,
        splits.validation,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        time_limit=options.time_limit,
    )
    if history.stopped:
        print(f"stopped early: {history.stopped}")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    answering = Executor(graph.select("logits"), seed=options.seed)
    known = net.snapshot()
    answering.assign({name: known[name] for name in answering.snapshot()})
    save(answering, out / "model.onnx")
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    history.to_csv(out / "history.csv")
    print(f"trained in {time.perf_counter() - start:.1f} s, run folder {out}")
    print(f"test accuracy {trainer.evaluate(splits.test).accuracy:.4f}")
    return 0


def _load(data: str, image: tuple[int, ...], seed: int) -> Splits:
    if data in EMBEDDED:
        return EMBEDDED[data]()
    channels, height, width = image
    splits = load_image_folder(data, (height, width), channels, seed=seed)
    for part in (splits.validation, splits.test):
        if not len(part):
            raise ValueError(f"{data}: expected more images, too few to hold some out")
    return splits


def _statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel, each ``(C, 1, 1)``; 1 for a channel without any."""
    mean = images.mean(axis=(0, 2, 3), dtype="float64")
    std = images.std(axis=(0, 2, 3), dtype="float64")
    std[std == 0] = 1
    return mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)
