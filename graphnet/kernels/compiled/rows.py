"""What is done to arrays that are rows of channels, ``(rows, C)``, in one pass over memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.vector import OPTIONS
from graphnet.kernels.placed import Call

__all__ = ["FAST", "as_rows", "finished", "masked", "row_sums"]

#: Sums may be reordered; NaN and infinity stay what they are.
FAST = {"parallel": True, "fastmath": {"contract", "reassoc", "nsz"}, **OPTIONS}

#: Entries that are taken by way of a thread's own memory.
ROOM = 1024
#: Rows that are summed in float32 before the sum joins one in float64.
BLOCK = 64


def as_rows(last: Any) -> Any:
    """A contiguous array ``(N, *spatial, C)`` as rows of channels.

    >>> as_rows(np.zeros((2, 3, 4, 5))).shape
    (24, 5)
    """
    return last.reshape(-1, last.shape[-1])


def finished(y: Any, added: Any, threads: int) -> Call:
    """``y = max(y + added, 0)`` in place; ``added`` is None for nothing."""
    if added is None:
        return partial(_rectify, y.reshape(-1), threads)
    return partial(_add_and_rectify, y.reshape(-1), added.reshape(-1), threads)


def masked(y: Any, dy: Any, through: Any, threads: int) -> Call:
    """``through = dy`` where ``y`` is above 0, else 0: the gradient of ReLU from its result."""
    return partial(_mask, y.reshape(-1), dy.reshape(-1), through.reshape(-1), threads)


def row_sums(rows: Any, sums: Any, threads: int) -> Call:
    """``sums (C,)``: the sums of the columns of ``rows``."""
    return partial(_sum, rows, np.empty((threads, rows.shape[1])), sums, threads)


# Each thread works on slices: numba then knows that no index is negative, and uses vectors.


@njit(**FAST)
def _rectify(y, threads):
    for thread in prange(threads):
        begin, end = y.size * thread // threads, y.size * (thread + 1) // threads
        part = y[begin:end]
        for i in range(part.size):
            part[i] = np.float32(0) if part[i] < 0 else part[i]


@njit(**FAST)
def _add_and_rectify(y, added, threads):
    for thread in prange(threads):
        begin, end = y.size * thread // threads, y.size * (thread + 1) // threads
        part, more = y[begin:end], added[begin:end]
        for i in range(part.size):
            total = part[i] + more[i]
            part[i] = np.float32(0) if total < 0 else total


@njit(**FAST)
def _mask(y, dy, through, threads):
    for thread in prange(threads):
        begin, end = y.size * thread // threads, y.size * (thread + 1) // threads
        room = np.empty(ROOM, np.float32)
        for start in range(begin, end, ROOM):
            stop = min(end, start + ROOM)
            result, arriving, passed = y[start:stop], dy[start:stop], through[start:stop]
            # by way of room of its own: through may lie where dy does
            for i in range(result.size):
                room[i] = arriving[i] if result[i] > 0 else np.float32(0)
            for i in range(result.size):
                passed[i] = room[i]


@njit(**FAST)
def _sum(rows, parts, sums, threads):
    count, channels = rows.shape
    for thread in prange(threads):
        begin, end = count * thread // threads, count * (thread + 1) // threads
        part = parts[thread]
        part[:] = 0.0
        total = np.empty(channels, np.float32)
        for start in range(begin, end, BLOCK):
            total[:] = 0
            for row in range(start, min(end, start + BLOCK)):
                for c in range(channels):
                    total[c] += rows[row, c]
            for c in range(channels):
                part[c] += total[c]
    for c in range(channels):
        whole = 0.0
        for thread in range(threads):
            whole += parts[thread, c]
        sums[c] = whole
