"""Matrix products of stacks of matrices by oneDNN.

Source: oneDNN's developer guide, "Matrix Multiplication".
"""

from __future__ import annotations

from typing import Any

from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import ROWS, Call, Memory, PlacedKernel, Terms, in_turn
from ops.linear import MatMul
from ops.operator import Spec, known

__all__ = ["StackedMatMul", "product"]


class StackedMatMul(PlacedKernel):
    """One product of known shape; the stacks are as large as each other, or one is one matrix."""

    def __init__(self, library: Library, operator: MatMul, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        a, b = (known(*spec.shape) for spec in specs if spec is not None)
        self._library = library
        #: Whether a stack of matrices meets a single one.
        self._shared = len(b) == 2 < len(a)
        self.serves = a[:-2] == b[:-2] or self._shared
        self.terms = Terms(inputs=(ROWS, ROWS), outputs=(ROWS,), reads=(0, 1))

    def bind_forward(self, memory: Memory) -> Call:
        a, b = memory.inputs
        return self._product(self._flat(a), b, self._flat(memory.outputs[0]))

    def bind_backward(self, memory: Memory) -> Call:
        a, b = memory.inputs
        da, db = memory.dinputs
        dy = self._flat(memory.doutputs[0])
        calls = []
        if da is not None:
            calls.append(self._product(dy, b.swapaxes(-1, -2), self._flat(da)))
        if db is not None:
            calls.append(self._product(self._flat(a).swapaxes(-1, -2), dy, db))
        return in_turn(*calls)

    def _flat(self, x: Any) -> Any:
        """All rows of a stack as one matrix where they meet the same one."""
        return x.reshape(-1, x.shape[-1]) if self._shared else x

    def _product(self, a: Any, b: Any, y: Any) -> Call:
        return product(self._library, a, b, y)


def product(library: Library, a: Any, b: Any, y: Any) -> Call:
    """``y = a b`` for matrices ``(..., rows, columns)`` in equal stacks, of any strides.

    Raises:
        OneDNNError: the library has no implementation.
    """
    operands = {
        kind: (library.descriptor(x.shape, tuple(step // x.itemsize for step in x.strides)), x)
        for kind, x in ((dnn.SRC, a), (dnn.WEIGHTS, b), (dnn.DST, y))
    }
    source, weights, target = (layout for layout, _ in operands.values())
    return library.bind(library.plan("matmul", source, weights, None, target, None), operands)
