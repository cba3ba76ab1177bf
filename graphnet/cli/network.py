"""Which network a command is about: one that comes along, one of the user's, or an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from graphnet import models
from graphnet.cli.target import find_target
from graphnet.graph import Graph

__all__ = ["add_network", "find_network", "is_model_file"]

#: How a network is named on the command line, for help and errors.
NETWORK = (
    f"one of {', '.join(models.__all__)}; PACKAGE.MODULE:NAME or FILE.py:NAME, where NAME is a "
    f"graph or a function that gives one, with literal arguments, as in "
    f"graphnet.models:resnet(34); or MODEL.onnx"
)


def add_network(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say which network a command is about."""
    command.add_argument("model", metavar="MODEL", help=NETWORK)
    command.add_argument(
        "--shape",
        type=_shape,
        action="append",
        default=[],
        metavar="INPUT=SIZES",
        help="of an input of MODEL.onnx, N for the batch, as in x=N,3,48,320; may be repeated",
    )
    command.add_argument(
        "--constant",
        type=_constant,
        action="append",
        default=[],
        metavar="INPUT=NUMBERS",
        help="what stands in for an input of MODEL.onnx that decides a shape, as in size=64,64",
    )


def find_network(options: argparse.Namespace) -> Graph:
    """The graph that the arguments name.

    Raises:
        ValueError, TypeError, OSError: there is none; the message says why.
    """
    target: str = options.model
    if is_model_file(target):
        from graphnet.onnx import load

        return load(target, shapes=dict(options.shape), constants=dict(options.constant))
    if options.shape or options.constant:
        raise ValueError("expected MODEL.onnx beside --shape and --constant")
    if ":" in target:
        found = find_target(target)
    elif target in models.__all__:
        found = getattr(models, target)
    else:
        raise ValueError(f"expected {NETWORK}; received {target!r}")
    if callable(found) and not isinstance(found, type):
        try:
            found = found()
        except TypeError as error:
            raise TypeError(f"{target}: {error}; give its arguments, as in {target}(...)") from None
    if not isinstance(found, Graph):
        raise TypeError(f"expected a graph, {target} is of type {type(found).__name__}")
    return found


def is_model_file(target: str) -> bool:
    """Whether a target is the path of a model file rather than a name."""
    return Path(target).suffix.lower() == ".onnx"


def _shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    name, sizes = _assignment(text)
    try:
        return name, tuple(size if size == "N" else int(size) for size in sizes)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected sizes, N for the batch, as in x=N,3,48,320, received {text!r}"
        ) from None


def _constant(text: str) -> tuple[str, np.ndarray]:
    name, numbers = _assignment(text)
    try:
        return name, np.array([int(number) for number in numbers], dtype="int64")
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"expected integers, as in size=64,64, received {text!r}"
        ) from None


def _assignment(text: str) -> tuple[str, list[str]]:
    name, equals, values = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected INPUT=..., received {text!r}")
    return name, [value.strip() for value in values.split(",") if value.strip()]
