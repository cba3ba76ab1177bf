"""Loading a model as a graph."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from graphnet.graph import Graph
from graphnet.onnx.importing import Importer, Trainable
from graphnet.onnx.reading import read_model
from graphnet.onnx.stored import store_constants

__all__ = ["load"]


def load(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview,
    *,
    trainable: Trainable = None,
    shapes: Mapping[str, Iterable[int | str]] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    dtype: str | None = None,
) -> Graph:
    """The graph of an ONNX model; its initializers are the parameters.

    All that is known without the inputs is computed while the model is read, so shape arithmetic
    leaves no node.

    Args:
        source: a path, or the bytes of a file.
        trainable: which floating initializers optimizers may change: all, none, those of some
            names, or those for whose name a function says so.  None for what the file says, which
            is all but what graphnet itself wrote as frozen.
        shapes: the shapes of inputs, ``"N"`` for the batch, where those of the model leave sizes
            open beside the batch or are to be others: ``{"x": ("N", 3, 48, 320)}``.
        constants: arrays that stand in for inputs, such as one that decides a shape.
        dtype: what takes the place of float16 and bfloat16, which no network is declared in, such
            as ``"float32"``.

    Raises:
        TypeError, ValueError: an argument is of no use, whatever the model.
        OnnxError: the model cannot be read; the message says where, and what to do.
        UndecidedError: a value that decides a shape depends on an input.
        OSError: the file cannot be read.
    """
    _expect_arguments(source, trainable, shapes, constants, dtype)
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    model = read_model(source)
    store_constants(model)
    name = "the model" if isinstance(source, bytes) else Path(source).name
    importer = Importer(
        model, name, shapes=shapes, constants=constants, trainable=trainable, dtype=dtype
    )
    return importer.graph()


def _expect_arguments(
    source: object, trainable: object, shapes: object, constants: object, dtype: object
) -> None:
    """Refuse what no model could make use of."""
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        raise TypeError(
            f"expected the path of a model or its bytes, such as model.SerializeToString() gives, "
            f"received {type(source).__name__}"
        )
    if not (trainable is None or callable(trainable)) and (
        isinstance(trainable, str | bytes) or not isinstance(trainable, bool | Collection)
    ):
        raise TypeError(
            f"expected trainable to be True, False, a list of names or a function of a name, "
            f"received {trainable!r}"
        )
    for name, argument in (("shapes", shapes), ("constants", constants)):
        if argument is not None and not isinstance(argument, Mapping):
            raise TypeError(
                f"expected {name} to be a dictionary from inputs, received {argument!r}"
            )
    for name, sizes in (shapes or {}).items():  # type: ignore[attr-defined]
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise TypeError(
                f"expected shapes[{name!r}] to be sizes, such as ('N', 3), received {sizes!r}"
            )
    for name, array in (constants or {}).items():  # type: ignore[attr-defined]
        if not isinstance(array, np.ndarray | np.generic):
            raise TypeError(
                f"expected constants[{name!r}] to be an array, received {type(array).__name__}"
            )
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"expected dtype 'float32' or 'float64', received {dtype!r}")
