"""The gradient of the input of a convolution with few channels, such as that of an image.

Matrix products are inefficient there, as each makes few channels.  Here the taps of some rows of
the kernel stay in registers while the filters go by, for some positions at once; what they come
to is added to the image.  Taps of one row lie side by side in channels-last memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphnet.kernels.compiled.narrow import geometry, is_narrow
from graphnet.kernels.compiled.vector import ENTRIES, OPTIONS, REGISTERS, Vectors, in_groups
from graphnet.kernels.onednn.convolution import DirectConv
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, Memory, last
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["ScatteredConv", "is_scattered"]

#: What a row's taps are counted in: a vector has so many entries, or twice as many.
EIGHT = 8
#: Vectors of taps that stay in registers, beside weights and gradients.
HELD = REGISTERS - 4


def is_scattered(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a convolution is served here."""
    x = specs[0]
    if x is None or not is_narrow(operator, specs):
        return False
    (channels,) = known(x.shape[1])
    return -(-channels * operator.windows(x).kernel[1] // EIGHT) <= HELD


def _lanes(taps: int) -> int:
    """Entries of a vector: 16 where registers have them and a row of taps fills more than 8."""
    return 2 * EIGHT if ENTRIES > EIGHT and taps > EIGHT else EIGHT


def _together(across: int, step: int, lanes: int, most: int) -> int:
    """How many positions of a row share the loads of weights.

    They lie ``across // result`` positions apart, whose vectors must not overlap: reading what
    another one has just written would have to wait.  What is left over is computed one by one,
    each for the price of three.

    Args:
        across: the positions of a row.
        step: entries from what one position sees to what the next one sees.
        lanes: entries of a vector.
        most: how many fit into registers.
    """
    most = max(1, min(most, across * step // lanes))
    return min(range(1, most + 1), key=lambda held: (across + 2 * (across % held), -held))


class ScatteredConv(DirectConv):
    """One convolution by oneDNN but for the gradient of its input."""

    method = "scattered"
    directions = ("data",)

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(library, operator, specs)
        self._threads = library.threads
        self._window = geometry(operator, specs)

    def bind_data(self, memory: Memory) -> list[Call]:
        weight, dy, dx = memory.inputs[1], last(memory.doutputs[0]), last(memory.dinputs[0])
        kernel_h, kernel_w, stride_h, stride_w, top, left = self._window
        filters, channels = weight.shape[:2]
        lanes = _lanes(channels * kernel_w)
        vectors = -(-channels * kernel_w // lanes)
        rows, more, fewer = in_groups(kernel_h, max(1, HELD // vectors))
        held = _together(
            dy.shape[2], stride_w * channels, lanes * vectors, HELD // (rows * vectors)
        )
        # what windows see, and all of the image
        height = max((dy.shape[1] - 1) * stride_h + kernel_h, top + dx.shape[1])
        width = max((dy.shape[2] - 1) * stride_w + kernel_w, left + dx.shape[2])
        room = (
            np.zeros((kernel_h, filters, vectors * lanes), "float32"),
            np.empty((self._threads, height * width * channels + vectors * lanes), "float32"),
        )
        call = partial(
            _scatter, weight, dy, dx.reshape(*dx.shape[:2], -1), self._window, width * channels,
            room, (0,) * rows, more, (0,) * (rows - 1), fewer, (0,) * held, (0,) * vectors,
            (0,) * (lanes // EIGHT), self._threads,
        )  # fmt: skip
        return [call]


@intrinsic
def _add_taps(
    typing: Any, dy: Any, dy_step: Any, filters: Any, weights: Any, weights_step: Any, target: Any,
    line: Any, target_step: Any, rows: Any, positions: Any, vectors: Any, eights: Any,
) -> Any:  # fmt: skip
    """``target[position, row] += sum over filters of dy[position, filter] * weights[row, filter]``.

    Args:
        dy: address of the gradients at the first position.
        dy_step: bytes to those at the next.
        filters: how many there are.
        weights: address of ``(rows, filters, vectors)``.
        weights_step: bytes from one row to the next.
        target: address of what the first position sees.
        line: bytes of a row of it.
        target_step: bytes to what the next position sees.
        rows: a tuple with one entry for each row of the kernel.
        positions: a tuple with one entry for each position.
        vectors: a tuple with one entry for each vector of taps.
        eights: a tuple with one entry for each eight entries of a vector.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, step, number, weights_at, weights_row, target_at, pitch, beside = arguments[:8]
        word = at.type
        v = Vectors(builder, EIGHT * eights.count)
        nbytes = 4 * EIGHT * eights.count

        def times(value: Any, count: int) -> Any:
            return builder.mul(value, ir.Constant(word, count))

        places = [
            (row, i, [cgutils.alloca_once(builder, v.type) for _ in range(positions.count)])
            for row in range(rows.count)
            for i in range(vectors.count)
        ]
        for *_, totals in places:
            for total in totals:
                builder.store(v.constant(0.0), total)
        starts = [builder.add(at, times(step, i)) for i in range(positions.count)]
        lines = [builder.add(weights_at, times(weights_row, row)) for row in range(rows.count)]
        with cgutils.for_range(builder, number) as loop:
            gradients = [
                v.spread(v.scalar(builder.add(start, times(loop.index, 4)))) for start in starts
            ]
            for row, i, totals in places:
                spot = builder.add(lines[row], times(loop.index, nbytes * vectors.count))
                weight = v.load(builder.add(spot, ir.Constant(word, nbytes * i)))
                for gradient, total in zip(gradients, totals, strict=True):
                    builder.store(v.multiply_add(weight, gradient, builder.load(total)), total)
        for position in range(positions.count):
            seen = builder.add(target_at, times(beside, position))
            for row, i, totals in places:
                spot = builder.add(seen, times(pitch, row))
                spot = builder.add(spot, ir.Constant(word, nbytes * i))
                v.store(builder.fadd(v.load(spot), builder.load(totals[position])), spot)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 8, rows, positions, vectors, eights), generate


@njit(parallel=True, **OPTIONS)
def _scatter(
    weight, dy, dx, shape, line, room, rows, more, less_rows, fewer, held, vectors, eights,
    threads,
):  # fmt: skip
    kernel_h, kernel_w, stride_h, stride_w, top, left = shape
    packed, images = room
    filters, channels = weight.shape[:2]
    batch, down, across = dy.shape[:3]
    # neighbours share entries: reading one just after another wrote it would have to wait
    apart = across // len(held)
    for p in range(kernel_h):
        for f in range(filters):
            for q in range(kernel_w):
                for c in range(channels):
                    packed[p, f, q * channels + c] = weight[f, c, p, q]
    weights_at, weights_step = packed.ctypes.data, 4 * filters * packed.shape[2]
    dy_step, step = 4 * filters, 4 * stride_w * channels
    for thread in prange(threads):
        image = images[thread]
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            image[:] = 0
            for i in range(down):
                source = dy[n, i].ctypes.data
                target = image.ctypes.data + 4 * i * stride_h * line
                row = 0
                for group in range(more + fewer):
                    factors = weights_at + row * weights_step
                    to = target + 4 * row * line
                    for j in range(apart):
                        if group < more:
                            _add_taps(
                                source + j * dy_step, apart * dy_step, filters, factors,
                                weights_step, to + j * step, 4 * line, apart * step, rows, held,
                                vectors, eights,
                            )  # fmt: skip
                        else:
                            _add_taps(
                                source + j * dy_step, apart * dy_step, filters, factors,
                                weights_step, to + j * step, 4 * line, apart * step, less_rows,
                                held, vectors, eights,
                            )  # fmt: skip
                    for j in range(apart * len(held), across):
                        if group < more:
                            _add_taps(
                                source + j * dy_step, dy_step, filters, factors, weights_step,
                                to + j * step, 4 * line, step, rows, (0,), vectors, eights,
                            )  # fmt: skip
                        else:
                            _add_taps(
                                source + j * dy_step, dy_step, filters, factors, weights_step,
                                to + j * step, 4 * line, step, less_rows, (0,), vectors, eights,
                            )  # fmt: skip
                    row += len(rows) if group < more else len(less_rows)
            for row in range(dx.shape[1]):
                start = (row + top) * line + left * channels
                dx[n, row, :] = image[start : start + dx.shape[2]]
