"""``graphnet train``: a network on a dataset, and a folder with what came of it."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from graphnet import optim
from graphnet.backends import BACKENDS
from graphnet.cli.arguments import positive_integer, positive_number, seed_number
from graphnet.data import Compose, Flip, Shift, Splits, load_cifar10, load_digits, load_idx_folder
from graphnet.draw import save_curves
from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.models import deep_convnet, mobilenet, resnet, three_layer_convnet, vit
from graphnet.training import Trainer

__all__ = ["add_train"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a dataset is loaded, and what trains well on it by default."""

    load: Callable[[Path | None], Splits]
    epochs: int
    batch_size: int
    lr: float
    filters: tuple[int, ...]
    pools: tuple[int, ...]
    patch: int
    dropout: float = 0.0
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None


def _folder(name: str, load: Callable[[Path], Splits]) -> Callable[[Path | None], Splits]:
    def from_folder(folder: Path | None) -> Splits:
        if folder is None:
            raise ValueError(f"train {name} needs --data DIR, the folder with its files")
        return load(folder)

    return from_folder


RECIPES = {
    "digits": Recipe(
        load=lambda _: load_digits(), epochs=40, batch_size=64, lr=3e-3,
        filters=(32, 64, 128), pools=(1,), patch=2, dropout=0.3,
    ),
    "fashion-mnist": Recipe(
        load=_folder("fashion-mnist", load_idx_folder), epochs=10, batch_size=128, lr=4e-3,
        filters=(32, 64, 128), pools=(0, 1, 2), patch=4, dropout=0.2, augment=Flip(),
    ),
    "cifar10": Recipe(
        load=_folder("cifar10", load_cifar10), epochs=10, batch_size=128, lr=4e-3,
        filters=(32, 64, 128), pools=(0, 1, 2), patch=4, dropout=0.2,
        augment=Compose(Shift(3), Flip()),
    ),
}  # fmt: skip

MODELS = ("deep_convnet", "three_layer_convnet", "resnet18", "resnet34", "mobilenet", "vit")


def add_train(commands: Any) -> None:
    """Add ``graphnet train`` to the commands."""
    train = commands.add_parser("train", help="train a network on a dataset")
    train.set_defaults(run=_train)
    train.add_argument("dataset", choices=sorted(RECIPES))
    train.add_argument("--data", type=Path, metavar="DIR", help="folder with the dataset's files")
    train.add_argument("--model", choices=MODELS, default="deep_convnet")
    train.add_argument("--epochs", type=positive_integer, help="default: by dataset")
    train.add_argument("--batch-size", type=positive_integer, help="default: by dataset")
    train.add_argument(
        "--lr", type=positive_number, help="highest rate of Adam; default: by dataset"
    )
    train.add_argument("--backend", choices=sorted(BACKENDS), default="numpy")
    train.add_argument("--seed", type=seed_number, default=0)
    train.add_argument("--time-limit", type=positive_number, metavar="SECONDS")
    train.add_argument("--out", type=Path, metavar="DIR", help="run folder, default runs/DATASET")


def _train(options: argparse.Namespace) -> int:
    recipe = RECIPES[options.dataset]
    splits = recipe.load(options.data)
    _, *image = splits.train.images.shape
    graph = _model(options.model, recipe, tuple(image), len(splits.train.classes))
    out = options.out or Path("runs") / options.dataset
    out.mkdir(parents=True, exist_ok=True)
    print(graph.summary())
    net = Executor(graph, backend=options.backend, seed=options.seed)
    epochs = options.epochs or recipe.epochs
    batch_size = options.batch_size or recipe.batch_size
    steps = epochs * -(-len(splits.train) // batch_size)
    warm = min(steps // 10, 200)
    rate = optim.Cosine(options.lr or recipe.lr, max(steps - warm, 1))
    schedule = optim.WarmUp(warm, rate) if warm else rate
    trainer = Trainer(net, optim.Adam(schedule, weight_decay=1e-4))
    start = time.perf_counter()
    history = trainer.fit(
        splits.train,
        splits.validation,
        epochs=epochs,
        batch_size=batch_size,
        seed=options.seed,
        augment=recipe.augment,
        time_limit=options.time_limit,
    )
    seconds = time.perf_counter() - start
    if history.stopped:
        print(f"stopped early: {history.stopped}")
    net.save(out / "weights.safetensors")
    history.to_csv(out / "history.csv")
    (out / "graph.svg").write_text(
        graph.to_svg(f"{options.model} on {options.dataset}"), encoding="utf-8"
    )
    _export(net, out / "model.onnx")
    try:
        if history.records:
            save_curves([dataclasses.asdict(r) for r in history.records], out / "curves.png")
    except ImportError as error:
        print(f"curves.png not written: {error}")
    print(f"trained in {seconds:.1f} s, run folder {out}")
    print(f"test accuracy {trainer.evaluate(splits.test).accuracy:.4f}")
    return 0


def _export(net: Executor, path: Path) -> None:
    """Write the network from images to logits, for ``graphnet run`` and all who read ONNX."""
    try:
        from graphnet.onnx import save
    except ImportError as error:
        print(f"{path.name} not written: {error}")
        return
    alone = Executor(net.graph.select("logits"))
    trained = net.snapshot()
    alone.assign({name: trained[name] for name in (*alone.parameters, *alone.states)})
    save(alone, path)


def _model(name: str, recipe: Recipe, image: tuple[int, ...], classes: int) -> Graph:
    if name == "three_layer_convnet":
        return three_layer_convnet(image, classes=classes, weight_scale="kaiming")
    if name == "deep_convnet":
        return deep_convnet(
            image,
            filters=recipe.filters,
            pools=recipe.pools,
            classes=classes,
            dropout=recipe.dropout,
        )
    if name == "mobilenet":
        return mobilenet(image, classes=classes)
    if name == "vit":
        return vit(image, patch=recipe.patch, classes=classes)
    return resnet(int(name.removeprefix("resnet")), image, classes=classes)
