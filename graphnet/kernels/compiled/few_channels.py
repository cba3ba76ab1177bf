"""Convolution of few input channels, such as a first layer.

Matrix products are inefficient there, as each sums over few channels.  Here the sums of some
positions of a row, for 16 filters to a vector, stay in registers while the taps go by: each entry
of the input is multiplied with all filters at once.  A tap is a row and a column of the kernel
and a channel; those of a row lie side by side in channels-last memory.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.narrow import geometry, is_narrow
from graphnet.kernels.compiled.taps import sum_taps
from graphnet.kernels.compiled.vector import BYTES, ENTRIES, OPTIONS, REGISTERS, WIDTH, in_groups
from graphnet.kernels.onednn.convolution import DirectConv
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, Memory, last
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["FewChannelsConv", "has_few_channels"]

#: Vectors of filters whose sums are computed together, at most.
TOGETHER = 4 if ENTRIES == WIDTH else 1


def has_few_channels(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a convolution is served here."""
    return is_narrow(operator, specs) and operator.filters % WIDTH == 0


class FewChannelsConv(DirectConv):
    """One convolution, by oneDNN but for the forward direction."""

    method = "few channels"
    directions = ("forward",)

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(library, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self._threads = library.threads
        self._window = geometry(operator, specs)
        (self._channels,) = known(x.shape[1])
        down, across = self._window[:2]
        self._taps = (down * across * self._channels, operator.filters)
        self.terms = replace(self.terms, packed=4 * self._taps[0] * self._taps[1])

    def bind_packed(self, memory: Memory) -> Call:
        weight = memory.inputs[1]
        target = self._weights_in(memory).reshape(*weight.shape[2:], *weight.shape[1::-1])
        return partial(np.copyto, target, weight.transpose(2, 3, 1, 0))

    def bind_forward(self, memory: Memory) -> Call:
        return self._bind(memory, -np.inf, None)

    def bind_finished(self, memory: Memory, added: Any) -> Call:
        return self._bind(memory, 0.0, added)

    def _weights_in(self, memory: Memory) -> Any:
        return memory.packed.view("float32").reshape(self._taps)

    def _bind(self, memory: Memory, low: float, added: Any) -> Call:
        """What computes ``max(Conv(x) + added, low)``."""
        x, _, bias = (*memory.inputs, None)[:3]
        x, y = last(x), last(memory.outputs[0])
        across, stride_w, filters = self._window[1], self._window[3], y.shape[3]
        vectors = max(v for v in (1, 2, 4) if v <= TOGETHER and filters % (v * WIDTH) == 0)
        # beside the sums there are the weights of a tap and one entry
        most = (REGISTERS - 1) * ENTRIES // (vectors * WIDTH) - 1
        positions, more, fewer = in_groups(y.shape[2], most)
        seen = ((y.shape[2] - 1) * stride_w + across) * self._channels
        rows = np.zeros((self._threads, x.shape[1] + 1, seen), "float32")
        bias = np.zeros(filters, "float32") if bias is None else bias
        return partial(
            _convolve, x.reshape(*x.shape[:2], -1), self._weights_in(memory), bias, y,
            np.float32(low), y if added is None else last(added), self._window, self._channels,
            rows, (0,) * positions, more, (0,) * (positions - 1), fewer, (0,) * vectors,
            self._threads,
        )  # fmt: skip


@njit(parallel=True, **OPTIONS)
def _convolve(
    x, weights, bias, y, low, added, window, channels, rows, positions, more, less_positions, fewer,
    vectors, threads,
):  # fmt: skip
    kernel_h, kernel_w, stride_h, stride_w, top, left = window
    taps = kernel_w * channels
    batch, height, width = x.shape
    out_h, out_w, filters = y.shape[1:]
    step, pitch, part_bytes = 4 * stride_w * channels, 4 * filters, BYTES * len(vectors)
    line = 4 * rows.shape[2]
    begin = min(left * channels, rows.shape[2])
    within = min(width, rows.shape[2] - begin)
    weights_at, bias_at, y_at = weights.ctypes.data, bias.ctypes.data, y.ctypes.data
    beside = added.ctypes.data - y_at  # 0 where nothing is added
    for thread in prange(threads):
        own = rows[thread]
        own_at = own.ctypes.data
        first, after = batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads
        n, copied = -1, 0
        for number in range(first, after):
            i = number % out_h
            if number // out_h != n:
                n, copied = number // out_h, max(0, i * stride_h - top)
            seen = i * stride_h - top
            for row in range(copied, min(height, seen + kernel_h)):
                own[row, begin : begin + within] = x[n, row, :within]
            copied = max(copied, min(height, seen + kernel_h))
            skipped = max(0, -seen)
            inside = max(0, min(kernel_h, height - seen) - skipped)
            source = own_at + (seen + skipped) * line
            factors = weights_at + skipped * taps * pitch
            for part in range(0, pitch, part_bytes):
                to, position = y_at + number * out_w * pitch + part, 0
                for group in range(more + fewer):
                    seen_at = source + position * step
                    target = to + position * pitch
                    rest = target + beside if beside else 0
                    if group < more:
                        sum_taps(
                            seen_at, line, step, inside, taps, factors + part, pitch,
                            bias_at + part, target, pitch, low, rest, positions, vectors,
                        )  # fmt: skip
                        position += len(positions)
                    else:
                        sum_taps(
                            seen_at, line, step, inside, taps, factors + part, pitch,
                            bias_at + part, target, pitch, low, rest, less_positions, vectors,
                        )  # fmt: skip
                        position += len(less_positions)
