"""Tensors of a file: whether their values are as many as their sizes promise."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence

import onnx

from graphnet.onnx.limits import RANK

__all__ = ["promised_bytes", "shape_problems", "tensor_problems", "type_problems"]

#: The fields that may hold the values of a tensor.
FIELDS = (
    "raw_data", "float_data", "int32_data", "int64_data", "uint64_data", "double_data",
    "string_data",
)  # fmt: skip

#: Bits of one value, by the end of the name of its type.
BITS = {
    "FLOAT": 32, "DOUBLE": 64, "FLOAT16": 16, "BFLOAT16": 16, "BOOL": 8, "STRING": 0,
    "COMPLEX64": 64, "COMPLEX128": 128, "INT64": 64, "UINT64": 64, "INT32": 32, "UINT32": 32,
    "INT16": 16, "UINT16": 16, "INT8": 8, "UINT8": 8, "INT4": 4, "UINT4": 4, "INT2": 2,
    "UINT2": 2, "FLOAT4E2M1": 4, "FLOAT8E4M3FN": 8, "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8,
    "FLOAT8E5M2FNUZ": 8, "FLOAT8E8M0": 8,
}  # fmt: skip

#: The field, other than ``raw_data``, that holds the values of a type; ``int32_data`` has the rest.
HOLDERS = {
    "FLOAT": "float_data", "COMPLEX64": "float_data", "DOUBLE": "double_data",
    "COMPLEX128": "double_data", "INT64": "int64_data", "UINT64": "uint64_data",
    "UINT32": "uint64_data", "STRING": "string_data",
}  # fmt: skip


def shape_problems(dims: Sequence[int], where: str) -> Iterator[str]:
    """What is wrong with the sizes of a tensor or value."""
    if len(dims) > RANK:
        yield f"{where}: expected at most {RANK} axes, received {len(dims):,}"
    elif any(size < 0 for size in dims):
        yield f"{where}: expected sizes of at least 0, received {tuple(dims)}"
    elif math.prod(max(size, 1) for size in dims) > sys.maxsize // 16:
        # 16 bytes for the widest type; an axis of size 0 hides the others from the product only
        yield f"{where}: sizes {tuple(dims)} are more than a computer can address"


def promised_bytes(tensor: onnx.TensorProto) -> int:
    """The bytes of the values that the sizes and the type of a tensor promise."""
    bits = BITS[_type_name(tensor.data_type)]
    return -(-math.prod(map(int, tensor.dims)) * bits // 8)


def tensor_problems(tensor: onnx.TensorProto, where: str) -> Iterator[str]:
    """What is wrong with a tensor, other than where in another file its values may lie."""
    name = _type_name(tensor.data_type)
    if name not in BITS:
        yield f"{where}: expected values of a type that is read here, received {name}"
        return
    found = list(shape_problems(tensor.dims, where))
    if tensor.HasField("segment"):
        found.append(f"{where}: comes in segments, which no reader of ONNX puts together")
    if found:
        yield from found
        return
    filled = [field for field in FIELDS if len(getattr(tensor, field))]
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        if filled:
            yield f"{where}: has values here ({', '.join(filled)}) and in another file"
        if name == "STRING":
            yield f"{where}: texts cannot lie in another file"
        return
    if tensor.external_data:
        yield f"{where}: names another file, but is not marked as external"
    count = math.prod(tensor.dims)
    holder = HOLDERS.get(name, "int32_data")
    if not filled:
        if count:
            yield f"{where}: expected {count:,} values of {name}, received none"
    elif len(filled) > 1:
        yield f"{where}: expected its values once, received {' and '.join(filled)}"
    elif filled == ["raw_data"] and name != "STRING":
        if len(tensor.raw_data) != promised_bytes(tensor):
            yield (
                f"{where}: expected {promised_bytes(tensor):,} bytes for {name} "
                f"{tuple(tensor.dims)}, received {len(tensor.raw_data):,}"
            )
    elif filled != [holder]:
        yield f"{where}: expected {name} in raw_data or {holder}, received {filled[0]}"
    else:
        # a complex number is two floats; small integers are packed into bytes, one an entry
        complex_pair = 2 if name.startswith("COMPLEX") else 1
        packed = max(8 // BITS[name], 1) if BITS[name] else 1
        entries = -(-count * complex_pair // packed)
        if len(getattr(tensor, holder)) != entries:
            yield (
                f"{where}: expected {entries:,} entries of {holder} for {name} "
                f"{tuple(tensor.dims)}, received {len(getattr(tensor, holder)):,}"
            )


def type_problems(type_: onnx.TypeProto, where: str) -> Iterator[str]:
    """What is wrong with the declared type of a value."""
    for kind in ("tensor_type", "sparse_tensor_type"):
        if not type_.HasField(kind):
            continue
        tensor = getattr(type_, kind)
        name = _type_name(tensor.elem_type)
        if name not in BITS:
            yield f"{where}: expected values of a type that is read here, received {name}"
        if tensor.HasField("shape"):
            # -1 is how old exporters write a size that is not known
            sizes = [1 if size.dim_value == -1 else size.dim_value for size in tensor.shape.dim]
            yield from shape_problems(sizes, where)


def _type_name(number: int) -> str:
    known: dict[int, str] = {value: name for name, value in onnx.TensorProto.DataType.items()}
    return known.get(number, f"type {number}")
