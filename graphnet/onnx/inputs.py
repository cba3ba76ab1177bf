"""What a model says of its inputs, and what stands in for them: sizes, the batch, and dtypes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorShapeProto

from graphnet.onnx.errors import OnnxError
from graphnet.onnx.limits import VALUE_BYTES
from graphnet.values import Value
from ops.dimension import Dim

__all__ = ["batch_symbol", "expect_bounded", "of_dtype", "sizes_of"]


def batch_symbol(shapes: Iterable[TensorShapeProto]) -> str:
    """The symbol that is the batch in the shapes of a model's inputs."""
    free = [shape.dim for shape in shapes if shape.dim]
    symbols = [dim.dim_param for dims in free for dim in dims if dim.dim_param]
    first = [dims[0].dim_param for dims in free if dims[0].dim_param]
    # where the first size is free and has no name, that is the batch, and no later symbol
    nameless = any(_is_nameless(dims[0]) for dims in free)
    for found in (["N"] if "N" in symbols else [], first, [] if nameless else symbols):
        if found:
            return found[0]
    return "N"


def sizes_of(shape: TensorShapeProto, batch: str, source: str, name: str) -> list[int | str]:
    """The sizes that a model gives an input; a free one that is the batch is ``N``.

    Raises:
        OnnxError: others are free too.
    """
    sizes: list[int | str] = []
    for axis, dim in enumerate(shape.dim):
        if dim.dim_param == batch or (axis == 0 and _is_nameless(dim)):
            sizes.append("N")
        elif _is_nameless(dim):
            sizes.append("?")
        else:
            sizes.append(dim.dim_param or dim.dim_value)
    free = [size for size in sizes if isinstance(size, str) and size != "N"]
    if free:
        wanted = ", ".join("..." if size in free else repr(size) for size in sizes)
        raise OnnxError(
            f"{source}: input {name!r} is ({', '.join(map(str, sizes))}), with free sizes beside "
            f"the batch: bind them, shapes={{{name!r}: ({wanted})}}"
        )
    return sizes


def of_dtype(constant: Any, elem_type: int, where: str) -> np.ndarray:
    """An array of an element type, which it has or, of integers, can take without loss.

    Raises:
        OnnxError: it has another one.
    """
    array: np.ndarray = np.asarray(constant)
    wanted = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
    if array.dtype == wanted or array.dtype.kind in "OUS":
        return array
    if {array.dtype.kind, wanted.kind} <= set("iu") and (array.astype(wanted) == array).all():
        return array.astype(wanted)
    raise OnnxError(f"{where}: expected {wanted.name}, received {array.dtype.name}")


def expect_bounded(value: Value) -> None:
    """Refuse a value that no computer holds for one example: it would fail when it is run.

    Raises:
        OnnxError: it is one.
    """
    entries = math.prod(
        size.scale + abs(size.offset) if isinstance(size, Dim) else size for size in value.shape
    )
    if entries * np.dtype(value.dtype).itemsize > VALUE_BYTES:
        raise OnnxError(
            f"expected values of at most {VALUE_BYTES:,} bytes for an example, received {value!r}"
        )


def _is_nameless(dim: TensorShapeProto.Dimension) -> bool:
    """Whether a size is free and no symbol; old exporters write such a one as -1."""
    return not dim.dim_param and (not dim.HasField("dim_value") or dim.dim_value == -1)
