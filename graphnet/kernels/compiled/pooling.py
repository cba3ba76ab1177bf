"""Max pooling over images; the winning position of each window is kept in a byte.

Windows of 2x2 side by side are pooled in either layout: with the channels side by side or, where an
image is pooled first of all, row by row.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

from graphnet.kernels.compiled.rows import FAST
from graphnet.kernels.compiled.vector import ENTRIES, Vectors
from graphnet.kernels.placed import LAST, SAME, Call, Memory, PlacedKernel, Terms, is_arranged, last
from ops.operator import Spec, known
from ops.pooling import MaxPool

__all__ = ["CompiledMaxPool"]


class CompiledMaxPool(PlacedKernel):
    """One max pooling of known shape, windows of up to 256 positions."""

    def __init__(self, operator: MaxPool, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        windows = operator.windows(x)
        begins = [begin for begin, _ in windows.padding]
        self._geometry = np.array(
            [windows.kernel, windows.stride, begins, windows.dilation], "int64"
        )
        #: Whether windows share no entry of the input, and together cover all of it.
        self._apart = (
            windows.kernel == windows.stride == (2, 2)
            and all(pair == (0, 0) for pair in windows.padding)
            and windows.dilation == (1, 1)
        )
        self._threads = max(1, min(threads, known(x.shape[0])[0]))
        (y,) = self.results
        layout = SAME if self._apart else LAST
        self.terms = Terms(
            inputs=(layout,), outputs=(layout,), extras=(Spec(_last_shape(y), "uint8"),)
        )

    def bind_forward(self, memory: Memory) -> Call:
        (winner,) = memory.extras
        if not is_arranged(memory.inputs[0], LAST):
            x, y = (_planes(array) for array in (memory.inputs[0], memory.outputs[0]))
            return partial(_forward_rows, x, y, winner.reshape(y.shape), self._threads)
        x, y = last(memory.inputs[0]), last(memory.outputs[0])
        if self._apart:
            return partial(_forward_pairs, x, y, winner, self._threads)
        return partial(_forward, x, self._geometry, y, winner, self._threads)

    def bind_backward(self, memory: Memory) -> Call:
        (winner,) = memory.extras
        if not is_arranged(memory.dinputs[0], LAST):
            dx, dy = (_planes(array) for array in (memory.dinputs[0], memory.doutputs[0]))
            return partial(_backward_rows, winner.reshape(dy.shape), dy, dx, self._threads)
        dy, dx = last(memory.doutputs[0]), last(memory.dinputs[0])
        if self._apart:
            return partial(_backward_pairs, winner, dy, dx, self._threads)
        return partial(_backward, winner, self._geometry, dy, dx, self._threads)


def _last_shape(y: Spec) -> tuple[int, ...]:
    n, c, *spatial = known(*y.shape)
    return (n, *spatial, c)


def _planes(array: Any) -> Any:
    """``(N, C, H, W)`` as ``(N C, H, W)``."""
    return array.reshape(-1, *array.shape[2:])


@intrinsic
def _largest_of_windows(typing: Any, top: Any, low: Any, y: Any, winner: Any) -> Any:
    """Pool a vector of windows: two of entries from ``top`` on, and two from ``low`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        top_at, low_at, y_at, winner_at = arguments
        v = Vectors(builder, ENTRIES)
        entries = []
        for at in (top_at, low_at):
            near, far = v.load(at), v.load(builder.add(at, ir.Constant(at.type, 4 * ENTRIES)))
            entries += [v.shuffled(near, far, range(odd, 2 * ENTRIES, 2)) for odd in (0, 1)]
        best, place = v.largest(entries)
        v.store(best, y_at)
        builder.store(place, builder.inttoptr(winner_at, place.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 4), generate


@intrinsic
def _gradients_of_windows(typing: Any, winner: Any, dy: Any, top: Any, low: Any) -> Any:
    """The gradients of a vector of windows, where :func:`_largest_of_windows` found entries."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        winner_at, dy_at, top_at, low_at = arguments
        v = Vectors(builder, ENTRIES)
        places, gradient = v.bytes_at(winner_at), v.load(dy_at)
        won = [
            builder.select(
                builder.icmp_unsigned("==", places, ir.Constant(places.type, [number] * ENTRIES)),
                gradient,
                v.constant(0.0),
            )
            for number in range(4)
        ]
        # one entry of the left, one of the right, and so on
        order = [i + side for i in range(ENTRIES) for side in (0, ENTRIES)]
        for at, (left, right) in ((top_at, won[:2]), (low_at, won[2:])):
            v.store(v.shuffled(left, right, order[:ENTRIES]), at)
            far = builder.add(at, ir.Constant(at.type, 4 * ENTRIES))
            v.store(v.shuffled(left, right, order[ENTRIES:]), far)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 4), generate


@njit(**FAST)
def _forward_rows(x, y, winner, threads):
    """Windows of 2x2, side by side, of planes."""
    planes, down, across = y.shape
    whole = across // ENTRIES * ENTRIES
    for thread in prange(threads):
        for n in range(planes * thread // threads, planes * (thread + 1) // threads):
            for i in range(down):
                top, low = x[n, 2 * i], x[n, 2 * i + 1]
                largest, number = y[n, i], winner[n, i]
                for j in range(0, whole, ENTRIES):
                    _largest_of_windows(
                        top.ctypes.data + 8 * j, low.ctypes.data + 8 * j,
                        largest.ctypes.data + 4 * j, number.ctypes.data + j,
                    )  # fmt: skip
                for j in range(whole, across):
                    best, place = top[2 * j], np.uint8(0)
                    # a NaN is larger than all others, and the first one stays
                    entry = top[2 * j + 1]
                    larger = not entry <= best and best == best
                    best, place = (entry, np.uint8(1)) if larger else (best, place)
                    entry = low[2 * j]
                    larger = not entry <= best and best == best
                    best, place = (entry, np.uint8(2)) if larger else (best, place)
                    entry = low[2 * j + 1]
                    larger = not entry <= best and best == best
                    best, place = (entry, np.uint8(3)) if larger else (best, place)
                    largest[j] = best
                    number[j] = place


@njit(**FAST)
def _backward_rows(winner, dy, dx, threads):
    planes, down, across = dy.shape
    height, width = dx.shape[1:]
    nothing = np.float32(0)
    whole = across // ENTRIES * ENTRIES
    for thread in prange(threads):
        for n in range(planes * thread // threads, planes * (thread + 1) // threads):
            for i in range(down):
                arriving, number = dy[n, i], winner[n, i]
                top, low = dx[n, 2 * i], dx[n, 2 * i + 1]
                for j in range(0, whole, ENTRIES):
                    _gradients_of_windows(
                        number.ctypes.data + j, arriving.ctypes.data + 4 * j,
                        top.ctypes.data + 8 * j, low.ctypes.data + 8 * j,
                    )  # fmt: skip
                for j in range(whole, across):
                    gradient, place = arriving[j], number[j]
                    top[2 * j] = gradient if place == 0 else nothing
                    top[2 * j + 1] = gradient if place == 1 else nothing
                    low[2 * j] = gradient if place == 2 else nothing
                    low[2 * j + 1] = gradient if place == 3 else nothing
                for j in range(2 * across, width):
                    top[j] = low[j] = nothing
            for i in range(2 * down, height):
                dx[n, i] = nothing


@njit(**FAST)
def _forward_pairs(x, y, winner, threads):
    """Windows of 2x2, side by side."""
    batch, down, across, channels = y.shape
    for thread in prange(threads):
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            for i in range(down):
                for j in range(across):
                    for c in range(channels):
                        best, place = x[n, 2 * i, 2 * j, c], np.uint8(0)
                        # a NaN is larger than all others, and the first one stays
                        entry = x[n, 2 * i, 2 * j + 1, c]
                        larger = not entry <= best and best == best
                        best, place = (entry, np.uint8(1)) if larger else (best, place)
                        entry = x[n, 2 * i + 1, 2 * j, c]
                        larger = not entry <= best and best == best
                        best, place = (entry, np.uint8(2)) if larger else (best, place)
                        entry = x[n, 2 * i + 1, 2 * j + 1, c]
                        larger = not entry <= best and best == best
                        best, place = (entry, np.uint8(3)) if larger else (best, place)
                        y[n, i, j, c] = best
                        winner[n, i, j, c] = place


@njit(**FAST)
def _backward_pairs(winner, dy, dx, threads):
    batch, height, width, channels = dx.shape
    down, across = dy.shape[1:3]
    nothing = np.float32(0)
    for thread in prange(threads):
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            for i in range(down):
                for j in range(across):
                    for c in range(channels):
                        arriving, place = dy[n, i, j, c], winner[n, i, j, c]
                        dx[n, 2 * i, 2 * j, c] = arriving if place == 0 else nothing
                        dx[n, 2 * i, 2 * j + 1, c] = arriving if place == 1 else nothing
                        dx[n, 2 * i + 1, 2 * j, c] = arriving if place == 2 else nothing
                        dx[n, 2 * i + 1, 2 * j + 1, c] = arriving if place == 3 else nothing
                for j in range(2 * across, width):
                    dx[n, 2 * i : 2 * i + 2, j] = nothing
            for i in range(2 * down, height):
                dx[n, i] = nothing


@njit(**FAST)
def _forward(x, geometry, y, winner, threads):
    batch, height, width, channels = x.shape
    down, across = y.shape[1:3]
    (kernel_h, kernel_w), (stride_h, stride_w) = geometry[0], geometry[1]
    (begin_h, begin_w), (spread_h, spread_w) = geometry[2], geometry[3]
    for thread in prange(threads):
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            for i in range(down):
                for j in range(across):
                    best, place = y[n, i, j], winner[n, i, j]
                    best[:] = -np.inf
                    place[:] = 0
                    first = True
                    for p in range(kernel_h):
                        row = i * stride_h - begin_h + p * spread_h
                        if row < 0 or row >= height:
                            continue
                        for q in range(kernel_w):
                            column = j * stride_w - begin_w + q * spread_w
                            if column < 0 or column >= width:
                                continue
                            entry = x[n, row, column]
                            number = np.uint8(p * kernel_w + q)
                            if first:
                                for c in range(channels):
                                    best[c] = entry[c]
                                    place[c] = number
                                first = False
                            else:
                                for c in range(channels):
                                    # a NaN is larger than all others, and the first one stays
                                    larger = not entry[c] <= best[c] and best[c] == best[c]
                                    place[c] = number if larger else place[c]
                                    best[c] = entry[c] if larger else best[c]


@njit(**FAST)
def _backward(winner, geometry, dy, dx, threads):
    batch, height, width, channels = dx.shape
    down, across = dy.shape[1:3]
    (kernel_h, kernel_w), (stride_h, stride_w) = geometry[0], geometry[1]
    (begin_h, begin_w), (spread_h, spread_w) = geometry[2], geometry[3]
    for thread in prange(threads):
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            dx[n] = 0
            for i in range(down):
                for j in range(across):
                    arriving, place = dy[n, i, j], winner[n, i, j]
                    for p in range(kernel_h):
                        row = i * stride_h - begin_h + p * spread_h
                        if row < 0 or row >= height:
                            continue
                        for q in range(kernel_w):
                            column = j * stride_w - begin_w + q * spread_w
                            if column < 0 or column >= width:
                                continue
                            entry = dx[n, row, column]
                            number = np.uint8(p * kernel_w + q)
                            for c in range(channels):
                                entry[c] += arriving[c] if place[c] == number else np.float32(0)
