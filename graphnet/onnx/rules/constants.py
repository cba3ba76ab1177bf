"""Rules of shapes as data, and of constants whose sizes depend on values."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, dtype_name
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known, expect_affordable, from_sizes
from graphnet.onnx.rules.base import Rule, full, only_read, reshape, size_of
from ops import dynamic
from ops.dimension import Size
from ops.operator import Spec

__all__ = ["CONSTANTS"]


def _shape(call: Call) -> Any:
    sizes = call.shape()
    start, end = call.attribute("start", 0), call.attribute("end", None)
    return from_sizes(sizes[slice(start, end)])


def _size(call: Call) -> Any:
    total: Size = reduce(lambda a, b: a * b, call.shape(), 1)  # type: ignore[arg-type,return-value]
    found = from_sizes((total,))
    return Known(found.array.reshape(()), None if found.slope is None else found.slope.reshape(()))


def _constant(call: Call) -> Any:
    name = call.name() if call.scope.outer is None else None
    kinds = ("value", "value_float", "value_int", "value_floats", "value_ints")
    for kind, dtype in zip(kinds, (None, "float32", "int64", "float32", "int64"), strict=True):
        if call.has(kind):
            array = np.asarray(call.attribute(kind))
            return Known(array if dtype is None else array.astype(dtype), name=name)
    for kind in ("value_string", "value_strings"):
        if call.has(kind):
            return Known(np.array(call.attribute(kind), dtype=object))
    raise OnnxError("expected a dense value, which sparse_value is not")


def _constant_of_shape(call: Call) -> Any:
    sizes = call.integers(0, "the shape")
    value = call.attribute("value", None)
    entry = np.zeros(1, "float32") if value is None else value.reshape(-1)[:1]
    return full(sizes, entry[0], entry.dtype)


def _range(call: Call) -> Any:
    if any(isinstance(item, Known) and item.slope is not None for item in call.inputs):
        raise OnnxError("a range up to the batch is not known: bind it with shapes=")
    start, limit, delta = (call.array(i, "a range").reshape(()) for i in range(3))
    if not delta:
        raise OnnxError("expected a step other than 0")
    count = max(math.ceil((float(limit) - float(start)) / float(delta)), 0)
    expect_affordable((Spec((count,), "float64"),))
    steps = np.arange(count).astype(start.dtype)
    return Known((start + steps * delta).astype(start.dtype))


def _eye_like(call: Call) -> Any:
    dtype = call.attribute("dtype", None)
    sizes = call.shape()
    if not all(isinstance(size, int) for size in sizes):
        raise OnnxError("the size of the result depends on the batch: bind it with shapes=")
    name = call.dtype() if dtype is None else dtype_name(dtype)
    expect_affordable((Spec(sizes, "float64"),))
    return Known(np.eye(*sizes, k=call.attribute("k"), dtype=name))  # type: ignore[call-overload]


def _non_zero(call: Call) -> Any:
    return Known(dynamic.nonzero(call.array(0, "the input")))


def _unique(call: Call) -> Any:
    axis, in_order = call.attribute("axis", None), bool(call.attribute("sorted"))
    found = dynamic.unique(call.array(0, "the input"), axis, in_order=in_order)
    return tuple(map(Known, found))


def _compress(call: Call) -> Any:
    x, axis = call.input(0), call.attribute("axis", None)
    if axis is None:
        x, axis = reshape(call, x, (size_of(call),), "flat"), 0
    kept = np.flatnonzero(call.array(1, "the condition"))
    return call.apply(ops.Gather(axis), x, Known(kept.astype("int64")))


def _non_max_suppression(call: Call) -> Any:
    boxes, scores = call.array(0, "the boxes"), call.array(1, "the scores")
    given = [None if call.input(i) is None else call.number(i, "a bound") for i in (2, 3, 4)]
    most, overlap, score = (
        default if value is None else value
        for value, default in zip(given, (0, 0.0, -math.inf), strict=True)
    )
    chosen = dynamic.non_max_suppression(
        boxes,
        scores,
        most=int(most),
        overlap=float(overlap),
        score=float(score),
        centred=bool(call.attribute("center_point_box")),
    )
    return Known(chosen)


CONSTANTS: tuple[Rule, ...] = (
    *only_read(_shape, "Shape"),
    *only_read(_size, "Size"),
    *only_read(_constant, "Constant"),
    *only_read(_constant_of_shape, "ConstantOfShape"),
    *only_read(_range, "Range"),
    *only_read(_eye_like, "EyeLike"),
    *only_read(_non_zero, "NonZero"),
    *only_read(_unique, "Unique"),
    *only_read(_compress, "Compress"),
    *only_read(_non_max_suppression, "NonMaxSuppression"),
)
