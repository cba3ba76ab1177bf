"""A real card in tests: whether there is one, and its backend with transfers counted."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphnet.backends import BackendError, CupyBackend, get_backend
from graphnet.backends.strict import Transfers
from graphnet.kernels.cuda import device
from ops.arrays import Array

__all__ = ["CARD", "CountingCupy", "OnCard", "cupy_works"]

#: The device of the kernels where there is a card, made when a test first asks for it.
CARD = device.get_device


@functools.cache
def cupy_works() -> bool:
    """Whether networks can run on a card here."""
    try:
        CupyBackend()
    except BackendError:
        return False
    return True


class CountingCupy(CupyBackend):
    """The backend of the card; ``transfers`` counts what crosses over by its methods."""

    def __init__(self) -> None:
        super().__init__()
        self.transfers = Transfers()

    def from_host(self, host: np.ndarray) -> Array:
        self.transfers.to_device += 1
        return super().from_host(host)

    def to_host(self, array: Any) -> np.ndarray:
        self.transfers.to_host += 1
        return super().to_host(array)


class OnCard:
    """A kernel of the card that takes and gives NumPy arrays."""

    def __init__(self, kernel):
        self._kernel, self._backend, self.terms = kernel, get_backend("cupy"), kernel.terms

    def forward(self, *arrays):
        results, saved = self._kernel.forward(*map(self._over, arrays))
        return self._back(results), saved

    def backward(self, saved, dy, needs):
        there = tuple(map(self._over, dy)) if isinstance(dy, tuple) else self._over(dy)
        return self._back(self._kernel.backward(saved, there, needs))

    def _over(self, array):
        return None if array is None else self._backend.from_host(array)

    def _back(self, found):
        if isinstance(found, tuple):
            return tuple(map(self._back, found))
        return None if found is None else self._backend.to_host(found)
