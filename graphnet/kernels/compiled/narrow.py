"""The gradient of the kernels of a convolution with few input channels, such as a first layer.

Matrix products are inefficient there, as each sums over few channels.  Here the gradients of some
taps of a row, for 16 filters to a vector, stay in registers while a row of the output's gradient
goes by: each entry of the input is multiplied with all filters at once.  A tap is a column of the
kernel and a channel; those of a row lie side by side in channels-last memory.  Where filters do
not fill their last vector, it reads on into the next position, and what that sums is left out.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphnet.kernels.compiled.vector import (
    BYTES,
    ENTRIES,
    OPTIONS,
    REGISTERS,
    WIDTH,
    Vectors,
    in_groups,
)
from graphnet.kernels.onednn.convolution import DirectConv
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, Memory, last
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["NarrowConv", "geometry", "is_narrow"]

#: The most channels of the input that count as few.
CHANNELS = 4
#: Vectors between the sums of one thread and the next, so that no line of the cache holds both.
APART = 2


def is_narrow(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a convolution is served here."""
    x = specs[0]
    if x is None or x.rank != 4 or operator.groups != 1:
        return False
    return known(x.shape[1])[0] <= CHANNELS and operator.windows(x).dilation == (1, 1)


def geometry(operator: Conv, specs: tuple[Spec | None, ...]) -> tuple[int, ...]:
    """Rows and columns of the kernels, the strides, and the padding above and on the left."""
    x = specs[0]
    assert x is not None, "infer saw to it"
    windows = operator.windows(x)
    (top, _), (left, _) = windows.padding
    return (*windows.kernel, *windows.stride, top, left)


def _fitting(vectors: int) -> int:
    """How many taps registers hold, beside the vectors of the output's gradient and one entry."""
    return (REGISTERS - 1) * ENTRIES // (vectors * WIDTH) - 1


