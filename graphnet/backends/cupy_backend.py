"""The backend on an NVIDIA GPU: CuPy arrays; CuPy is imported when a backend is made."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np

from graphnet.backends.base import Backend, BackendError, CaptureError
from ops.arrays import Array

__all__ = ["CupyBackend", "import_cupy"]

_INSTALL = (
    'pip install "cupy-cuda12x[ctk]" (CUDA 12) or "cupy-cuda13x[ctk]" (CUDA 13); from a checkout '
    "of graphnet the extra cuda12 or cuda13 brings cuDNN as well: pip install -e '.[cuda12]'"
)
#: The first version whose names and limits the operators keep to.
_OLDEST = 14
#: Distributions that install a package ``cupy``; two of them overwrite each other's files.
_WHEELS = (
    "cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "cupy-rocm-5-0", "cupy-rocm-7-0",
)  # fmt: skip


class CupyBackend(Backend):
    """Arrays in the memory of the current CUDA device.

    Raises:
        BackendError: CuPy, the CUDA driver, a GPU or the CUDA libraries are missing, or do not
            go together.
    """

    name: ClassVar[str] = "cupy"
    providers: ClassVar[tuple[str, ...]] = ("cudnn", "cuda", "reference")
    captures: ClassVar[bool] = True

    def __init__(self) -> None:
        self.xp = import_cupy()
        _check_device(self.xp)
        self._device = int(self.xp.cuda.runtime.getDevice())

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

    def misplaced(self, array: Any) -> str:
        """Where an array lies, if that is another GPU than the one of this backend."""
        if array.device.id == self._device:
            return ""
        return (
            f"lies on GPU {array.device.id} and the network on GPU {self._device}; bring it over "
            f"with cupy.asarray(array) under cupy.cuda.Device({self._device})"
        )

    def release(self) -> int:
        """Empty CuPy's pool of memory; the bytes of the GPU that are free then."""
        self.xp.get_default_memory_pool().free_all_blocks()
        return int(self.xp.cuda.runtime.memGetInfo()[0])

    def capture(self, run: Callable[[], object]) -> Callable[[], object]:
        """A CUDA graph of what ``run`` enqueues, as a call that launches it."""
        cuda = self.xp.cuda
        stream = cuda.Stream(non_blocking=True)
        # what CuPy's pool gives during the capture is given out again after it
        with stream, cuda.using_allocator(_refuse):
            stream.begin_capture(cuda.runtime.streamCaptureModeThreadLocal)
            try:
                run()
            except Exception as error:
                with contextlib.suppress(RuntimeError):  # the capture is lost, and that is all
                    stream.end_capture()
                if isinstance(error, CaptureError):
                    raise
                refused = CaptureError(f"{type(error).__name__}: {error}")
                for note in getattr(error, "__notes__", ()):
                    refused.add_note(note)
                raise refused from error
            launch: Callable[[], object] = stream.end_capture().launch
            return launch

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
    if len(wheels := _wheels()) > 1:
        names = " ".join(wheels)
        raise BackendError(
            f"{len(wheels)} distributions of CuPy are installed, which overwrite each other: "
            f"pip uninstall {names}, then {_INSTALL}"
        )
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise BackendError(f"CuPy is installed but lacks a module: {error}") from error
        raise BackendError(f"CuPy is not installed: {_INSTALL}") from None
    except ImportError as error:
        raise BackendError(f"CuPy is installed but does not load: {error}") from error
    return cupy


@functools.cache
def _wheels() -> tuple[str, ...]:
    """The distributions of CuPy that are installed."""
    from importlib import metadata  # takes longer than all else here

    found = []
    for name in _WHEELS:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(name)
    return tuple(found)


def _refuse(nbytes: int) -> NoReturn:
    raise CaptureError(f"{nbytes:,} bytes of CuPy's pool are asked for while a step is captured")


def _check_device(cupy: Any) -> None:
    found = f"CuPy {cupy.__version__} is installed"
    runtime = cupy.cuda.runtime
    if int(cupy.__version__.partition(".")[0]) < _OLDEST:
        raise BackendError(f"{found}, but {_OLDEST} or newer is needed: {_INSTALL}")
    if runtime.is_hip:
        raise BackendError(f"{found}, but built for AMD's ROCm, not for CUDA: {_INSTALL}")
    driver, built = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if not driver:  # CUDA's own error speaks of one that is too old
        raise BackendError(f"{found}, but no NVIDIA driver: install one (nvidia-smi shows it)")
    if driver // 1000 < built // 1000:
        raise BackendError(
            f"{found} for CUDA {_version(built)}, but the NVIDIA driver is for CUDA "
            f"{_version(driver)} at most: update the driver, or {_INSTALL}"
        )
    try:
        count = runtime.getDeviceCount()
    except RuntimeError as error:
        raise BackendError(f"{found}, but the NVIDIA driver finds no GPU ({error})") from error
    if count == 0:
        raise BackendError(f"{found} and the NVIDIA driver answers, but there is no GPU")
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
