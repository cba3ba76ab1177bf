"""``graphnet run``: a network on arrays from files, or on random ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from graphnet.backends import BACKENDS
from graphnet.cli.arguments import positive_integer, seed_number
from graphnet.cli.network import add_network, find_network
from graphnet.draw import render_table
from graphnet.executor import Executor
from graphnet.graph import Graph
from ops.operator import Spec, known, show

__all__ = ["add_run"]


def add_run(commands: Any) -> None:
    """Add ``graphnet run`` to the commands."""
    run = commands.add_parser(
        "run",
        help="run a network on arrays from files, or on random ones",
        description="Runs a network once and shows what comes out.",
    )
    run.set_defaults(run=_run)
    add_network(run)
    run.add_argument(
        "--input",
        type=_input,
        action="append",
        default=[],
        metavar="INPUT=FILE",
        help="an array in a .npy file; may be repeated; inputs without one are drawn at random",
    )
    run.add_argument(
        "--batch", type=positive_integer, default=1, help="of random inputs; default 1"
    )
    run.add_argument("--out", type=Path, metavar="FILE", help="write the outputs to an .npz file")
    run.add_argument("--backend", choices=sorted(BACKENDS), default="numpy")
    run.add_argument("--seed", type=seed_number, default=0, help="of weights and random inputs")


def _run(options: argparse.Namespace) -> int:
    graph = find_network(options)
    feeds = _feeds(graph, dict(options.input), options.batch, options.seed)
    net = Executor(graph, options.backend, seed=options.seed)
    outputs = {name: net.to_host(y) for name, y in net.forward(**feeds).items()}
    rows = [(name, show(Spec(y.shape, y.dtype.name)), *_figures(y)) for name, y in outputs.items()]
    print(render_table(("output", "array", "least", "mean", "greatest"), rows))
    if options.out is not None:
        with options.out.open("wb") as file:  # by a path, savez would add a suffix
            np.savez(file, **outputs)  # type: ignore[arg-type]  # mypy takes them for its options
        print(f"outputs written to {options.out}")
    return 0


def _feeds(graph: Graph, files: dict[str, Path], batch: int, seed: int) -> dict[str, Any]:
    """What the files hold; random numbers for inputs of floats without a file, zeros for others."""
    for name in files:
        if name not in graph.inputs:
            raise ValueError(f"no input is called {name!r}; expected {list(graph.inputs)}")
    feeds: dict[str, Any] = {name: _read(path) for name, path in files.items()}
    for name, array in feeds.items():
        sizes = graph.inputs[name].shape
        if sizes and sizes[0] == "N" and array.ndim:
            batch = len(array)  # the random inputs come along with it
    rng = np.random.default_rng(seed)
    for name, value in graph.inputs.items():
        if name in feeds:
            continue
        spec = value.spec.bind(batch)
        drawn = rng.normal(size=known(*spec.shape)) if spec.is_floating else 0
        feeds[name] = np.broadcast_to(drawn, known(*spec.shape)).astype(spec.dtype)
        print(f"{name}: {'random numbers' if spec.is_floating else 'zeros'}, {show(spec)}")
    return feeds


def _read(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: expected an array in a .npy file ({error})") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{path}: expected one array in a .npy file, received an .npz archive")
    return found


def _figures(array: np.ndarray) -> tuple[str, ...]:
    """The least, mean and greatest entry as text."""
    if not array.size:
        return "-", "-", "-"
    return tuple(f"{float(number):.6g}" for number in (array.min(), array.mean(), array.max()))


def _input(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"expected INPUT=FILE, received {text!r}")
    return name, Path(path)
