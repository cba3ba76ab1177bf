"""Weight files: named arrays in safetensors, which hold data and can run nothing.

Source of the format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ops.operator import Spec, show

__all__ = ["WeightsError", "read_weights", "write_weights", "write_whole"]


class WeightsError(ValueError):
    """A weight file that cannot be read, or does not fit the network."""


def write_weights(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to one safetensors file, which appears whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray makes a 0-d array 1-d
    shaped = {name: a.reshape(arrays[name].shape) for name, a in contiguous.items()}
    write_whole(path, save(shaped, {"format": "graphnet"}))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Where a link leads to a file, that is written; what was there before lends its permissions.

    Raises:
        OSError: the file cannot be written, or what is there is a folder, a pipe or a device.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"expected a file to write, {path} is a folder")
    if target.exists() and not target.is_file():
        raise OSError(f"expected a file to write, {path} is a pipe or a device")
    # other processes and threads may write it too
    own = f"{os.getpid()}.{threading.get_ident()}"
    partial = target.with_name(f"{target.name}.{own}.partial")
    try:
        partial.write_bytes(content)
        if target.exists():
            partial.chmod(target.stat().st_mode)
        partial.replace(target)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def read_weights(
    path: str | os.PathLike[str], expected: Mapping[str, Spec]
) -> dict[str, np.ndarray]:
    """Read named arrays and check them against the shapes and dtypes ``expected``.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the file is cut short or no safetensors file, or arrays are missing,
            not expected, or of another shape or dtype; all of them are listed.
    """
    path = Path(path)
    try:
        arrays: dict[str, np.ndarray] = load(path.read_bytes())
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: cut short or no safetensors file ({error})") from None
    problems = [f"missing {name} {show(expected[name])}" for name in expected if name not in arrays]
    for name, array in arrays.items():
        received = Spec(array.shape, array.dtype.name)
        if name not in expected:
            problems.append(f"not expected {name} {show(received)}")
        elif received != expected[name]:
            problems.append(f"{name}: expected {show(expected[name])}, received {show(received)}")
    if problems:
        raise WeightsError(f"{path} does not fit this network:\n  " + "\n  ".join(problems))
    return arrays
