"""The matrix products of Winograd's convolution, 36 in one call of oneDNN, and their memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphnet.kernels.compiled import tiles
from graphnet.kernels.onednn import library as onednn
from graphnet.kernels.onednn.library import Library

__all__ = ["CHUNK", "PAGE", "SKEW", "Products", "Shape", "aligned", "paged", "plane"]

#: Bytes of transformed tiles that a chunk aims at, so that it stays in a core's cache.
CHUNK = 2 << 20

#: Bytes between the planes of transformed tiles, beyond a multiple of a page: without it all 36
#: would compete for the same lines of the cache.
SKEW = 64
PAGE = 4096


@dataclass(frozen=True)
class Shape:
    """A convolution with stride 1 and padding 1: ``(N, H, W, C)`` to ``(N, H, W, F)``."""

    batch: int
    height: int
    width: int
    channels: int
    filters: int

    @property
    def rows(self) -> int:
        """Rows of tiles over all images."""
        return self.batch * ((self.height + 3) // 4)

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return (self.width + 3) // 4

    @property
    def count(self) -> int:
        """Tiles over all images."""
        return self.rows * self.across


class Products:
    """36 matrix products in one call, for each thread on memory of its own.

    Args:
        a, b, result: rows, columns, and the strides of planes, rows and columns in entries.
        add: whether the products are added to what the result holds.
    """

    def __init__(
        self,
        library: Library,
        a: tuple[int, ...],
        b: tuple[int, ...],
        result: tuple[int, ...],
        add: bool,
        threads: int,
    ) -> None:
        self._library = library
        self._threads = threads
        self._described = [
            library.descriptor((tiles.POINTS, rows, columns), tuple(strides))
            for rows, columns, *strides in (a, b, result)
        ]
        outer = library.threads
        library.set_threads(1)  # each thread executes by itself
        try:
            attributes = library.attributes(add=add, user_scratchpad=True)
            self._plan = library.plan(
                "matmul", *self._described[:2], None, self._described[2], attributes
            )
            self._room = library.wanted(self._plan, onednn.SCRATCHPAD)
            self.scratchpad = library.nbytes(self._room)
            self._primitive = library.primitive(self._plan)
        finally:
            library.set_threads(outer)

    def bind(self, addresses: list[tuple[int, ...]]) -> Bound:
        """Fix the addresses of a, b, the result and the scratchpad of each thread."""
        kinds = (onednn.SRC, onednn.WEIGHTS, onednn.DST, onednn.SCRATCHPAD)
        described = dict(zip(kinds, (*self._described, self._room), strict=True))
        return Bound(
            self._library,
            self._primitive,
            [
                onednn.Primitive(self._library, self._plan, described, self._primitive, own)
                for own in addresses
            ],
        )


class Bound:
    """Matrix products with the addresses they work on."""

    def __init__(self, library: Library, handle: Any, threads: list[onednn.Primitive]) -> None:
        self._threads = threads
        arguments = np.array([p.address for p in threads], dtype=np.int64)
        #: What compiled code needs to execute them.
        self.call = (
            library.execute_address, handle.value, library.stream.value, len(threads[0]), arguments
        )  # fmt: skip


def plane(size: int) -> int:
    """Bytes from one of the 36 planes to the next, where each takes ``size``."""
    return size + SKEW if size % PAGE == 0 else size


def paged(size: int) -> int:
    """So many bytes in whole pages."""
    return -(-size // PAGE) * PAGE


def aligned(address: int) -> int:
    """The next address at which a line of the cache begins."""
    return -(-address // 64) * 64
