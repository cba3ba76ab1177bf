"""cuDNN's frontend on the processor: graphs are recorded, held to its rules and evaluated by NumPy.

:class:`Frontend` takes the place of the module ``cudnn``, with the names and the arguments of the
real one, of which ``test_cudnn_frontend`` holds them to be true where that is installed.  Memory is
reached by the pointers alone that are given, so that what is read and written is what would be.
What it cannot show is what only cuDNN does: which engines there are, and the cost of anything.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from graphnet.backends.strict import StrictArray
from graphnet.kernels.cudnn import library
from tests.emulator import EmulatedDevice
from tests.frontend.pygraph import NotSupportedError, Pygraph, data_type

__all__ = ["Frontend", "HostCard", "install"]


class Frontend:
    """The module ``cudnn``; ``executed`` tells of every graph that ran its operations."""

    __version__ = "1.26.0"
    cudnnGraphNotSupportedError = NotSupportedError  # noqa: N815 - the frontend's name
    data_type = data_type
    heur_mode = types.SimpleNamespace(A="A", B="B", FALLBACK="FALLBACK")
    numerical_note = types.SimpleNamespace(
        TENSOR_CORE="TENSOR_CORE", DOWN_CONVERT_INPUTS="DOWN_CONVERT_INPUTS", FFT="FFT",
        NONDETERMINISTIC="NONDETERMINISTIC", WINOGRAD="WINOGRAD",
        REDUCED_PRECISION_REDUCTION="REDUCED_PRECISION_REDUCTION",
    )  # fmt: skip
    diagonal_alignment = types.SimpleNamespace(TOP_LEFT="TOP_LEFT", BOTTOM_RIGHT="BOTTOM_RIGHT")

    def __init__(self, version: int = 92800) -> None:
        self._version = version
        self.executed: list[str] = []
        self.built: list[str] = []
        self.stream: int | None = None
        #: Whether a graph is refused, by its operations.
        self.refuses: Any = lambda operations: False

    def backend_version(self) -> int:
        return self._version

    def create_handle(self) -> int:
        return 77

    def set_stream(self, handle: int, stream: int) -> None:
        assert handle == 77
        self.stream = stream

    def pygraph(self, **given: Any) -> Pygraph:
        return Pygraph(self, **given)


class HostCard:
    """Arrays of the host or of the strict backend; everything is done when it returns."""

    name = "emulated"

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.current = 5

    def address(self, array: Any) -> int:
        data = array._data if isinstance(array, StrictArray) else array
        address: int = data.ctypes.data
        return address

    def stream(self) -> int:
        return self.current

    def synchronize(self) -> None:
        pass


def install(monkeypatch: Any, emulated: EmulatedDevice, folder: Any, xp: Any = None) -> Frontend:
    """Let cuDNN be there, on the emulated card; what it measures is kept in the folder."""
    from graphnet.kernels.cudnn import choice
    from graphnet.kernels.kept import VARIABLE

    monkeypatch.setenv(VARIABLE, str(folder))
    choice.KEPT.forget()
    frontend = Frontend()
    found = library.Library(frontend, HostCard(xp or emulated.xp))
    monkeypatch.setattr(library, "find_library", lambda: found)
    return frontend


def memory_at(address: int, dtype: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """The array at an address, with strides in entries."""
    import ctypes

    itemsize = np.dtype(dtype).itemsize
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    raw = np.frombuffer((ctypes.c_char * (span * itemsize)).from_address(address), dtype)
    steps = tuple(s * itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(raw, shape, steps)
