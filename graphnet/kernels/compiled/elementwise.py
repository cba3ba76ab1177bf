"""The entries of arrays in the order of their memory, and the sum of two arrays."""

from __future__ import annotations

from functools import partial
from typing import Any

from numba import njit, prange

from graphnet.kernels.compiled.rows import FAST
from graphnet.kernels.placed import Call, last

__all__ = ["add_to", "flat"]


def add_to(total: Any, more: Any, threads: int) -> Call:
    """``total += more``; both have the same memory layout."""
    return partial(_add, flat(total), flat(more), flat(total), threads)


def flat(x: Any) -> Any:
    """The entries of an array in the order of its memory."""
    if x.flags.c_contiguous:
        return x.reshape(-1)
    return last(x).reshape(-1)


@njit(**FAST)
def _add(a, b, total, threads):
    for thread in prange(threads):
        begin, end = a.size * thread // threads, a.size * (thread + 1) // threads
        left, right, both = a[begin:end], b[begin:end], total[begin:end]
        for i in range(left.size):
            both[i] = left[i] + right[i]
