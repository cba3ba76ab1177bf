"""Softmax and its logarithm over rows: the last axis, or the channels of an image."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.exponential import exp
from graphnet.kernels.compiled.rows import FAST
from graphnet.kernels.placed import LAST, ROWS, Call, Memory, PlacedKernel, Terms, last
from ops.operator import Spec, normalize_axis
from ops.softmax import LogSoftmax, Softmax

__all__ = ["CompiledSoftmax"]

#: A logarithm is at least that.
LOWEST = np.finfo(np.float32).min


class CompiledSoftmax(PlacedKernel):
    """One softmax, or log-softmax, of known shape.

    Attributes:
        serves: whether the axis is one of those whose entries lie side by side.
    """

    def __init__(
        self, operator: Softmax | LogSoftmax, specs: tuple[Spec | None, ...], threads: int
    ) -> None:
        super().__init__(operator, specs)
        (x,) = specs
        assert x is not None, "infer saw to it"
        axis = normalize_axis(operator.axis, x.rank)
        self._channels = axis == 1 < x.rank - 1
        self.serves = self._channels or axis == x.rank - 1
        self._logarithm = isinstance(operator, LogSoftmax)
        self._threads = threads
        layout = LAST if self._channels else ROWS
        self.terms = Terms(
            inputs=(layout,),
            outputs=(layout,),
            keeps=(0,),
            over=((0, 0),),
            over_gradient=((0, 0),),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, y = (self._rows(a[0]) for a in (memory.inputs, memory.outputs))
        return partial(_forward, x, self._logarithm, y, self._threads)

    def bind_backward(self, memory: Memory) -> Call:
        y, dy, dx = (self._rows(a[0]) for a in (memory.outputs, memory.doutputs, memory.dinputs))
        return partial(_backward, y, dy, self._logarithm, dx, self._threads)

    def _rows(self, x: Any) -> Any:
        return (last(x) if self._channels else x).reshape(-1, x.shape[1 if self._channels else -1])


@njit(**FAST)
def _forward(x, logarithm, y, threads):
    count, size = x.shape
    for thread in prange(threads):
        room = np.empty(size, np.float32)
        for row in range(count * thread // threads, count * (thread + 1) // threads):
            given, result = x[row], y[row]
            largest = given[0]
            for i in range(size):
                largest = given[i] if given[i] > largest else largest
            # a NaN, which is not larger, makes the total one
            for i in range(size):
                room[i] = exp(given[i] - largest)
            total = 0.0
            for i in range(size):
                total += room[i]
            if logarithm:
                shift = np.float32(np.log(total))
                for i in range(size):
                    below = given[i] - largest
                    room[i] = (LOWEST if below < LOWEST else below) - shift
            else:
                share = np.float32(1 / total)
                for i in range(size):
                    room[i] *= share
            for i in range(size):
                result[i] = room[i]


@njit(**FAST)
def _backward(y, dy, logarithm, dx, threads):
    count, size = y.shape
    for thread in prange(threads):
        room = np.empty(size, np.float32)
        for row in range(count * thread // threads, count * (thread + 1) // threads):
            result, arriving, leaving = y[row], dy[row], dx[row]
            total = 0.0
            if logarithm:
                for i in range(size):
                    total += arriving[i]
                whole = np.float32(total)
                for i in range(size):
                    room[i] = arriving[i] - exp(result[i]) * whole
            else:
                for i in range(size):
                    total += arriving[i] * result[i]
                whole = np.float32(total)
                for i in range(size):
                    room[i] = result[i] * (arriving[i] - whole)
            for i in range(size):
                leaving[i] = room[i]
