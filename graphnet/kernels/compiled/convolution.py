"""The convolution operator by Winograd's method, on channels-last arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnet.kernels.compiled.winograd import Shape, Winograd
from graphnet.kernels.layout import channels_first, channels_last
from graphnet.kernels.onednn.library import Library
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["WinogradConv"]


class WinogradConv:
    """One convolution of known shape with 3x3 kernels, stride 1 and padding 1."""

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        x = specs[0]
        assert x is not None, "infer saw to it"
        batch, channels, height, width = known(*x.shape)
        shape = Shape(batch, height, width, channels, operator.filters)
        self._winograd = Winograd(library, shape, library.threads)
        self._x = (batch, height, width, channels)
        self._y = (batch, height, width, operator.filters)

    def forward(self, x: Any, weight: Any, bias: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """As :meth:`ops.Conv.forward`."""
        y = np.empty(self._y, "float32")
        self._winograd.forward(channels_last(x), weight, y, self._space())
        if bias is not None:
            y += bias
        return channels_first(y), (x, weight)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        """As :meth:`ops.Conv.backward`."""
        x, weight = saved
        gradient = channels_last(dy)
        space = self._space()
        dx = dweight = dbias = None
        if needs[0]:
            found = np.empty(self._x, "float32")
            self._winograd.backward_data(gradient, weight, found, space)
            dx = channels_first(found)
        if needs[1]:
            dweight = np.empty(weight.shape, "float32")
            self._winograd.backward_weights(channels_last(x), gradient, dweight, space)
        if len(needs) > 2 and needs[2]:
            dbias = gradient.reshape(-1, self._y[-1]).sum(axis=0)
        return (dx, dweight, dbias)[: len(needs)]

    def _space(self) -> Any:
        return np.empty(self._winograd.workspace, "uint8")
