"""Convolution to few positions, such as a deep layer's for one image at inference.

There the kernels are most of what is read, so each thread reads those of its own filters, once,
in the order in which they are kept.  What each position sees is copied to a row of its own
first; then the sums of all positions, for 16 filters, stay in registers while the taps go by.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.taps import sum_taps
from graphnet.kernels.compiled.vector import BYTES, ENTRIES, OPTIONS, WIDTH, in_groups
from graphnet.kernels.onednn.convolution import DirectConv
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, Memory, last
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["FewPositionsConv", "has_few_positions"]

#: The most positions of all images that count as few.
POSITIONS = 16
#: Positions whose sums stay in registers.
TOGETHER = 16 if ENTRIES == WIDTH else 6


def has_few_positions(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a convolution is served here."""
    x = specs[0]
    if x is None or x.rank != 4 or operator.groups != 1 or operator.filters % WIDTH:
        return False
    (batch,) = known(x.shape[0])
    return batch * math.prod(operator.windows(x).out) <= POSITIONS


class FewPositionsConv(DirectConv):
    """One convolution, by oneDNN but for the forward direction."""

    method = "few positions"
    directions = ("forward",)

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(library, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        windows = operator.windows(x)
        (top, _), (left, _) = windows.padding
        self._window = (*windows.kernel, *windows.stride, *windows.dilation, top, left)
        batch, channels = known(*x.shape[:2])
        self._threads = min(library.threads, operator.filters // WIDTH)
        self._taps = math.prod(windows.kernel) * channels
        self._positions = batch * math.prod(windows.out)
        # a vector more, so that rows do not compete for the same lines of the cache, and one
        # row more, so that no line holds what two threads write
        self._patches = (self._threads, self._positions + 1, self._taps + WIDTH)
        self.terms = replace(
            self.terms,
            packed=4 * self._taps * operator.filters,
            forward_space=4 * math.prod(self._patches),
        )

    def bind_packed(self, memory: Memory) -> Call:
        weight = memory.inputs[1]
        channels, *kernel = weight.shape[1:]
        target = self._weights_in(memory).reshape(-1, *kernel, channels, WIDTH)
        source = weight.reshape(-1, WIDTH, channels, *kernel).transpose(0, 3, 4, 2, 1)
        return partial(np.copyto, target, source)

    def bind_forward(self, memory: Memory) -> Call:
        return self._bind(memory, -np.inf, None)

    def bind_finished(self, memory: Memory, added: Any) -> Call:
        return self._bind(memory, 0.0, added)

    def _weights_in(self, memory: Memory) -> Any:
        return memory.packed.view("float32").reshape(-1, self._taps, WIDTH)

    def _bind(self, memory: Memory, low: float, added: Any) -> Call:
        """What computes ``max(Conv(x) + added, low)``."""
        x, _, bias = (*memory.inputs, None)[:3]
        x, y = last(x), last(memory.outputs[0])
        patches = memory.space[: 4 * math.prod(self._patches)].view("float32")
        positions, more, fewer = in_groups(self._positions, TOGETHER)
        return partial(
            _convolve, x, self._weights_in(memory),
            np.zeros(y.shape[3], "float32") if bias is None else bias, y,
            np.float32(low), y if added is None else last(added), self._window,
            patches.reshape(self._patches), (0,) * positions, more, (0,) * (positions - 1), fewer,
            self._threads,
        )  # fmt: skip


@njit(parallel=True, **OPTIONS)
def _convolve(
    x, weights, bias, y, low, added, window, patches, positions, more, less_positions, fewer,
    threads,
):  # fmt: skip
    kernel_h, kernel_w, stride_h, stride_w, apart_h, apart_w, top, left = window
    batch, height, width, channels = x.shape
    out_h, out_w, filters = y.shape[1:]
    blocks, taps = weights.shape[:2]
    row_bytes, pixel, panel = 4 * patches.shape[2], 4 * filters, BYTES * taps
    weights_at, bias_at, y_at = weights.ctypes.data, bias.ctypes.data, y.ctypes.data
    beside = added.ctypes.data - y_at  # 0 where nothing is added
    for thread in prange(threads):
        own = patches[thread]
        own_at = own.ctypes.data
        for number in range(batch * out_h * out_w):
            n, i, j = number // (out_h * out_w), number // out_w % out_h, number % out_w
            tap = 0
            for p in range(kernel_h):
                for q in range(kernel_w):
                    row = i * stride_h + p * apart_h - top
                    column = j * stride_w + q * apart_w - left
                    if 0 <= row < height and 0 <= column < width:
                        own[number, tap : tap + channels] = x[n, row, column]
                    else:
                        own[number, tap : tap + channels] = 0
                    tap += channels
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            shift, number = BYTES * block, 0
            for group in range(more + fewer):
                source, target = own_at + number * row_bytes, y_at + number * pixel + shift
                rest = target + beside if beside else 0
                if group < more:
                    sum_taps(
                        source, 0, row_bytes, 1, taps, weights_at + block * panel, BYTES,
                        bias_at + shift, target, pixel, low, rest, positions, (0,),
                    )  # fmt: skip
                    number += len(positions)
                else:
                    sum_taps(
                        source, 0, row_bytes, 1, taps, weights_at + block * panel, BYTES,
                        bias_at + shift, target, pixel, low, rest, less_positions, (0,),
                    )  # fmt: skip
                    number += len(less_positions)
