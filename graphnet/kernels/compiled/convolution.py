"""The convolution operator by Winograd's method."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnet.kernels.compiled.rows import as_rows, row_sums
from graphnet.kernels.compiled.winograd import Winograd
from graphnet.kernels.compiled.winograd_products import Shape
from graphnet.kernels.convolution import ConvKernel
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import LAST, ROWS, Call, Memory, Terms, last
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["WinogradConv"]


class WinogradConv(ConvKernel):
    """One convolution of known shape with 3x3 kernels, stride 1 and padding 1."""

    method = "winograd"

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        batch, channels, height, width = known(*x.shape)
        shape = Shape(batch, height, width, channels, operator.filters)
        winograd = self._winograd = Winograd(library, shape, library.threads)
        self._threads = library.threads
        self.data_space = winograd.kernels + winograd.space("data")
        self.weights_space = winograd.space("kernels")
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS),
            outputs=(LAST,),
            reads=(0, 1),
            packed=winograd.kernels,
            packs=(1,),
            adds=(0,),
            forward_space=winograd.space("forward"),
            backward_space=max(self.data_space, self.weights_space),
        )

    def bind_packed(self, memory: Memory) -> Call:
        return self._winograd.spread(memory.inputs[1], memory.packed.ctypes.data)

    def bind_forward(self, memory: Memory) -> Call:
        return self._bind(memory, -np.inf, None)

    def bind_finished(self, memory: Memory, added: Any) -> Call:
        return self._bind(memory, 0.0, added)

    def _bind(self, memory: Memory, low: float, added: Any) -> Call:
        """What computes ``max(Conv(x) + added, low)``."""
        x, _, bias = memory.inputs[:3]
        y = last(memory.outputs[0])
        return self._winograd.forward(
            last(x),
            memory.packed.ctypes.data,
            y,
            memory.space.ctypes.data,
            np.zeros(y.shape[-1], "float32") if bias is None else bias,
            low,
            None if added is None else last(added),
        )

    def bind_data(self, memory: Memory) -> list[Call]:
        winograd, space = self._winograd, memory.space.ctypes.data
        dy, dx = last(memory.doutputs[0]), last(memory.dinputs[0])
        return [
            winograd.spread(memory.inputs[1], space, flipped=True),
            winograd.backward_data(dy, space, dx, space + winograd.kernels, adds=0 in memory.adds),
        ]

    def bind_weights(self, memory: Memory) -> list[Call]:
        _, dweight, dbias = memory.dinputs
        x, dy = last(memory.inputs[0]), last(memory.doutputs[0])
        calls = []
        if dweight is not None:
            space = memory.space.ctypes.data
            calls.append(self._winograd.backward_weights(x, dy, dweight, space))
        if dbias is not None:
            calls.append(row_sums(as_rows(dy), dbias, self._threads))
        return calls
