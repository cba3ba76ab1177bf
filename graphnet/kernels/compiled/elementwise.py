"""Addition and ReLU on whole arrays, in one pass each."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.rows import FAST, masked
from graphnet.kernels.placed import SAME, Call, Memory, PlacedKernel, Terms, in_turn, last
from ops.elementwise import Add
from ops.operator import Spec
from ops.rectifier import ReLU

__all__ = ["CompiledAdd", "CompiledReLU", "add_to"]


class CompiledReLU(PlacedKernel):
    """``max(x, 0)`` of known shape."""

    def __init__(self, operator: ReLU, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        self._threads = threads
        self.terms = Terms(
            inputs=(SAME,), outputs=(SAME,), keeps=(0,), over=((0, 0),), over_gradient=((0, 0),)
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, y = flat(memory.inputs[0]), flat(memory.outputs[0])
        return partial(_rectify, x, y, self._threads)

    def bind_backward(self, memory: Memory) -> Call:
        y, dy, dx = (a[0] for a in (memory.outputs, memory.doutputs, memory.dinputs))
        return masked(flat(y), flat(dy), flat(dx), self._threads)


class CompiledAdd(PlacedKernel):
    """The sum of two arrays of the same shape."""

    def __init__(self, operator: Add, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        self._threads = threads
        self.terms = Terms(
            inputs=(SAME, SAME), outputs=(SAME,), over=((0, 0), (0, 1)), over_gradient=((0, 0),)
        )

    def bind_forward(self, memory: Memory) -> Call:
        a, b = memory.inputs
        return partial(_add, flat(a), flat(b), flat(memory.outputs[0]), self._threads)

    def bind_backward(self, memory: Memory) -> Call:
        (dy,) = memory.doutputs
        calls = [
            partial(np.copyto, dx, dy)
            for dx in memory.dinputs[::-1]
            if dx is not None and dx.ctypes.data != dy.ctypes.data
        ]
        return in_turn(*calls)


def add_to(total: Any, more: Any, threads: int) -> Call:
    """``total += more``; both have the same memory layout."""
    return partial(_add, flat(total), flat(more), flat(total), threads)


def flat(x: Any) -> Any:
    """The entries of an array in the order of its memory."""
    if x.flags.c_contiguous:
        return x.reshape(-1)
    return last(x).reshape(-1)


@njit(**FAST)
def _rectify(x, y, threads):
    for thread in prange(threads):
        begin, end = x.size * thread // threads, x.size * (thread + 1) // threads
        source, target = x[begin:end], y[begin:end]
        for i in range(source.size):
            target[i] = np.float32(0) if source[i] < 0 else source[i]


@njit(**FAST)
def _add(a, b, total, threads):
    for thread in prange(threads):
        begin, end = a.size * thread // threads, a.size * (thread + 1) // threads
        left, right, both = a[begin:end], b[begin:end], total[begin:end]
        for i in range(left.size):
            both[i] = left[i] + right[i]
