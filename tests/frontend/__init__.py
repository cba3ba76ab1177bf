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

from graphnet.kernels.cudnn import choice, library
from graphnet.kernels.kept import VARIABLE
from tests.emulator import EmulatedDevice
from tests.frontend.pygraph import NotSupportedError, Pygraph, data_type

__all__ = ["Frontend", "install", "memory_at"]


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

    def __init__(self, device: EmulatedDevice | None = None, version: int = 92800) -> None:
        self.device = device
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


def install(monkeypatch: Any, emulated: EmulatedDevice, folder: Any) -> Frontend:
    """Let cuDNN be there, on the emulated card; what it measures is kept in the folder."""
    monkeypatch.setenv(VARIABLE, str(folder))
    choice.KEPT.forget()
    frontend = Frontend(emulated)
    found = library.Library(frontend, emulated, "emulated", lambda: None)
    seconds = choice._seconds
    # what time the processor takes for either says nothing: cuDNN wins, unless a test has its say
    monkeypatch.setattr(
        choice, "_seconds", lambda found, plan, bind: seconds(found, plan, bind) + (plan is None)
    )
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
