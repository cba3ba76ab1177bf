"""A real card in tests: whether there is one, and its backend with transfers counted."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphnet.backends import BackendError, CupyBackend
from graphnet.backends.strict import Transfers
from ops.arrays import Array

__all__ = ["CountingCupy", "cupy_works"]


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
