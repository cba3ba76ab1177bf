"""Layer normalization over rows, with its sums in float64."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.rows import FAST
from graphnet.kernels.placed import ROWS, Call, Memory, PlacedKernel, Terms
from ops.normalization import LayerNorm
from ops.operator import Spec, known

__all__ = ["CompiledLayerNorm"]


class CompiledLayerNorm(PlacedKernel):
    """One layer normalization of known shape, over the rows ``(rows, entries)``."""

    def __init__(self, operator: LayerNorm, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        x, gamma = specs[:2]
        assert x is not None and gamma is not None, "infer saw to it"
        self._eps = operator.eps
        (self._entries,) = known(gamma.elements)
        self._threads = threads
        rows = known(x.elements)[0] // self._entries
        self.terms = Terms(
            inputs=(ROWS, ROWS, ROWS),
            outputs=(ROWS,),
            reads=(0, 1),
            extras=(Spec((rows, 2), "float64"),),  # mean, 1 / sqrt(var + eps)
            over_gradient=((0, 0),),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, gamma, beta = memory.inputs
        return partial(
            _normalize,
            self._rows(x),
            gamma.reshape(-1),
            beta.reshape(-1),
            self._eps,
            memory.extras[0],
            self._rows(memory.outputs[0]),
            self._threads,
        )

    def bind_backward(self, memory: Memory) -> Call:
        x, gamma, _ = memory.inputs
        dx, dgamma, dbeta = memory.dinputs
        dy = self._rows(memory.doutputs[0])
        parts = np.empty((2, self._threads, self._entries))
        sums = [
            np.empty(self._entries, "float32") if d is None else d.reshape(-1)
            for d in (dgamma, dbeta)
        ]
        return partial(
            _differentiate,
            self._rows(x),
            gamma.reshape(-1),
            memory.extras[0],
            dy,
            parts,
            sums[0],
            sums[1],
            dx is not None,
            dy if dx is None else self._rows(dx),
            self._threads,
        )

    def _rows(self, x: Any) -> Any:
        return x.reshape(-1, self._entries)


@njit(**FAST)
def _normalize(x, gamma, beta, eps, statistics, y, threads):
    count, size = x.shape
    for thread in prange(threads):
        for row in range(count * thread // threads, count * (thread + 1) // threads):
            given, result = x[row], y[row]
            total = 0.0
            for i in range(size):
                total += given[i]
            mean = total / size
            squares = 0.0
            for i in range(size):
                distance = given[i] - mean
                squares += distance * distance
            rstd = 1 / np.sqrt(squares / size + eps)
            statistics[row, 0], statistics[row, 1] = mean, rstd
            for i in range(size):
                result[i] = np.float32((given[i] - mean) * rstd) * gamma[i] + beta[i]


@njit(**FAST)
def _differentiate(x, gamma, statistics, dy, parts, dgamma, dbeta, needs_x, dx, threads):
    count, size = x.shape
    for thread in prange(threads):
        gains, shifts = parts[0, thread], parts[1, thread]
        gains[:] = 0.0
        shifts[:] = 0.0
        normal, scaled = np.empty(size, np.float32), np.empty(size, np.float32)
        for row in range(count * thread // threads, count * (thread + 1) // threads):
            given, arriving, leaving = x[row], dy[row], dx[row]
            mean, rstd = statistics[row, 0], statistics[row, 1]
            for i in range(size):
                normal[i] = np.float32((given[i] - mean) * rstd)
                scaled[i] = arriving[i] * gamma[i]
            for i in range(size):
                gains[i] += arriving[i] * normal[i]
                shifts[i] += arriving[i]
            if needs_x:
                total, along = 0.0, 0.0
                for i in range(size):
                    total += scaled[i]
                    along += np.float64(scaled[i]) * normal[i]
                center, slope = np.float32(total / size), np.float32(along / size)
                factor = np.float32(rstd)
                for i in range(size):
                    leaving[i] = (scaled[i] - center - normal[i] * slope) * factor
    for i in range(size):
        gain, shift = 0.0, 0.0
        for thread in range(threads):
            gain += parts[0, thread, i]
            shift += parts[1, thread, i]
        dgamma[i], dbeta[i] = gain, shift
