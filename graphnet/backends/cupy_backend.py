"""The backend on an NVIDIA GPU: CuPy arrays; CuPy is imported when a backend is made."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphnet.backends.base import Backend, BackendError
from ops.arrays import Array

__all__ = ["CupyBackend", "import_cupy"]

_INSTALL = 'pip install "cupy-cuda12x[ctk]" (CUDA 12) or "cupy-cuda13x[ctk]" (CUDA 13)'


class CupyBackend(Backend):
    """Arrays in the memory of the current CUDA device.

    Raises:
        BackendError: CuPy, the CUDA driver, a GPU or the CUDA libraries are missing.
    """

    name: ClassVar[str] = "cupy"
    providers: ClassVar[tuple[str, ...]] = ("cuda", "reference")

    def __init__(self) -> None:
        self.xp = import_cupy()
        _check_device(self.xp)

    def from_host(self, host: np.ndarray) -> Array:
        """A copy of ``host`` on the device."""
        if not isinstance(host, np.ndarray | np.generic):
            raise TypeError(f"expected a NumPy array, received {type(host).__name__}")
        return self.xp.array(host)

    def to_host(self, array: Array) -> np.ndarray:
        """A copy of ``array`` on the host; waits for the work that computes it."""
        if not self.owns(array):
            raise TypeError(f"expected a CuPy array, received {type(array).__name__}")
        host: np.ndarray = array.get()
        return host

    def owns(self, obj: object) -> bool:
        """Whether ``obj`` is a CuPy array."""
        return isinstance(obj, self.xp.ndarray)

    def synchronize(self) -> None:
        """Wait for all streams of the current device."""
        self.xp.cuda.Device().synchronize()

    def describe(self) -> str:
        """The device, its memory, and the versions of CuPy, CUDA and the driver."""
        runtime = self.xp.cuda.runtime
        device = runtime.getDeviceProperties(runtime.getDevice())
        name = device["name"].decode()
        memory = device["totalGlobalMem"] / 2**30
        return (
            f"{name} ({memory:.0f} GiB), CuPy {self.xp.__version__}, "
            f"CUDA {_version(runtime.runtimeGetVersion())}, "
            f"driver for CUDA {_version(runtime.driverGetVersion())}"
        )


def import_cupy() -> Any:
    """The module ``cupy``.

    Raises:
        BackendError: it is not installed, or does not load; the message says what to do.
    """
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise BackendError(f"CuPy is installed but lacks a module: {error}") from error
        raise BackendError(f"CuPy is not installed: {_INSTALL}") from None
    except ImportError as error:
        raise BackendError(f"CuPy is installed but does not load: {error}") from error
    return cupy


def _check_device(cupy: Any) -> None:
    found = f"CuPy {cupy.__version__} is installed"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        # without a driver CUDA reports one that is too old, so the two cannot be told apart
        raise BackendError(
            f"{found}, but no CUDA driver or GPU answers ({error}): "
            "install or update the NVIDIA driver"
        ) from error
    if count == 0:
        raise BackendError(f"{found} and the CUDA driver answers, but there is no GPU")
    try:
        cupy.arange(2).sum().get()
    except Exception as error:  # whatever a missing or mismatched CUDA library makes CuPy raise
        raise BackendError(
            f"{found} and sees a GPU, but cannot compute on it ({error}): {_INSTALL}, "
            "for the CUDA version of the driver"
        ) from error


def _version(number: int) -> str:
    """CUDA's own numbering, 12090, as people write it: 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"
