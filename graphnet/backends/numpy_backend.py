"""The backend on the processor: NumPy arrays, and the BLAS that NumPy was built with."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from graphnet.backends.base import Backend
from ops.arrays import Array

__all__ = ["NumpyBackend"]


class NumpyBackend(Backend):
    """Arrays in the memory of the host.

    >>> import numpy as np
    >>> backend, host = NumpyBackend(), np.ones(3)
    >>> np.shares_memory(backend.from_host(host), host)
    False
    """

    name: ClassVar[str] = "numpy"
    providers: ClassVar[tuple[str, ...]] = ("compiled", "onednn", "reference")
    xp: Any = np

    def from_host(self, host: np.ndarray) -> Array:
        """A copy of ``host``."""
        return np.array(host)

    def to_host(self, array: Array) -> np.ndarray:
        """A copy of ``array``; a NumPy scalar, such as a sum, becomes an array of no axes."""
        if not isinstance(array, np.ndarray | np.generic):
            raise TypeError(f"expected a NumPy array, received {type(array).__name__}")
        return np.array(array)

    def owns(self, obj: object) -> bool:
        """Whether ``obj`` is a NumPy array."""
        return isinstance(obj, np.ndarray)

    def synchronize(self) -> None:
        """Nothing: NumPy has finished when it returns."""

    def describe(self) -> str:
        """The versions of NumPy and of its BLAS, and the most threads that it uses."""
        config: Any = np.show_config(mode="dicts")
        blas = config.get("Build Dependencies", {}).get("blas", {})
        library = f"{blas.get('name', 'unknown BLAS')} {blas.get('version', '')}".strip()
        threads = re.search(r"MAX_THREADS=(\d+)", blas.get("openblas configuration", ""))
        limit = f" (built for up to {threads[1]} threads)" if threads else ""
        return f"NumPy {np.__version__}, {library}{limit}"
