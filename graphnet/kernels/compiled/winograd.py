"""Convolution with 3x3 kernels by Winograd's F(4x4, 3x3), in all three directions.

Rows of tiles are taken in chunks that stay in the cache: each thread transforms a chunk,
multiplies it with the transformed kernels (36 matrix products in one call of oneDNN's matmul)
and transforms the products back, before it takes the next.  A few tiles are multiplied without
oneDNN (:mod:`winograd_few`).  The gradient of the input is the convolution of ``dy`` with the
kernels turned by 180 degrees.  That of the kernels sums, over all tiles, the products of
transformed inputs and transformed gradients; each thread sums its own, or all sum together where
the kernels are many (:mod:`winograd_shared`).

Beside float64 the result is off by about 1e-5 of its largest entry, where the direct sum is off
by 1e-6: the transforms' factors of up to 8 magnify rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled import tiles
from graphnet.kernels.compiled.vector import BYTES, OPTIONS, WIDTH, call_execute, zero
from graphnet.kernels.compiled.winograd_few import few_tiles
from graphnet.kernels.compiled.winograd_products import (
    CHUNK,
    PAGE,
    SKEW,
    Products,
    Shape,
    aligned,
    paged,
    plane,
)
from graphnet.kernels.compiled.winograd_shared import SharedSums
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, in_turn

__all__ = ["Winograd"]

#: Bytes of transformed kernels from which on all threads add to the same sums of their gradients.
LARGE = 8 << 20
#: Vectors of room that the transforms of kernels need.
ROOM = 54


class Winograd:
    """One convolution, prepared for its shape and a number of threads.

    What it is asked to do it binds to addresses and gives back as something to call.

    Args:
        library: for the matrix products.
        shape: of the convolution; channels and filters are multiples of 16.
        threads: how many work at once.
    """

    def __init__(self, library: Library, shape: Shape, threads: int) -> None:
        self.shape = shape
        self._library = library
        self._threads = min(threads, shape.rows)
        self._kernel_plane = 4 * shape.channels * shape.filters + SKEW
        self._directions: dict[str, _Direction] = {}
        self._few = {
            "forward": few_tiles(shape, shape.channels, shape.filters, self._kernel_plane, threads),
            "data": few_tiles(shape, shape.filters, shape.channels, self._kernel_plane, threads),
        }

    @property
    def kernels(self) -> int:
        """Bytes of the transformed kernels."""
        return PAGE + paged(tiles.POINTS * self._kernel_plane)

    def space(self, name: str) -> int:
        """Bytes of temporary memory of a direction: ``"forward"``, ``"data"``, ``"kernels"``."""
        if name == "kernels" and self._shared is not None:
            return PAGE + self._shared.nbytes
        if few := self._few.get(name):
            return PAGE + few.nbytes
        return PAGE + self._direction(name).own * self._threads

    def spread(self, weight: Any, kernels: int, *, flipped: bool = False) -> Call:
        """Transform the kernels.

        Args:
            weight: ``(F, C, 3, 3)``.
            kernels: address of :attr:`kernels` bytes, overwritten.
            flipped: for the gradient of the input.
        """
        room = np.empty((self._threads, ROOM, WIDTH), "float32")
        few = self._few["data" if flipped else "forward"]
        block = few.block if few else weight.shape[1 if flipped else 0]
        return partial(
            _spread_kernels, weight, flipped, aligned(kernels), self._kernel_plane, block, room,
            self._threads,
        )  # fmt: skip

    def forward(
        self, x: Any, kernels: int, y: Any, space: int, bias: Any, low: float, added: Any = None
    ) -> Call:
        """``y = max(conv(x, weight) + bias + added, low)`` on channels-last memory.

        Args:
            x: ``(N, H, W, C)``.
            kernels: address of what :meth:`spread` wrote.
            y: ``(N, H, W, F)``, overwritten.
            space: address of temporary memory.
            bias: ``(F,)``.
            low: the least number that is written, ``-inf`` for any.
            added: an array like ``y``, or None.
        """
        return self._convolve("forward", x, kernels, y, space, bias, low, added)

    def backward_data(self, dy: Any, kernels: int, dx: Any, space: int, *, adds: bool) -> Call:
        """The gradient ``dx (N, H, W, C)`` of the input from ``dy (N, H, W, F)``.

        ``kernels`` were transformed with ``flipped``; ``adds`` is whether the gradient is added
        to what ``dx`` holds.
        """
        zeros = np.zeros(self.shape.channels, "float32")
        added = dx if adds else None
        return self._convolve("data", dy, kernels, dx, space, zeros, -np.inf, added)

    def backward_weights(self, x: Any, dy: Any, dweight: Any, space: int) -> Call:
        """The gradient ``dweight (F, C, 3, 3)`` of the kernels."""
        if self._shared is not None:
            return self._sum_together(self._shared, x, dy, dweight, aligned(space))
        d, shape, threads = self._direction("kernels"), self.shape, self._threads
        start = aligned(space)
        products = d.products.bind(
            [
                (at, at + d.second, at + d.sums, at + d.scratchpad)
                for at in (start + thread * d.own for thread in range(threads))
            ]
        )
        room = np.empty((threads, ROOM, WIDTH), "float32")
        first = partial(
            _sum_tiles,
            x.ctypes.data, dy.ctypes.data, shape.height, shape.width, shape.channels,
            shape.filters, shape.rows, d.chunk, threads, start, d.own, d.inputs, d.outputs,
            d.second, d.lines, d.sums, paged(tiles.POINTS * self._kernel_plane), *products.call,
        )  # fmt: skip
        second = partial(
            _sum_kernels, start + d.sums, self._kernel_plane, threads, d.own, dweight, room, threads
        )
        return in_turn(first, second, holds=products)

    def _sum_together(self, shared: SharedSums, x: Any, dy: Any, dweight: Any, start: int) -> Call:
        room = np.empty((self._threads, ROOM, WIDTH), "float32")
        first = shared.bind(x, dy, self.shape.height, self.shape.width, start)
        second = partial(
            _sum_kernels, start + shared.sums, self._kernel_plane, 1, 0, dweight, room,
            self._threads,
        )  # fmt: skip
        return in_turn(first, second)

    @cached_property
    def _shared(self) -> SharedSums | None:
        """The sums that all threads add to; None where each has its own."""
        shape, threads = self.shape, self._threads
        if threads == 1 or self.kernels < LARGE or shape.channels % threads:
            return None
        return SharedSums(
            self._library, shape.rows, shape.across, shape.channels, shape.filters,
            self._kernel_plane, self._most("kernels"), threads,
        )  # fmt: skip

    def _convolve(
        self, name: str, x: Any, kernels: int, y: Any, space: int, bias: Any, low: float, added: Any
    ) -> Call:
        if few := self._few[name]:
            return few.bind(x, aligned(kernels), y, aligned(space), bias, low, added)
        d, shape, threads = self._direction(name), self.shape, self._threads
        channels, filters = shape.channels, shape.filters
        if name == "data":
            channels, filters = filters, channels
        start = aligned(space)
        products = d.products.bind(
            [
                (at, aligned(kernels), at + d.second, at + d.scratchpad)
                for at in (start + thread * d.own for thread in range(threads))
            ]
        )
        call = partial(
            _multiply_tiles,
            x.ctypes.data, y.ctypes.data, shape.height, shape.width, channels, filters,
            bias.ctypes.data, np.float32(low), 0 if added is None else added.ctypes.data,
            shape.rows, d.chunk, threads, start, d.own, d.inputs, d.outputs, d.second, d.lines,
            *products.call,
        )  # fmt: skip
        return in_turn(call, holds=(products, bias))

    def _direction(self, name: str) -> _Direction:
        if name not in self._directions:
            self._directions[name] = self._prepare(name)
        return self._directions[name]

    def _prepare(self, name: str) -> _Direction:
        c, f, across = self.shape.channels, self.shape.filters, self.shape.across
        rows = self._most(name)
        # as many chunks for every thread, as equal as can be
        rounds = -(-self.shape.rows // (rows * self._threads))
        chunk = -(-self.shape.rows // (rounds * self._threads))
        t = chunk * across
        if name == "data":
            c, f = f, c
        inputs, outputs = plane(4 * c * t), plane(4 * f * t)
        pc, pf, pk = inputs // 4, outputs // 4, self._kernel_plane // 4
        if name == "kernels":
            # (C, tiles) (tiles, F) = (C, F)
            factors = (c, t, pc, 1, c), (t, f, pf, f, 1), (c, f, pk, f, 1)
        else:
            # (tiles, C) (C, F) = (tiles, F)
            factors = (t, c, pc, c, 1), (c, f, pk, f, 1), (t, f, pf, f, 1)
        products = Products(self._library, *factors, name == "kernels", self._threads)
        second = tiles.POINTS * inputs
        lines = second + tiles.POINTS * outputs
        scratchpad = paged(lines + BYTES * (6 * (4 * across + 2) + 28))
        sums = scratchpad + paged(products.scratchpad)
        room = paged(tiles.POINTS * self._kernel_plane)
        own = sums + (room if name == "kernels" else 0)
        return _Direction(products, chunk, inputs, outputs, second, lines, scratchpad, sums, own)

    def _most(self, name: str) -> int:
        """Rows of tiles that a thread takes at once."""
        shape = self.shape
        # the sums over tiles read and write as much as all kernels have, for every chunk
        aim = max(CHUNK, self.kernels // 2) if name == "kernels" else CHUNK
        wider = max(shape.channels, shape.filters)
        return max(1, aim // (4 * tiles.POINTS * wider * shape.across))


@dataclass(frozen=True)
class _Direction:
    """One of the three directions: its matrix products, and where each thread has what.

    A thread's own memory begins with the transformed inputs; the other fields but ``chunk``,
    ``inputs`` and ``outputs`` are bytes from there.

    Attributes:
        chunk: rows of tiles at once.
        inputs, outputs: bytes from one of the 36 planes to the next.
        second: the products or, for the kernels' gradient, the transformed gradients.
        lines: room for the transforms.
        scratchpad: that of oneDNN.
        sums: the gradient of the transformed kernels.
        own: the end.
    """

    products: Products
    chunk: int
    inputs: int
    outputs: int
    second: int
    lines: int
    scratchpad: int
    sums: int
    own: int


@njit(parallel=True, **OPTIONS)
def _multiply_tiles(
    x, y, height, width, channels, filters, bias, low, added, rows, chunk, threads, first, own,
    inputs, outputs, second, lines, execute, primitive, stream, count, arguments,
):  # fmt: skip
    for thread in prange(threads):
        base = first + thread * own
        begin = rows * thread // threads
        end = rows * (thread + 1) // threads
        for row in range(begin, end, chunk):
            last = min(end, row + chunk)
            tiles.gather_inputs(x, height, width, channels, row, last, base, inputs, base + lines)
            call_execute(execute, primitive, stream, count, arguments[thread])
            tiles.scatter_outputs(
                base + second, outputs, filters, y, height, width, filters, bias, low, added, row,
                last, base + lines,
            )  # fmt: skip


@njit(parallel=True, **OPTIONS)
def _sum_tiles(
    x, dy, height, width, channels, filters, rows, chunk, threads, first, own, inputs, outputs,
    second, lines, sums, sums_size, execute, primitive, stream, count, arguments,
):  # fmt: skip
    across = (width + 3) // 4
    for thread in prange(threads):
        base = first + thread * own
        begin = rows * thread // threads
        end = rows * (thread + 1) // threads
        for at in range(0, sums_size, BYTES):
            zero(base + sums + at)
        for row in range(begin, end, chunk):
            last = min(end, row + chunk)
            tiles.gather_inputs(x, height, width, channels, row, last, base, inputs, base + lines)
            tiles.gather_gradients(
                dy, height, width, filters, row, last, base + second, outputs, base + lines
            )
            # the tiles that a short chunk lacks are summed as zeros
            tiles.clear(base, inputs, channels, (last - row) * across, chunk * across)
            tiles.clear(base + second, outputs, filters, (last - row) * across, chunk * across)
            call_execute(execute, primitive, stream, count, arguments[thread])


@njit(parallel=True, **OPTIONS)
def _spread_kernels(weight, flipped, points, plane, block, space, threads):
    columns, rows = weight.shape[:2] if not flipped else weight.shape[1::-1]
    for thread in prange(threads):
        begin = rows * thread // threads
        end = rows * (thread + 1) // threads
        tiles.spread_kernels(
            weight, flipped, points, plane, block, 0, columns, begin, end, space[thread]
        )


@njit(parallel=True, **OPTIONS)
def _sum_kernels(points, plane, parts, distance, dweight, space, threads):
    channels = dweight.shape[1]
    for thread in prange(threads):
        begin = channels * thread // threads
        end = channels * (thread + 1) // threads
        tiles.sum_kernels(points, plane, parts, distance, dweight, begin, end, space[thread])
