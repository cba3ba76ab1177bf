"""NVRTC by ctypes, where it is installed: it compiles for cards that are not there.

``make compiler`` installs it with CUDA's headers, which come in packages of files alone; no CuPy
and no driver are needed.

Source: NVIDIA, NVRTC documentation.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
from pathlib import Path

import pytest

#: The distributions that bring the library and the headers, and a file of each.
LIBRARY = ("nvidia-cuda-nvrtc-cu12", "libnvrtc.so.12")
HEADERS = ("nvidia-cuda-runtime-cu12", "cuda_fp16.h")


class CompileError(Exception):
    """The source is refused; the text is what the compiler says."""


def compiled(source: str, name: str, options: list[str]) -> bytes:
    """The machine code of a source; the test is skipped where there is no compiler.

    Raises:
        CompileError: it does not compile.
    """
    library, include = _installed()
    program = ctypes.c_void_p()
    _expect(
        library.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), name.encode(), 0, None, None
        )
    )
    try:
        every = [*options, f"-I{include}"]
        given = (ctypes.c_char_p * len(every))(*(option.encode() for option in every))
        if library.nvrtcCompileProgram(program, len(every), given):
            raise CompileError(_read(library, program, "ProgramLog").decode(errors="replace"))
        return _read(library, program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _read(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _expect(getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _expect(getattr(library, f"nvrtcGet{what}")(program, text))
    return text.raw


def _expect(status: int) -> None:
    assert status == 0, f"NVRTC answers {status}"


@functools.cache
def _installed() -> tuple[ctypes.CDLL, Path]:
    """The library and the folder of the headers."""
    found = []
    for distribution, file in (LIBRARY, HEADERS):
        try:
            files = importlib.metadata.files(distribution) or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        path = next((Path(str(f.locate())) for f in files if f.name == file), None)
        if path is None:
            pytest.skip(f"{distribution} is not installed: nothing is compiled for a card")
        found.append(path)
    return ctypes.CDLL(str(found[0])), found[1].parent
