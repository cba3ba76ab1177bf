"""The fully connected layer by oneDNN's matrix product.

Source: oneDNN's developer guide, "Matrix Multiplication".
"""

from __future__ import annotations

import math
from functools import cached_property, partial
from typing import Any

import numpy as np

from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library, row_strides
from graphnet.kernels.placed import (
    ROWS,
    SAME,
    Call,
    Memory,
    PlacedKernel,
    Terms,
    in_turn,
    is_arranged,
    last,
)
from ops.linear import Linear
from ops.operator import Spec, known

__all__ = ["MatrixLinear", "features_as_they_lie", "rows_as_they_lie"]


class MatrixLinear(PlacedKernel):
    """One linear layer of known shape, ``y = x W^T + b`` with x as ``(rows, features)``.

    Args:
        library: for the products.
        operator: the layer.
        specs: of its inputs.
        packs: whether the weights are brought into oneDNN's own layout ahead of forward's
            product, which pays where that is done once for many runs.  Images may lie
            channels-last then: the weights are brought into that order, too.

    For the gradient of x they always are: there oneDNN copies them for less than it wins.
    """

    def __init__(
        self,
        library: Library,
        operator: Linear,
        specs: tuple[Spec | None, ...],
        *,
        packs: bool = False,
    ) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        shape = known(*x.shape)
        self._library = library
        self._rows = math.prod(shape[: operator.axis])
        self._features = math.prod(shape[operator.axis :])
        self._units = operator.units
        self._packed = None
        if packs:
            bias = len(specs) > 2 and specs[2] is not None
            self._packed = self._wanted(self._features, self._units, bias=bias)
        is_image = packs and operator.axis == 1 and x.rank > 2
        self.terms = Terms(
            inputs=(SAME if is_image else ROWS, ROWS, ROWS),
            outputs=(ROWS,),
            reads=(0, 1),
            packed=0 if self._packed is None else library.nbytes(self._packed[1]),
            packs=(1,),
            backward_space=library.nbytes(self._data[1]),
        )

    @cached_property
    def _data(self) -> tuple[Any, Any]:
        return self._wanted(self._units, self._features)

    def _wanted(self, inner: int, outer: int, *, bias: bool = False) -> tuple[Any, Any]:
        """The plan of ``(rows, inner) (inner, outer)`` and the layout it has for the second."""
        library, shapes = self._library, ((self._rows, inner), (self._rows, outer))
        a, result = (library.descriptor(shape, row_strides(shape)) for shape in shapes)
        added = library.descriptor((1, outer), (outer, 1)) if bias else None
        plan = library.plan("matmul", a, library.descriptor((inner, outer)), added, result, None)
        return plan, library.wanted(plan, dnn.WEIGHTS)

    def bind_packed(self, memory: Memory) -> Call:
        assert self._packed is not None
        x, weight = memory.inputs[:2]
        source, target = features_as_they_lie(weight, x), (self._packed[1], memory.packed)
        _, shape, strides = _transposed(weight)
        plain = self._library.descriptor(shape, strides)
        if source is weight:
            return self._library.reorder((plain, weight), target)

        def pack() -> object:
            # done when weights change, which is no reason to hold as much memory till then
            return self._library.reorder((plain, np.ascontiguousarray(source)), target)()

        return pack

    def bind_forward(self, memory: Memory) -> Call:
        x, weight, bias = memory.inputs
        x = rows_as_they_lie(x, self._features)
        y = self._matrix(memory.outputs[0], self._units)
        if self._packed is None:
            return self._product(_plain(x), _transposed(weight), y, bias)
        return self._packed_product(self._packed, x, memory.packed, y, bias)

    def bind_backward(self, memory: Memory) -> Call:
        x, weight, _ = memory.inputs
        dx, dweight, dbias = memory.dinputs
        dy = self._matrix(memory.doutputs[0], self._units)
        calls = []
        if dx is not None:
            found = self._matrix(dx, self._features)
            plain = self._library.descriptor(weight.shape, row_strides(weight.shape))
            calls += [
                self._library.reorder((plain, weight), (self._data[1], memory.space)),
                self._packed_product(self._data, dy, memory.space, found),
            ]
        if dweight is not None:
            factor = _plain(self._matrix(x, self._features))
            calls.append(self._product(_transposed(dy), factor, dweight))
        if dbias is not None:
            calls.append(partial(_sum, dy, dbias))
        return in_turn(*calls)

    def _matrix(self, array: Any, columns: int) -> Any:
        return array.reshape(self._rows, columns)

    def _packed_product(
        self, wanted: tuple[Any, Any], a: Any, packed: Any, result: Any, bias: Any = None
    ) -> Call:
        """As :meth:`_product`, with a second factor in the layout that its plan wants."""
        plan, layout = wanted
        library = self._library
        operands = {
            kind: (library.descriptor(m.shape, row_strides(m.shape)), m)
            for kind, m in ((dnn.SRC, a), (dnn.DST, result))
        }
        operands[dnn.WEIGHTS] = (layout, packed)
        if bias is not None:
            operands[dnn.BIAS] = (library.descriptor((1, self._units), (self._units, 1)), bias)
        return library.bind(plan, operands)

    def _product(self, a: _Factor, b: _Factor, result: Any, bias: Any = None) -> Call:
        """``result = a b + bias``."""
        library = self._library
        operands = {
            kind: (library.descriptor(shape, strides), matrix)
            for kind, (matrix, shape, strides) in (
                (dnn.SRC, a), (dnn.WEIGHTS, b), (dnn.DST, _plain(result))
            )
        }  # fmt: skip
        added = None
        if bias is not None:
            shape = (1, self._units)
            added = library.descriptor(shape, row_strides(shape))
            operands[dnn.BIAS] = (added, bias)
        layouts = [operands[kind][0] for kind in (dnn.SRC, dnn.WEIGHTS, dnn.DST)]
        plan = library.plan("matmul", *layouts[:2], added, layouts[2], None)
        return library.bind(plan, operands)


def rows_as_they_lie(x: Any, features: int) -> Any:
    """``(rows, features)``: images, or whatever is flattened, in the order of their memory.

    >>> image = last(np.arange(8.0).reshape(1, 2, 2, 2)).copy().transpose(0, 3, 1, 2)
    >>> rows_as_they_lie(image, 8).tolist()
    [[0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]]
    """
    return (x if is_arranged(x, ROWS) else last(x)).reshape(-1, features)


def features_as_they_lie(weight: Any, x: Any) -> Any:
    """A weight ``(units, features)`` with its features in the order of the memory of ``x``.

    It is the weight itself, or a view ``(units, *spatial, C)`` for channels-last images.
    """
    if is_arranged(x, ROWS):
        return weight
    return last(weight.reshape(-1, *x.shape[1:]))


#: A matrix, and the shape and the strides it is read with.
_Factor = tuple[Any, tuple[int, ...], tuple[int, ...]]


def _plain(matrix: Any) -> _Factor:
    return matrix, matrix.shape, row_strides(matrix.shape)


def _transposed(matrix: Any) -> _Factor:
    return matrix, matrix.shape[::-1], row_strides(matrix.shape)[::-1]


def _sum(dy: Any, dbias: Any) -> None:
    dy.sum(axis=0, out=dbias)
