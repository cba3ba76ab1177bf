"""Kernels that numba compiles for the machine they run on, for float32 NumPy arrays.

The first use of a kernel compiles it, which takes some seconds; the result is kept on disk.
"""

from graphnet.kernels.compiled.provider import (
    added,
    find_advance,
    prepare,
    rearranged,
    status,
)

__all__ = ["added", "find_advance", "prepare", "rearranged", "status"]
