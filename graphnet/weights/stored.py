"""Arrays as others keep them: shape and dtype first, the values only of those that are wanted.

So a file of any size costs no more memory than the network it is read for. Nothing here unpickles.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open

from graphnet.weights.files import WeightsError
from ops.operator import show_shape

__all__ = ["Source", "Stored", "open_stored"]

#: Where weights come from: the path of a file, or arrays by name.
Source = str | os.PathLike[str] | Mapping[str, Any]

#: What safetensors calls the dtypes of NumPy, and bfloat16, which NumPy lacks.
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32",
    "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip

#: What the readers of both formats raise, beside errors of their own, when bytes make no sense.
UNFORESEEN = (
    EOFError, KeyError, NotImplementedError, OSError, RuntimeError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip

#: How the pickles begin that torch.save wrote before it wrote zip archives.
PICKLE = b"\x80"


class Stored(NamedTuple):
    """An array that has not been read yet."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    def __str__(self) -> str:
        return f"{self.dtype} {show_shape(self.shape)}"


@contextmanager
def open_stored(source: Source) -> Iterator[dict[str, Stored]]:
    """The arrays of a source by name; they can be read while the block runs.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the file is damaged or of another kind, or a value is no array.
    """
    if isinstance(source, Mapping):
        yield {name: _of_mapping(name, value) for name, value in source.items()}
        return
    path = Path(source)
    with path.open("rb") as file:
        beginning = file.read(4)
    if beginning.startswith(PICKLE):
        raise WeightsError(f"{path}: a pickle, which could run anything; {_SAVE_INSTEAD}")
    reader = _of_npz if beginning.startswith(b"PK") else _of_safetensors
    try:
        with reader(path) as stored:
            yield stored
    except WeightsError:
        raise
    except (SafetensorError, zipfile.BadZipFile, zlib.error, *UNFORESEEN) as error:
        raise WeightsError(
            f"{path}: cut short, damaged, or neither safetensors nor .npz ({error})"
        ) from None


_SAVE_INSTEAD = "write it as safetensors: safetensors.torch.save_file(model.state_dict(), path)"


def _of_mapping(name: str, value: Any) -> Stored:
    # PyTorch's tensors in host memory are arrays by this protocol
    if not hasattr(value, "__array__"):
        raise WeightsError(f"{name}: expected an array, received {type(value).__name__}")
    array = np.asarray(value)
    return Stored(array.shape, array.dtype.name, lambda: array)


@contextmanager
def _of_safetensors(path: Path) -> Iterator[dict[str, Stored]]:
    with safe_open(path, framework="numpy") as file:
        stored = {}
        for name in file.keys():  # noqa: SIM118  (it is no mapping)
            part = file.get_slice(name)
            dtype = DTYPES.get(part.get_dtype(), part.get_dtype())
            read = partial(_bfloat16, path, name) if dtype == "bfloat16" else None
            stored[name] = Stored(
                tuple(part.get_shape()), dtype, read or partial(file.get_tensor, name)
            )
        yield stored


def _bfloat16(path: Path, name: str) -> np.ndarray:
    """As float32, of which bfloat16 is the upper half."""
    found = dict(deserialize(path.read_bytes()))[name]  # type: ignore[no-untyped-call]
    upper = np.frombuffer(found["data"], "<u2").astype("uint32") << 16
    return upper.view("float32").reshape(found["shape"])


@contextmanager
def _of_npz(path: Path) -> Iterator[dict[str, Stored]]:
    with zipfile.ZipFile(path) as archive:
        stored = {}
        for member in archive.namelist():
            if not member.endswith(".npy"):
                raise WeightsError(
                    f"{path}: expected an .npz of arrays, received {member!r} in it, such as "
                    f"torch.save writes; {_SAVE_INSTEAD}"
                )
            with archive.open(member) as file:
                shape, dtype = _header(file)
            stored[member.removesuffix(".npy")] = Stored(
                shape, dtype, partial(_read_member, archive, member)
            )
        yield stored


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], str]:
    """The shape and dtype that a file of one array begins with."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"expected version 1 or 2 of the .npy format, received {version}")
    return shape, dtype.name


def _read_member(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array