class NarrowConv(DirectConv):
    """One convolution by oneDNN but for the gradient of its kernels."""

    method = "narrow"
    directions = ("weights",)

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(library, operator, specs)
        self._threads = library.threads
        self._window = geometry(operator, specs)

    def bind_weights(self, memory: Memory) -> list[Call]:
        _, dweight, dbias = memory.dinputs
        if dweight is None:
            return super().bind_weights(memory)
        x, dy = last(memory.inputs[0]), last(memory.doutputs[0])
        filters, channels, down, across = dweight.shape
        lanes = -(-filters // WIDTH) * WIDTH
        seen = across * channels
        # as many vectors of filters, a power of 2 that divides them, as leave room for all taps
        fitting = [v for v in (1, 2, 4) if _fitting(v) >= seen and lanes % (v * WIDTH) == 0]
        vectors = max(fitting, default=1)
        taps, more, fewer = in_groups(seen, _fitting(vectors))
        width = (dy.shape[2] - 1) * self._window[3] + across
        # the last rows of all are read from where there is something behind them
        row = dy.shape[2] * filters
        copied = min(dy.shape[0] * dy.shape[1], -(-(lanes - filters) // row))
        room = (
            np.empty((self._threads, down * seen + APART, lanes), "float32"),
            np.zeros((self._threads, x.shape[1] + APART, width * channels), "float32"),
            np.zeros((copied * row + WIDTH,), "float32"),
            np.empty((self._threads, 1 + APART, lanes), "float32"),
            np.empty((self._threads, filters), "float64"),
        )
        dbias = np.empty(filters, "float32") if dbias is None else dbias
        return [
            partial(
                _correlate, x.reshape(*x.shape[:2], -1), dy, channels, self._window,
                np.ones(1, "float32"), room, copied, dweight, dbias, (0,) * taps, more,
                (0,) * (taps - 1), fewer, (0,) * vectors, self._threads,
            )
        ]  # fmt: skip


@intrinsic
def _add_row(
    typing: Any, x: Any, x_step: Any, dy: Any, dy_step: Any, sums: Any, sums_step: Any, count: Any,
    taps: Any, vectors: Any,
) -> Any:  # fmt: skip
    """``sums[tap] += x[i * step + tap] * dy[i]`` over all positions i of a row.

    The numbers of taps and of vectors are the lengths of two tuples, so that they are known when
    the function is compiled.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, x_distance, dy_at, dy_distance, sums_at, sums_distance, number = arguments[:7]
        word = at.type
        v = Vectors(builder)
        totals = [
            [cgutils.alloca_once(builder, v.type) for _ in range(vectors.count)]
            for _ in range(taps.count)
        ]

        def address(tap: int, vector: int) -> Any:
            far = builder.mul(sums_distance, ir.Constant(word, tap))
            return builder.add(builder.add(sums_at, far), ir.Constant(word, vector * BYTES))

        for tap, row in enumerate(totals):
            for vector, total in enumerate(row):
                builder.store(v.load(address(tap, vector)), total)
        with cgutils.for_range(builder, number) as loop:
            source = builder.add(at, builder.mul(loop.index, x_distance))
            arriving = builder.add(dy_at, builder.mul(loop.index, dy_distance))
            gradients = [
                v.load(builder.add(arriving, ir.Constant(word, vector * BYTES)))
                for vector in range(vectors.count)
            ]
            for tap, row in enumerate(totals):
                entry = v.spread(v.scalar(builder.add(source, ir.Constant(word, 4 * tap))))
                for total, gradient in zip(row, gradients, strict=True):
                    builder.store(v.multiply_add(entry, gradient, builder.load(total)), total)
        for tap, row in enumerate(totals):
            for vector, total in enumerate(row):
                v.store(builder.load(total), address(tap, vector))
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 7, taps, vectors), generate


@njit(parallel=True, **OPTIONS)
def _correlate(
    x, dy, channels, geometry, one, room, copied, dweight, dbias, taps, more, less_taps, fewer,
    vectors, threads,
):  # fmt: skip
    down, across, stride_h, stride_w, top, left = geometry
    batch, height, width = x.shape
    out_h, out_w, filters = dy.shape[1:]
    sums, images, end, totals, biases = room
    position, row_bytes, part_bytes = 4 * filters, 4 * sums.shape[2], BYTES * len(vectors)
    step, line = 4 * stride_w * channels, 4 * images.shape[2]
    seen = across * channels
    ones, first, behind = one.ctypes.data, dy.ctypes.data, end.ctypes.data
    rest = batch * out_h - copied
    for row in range(copied):
        n, i = (rest + row) // out_h, (rest + row) % out_h
        for column in range(out_w):
            for f in range(filters):
                end[(row * out_w + column) * filters + f] = dy[n, i, column, f]
    for thread in prange(threads):
        own, lines, total, bias = sums[thread], images[thread], totals[thread], biases[thread]
        # addresses, since numba counts who holds an array each time one is taken from another
        own_at, lines_at, total_at = own.ctypes.data, lines.ctypes.data, total.ctypes.data
        own[:] = 0
        bias[:] = 0
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            total[:] = 0
            begin = min(left * channels, lines.shape[1])
            inside = min(width, lines.shape[1] - begin)
            for row in range(height):
                lines[row, begin : begin + inside] = x[n, row, :inside]
            for i in range(out_h):
                number = n * out_h + i
                arriving = first + number * out_w * position
                if number >= rest:
                    arriving = behind + (number - rest) * out_w * position
                for part in range(0, row_bytes, part_bytes):
                    _add_row(
                        ones, 0, arriving + part, position, total_at + part, 0, out_w, (0,),
                        vectors,
                    )  # fmt: skip
                for p in range(down):
                    row = i * stride_h + p - top
                    if row < 0 or row >= height:
                        continue
                    source, target = lines_at + row * line, own_at + p * seen * row_bytes
                    for part in range(0, row_bytes, part_bytes):
                        tap = 0
                        for _ in range(more):
                            _add_row(
                                source + 4 * tap, step, arriving + part, position,
                                target + tap * row_bytes + part, row_bytes, out_w, taps, vectors,
                            )  # fmt: skip
                            tap += len(taps)
                        for _ in range(fewer):
                            _add_row(
                                source + 4 * tap, step, arriving + part, position,
                                target + tap * row_bytes + part, row_bytes, out_w, less_taps,
                                vectors,
                            )  # fmt: skip
                            tap += len(less_taps)
            for f in range(filters):
                bias[f] += total[0, f]
    # by loops: numba would make a parallel region of each array's sum
    for f in range(filters):
        whole = np.float64(0)
        for thread in range(threads):
            whole += biases[thread, f]
        dbias[f] = whole
        for c in range(channels):
            for p in range(down):
                for q in range(across):
                    gradient = np.float32(0)
                    for thread in range(threads):
                        gradient += sums[thread, p * seen + q * channels + c, f]
                    dweight[f, c, p, q] = gradient
