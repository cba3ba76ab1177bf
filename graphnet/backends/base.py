"""What a backend is: an array library, the two transfers, and an order of kernel providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ops.arrays import Array

__all__ = ["Backend", "BackendError", "CaptureError"]


class BackendError(RuntimeError):
    """A backend cannot work on this machine; the message says what is missing."""


class CaptureError(RuntimeError):
    """Work that cannot be captured, to be replayed later; the message says what it was."""


class Backend(ABC):
    """Base of all backends.

    Attributes:
        name: the name by which users ask for the backend.
        providers: the names of its kernel providers; the first that serves a node computes it.
        xp: the array library, with NumPy's names.
        captures: whether work can be captured and replayed.
    """

    name: ClassVar[str]
    providers: ClassVar[tuple[str, ...]] = ("reference",)
    captures: ClassVar[bool] = False
    xp: Any

    @abstractmethod
    def from_host(self, host: np.ndarray) -> Array:
        """A new array of this backend with the values, shape and dtype of ``host``.

        It never shares memory with ``host``, whatever the backend; its strides are the library's.
        """

    @abstractmethod
    def to_host(self, array: Array) -> np.ndarray:
        """A new NumPy array with the values of an array of this backend.

        Raises:
            TypeError: ``array`` belongs to another library.
        """

    @abstractmethod
    def owns(self, obj: object) -> bool:
        """Whether ``obj`` is an array of this backend."""

    def misplaced(self, array: Any) -> str:
        """Where an array of this library lies, if that is not where the backend computes."""
        return ""

    def release(self) -> int | None:
        """Give back the memory that nobody uses; how many bytes are free then, if one can tell."""
        return None

    def capture(self, run: Callable[[], object]) -> Callable[[], object]:
        """What ``run`` enqueues, not yet done, as a call that does it on the current stream.

        ``run`` may write to memory that is there, and nothing else: it gets no memory, moves
        nothing to or from the host, waits for nothing, and stays on its stream.

        Raises:
            CaptureError: it did something else.
        """
        raise CaptureError(f"{self.name!r} computes at once, and keeps nothing to be replayed")

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all work handed to the device is done."""

    @abstractmethod
    def describe(self) -> str:
        """One line on libraries, versions and devices."""
