"""Resizing of one or two axes: each output position is a weighted sum of a few entries."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.rows import FAST
from graphnet.kernels.placed import LAST, Call, Memory, PlacedKernel, Terms, last
from ops.operator import Spec, known
from ops.resize import Resize

__all__ = ["CompiledResize"]


class CompiledResize(PlacedKernel):
    """One resizing of one or two spatial axes of known shape, in any mode."""

    def __init__(self, operator: Resize, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        (x,) = specs
        assert x is not None, "infer saw to it"
        #: For each axis the entries ``(out, taps)`` that are taken, and their weights.
        self._taps = [
            (np.ascontiguousarray(index), np.ascontiguousarray(weight.astype("float32")))
            for index, weight in operator.taps(x)
        ]
        if x.rank == 3:  # an image of one row
            self._taps.insert(0, (np.zeros((1, 1), "int64"), np.ones((1, 1), "float32")))
        self._threads = threads
        self._batch_threads = max(1, min(threads, known(x.shape[0])[0]))
        self.terms = Terms(inputs=(LAST,), outputs=(LAST,))

    def bind_forward(self, memory: Memory) -> Call:
        x, y = _image(memory.inputs[0]), _image(memory.outputs[0])
        return partial(_gather, x, *self._taps[0], *self._taps[1], y, self._threads)

    def bind_backward(self, memory: Memory) -> Call:
        dy, dx = _image(memory.doutputs[0]), _image(memory.dinputs[0])
        return partial(_scatter, dy, *self._taps[0], *self._taps[1], dx, self._batch_threads)


def _image(x: Any) -> Any:
    """The view ``(N, height, width, C)``."""
    n, *spatial, c = last(x).shape
    return last(x).reshape(n, *[1] * (2 - len(spatial)), *spatial, c)


@njit(**FAST)
def _gather(x, rows, row_weights, columns, column_weights, y, threads):
    batch, down, across, channels = y.shape
    for thread in prange(threads):
        # rows of all images, so that a single image keeps all threads busy
        count = batch * down
        for number in range(count * thread // threads, count * (thread + 1) // threads):
            n, i = number // down, number % down
            for j in range(across):
                total = y[n, i, j]
                total[:] = 0
                for p in range(rows.shape[1]):
                    for q in range(columns.shape[1]):
                        entry = x[n, rows[i, p], columns[j, q]]
                        weight = row_weights[i, p] * column_weights[j, q]
                        for c in range(channels):
                            total[c] += entry[c] * weight


@njit(**FAST)
def _scatter(dy, rows, row_weights, columns, column_weights, dx, threads):
    batch, down, across, channels = dy.shape
    for thread in prange(threads):
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            dx[n] = 0
            for i in range(down):
                for j in range(across):
                    arriving = dy[n, i, j]
                    for p in range(rows.shape[1]):
                        for q in range(columns.shape[1]):
                            entry = dx[n, rows[i, p], columns[j, q]]
                            weight = row_weights[i, p] * column_weights[j, q]
                            for c in range(channels):
                                entry[c] += arriving[c] * weight
