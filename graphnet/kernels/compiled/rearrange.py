"""Copies between arrays whose memory is laid out differently, by all threads."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.rows import FAST
from graphnet.kernels.compiled.vector import WIDTH, transform
from graphnet.kernels.placed import Call

__all__ = ["rearranged"]


def rearranged(source: Any, target: Any, threads: int) -> Call:
    """``target[...] = source`` for arrays of one shape, each in rows or channels-last."""
    batch, channels = source.shape[:2]
    from_rows = source.flags.c_contiguous
    if source.dtype != np.float32 or from_rows == target.flags.c_contiguous:
        return partial(np.copyto, target, source)
    # between (N, C, positions) and (N, positions, C)
    turned = [
        array.reshape(batch, channels, -1)
        if array.flags.c_contiguous
        else np.moveaxis(array, 1, -1).reshape(batch, -1, channels)
        for array in (source, target)
    ]
    return partial(_turn, *turned, threads)


#: Entries of a row that are turned before the next row's.
SPAN = 256

#: Writes 16 vectors, turned.
_block = transform(WIDTH, lambda vectors, rows: vectors.transposed(rows))


@njit(**FAST)
def _turn(source, target, threads):
    batch, rows, columns = source.shape
    from_row, to_row = 4 * columns, 4 * rows
    high, wide = rows - rows % WIDTH, columns - columns % WIDTH
    bands = (rows + WIDTH - 1) // WIDTH
    for thread in prange(threads):
        for item in range(
            batch * bands * thread // threads, batch * bands * (thread + 1) // threads
        ):
            n, top = item // bands, item % bands * WIDTH
            if top < high:
                begin, end = source[n].ctypes.data, target[n].ctypes.data
                for left in range(0, wide, WIDTH):
                    _block(
                        begin + top * from_row + 4 * left, from_row,
                        end + left * to_row + 4 * top, to_row,
                    )  # fmt: skip
            # what fills no block: one row after the other, so far that the cache holds them all
            for left in range(wide if top < high else 0, columns, SPAN):
                part = target[n, left : left + SPAN]
                for row in range(top, min(rows, top + WIDTH)):
                    line = source[n, row, left : left + SPAN]
                    for column in range(line.size):
                        part[column, row] = line[column]
