"""Winograd's convolution of a few tiles, such as those of one image at inference.

oneDNN arranges the second factor of a product anew, which costs more than to multiply it with a
few tiles.  Here the transformed kernels lie as they are read from the start, one vector of filters
after the other, and are multiplied with some tiles at a time, whose sums stay in registers.

Where kernels are most of what is read, each thread takes all tiles and some of the filters, so
that no two read the same kernels; else each takes some of the tiles.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled import tiles
from graphnet.kernels.compiled.taps import sum_taps
from graphnet.kernels.compiled.vector import BYTES, ENTRIES, OPTIONS, WIDTH
from graphnet.kernels.compiled.winograd_products import CHUNK, Shape, paged, plane
from graphnet.kernels.placed import Call, in_turn

__all__ = ["MANY", "SOME", "VECTORS", "FewTiles", "few_tiles", "multiply"]

#: The most tiles of all images that count as few.
TILES = 64
#: Vectors of filters that are multiplied with the same tiles, and how many of these at once.
VECTORS, MANY, SOME = (2, 8, 4) if ENTRIES == WIDTH else (1, 6, 2)


def few_tiles(
    shape: Shape, channels: int, filters: int, kernel_plane: int, threads: int
) -> FewTiles | None:
    """The convolution of a few tiles; None where there are more.

    Args:
        shape: of the convolution.
        channels: of what is convolved.
        filters: of the result.
        kernel_plane: bytes from one of the 36 planes of transformed kernels to the next.
        threads: how many work at once.
    """
    if shape.count > TILES:
        return None
    few = FewTiles(shape, channels, filters, kernel_plane, threads)
    return few if few.fits else None


class FewTiles:
    """One convolution, forward or for the gradient of its input; see :func:`few_tiles`.

    Attributes:
        block: filters whose transformed kernels lie together.
        nbytes: of temporary memory.
        fits: whether the transformed tiles stay in a core's cache.
    """

    def __init__(
        self, shape: Shape, channels: int, filters: int, kernel_plane: int, threads: int
    ) -> None:
        self._shape, self._channels, self._filters = shape, channels, filters
        self._kernel_plane = kernel_plane
        count = shape.count
        self._part = filters
        if count < filters and filters % (threads * WIDTH) == 0:
            self._part, self._threads, rows = filters // threads, threads, shape.rows
        else:
            self._threads = min(threads, shape.rows)
            rows = -(-shape.rows // self._threads)
        self._vectors = VECTORS if self._part % (VECTORS * WIDTH) == 0 else 1
        self.block = self._vectors * WIDTH
        t = rows * shape.across
        self._inputs, self._outputs = plane(4 * channels * t), plane(4 * self._part * t)
        self._second = tiles.POINTS * self._inputs
        self._lines = self._second + tiles.POINTS * self._outputs
        self.fits = self._lines <= 2 * CHUNK
        self._own = paged(self._lines + BYTES * (6 * (4 * shape.across + 2) + 28))
        self.nbytes = self._own * self._threads

    def bind(
        self, x: Any, kernels: int, y: Any, space: int, bias: Any, low: float, added: Any
    ) -> Call:
        """As :meth:`Winograd.forward`, on aligned addresses."""
        shape = self._shape
        call = partial(
            _multiply_few, x.ctypes.data, y.ctypes.data, shape.height, shape.width,
            self._channels, self._filters, self._part, kernels, self._kernel_plane,
            bias.ctypes.data, np.float32(low), 0 if added is None else added.ctypes.data,
            shape.rows, self._threads, space, self._own, self._inputs, self._outputs,
            self._second, self._lines, np.zeros(self.block, "float32"), (0,) * self._vectors,
            (0,) * MANY, (0,) * SOME,
        )  # fmt: skip
        return in_turn(call, holds=bias)


@njit(**OPTIONS)
def multiply(inputs, count, channels, kernels, outputs, result, zeros, vectors, many, some):
    """The product of tiles with the kernels of a block of filters, at one of the 36 points.

    Args:
        inputs: address of ``(count, channels)``.
        count: how many tiles there are.
        channels: of a tile.
        kernels: address of ``(channels, block)``.
        outputs: address of the first tile's product.
        result: bytes to that of the next tile.
        zeros: address of ``(block,)``.
        vectors: a tuple with one entry for each vector of a block.
        many, some: tuples with one entry for each tile that is multiplied at once.
    """
    pixel, block, least = 4 * channels, BYTES * len(vectors), np.float32(-np.inf)
    tile = 0
    while tile < count:
        at, target = inputs + tile * pixel, outputs + tile * result
        if tile + len(many) <= count:
            sum_taps(
                at, 0, pixel, 1, channels, kernels, block, zeros, target, result, least, 0, many,
                vectors,
            )  # fmt: skip
            tile += len(many)
        elif tile + len(some) <= count:
            sum_taps(
                at, 0, pixel, 1, channels, kernels, block, zeros, target, result, least, 0, some,
                vectors,
            )  # fmt: skip
            tile += len(some)
        else:
            sum_taps(
                at, 0, pixel, 1, channels, kernels, block, zeros, target, result, least, 0, (0,),
                vectors,
            )  # fmt: skip
            tile += 1


@njit(parallel=True, **OPTIONS)
def _multiply_few(
    x, y, height, width, channels, filters, part, kernels, plane, bias, low, added, rows, threads,
    first, own, inputs, outputs, second, lines, zeros, vectors, many, some,
):  # fmt: skip
    across = (width + 3) // 4
    block = BYTES * len(vectors)
    for thread in prange(threads):
        base = first + thread * own
        begin, end, shift = rows * thread // threads, rows * (thread + 1) // threads, 0
        if part < filters:
            begin, end, shift = 0, rows, 4 * part * thread
        tiles.gather_inputs(x, height, width, channels, begin, end, base, inputs, base + lines)
        for point in range(36):
            for column in range(0, 4 * part, block):
                multiply(
                    base + point * inputs, (end - begin) * across, channels,
                    kernels + point * plane + (shift + column) * channels,
                    base + second + point * outputs + column, 4 * part, zeros.ctypes.data, vectors,
                    many, some,
                )  # fmt: skip
        tiles.scatter_outputs(
            base + second, outputs, part, y + shift, height, width, filters, bias + shift, low,
            added + shift if added else 0, begin, end, base + lines,
        )  # fmt: skip
