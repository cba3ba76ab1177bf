"""The card that kernels are compiled for: sources of CUDA C in, functions to launch out."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from graphnet.backends import BackendError
from graphnet.backends.cupy_backend import import_cupy
from graphnet.kernels.cuda.products import Products
from graphnet.kernels.placed import Call

__all__ = [
    "LINE",
    "OPTIONS",
    "WARP",
    "Device",
    "Launch",
    "get_device",
    "grid_of",
    "source",
    "status",
    "walked",
]

#: Threads of a block that is a line; as in ``common.cuh``.
LINE = 256
#: Threads of a warp.
WARP = 32
#: Options of the compiler: what is rounded is rounded as the reference does, but for sums of
#: products, which round once.
OPTIONS = ("--std=c++17",)
#: Blocks for each processor of the card in a grid that walks over its work.
BLOCKS = 8

#: ``launch(grid, block, arguments)``
Launch = Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]


class Device(Protocol):
    """What kernels ask of a card.

    Attributes:
        xp: the array library.
        processors: how many multiprocessors it has.
        products: products of matrices on it.
    """

    xp: Any
    processors: int

    @property
    def products(self) -> Products:
        """Products of matrices on the device."""
        ...

    @property
    def stream(self) -> int:
        """The stream on which work is enqueued at the moment, as CUDA's libraries take it."""
        ...

    def address(self, array: Any) -> int:
        """Where an array begins in the memory of the device."""
        ...

    def function(self, source: str, name: str, options: tuple[str, ...] = ()) -> Launch:
        """A kernel of a source, compiled; arguments are arrays, int, float and None."""
        ...


class _Card:
    """The current CUDA device, by CuPy."""

    def __init__(self) -> None:
        self.xp = import_cupy()
        properties = self.xp.cuda.runtime.getDeviceProperties(self.xp.cuda.runtime.getDevice())
        self.processors = int(properties["multiProcessorCount"])
        self._modules: dict[tuple[str, tuple[str, ...]], Any] = {}

    def function(self, source: str, name: str, options: tuple[str, ...] = ()) -> Launch:
        """A kernel of a source, compiled by NVRTC when it is first asked for."""
        key = (source, options)
        if key not in self._modules:
            self._modules[key] = self.xp.RawModule(code=source, options=(*OPTIONS, *options))
        kernel = self._modules[key].get_function(name)

        def launch(
            grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]
        ) -> None:
            # a null pointer is eight bytes of zero, and a bool to be as wide as any integer
            plain = (int(a or 0) if a is None or isinstance(a, bool) else a for a in arguments)
            kernel(grid, block, tuple(plain))

        return launch

    @functools.cached_property
    def products(self) -> Products:
        """Products of matrices, by a handle of cuBLAS that is made when it is first asked for."""
        return Products(self)

    @property
    def stream(self) -> int:
        """CuPy's current stream."""
        return int(self.xp.cuda.get_current_stream().ptr)

    def address(self, array: Any) -> int:
        """Where an array begins in the memory of the device."""
        return int(array.data.ptr)

    def cublas(self) -> Any:
        """The library that CuPy uses."""
        self.xp.cuda.get_cublas_handle()  # loads it, wherever it lies
        version = self.xp.cuda.runtime.runtimeGetVersion() // 1000
        windows = sys.platform == "win32"
        return ctypes.CDLL(f"cublas64_{version}.dll" if windows else f"libcublas.so.{version}")


@functools.cache
def get_device() -> Device:
    """The current CUDA device.

    Raises:
        BackendError: CuPy is not installed.
    """
    return _Card()


@functools.cache
def source(*names: str) -> str:
    """The text of sources of this package, after what all have in common."""
    from importlib import resources  # takes longer than all else here

    folder = resources.files("graphnet.kernels.cuda")
    texts = (folder.joinpath(n).read_text(encoding="utf-8") for n in ("common.cuh", *names))
    return "\n".join(texts)


def grid_of(device: Device, size: int) -> tuple[int]:
    """A line of blocks for as many entries, of which a thread may do several."""
    return (max(1, min(-(-size // LINE), BLOCKS * device.processors)),)


def walked(
    device: Device, text: str, name: str, options: tuple[str, ...], size: int, *arguments: Any
) -> Call:
    """A kernel of a source bound to its arguments, whose line of threads walks over entries.

    Args:
        device: that it is compiled for.
        text: the source.
        name: of the kernel.
        options: of the compiler.
        size: how many entries there are.
        arguments: arrays, int, float and None.
    """
    return partial(device.function(text, name, options), grid_of(device, size), (LINE,), arguments)


def status() -> tuple[bool, str]:
    """Whether kernels can be compiled here, and by what."""
    try:
        cupy = import_cupy()
    except BackendError as error:
        return False, str(error)
    return True, f"CuPy {cupy.__version__}"
