"""What a program does to arrays beside calling kernels: memory, copies and sums.

There is one set of tools for the memory of the host, and one for arrays on a device, which is
any array library with CuPy's names.
"""

from __future__ import annotations

import mmap
import sys
from functools import partial
from typing import Any, Protocol

import numpy as np

from graphnet.backends.base import Backend
from graphnet.kernels.compiled import added, rearranged
from graphnet.kernels.placed import Call

__all__ = ["HOST", "DeviceTools", "HostTools", "Tools"]

#: Bytes from which several threads share a copy.
LARGE = 1 << 16


class Tools(Protocol):
    """See :class:`HostTools` for the meaning of each."""

    xp: Any

    def new_block(self, nbytes: int) -> Any:
        """Bytes without values."""
        ...

    def copied(self, source: Any, target: Any) -> Call:
        """``target[...] = source``, however they lie, to be called."""
        ...

    def added(self, source: Any, target: Any) -> Call:
        """``target += source``, however they lie, to be called."""
        ...

    def feed(self, source: Any, target: Any) -> None:
        """Copy what is fed, an array of the host or the backend, to its place."""
        ...

    def owned(self, source: Any) -> Any:
        """What is fed as an array of the backend, itself if it is one."""
        ...

    def may_share(self, array: Any, block: Any) -> bool:
        """Whether an array may lie in a block."""
        ...

    def synchronize(self) -> None:
        """Wait until all that was called is done."""
        ...


class HostTools:
    """Tools for NumPy arrays; they finish before they return."""

    xp: Any = np

    def new_block(self, nbytes: int) -> Any:
        """Bytes that the system provides as they are touched, in large pages where it has them."""
        if sys.platform == "win32" or not nbytes:
            return np.empty(nbytes, "uint8")
        memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(memory, "uint8")

    def copied(self, source: Any, target: Any) -> Call:
        """``target[...] = source``, however they lie, to be called."""
        return rearranged(source, target)

    def added(self, source: Any, target: Any) -> Call:
        """``target += source``, however they lie, to be called."""
        if source.strides == target.strides:
            return added(source, target)
        return partial(_add, source, target, np)

    def feed(self, source: Any, target: Any) -> None:
        """Copy what is fed to its place."""
        if source.nbytes > LARGE and source.flags.c_contiguous:
            rearranged(source, target)()
        else:
            np.copyto(target, source)

    def owned(self, source: Any) -> Any:
        """What is fed: NumPy's arrays are those of the host."""
        return source

    def may_share(self, array: Any, block: Any) -> bool:
        """Whether an array may lie in a block."""
        return bool(np.may_share_memory(array, block))

    def synchronize(self) -> None:
        """Nothing to wait for."""


HOST = HostTools()


class DeviceTools:
    """Tools for arrays of a library that only enqueues work.

    Args:
        backend: that owns the arrays.
    """

    def __init__(self, backend: Backend) -> None:
        self.xp = backend.xp
        self._backend = backend

    def new_block(self, nbytes: int) -> Any:
        """Bytes of the library's own memory."""
        return self.xp.empty(nbytes, dtype="uint8")

    def copied(self, source: Any, target: Any) -> Call:
        """``target[...] = source``, however they lie, to be called."""
        return partial(_copy, source, target)

    def added(self, source: Any, target: Any) -> Call:
        """``target += source``, however they lie, to be called."""
        return partial(_add, source, target, self.xp)

    def feed(self, source: Any, target: Any) -> None:
        """Copy what is fed to its place; an array of the host is moved over first."""
        target[...] = self.owned(source)

    def owned(self, source: Any) -> Any:
        """What is fed as an array of the library, itself if it is one."""
        return source if self._backend.owns(source) else self._backend.from_host(source)

    def may_share(self, array: Any, block: Any) -> bool:
        """Whether an array may lie in a block."""
        return bool(self.xp.may_share_memory(array, block))

    def synchronize(self) -> None:
        """Wait until the device has done all that was enqueued."""
        self._backend.synchronize()


def _copy(source: Any, target: Any) -> None:
    target[...] = source


def _add(source: Any, target: Any, xp: Any) -> None:
    xp.add(target, source, out=target)
