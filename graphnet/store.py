"""Named arrays side by side in one stretch of memory per dtype."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ops.operator import Spec, known

__all__ = ["Store"]

#: Bytes at whose multiples each array begins: a line of the cache, and a vector register.
ALIGNMENT = 64


class Store(Mapping[str, Any]):
    """Arrays by name that keep their place in memory for good.

    As a mapping it gives them out to be read and changed in place.  Of NumPy arrays it knows
    whether anybody still holds one that was given out: then their values may change at any time.

    Args:
        specs: of the arrays, in the order in which they lie.
        xp: the array library.

    Attributes:
        arrays: the arrays by name.
        flat: all arrays of a dtype as one, zero between them.

    >>> store = Store({"a": Spec((2, 3)), "b": Spec((2,))}, np)
    >>> store["a"][:] = 1
    >>> float(store.flat["float32"].sum()), store.is_held()
    (6.0, False)
    >>> kept = store["b"][:1]
    >>> store.is_held()
    True
    """

    def __init__(self, specs: Mapping[str, Spec], xp: Any) -> None:
        self._at: dict[str, tuple[str, int, int]] = {}
        sizes: dict[str, int] = {}
        for name, spec in specs.items():
            (entries,) = known(spec.elements)
            begin = sizes.get(spec.dtype, 0)
            self._at[name] = (spec.dtype, begin, begin + entries)
            step = ALIGNMENT // np.dtype(spec.dtype).itemsize
            sizes[spec.dtype] = -(-(begin + entries) // step) * step
        self._shapes = {name: known(*spec.shape) for name, spec in specs.items()}
        self.flat = {dtype: _zeros(size, dtype, xp) for dtype, size in sizes.items()}
        self.arrays = {name: self._view(self.flat, name) for name in specs}
        # NumPy arrays over the same memory whose only use is to be given out: each view of one
        # holds it, however it came about
        self._given = {
            dtype: np.frombuffer(memoryview(flat), dtype) if xp is np and flat.size else flat
            for dtype, flat in self.flat.items()
        }
        self._counts = {dtype: sys.getrefcount(flat) for dtype, flat in self._given.items()}

    def is_held(self) -> bool:
        """Whether somebody may hold an array that was given out."""
        return any(sys.getrefcount(flat) > self._counts[d] for d, flat in self._given.items())

    def begin(self, name: str) -> int:
        """Where an array begins in the flat one of its dtype."""
        return self._at[name][1]

    def __getitem__(self, name: str) -> Any:
        return self._view(self._given, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def _view(self, owner: Mapping[str, Any], name: str) -> Any:
        dtype, begin, end = self._at[name]
        return owner[dtype][begin:end].reshape(self._shapes[name])


def _zeros(size: int, dtype: str, xp: Any) -> Any:
    """Zeros that begin at a multiple of the alignment."""
    if xp is not np:
        return xp.zeros(size, dtype=dtype)
    nbytes = size * np.dtype(dtype).itemsize
    room = np.zeros(nbytes + ALIGNMENT, "uint8")
    begin = -room.ctypes.data % ALIGNMENT
    return room[begin : begin + nbytes].view(dtype)
