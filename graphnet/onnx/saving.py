"""Saving a graph as a model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.onnx.datafile import DataFile
from graphnet.onnx.errors import OnnxError, OpsetError
from graphnet.onnx.exporting import Exporter, expect_opset
from graphnet.weights import write_whole

__all__ = ["save", "to_model"]

#: The opset that is written unless another one is asked for, or a newer one is needed.
OPSET = 21

#: Bytes of weights: protobuf's limit for a file, with room for the rest.
LARGEST = 2**31 - 2**24


def to_model(source: Executor | Graph, *, opset: int | None = None) -> onnx.ModelProto:
    """The ONNX model of a graph, or of an executor with its parameters as they are now.

    Args:
        source: an executor, or a graph, whose parameters then have their first values.
        opset: the version of the operator set; when None 21, or the first later one that has all
            operators of the graph.

    Raises:
        OnnxError: an operator or the opset cannot be written, or the weights take more than 2 GiB.
    """
    net, arrays = _snapshot(source, opset)
    if _size(arrays) > LARGEST:
        raise OnnxError(
            f"expected weights of at most {LARGEST:,} bytes, which is what one ONNX file holds, "
            f"received {_size(arrays):,}; graphnet.onnx.save puts them into a file beside the model"
        )
    model, _ = _written(net.graph, arrays, opset)
    onnx.checker.check_model(model)
    return model


def save(
    source: Executor | Graph, path: str | os.PathLike[str], *, opset: int | None = None
) -> None:
    """Write a graph to an ONNX file, in the form that inference has.

    Each operator is written as the one of the standard with the same meaning, or as a function
    of the domain ``graphnet`` whose body has operators of the standard only.

    Weights of more than 2 GiB, which no ONNX file holds, go into a second file beside the first,
    called the same and ``.data``; the two belong together.

    Args:
        source: an executor, with its parameters as they are now, or a graph.
        path: of the file, which is replaced if it is there.
        opset: the version of the operator set; when None 21, or the first later one that has all
            operators of the graph.

    Raises:
        OnnxError: an operator or the opset cannot be written.
        OSError: the file cannot be written.
    """
    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise FileNotFoundError(f"expected the path of a file in a folder that is there: {target}")
    net, arrays = _snapshot(source, opset)
    if _size(arrays) > LARGEST:
        _save_in_two(net.graph, arrays, opset, target)
        return
    model, _ = _written(net.graph, arrays, opset)
    onnx.checker.check_model(model)
    write_whole(target, model.SerializeToString())


def _save_in_two(
    graph: Graph, arrays: Mapping[str, np.ndarray], opset: int | None, target: Path
) -> None:
    data = target.name + ".data"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.name) as name:
        folder = Path(name)
        model, beside = _written(graph, arrays, opset, data)
        assert beside is not None, "asked for"
        beside.write(folder)
        (folder / target.name).write_bytes(model.SerializeToString())
        onnx.checker.check_model(folder / target.name)
        (folder / data).replace(target.with_name(data))
        (folder / target.name).replace(target)


def _snapshot(
    source: Executor | Graph, opset: int | None
) -> tuple[Executor, dict[str, np.ndarray]]:
    """An executor for what is to be written, and its arrays."""
    if opset is not None:
        expect_opset(opset)
    if isinstance(source, Graph):
        halves = any(v.dtype == "float16" for v in source.values())
        net = Executor(source, dtype="float32" if halves else None)
    elif isinstance(source, Executor):
        net = source
    else:
        raise TypeError(f"expected an Executor or a Graph, received {type(source).__name__}")
    return net, net.snapshot()


def _size(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays.values())


def _written(
    graph: Graph, arrays: Mapping[str, np.ndarray], opset: int | None, location: str | None = None
) -> tuple[onnx.ModelProto, DataFile | None]:
    """The model, in the first opset that will do unless one is asked for, and the file beside."""
    version = OPSET if opset is None else opset
    while True:
        beside = None if location is None else DataFile(location)
        try:
            return Exporter(graph, arrays, version, beside).model(), beside
        except OpsetError as error:
            if opset is not None:
                raise
            expect_opset(error.since)
            version = error.since
