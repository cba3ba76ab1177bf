"""Weights written to a file beside the model, since a model file holds 2 GiB at most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

__all__ = ["DataFile"]

#: Smaller arrays stay in the model: other readers want to see shapes and axes at once.
SMALLEST = 1024

#: Each array begins at a multiple of it, so that a reader can map it into memory.
ALIGNMENT = 4096


class DataFile:
    """The arrays that lie in a file beside the model.

    Args:
        location: the name of the file, in the folder of the model.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._arrays: list[tuple[int, np.ndarray]] = []
        self._end = 0

    def take(self, tensor: TensorProto, array: np.ndarray) -> bool:
        """Give a tensor its values in the file; False for a small array, which stays out."""
        if array.nbytes < SMALLEST:
            return False
        begin = -(-self._end // ALIGNMENT) * ALIGNMENT
        self._arrays.append((begin, array))
        self._end = begin + array.nbytes
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (
            ("location", self._location),
            ("offset", str(begin)),
            ("length", str(array.nbytes)),
        ):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        return True

    def write(self, folder: Path) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        with (folder / self._location).open("wb") as file:
            for begin, array in self._arrays:
                file.seek(begin)
                # the standard keeps the lowest byte first
                file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
