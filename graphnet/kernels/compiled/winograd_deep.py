"""Winograd's convolution with kernels of which many are met by few tiles, as in a deep layer.

There the transformed kernels are four times what was learned, and more than all else: to write
and to read them costs more than the products.  So all threads transform the tiles together, and
then each one takes some of the filters after the other, transforms their kernels into room that
stays in its cache, multiplies them with all tiles and transforms the products back.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled import tiles
from graphnet.kernels.compiled.convolution import WinogradConv
from graphnet.kernels.compiled.vector import BYTES, OPTIONS, WIDTH
from graphnet.kernels.compiled.winograd import ROOM
from graphnet.kernels.compiled.winograd_few import MANY, SOME, VECTORS, multiply
from graphnet.kernels.compiled.winograd_products import PAGE, SKEW, Shape, aligned, paged, plane
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, Memory, in_turn, last
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["DeepWinogradConv", "is_deep"]

#: Bytes of transformed kernels from which on a layer counts as deep, and the most of tiles.
KERNELS, TILES = 4 << 20, 16 << 20


def is_deep(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a convolution that Winograd's method applies to is served here."""
    x = specs[0]
    assert x is not None, "infer saw to it"
    batch, channels, height, width = known(*x.shape)
    count = Shape(batch, height, width, channels, operator.filters).count
    every = 4 * tiles.POINTS * channels * operator.filters
    seen = 4 * tiles.POINTS * count * max(channels, operator.filters)
    return every >= KERNELS and seen <= TILES


class DeepWinogradConv(WinogradConv):
    """One convolution like :class:`WinogradConv`, which keeps no transformed kernels."""

    method = "deep winograd"
    directions = ("forward", "data")

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(library, operator, specs)
        shape = self._winograd.shape
        self._forward = _Direction(shape, shape.channels, shape.filters, self._threads)
        self._data = _Direction(shape, shape.filters, shape.channels, self._threads)
        self.data_space = self._data.nbytes
        self.terms = replace(
            self.terms,
            packed=0,
            packs=(),
            forward_space=self._forward.nbytes,
            backward_space=max(self.data_space, self.weights_space),
        )

    def _bind(self, memory: Memory, low: float, added: Any) -> Call:
        x, weight, bias = (*memory.inputs, None)[:3]
        x, y = last(x), last(memory.outputs[0])
        bias = np.zeros(y.shape[3], "float32") if bias is None else bias
        added = None if added is None else last(added)
        return self._forward.bind(x, weight, y, memory.space, bias, low, added, flipped=False)

    def bind_data(self, memory: Memory) -> list[Call]:
        dy, dx = last(memory.doutputs[0]), last(memory.dinputs[0])
        zeros = np.zeros(dx.shape[3], "float32")
        added = dx if 0 in memory.adds else None
        return [
            self._data.bind(
                dy, memory.inputs[1], dx, memory.space, zeros, -np.inf, added, flipped=True
            )
        ]


class _Direction:
    """A convolution of ``channels`` to ``filters``: the gradient of the input is one, too."""

    def __init__(self, shape: Shape, channels: int, filters: int, threads: int) -> None:
        self._shape, self._channels, self._filters = shape, channels, filters
        self._gathering = min(threads, shape.rows)
        self._vectors = VECTORS if filters % (VECTORS * WIDTH) == 0 else 1
        self._block = self._vectors * WIDTH
        self._threads = min(threads, filters // self._block)
        self._inputs = plane(4 * channels * shape.count)
        self._lines = paged(BYTES * (6 * (4 * shape.across + 2) + 28))
        self._kernels = 4 * channels * self._block + SKEW
        self._outputs = plane(4 * self._block * shape.count)
        self._shared = paged(tiles.POINTS * self._inputs)
        self._second = paged(tiles.POINTS * self._kernels)
        self._own = self._second + paged(tiles.POINTS * self._outputs) + self._lines
        every = max(self._gathering * self._lines, self._threads * self._own)
        self.nbytes = PAGE + self._shared + every

    def bind(
        self, x: Any, weight: Any, y: Any, space: Any, bias: Any, low: float, added: Any,
        *, flipped: bool,
    ) -> Call:  # fmt: skip
        shape, start = self._shape, aligned(space.ctypes.data)
        gathered = partial(
            _gather, x.ctypes.data, shape.height, shape.width, self._channels, shape.rows, start,
            self._inputs, start + self._shared, self._lines, self._gathering,
        )  # fmt: skip
        multiplied = partial(
            _multiply_deep, weight, flipped, start, self._inputs, shape.count, shape.rows,
            start + self._shared, self._own, self._kernels, self._second, self._outputs,
            self._own - self._lines, y.ctypes.data, shape.height, shape.width, self._channels,
            self._filters, bias.ctypes.data, np.float32(low),
            0 if added is None else added.ctypes.data, np.zeros(self._block, "float32"),
            np.empty((self._threads, ROOM, WIDTH), "float32"), (0,) * self._vectors,
            (0,) * MANY, (0,) * SOME, self._threads,
        )  # fmt: skip
        return in_turn(gathered, multiplied, holds=(bias,))


@njit(parallel=True, **OPTIONS)
def _gather(x, height, width, channels, rows, points, plane, space, own, threads):
    across = (width + 3) // 4
    for thread in prange(threads):
        begin, end = rows * thread // threads, rows * (thread + 1) // threads
        to = points + 4 * begin * across * channels
        tiles.gather_inputs(x, height, width, channels, begin, end, to, plane, space + thread * own)


@njit(parallel=True, **OPTIONS)
def _multiply_deep(
    weight, flipped, inputs, inputs_plane, count, rows, first, own, kernels_plane, second,
    outputs_plane, lines, y, height, width, channels, filters, bias, low, added, zeros, space,
    vectors, many, some, threads,
):  # fmt: skip
    block = WIDTH * len(vectors)
    blocks = filters // block
    for thread in prange(threads):
        base = first + thread * own
        for number in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            begin = number * block
            tiles.spread_kernels(
                weight, flipped, base, kernels_plane, block, begin, begin + block, 0, channels,
                space[thread],
            )  # fmt: skip
            for point in range(36):
                multiply(
                    inputs + point * inputs_plane, count, channels, base + point * kernels_plane,
                    base + second + point * outputs_plane, 4 * block, zeros.ctypes.data, vectors,
                    many, some,
                )  # fmt: skip
            shift = 4 * begin
            tiles.scatter_outputs(
                base + second, outputs_plane, block, y + shift, height, width, filters,
                bias + shift, low, added + shift if added else 0, 0, rows, base + lines,
            )  # fmt: skip
