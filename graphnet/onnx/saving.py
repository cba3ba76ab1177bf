"""Saving a graph as a model."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.exporting import Exporter, expect_opset

__all__ = ["save", "to_model"]

#: The opset that is written unless another one is asked for.
OPSET = 21

#: Bytes of weights: protobuf's limit for a file, with room for the rest.
LARGEST = 2**31 - 2**24


def to_model(source: Executor | Graph, *, opset: int = OPSET) -> onnx.ModelProto:
    """The ONNX model of a graph, or of an executor with its parameters as they are now.

    Args:
        source: an executor, or a graph, whose parameters then have their first values.
        opset: the version of the operator set; default 21.

    Raises:
        OnnxError: an operator or the opset cannot be written.
    """
    expect_opset(opset)
    if isinstance(source, Graph):
        halves = any(v.dtype == "float16" for v in source.values())
        net = Executor(source, dtype="float32" if halves else None)
    elif isinstance(source, Executor):
        net = source
    else:
        raise TypeError(f"expected an Executor or a Graph, received {type(source).__name__}")
    arrays = net.snapshot()
    nbytes = sum(array.nbytes for array in arrays.values())
    if nbytes > LARGEST:
        raise OnnxError(
            f"expected weights of at most {LARGEST:,} bytes, which is what one ONNX file holds, "
            f"received {nbytes:,}; net.save writes a safetensors file of any size"
        )
    model = Exporter(net.graph, arrays, opset).model()
    onnx.checker.check_model(model)
    return model


def save(source: Executor | Graph, path: str | os.PathLike[str], *, opset: int = OPSET) -> None:
    """Write a graph to an ONNX file, in the form that inference has.

    Each operator is written as the one of the standard with the same meaning, or as a function
    of the domain ``graphnet`` whose body has operators of the standard only.

    Args:
        source: an executor, with its parameters as they are now, or a graph.
        path: of the file, which is replaced if it is there.
        opset: the version of the operator set; default 21.

    Raises:
        OnnxError: an operator or the opset cannot be written.
        OSError: the file cannot be written.
    """
    content = to_model(source, opset=opset).SerializeToString()
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    partial.write_bytes(content)
    partial.replace(target)
