"""cuDNN through its frontend: whether it works here, and its handle on a device.

The package is ``nvidia-cudnn-frontend``, imported as ``cudnn``, which finds cuDNN itself among the
installed packages or on the library path.  Where one of them is missing or does not load,
:func:`find_library` warns once and gives None, and the next provider serves.

Source: the cuDNN frontend's documentation, https://docs.nvidia.com/deeplearning/cudnn/frontend.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from graphnet.backends import BackendError
from graphnet.kernels.cuda.device import Device, get_device

__all__ = ["CudnnError", "Library", "find_library"]

#: cuDNN's own number of the first version whose graphs are asked for: 9.0.0.
OLDEST = 90000
_INSTALL = "pip install nvidia-cudnn-cu12 nvidia-cudnn-frontend (cu13 for CUDA 13)"


class CudnnError(RuntimeError):
    """cuDNN cannot be used, or refuses a graph; the message says why."""


class Library:
    """The frontend, with a handle of cuDNN for one device.

    Args:
        frontend: the module ``cudnn``.
        device: whose arrays are meant.
        name: of the device.
        synchronize: waits until the device has done all that was enqueued.

    Raises:
        CudnnError: the module is no frontend, or cuDNN is too old.
    """

    def __init__(
        self, frontend: Any, device: Device, name: str, synchronize: Callable[[], None]
    ) -> None:
        if not hasattr(frontend, "pygraph"):
            raise CudnnError(f"the module cudnn is not NVIDIA's frontend: {_INSTALL}")
        number = int(frontend.backend_version())
        self.version = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
        if number < OLDEST:
            raise CudnnError(f"expected cuDNN 9 or newer, received {self.version}: {_INSTALL}")
        self.frontend, self.device = frontend, device
        self.name, self.synchronize = name, synchronize
        self.handle: int = frontend.create_handle()
        self._stream: int | None = None
        #: What refuses a graph.
        self.refusals = (frontend.cudnnGraphNotSupportedError, RuntimeError, ValueError)

    @property
    def summary(self) -> str:
        """The versions of both."""
        return f"cuDNN {self.version}, frontend {self.frontend.__version__}"

    def follow(self) -> None:
        """Let what is executed next go to the current stream."""
        stream = self.device.stream
        if stream != self._stream:
            self.frontend.set_stream(handle=self.handle, stream=stream)
            self._stream = stream


@functools.cache
def find_library() -> Library | None:
    """The library, made once; None, with a warning that says why, where it cannot be used.

    Without CuPy there is nothing to compute on, which is not worth a warning.
    """
    try:
        found = get_device()
        name, synchronize = _describe(found.xp)
    except (BackendError, RuntimeError):  # no CuPy, or no card: the backend says so itself
        return None
    try:
        return Library(load_frontend(), found, name, synchronize)
    except Exception as error:  # whatever a broken installation raises
        problem = (
            str(error) if isinstance(error, CudnnError) else f"{type(error).__name__}: {error}"
        )
        warnings.warn(
            f"cuDNN cannot be used, slower kernels serve instead: {problem}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _describe(cupy: Any) -> tuple[str, Callable[[], None]]:
    """The name of the current card, and what waits for it."""
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return properties["name"].decode(), cupy.cuda.Device().synchronize


def load_frontend() -> Any:
    """The module ``cudnn``.

    Raises:
        CudnnError: it is not installed.
    """
    try:
        import cudnn
    except ModuleNotFoundError as error:
        if error.name != "cudnn":
            raise
        raise CudnnError(f"nvidia-cudnn-frontend is not installed: {_INSTALL}") from None
    return cudnn
