"""The fully connected layer by oneDNN's matrix product."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library, Primitive
from ops.linear import Linear
from ops.operator import Spec, known

__all__ = ["MatrixLinear"]


class MatrixLinear:
    """One linear layer of known shape, ``y = x W^T + b`` with x as ``(rows, features)``."""

    def __init__(self, library: Library, operator: Linear, specs: tuple[Spec | None, ...]) -> None:
        x = specs[0]
        assert x is not None, "infer saw to it"
        shape = known(*x.shape)
        self._library = library
        self._leading = shape[: operator.axis]
        self._rows = math.prod(self._leading)
        self._features = math.prod(shape[operator.axis :])
        self._units = operator.units
        self._bias = len(specs) > 2 and specs[2] is not None
        r, f, u = self._rows, self._features, self._units
        self._forward = self._product((r, f), (f, 1), (f, u), (1, f), (r, u), self._bias)

    def forward(self, x: Any, weight: Any, bias: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """As :meth:`ops.Linear.forward`."""
        y = np.empty((self._rows, self._units), "float32")
        arrays = {
            dnn.SRC: np.ascontiguousarray(x),
            dnn.WEIGHTS: np.ascontiguousarray(weight),
            dnn.DST: y,
        }
        if self._bias:
            arrays[dnn.BIAS] = np.ascontiguousarray(bias)
        self._forward(arrays)
        return y.reshape(*self._leading, self._units), (x, weight)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        """As :meth:`ops.Linear.backward`."""
        x, weight = saved
        gradient = np.ascontiguousarray(dy).reshape(self._rows, self._units)
        dx = dweight = dbias = None
        if needs[0]:
            dx = np.empty(x.shape, "float32")
            product = {dnn.SRC: gradient, dnn.WEIGHTS: np.ascontiguousarray(weight), dnn.DST: dx}
            self._data(product)
        if needs[1]:
            dweight = np.empty(weight.shape, "float32")
            product = {dnn.SRC: gradient, dnn.WEIGHTS: np.ascontiguousarray(x), dnn.DST: dweight}
            self._weights(product)
        if len(needs) > 2 and needs[2]:
            dbias = gradient.sum(axis=0)
        return (dx, dweight, dbias)[: len(needs)]

    @cached_property
    def _data(self) -> Primitive:
        r, f, u = self._rows, self._features, self._units
        return self._product((r, u), (u, 1), (u, f), (f, 1), (r, f))

    @cached_property
    def _weights(self) -> Primitive:
        r, f, u = self._rows, self._features, self._units
        return self._product((u, r), (1, u), (r, f), (f, 1), (u, f))

    def _product(
        self,
        a: tuple[int, int],
        a_strides: tuple[int, int],
        b: tuple[int, int],
        b_strides: tuple[int, int],
        result: tuple[int, int],
        bias: bool = False,
    ) -> Primitive:
        library = self._library
        described = {
            dnn.SRC: library.descriptor(a, a_strides),
            dnn.WEIGHTS: library.descriptor(b, b_strides),
            dnn.DST: library.descriptor(result, (result[1], 1)),
        }
        added = library.descriptor((1, result[1]), (result[1], 1)) if bias else None
        plan = library.plan(
            "matmul", described[dnn.SRC], described[dnn.WEIGHTS], added, described[dnn.DST], None
        )
        if added is not None:
            described[dnn.BIAS] = added
        return Primitive(library, plan, described)
