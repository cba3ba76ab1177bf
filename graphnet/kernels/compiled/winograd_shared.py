"""Winograd's gradient of large kernels: all threads add to the same sums.

A deep layer has many kernels and few tiles.  Sums of its own for every thread would be most of the
memory of a training step, and adding them up most of the time.  So the threads transform the tiles
of a chunk together, and then each multiplies them for some of the input's channels.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled import tiles
from graphnet.kernels.compiled.vector import BYTES, OPTIONS, call_execute, zero
from graphnet.kernels.compiled.winograd_products import Products, paged, plane
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, in_turn

__all__ = ["SharedSums"]


class SharedSums:
    """The sums over all tiles of one convolution.

    Args:
        library: for the matrix products.
        rows: of tiles, over all images.
        across: tiles in a row.
        channels: of the input; a multiple of the threads.
        filters: of the result.
        kernel_plane: bytes from one of the 36 planes of the sums to the next.
        most: rows of tiles that a thread takes at once.
        threads: how many work at once.

    Attributes:
        nbytes: of temporary memory.
        sums: where the sums lie in it, in bytes from its aligned start.
    """

    def __init__(
        self,
        library: Library,
        rows: int,
        across: int,
        channels: int,
        filters: int,
        kernel_plane: int,
        most: int,
        threads: int,
    ) -> None:
        rounds = -(-rows // (most * threads))
        self._rows, self._chunk, self._threads = rows, -(-rows // rounds), threads
        self._channels, self._filters = channels, filters
        t, part = self._chunk * across, channels // threads
        self._inputs, self._outputs = plane(4 * channels * t), plane(4 * filters * t)
        pc, pf, pk = self._inputs // 4, self._outputs // 4, kernel_plane // 4
        # (C / threads, tiles) (tiles, F) = (C / threads, F)
        self._products = Products(
            library, (part, t, pc, 1, channels), (t, filters, pf, filters, 1),
            (part, filters, pk, filters, 1), True, threads,
        )  # fmt: skip
        self._second = tiles.POINTS * self._inputs
        self._lines = paged(self._second + tiles.POINTS * self._outputs)
        self._scratchpad = paged(BYTES * (6 * (4 * across + 2) + 28))
        self._own = self._scratchpad + paged(self._products.scratchpad)
        self.sums = self._lines + self._own * threads
        self._size = paged(tiles.POINTS * kernel_plane)
        self.nbytes = self.sums + self._size

    def bind(self, x: Any, dy: Any, height: int, width: int, start: int) -> Call:
        """What leaves the sums in the temporary memory whose aligned address is ``start``."""
        part = 4 * self._channels // self._threads
        products = self._products.bind(
            [
                (
                    start + thread * part,
                    start + self._second,
                    start + self.sums + thread * part * self._filters,
                    start + self._lines + thread * self._own + self._scratchpad,
                )
                for thread in range(self._threads)
            ]
        )
        call = partial(
            _sum_tiles_together,
            x.ctypes.data, dy.ctypes.data, height, width, self._channels, self._filters,
            self._rows, self._chunk, self._threads, start, self._inputs, self._outputs,
            self._second, self._lines, self._own, self.sums, self._size, *products.call,
        )  # fmt: skip
        return in_turn(call, holds=(products, np.asarray(x), np.asarray(dy)))


# loops that fuse would let a thread multiply before the others have transformed their tiles
@njit(parallel={"fusion": False}, **OPTIONS)
def _sum_tiles_together(
    x, dy, height, width, channels, filters, rows, chunk, threads, base, inputs, outputs, second,
    lines, own, sums, sums_size, execute, primitive, stream, count, arguments,
):  # fmt: skip
    across = (width + 3) // 4
    for thread in prange(threads):
        vectors = sums_size // BYTES
        for vector in range(vectors * thread // threads, vectors * (thread + 1) // threads):
            zero(base + sums + vector * BYTES)
    for row in range(0, rows, chunk):
        last = min(rows, row + chunk)
        for thread in prange(threads):
            begin = row + (last - row) * thread // threads
            end = row + (last - row) * (thread + 1) // threads
            room = base + lines + thread * own
            before = 4 * (begin - row) * across
            tiles.gather_inputs(
                x, height, width, channels, begin, end, base + before * channels, inputs, room
            )
            tiles.gather_gradients(
                dy, height, width, filters, begin, end, base + second + before * filters, outputs,
                room,
            )  # fmt: skip
            # the tiles that a short chunk lacks are summed as zeros
            if thread == 0:
                tiles.clear(base, inputs, channels, (last - row) * across, chunk * across)
                tiles.clear(base + second, outputs, filters, (last - row) * across, chunk * across)
        for thread in prange(threads):
            call_execute(execute, primitive, stream, count, arguments[thread])
