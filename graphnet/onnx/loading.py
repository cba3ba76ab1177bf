"""Loading a model as a graph."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from graphnet.graph import Graph
from graphnet.onnx.importing import Importer, Trainable
from graphnet.onnx.reading import read_model
from graphnet.onnx.stored import store_constants

__all__ = ["load"]


def load(
    source: str | os.PathLike[str] | bytes,
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
        dtype: what takes the place of float16 and bfloat16, for which there are no kernels, such
            as ``"float32"``.

    Raises:
        OnnxError: the model cannot be read; the message says where, and what to do.
        UndecidedError: a value that decides a shape depends on an input.
        OSError: the file cannot be read.
    """
    model = read_model(source)
    store_constants(model)
    name = "the model" if isinstance(source, bytes) else Path(source).name
    importer = Importer(
        model, name, shapes=shapes, constants=constants, trainable=trainable, dtype=dtype
    )
    return importer.graph()
