"""Backends: which library holds the arrays, and who computes on them."""

from __future__ import annotations

from graphnet.backends.base import Backend, BackendError, CaptureError
from graphnet.backends.cupy_backend import CupyBackend
from graphnet.backends.numpy_backend import NumpyBackend
from graphnet.backends.strict import StrictBackend

__all__ = [
    "BACKENDS", "Backend", "BackendError", "CaptureError", "CupyBackend", "get_backend", "status",
]  # fmt: skip

#: Every backend by its name.
BACKENDS: dict[str, type[Backend]] = {
    backend.name: backend for backend in (NumpyBackend, CupyBackend, StrictBackend)
}


def get_backend(name: str) -> Backend:
    """A new backend of this name.

    Args:
        name: a key of :data:`BACKENDS`: ``"numpy"``, ``"cupy"`` or ``"strict"``.

    Raises:
        ValueError: there is no such backend.
        BackendError: it cannot work here; the message says what is missing and how to get it.

    >>> get_backend("numpy").name
    'numpy'
    """
    if name not in BACKENDS:
        known = ", ".join(map(repr, BACKENDS))
        raise ValueError(f"expected a backend of {known}, received {name!r}")
    return BACKENDS[name]()


def status() -> list[tuple[str, bool, str]]:
    """Of every backend its name, whether it works here, and its devices or what is missing.

    >>> [(name, works) for name, works, text in status() if name != "cupy"]
    [('numpy', True), ('strict', True)]
    """
    rows = []
    for name in BACKENDS:
        try:
            rows.append((name, True, get_backend(name).describe()))
        except BackendError as error:
            rows.append((name, False, str(error)))
    return rows
