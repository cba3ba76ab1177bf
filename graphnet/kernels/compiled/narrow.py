"""The gradient of the kernels of a convolution with few input channels, such as a first layer.

Matrix products are inefficient there, as each sums over few channels.  Here the gradients of some
taps of a row, for 16 filters to a vector, stay in registers while a row of the output's gradient
goes by: each entry of the input is multiplied with all filters at once.
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

__all__ = ["NarrowConv", "is_narrow"]

#: The most channels of the input that count as few.
CHANNELS = 4


def is_narrow(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a convolution is served here."""
    x = specs[0]
    if x is None or x.rank != 4 or operator.groups != 1 or operator.filters % WIDTH:
        return False
    return known(x.shape[1])[0] <= CHANNELS and operator.windows(x).dilation == (1, 1)


def _fitting(vectors: int) -> int:
    """How many taps registers hold, beside the vectors of the output's gradient and one entry."""
    return (REGISTERS - 1) * ENTRIES // (vectors * WIDTH) - 1


class NarrowConv(DirectConv):
    """One convolution by oneDNN but for the gradient of its kernels."""

    method = "narrow"

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(library, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        windows = operator.windows(x)
        self._threads = library.threads
        (top, _), (left, _) = windows.padding
        self._geometry_2d = (*windows.kernel, *windows.stride, top, left)

    def bind_weights(self, memory: Memory) -> list[Call]:
        _, dweight, dbias = memory.dinputs
        if dweight is None:
            return super().bind_weights(memory)
        x, dy = last(memory.inputs[0]), last(memory.doutputs[0])
        filters, channels, down, across = dweight.shape
        # as many vectors of filters, a power of 2 that divides them, as leave room for all taps
        fitting = [v for v in (1, 2, 4) if _fitting(v) >= across and filters % (v * WIDTH) == 0]
        vectors = max(fitting, default=1)
        taps, more, fewer = in_groups(across, _fitting(vectors))
        width = (dy.shape[2] - 1) * self._geometry_2d[3] + across
        room = (
            np.empty((self._threads, down, channels, across, filters), "float32"),
            np.empty((self._threads, channels, x.shape[1], width), "float32"),
            np.empty((self._threads, filters), "float32"),
            np.empty((self._threads, filters), "float64"),
        )
        dbias = np.empty(filters, "float32") if dbias is None else dbias
        return [
            partial(
                _correlate, x, dy, self._geometry_2d, np.ones(1, "float32"), room, dweight, dbias,
                (0,) * taps, more, (0,) * (taps - 1), fewer, (0,) * vectors, self._threads,
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
    x, dy, geometry, one, room, dweight, dbias, taps, more, less_taps, fewer, vectors, threads
):
    down, across, stride_h, stride_w, top, left = geometry
    batch, height, width, channels = x.shape
    out_h, out_w, filters = dy.shape[1:]
    sums, images, totals, biases = room
    row_bytes, part_bytes = 4 * filters, BYTES * len(vectors)
    for thread in prange(threads):
        own, lines, total, bias = sums[thread], images[thread], totals[thread], biases[thread]
        own[:] = 0
        lines[:] = 0
        bias[:] = 0
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            total[:] = 0
            for part in range(0, row_bytes, part_bytes):
                _add_row(
                    one.ctypes.data, 0, dy[n].ctypes.data + part, row_bytes,
                    total.ctypes.data + part, 0, out_h * out_w, (0,), vectors,
                )  # fmt: skip
            for f in range(filters):
                bias[f] += total[f]
            for c in range(channels):
                for row in range(height):
                    for column in range(min(width, lines.shape[2] - left)):
                        lines[c, row, left + column] = x[n, row, column, c]
            for i in range(out_h):
                arriving = dy[n, i].ctypes.data
                for p in range(down):
                    row = i * stride_h + p - top
                    if row < 0 or row >= height:
                        continue
                    for c in range(channels):
                        source = lines[c, row].ctypes.data
                        target = own[p, c].ctypes.data
                        for part in range(0, row_bytes, part_bytes):
                            tap = 0
                            for _ in range(more):
                                _add_row(
                                    source + 4 * tap, 4 * stride_w, arriving + part, row_bytes,
                                    target + tap * row_bytes + part, row_bytes, out_w, taps,
                                    vectors,
                                )  # fmt: skip
                                tap += len(taps)
                            for _ in range(fewer):
                                _add_row(
                                    source + 4 * tap, 4 * stride_w, arriving + part, row_bytes,
                                    target + tap * row_bytes + part, row_bytes, out_w, less_taps,
                                    vectors,
                                )  # fmt: skip
                                tap += len(less_taps)
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
                        gradient += sums[thread, p, c, q, f]
                    dweight[f, c, p, q] = gradient
