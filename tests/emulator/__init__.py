"""CUDA C on the processor: the sources of the GPU kernels, compiled by g++ behind a small header.

:class:`EmulatedDevice` takes the place of the one that compiles for a card, and
:class:`EmulatedBackend` is the strict backend with these kernels: a network runs on it as on
``"cupy"``, with CuPy's limits and counted transfers.  What it cannot show is what only a card does:
races, the cost of anything, and the arithmetic of CUDA's own libraries.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import os
import re
import shutil
import subprocess
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from graphnet.backends import CaptureError
from graphnet.backends.recording import enqueue, recording
from graphnet.backends.strict import StrictArray, StrictBackend
from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.products import Products
from tests.emulator.cublas import EmulatedCublas

HEADER, ENGINE = (Path(__file__).with_name(f"emulator.{kind}") for kind in ("h", "cpp"))
COMPILER = shutil.which("g++")
#: The most blocks of a grid along each axis, and the most threads of a block, that a card takes.
BLOCKS, THREADS = ((1 << 31) - 1, 65535, 65535), 1024
#: What in a kernel lets threads wait for each other.
WAITS = r"__syncthreads|__shfl|(line|lanes|warp)_(sum|max)|tile_sums"


class EmulatedDevice:
    """Compiles with g++, and launches in the calling thread.

    Attributes:
        launches: the names of all kernels that were enqueued.
        library: the emulated cuBLAS.
    """

    processors = 4

    def __init__(self) -> None:
        self.launches: list[str] = []
        self.xp = StrictBackend().xp
        self.library = EmulatedCublas(self)
        self._stream: int | None = None

    @property
    def stream(self) -> int:
        """The current stream: that of a capture while there is one, unless told otherwise."""
        if self._stream is not None:
            return self._stream
        recorded = recording()
        return 1 if recorded is None else recorded.stream

    @contextmanager
    def on_stream(self, stream: int) -> Iterator[None]:
        """Make another stream the current one."""
        self._stream = stream
        try:
            yield
        finally:
            self._stream = None

    def expect_stream(self, stream: int, what: str) -> None:
        """Refuse work on another stream than the one that is captured."""
        recorded = recording()
        if recorded is not None and stream != recorded.stream:
            raise CaptureError(f"{what} is on another stream than the one that is captured")

    @functools.cached_property
    def products(self) -> Products:
        """Products of matrices by the emulated cuBLAS."""
        return Products(self)

    def cublas(self) -> Any:
        """The emulated library."""
        return self.library

    def address(self, array: Any) -> int:
        """Where an array begins."""
        return _value(array).value or 0

    def function(self, source: str, name: str, options: tuple[str, ...] = ()) -> Any:
        if COMPILER is None:
            pytest.skip("g++ is not installed")
        library = compiled(source, options)
        entry = getattr(library, f"launch_{name}")

        def launch(
            grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]
        ) -> None:
            expect_launchable(name, grid, block)
            self.launches.append(name)
            values = [_value(argument) for argument in arguments]
            pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
            sides = [(ctypes.c_uint * 3)(*side, *[1] * (3 - len(side))) for side in (grid, block)]
            self.expect_stream(self.stream, f"the kernel {name}")

            def run() -> None:
                assert len(values) == len(pointers)  # which point at them
                if entry(*sides, pointers):
                    raise RuntimeError(f"threads of a block of {name} met different barriers")

            enqueue(run)

        return launch


def expect_launchable(name: str, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    """Refuse what a driver refuses: no block at all, too many, or blocks that are too large."""
    few = all(1 <= n <= most for n, most in zip(grid, BLOCKS, strict=False))
    if not few or min(block) < 1 or math.prod(block) > THREADS:
        raise RuntimeError(f"no card launches {name} on a grid of {grid} blocks of {block} threads")


def _value(argument: Any) -> Any:
    if argument is None:
        return ctypes.c_void_p(0)
    if isinstance(argument, StrictArray):
        argument = argument._data
    if isinstance(argument, np.ndarray):
        # a card reads an entry in one piece, and faults where it does not begin at a multiple
        assert argument.flags.aligned, "an array whose entries are not aligned"
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, bool | int):
        return ctypes.c_longlong(argument)
    assert type(argument) is float, f"no argument of a kernel: {argument!r}"
    return ctypes.c_double(argument)


@functools.cache
def compiled(source: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """The shared library of a CUDA source."""
    assert COMPILER, "function saw to it"
    parts = re.split(r"^KERNEL (\w+)", source, flags=re.M)
    exports = []
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        meets = re.search(WAITS, body) is not None
        exports.append(f"EXPORT({name}, {str(meets).lower()})\n")
    text = '#include "emulator.h"\n' + source + "\n" + "".join(exports)
    folder = _prepared()
    library = folder / f"{_key(text, *options)}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            code, result = Path(inside, "kernel.cpp"), Path(inside, "kernel.so")
            code.write_text(text)
            _compile("-shared", f"-I{folder}", *options, "-o", str(result), str(code))
            result.rename(library)
    return ctypes.CDLL(str(library))


@functools.cache
def _prepared() -> Path:
    """A folder with what is compiled ahead: the header, and what runs blocks, which is loaded."""
    texts = HEADER.read_text(), ENGINE.read_text()
    root = Path(tempfile.gettempdir()) / f"graphnet-emulator-{_user()}"
    folder = root / _key(*texts)
    root.mkdir(exist_ok=True, mode=0o700)
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=root) as inside:
            for path, text in zip((HEADER, ENGINE), texts, strict=True):
                Path(inside, path.name).write_text(text)
            _compile("-shared", "-o", f"{inside}/emulator.so", f"{inside}/{ENGINE.name}")
            header = f"{inside}/{HEADER.name}"
            _compile("-x", "c++-header", "-o", f"{header}.gch", header)
            with suppress(OSError):  # another process was faster
                Path(inside).rename(folder)
                Path(inside).mkdir()
    ctypes.CDLL(str(folder / "emulator.so"), mode=ctypes.RTLD_GLOBAL)
    return folder


def _compile(*arguments: str) -> None:
    assert COMPILER, "who asks saw to it"
    flags = ("-std=c++17", "-O1", "-ffp-contract=off", "-w", "-fPIC", "-DEMULATED")
    subprocess.run([COMPILER, *flags, *arguments], check=True)


def _key(*texts: str) -> str:
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()[:20]


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


class EmulatedBackend(StrictBackend):
    """The strict backend with the kernels of the card."""

    name: ClassVar[str] = "cupy"
    providers: ClassVar[tuple[str, ...]] = ("cuda", "reference")


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    """The device that all kernels of the test are compiled for."""
    if COMPILER is None:
        pytest.skip("g++ is not installed")
    found = EmulatedDevice()
    monkeypatch.setattr(device, "get_device", lambda: found)
    library = types.SimpleNamespace(__version__="emulated")
    monkeypatch.setattr(device, "import_cupy", lambda: library)
    return found
