"""Values that lie in files beside the model: found without leaving its folder, and read.

A location is a path below the model's folder. What leads out of it is refused by name, before any
file is opened: a path that is absolute or has ``..``, a link, be it symbolic or hard (another name
of a file that may lie anywhere), and whatever is no plain file, such as a pipe that would wait for
ever.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import onnx

from graphnet.onnx.problems import ModelFileError, shown
from graphnet.onnx.tensors import promised_bytes

__all__ = ["ExternalData"]

#: What the entries of a tensor's ``external_data`` may be called.
KEYS = ("location", "offset", "length", "checksum")

#: More digits than the number of bytes of any file has.
DIGITS = 20

#: Bytes that are hashed at a time.
CHUNK = 2**20


class _Region(NamedTuple):
    """Where the values of a tensor lie: bytes of a file, which is known by device and number."""

    tensor: onnx.TensorProto
    where: str
    path: Path
    identity: tuple[int, int]
    begin: int
    end: int


class ExternalData:
    """The values of a model that lie in other files.

    Args:
        folder: of the model; None for a model that came as bytes.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._regions: list[_Region] = []

    def problems(self, tensor: onnx.TensorProto, where: str) -> Iterator[str]:
        """What is wrong with where a tensor lies; if nothing is, :meth:`read` reads it."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if self._folder is None:
            yield f"{where}: its values lie in another file, which a model given as bytes has not"
            return
        if len(entries) < len(tensor.external_data):
            yield f"{where}: says twice where its values lie"
        if unknown := entries.keys() - KEYS:
            yield (
                f"{where}: expected external data described by {', '.join(KEYS)}, "
                f"received {', '.join(map(shown, sorted(unknown)))}"
            )
            return
        location = entries.get("location", "")
        where = f"{where}: external data at {shown(location)}"
        try:
            path, status = _plain_file(self._folder, location)
            begin = _number(entries.get("offset", "0"))
            length = _number(entries.get("length", str(max(status.st_size - begin, 0))))
        except ValueError as error:
            yield f"{where}: {error}"
            return
        if length != promised_bytes(tensor):
            yield f"{where}: expected {promised_bytes(tensor):,} bytes, received {length:,}"
        elif begin + length > status.st_size:
            yield (
                f"{where}: expected bytes {begin:,} to {begin + length:,}, "
                f"received a file of {status.st_size:,}"
            )
        elif "checksum" in entries and _sha1(path) != entries["checksum"].lower():
            yield f"{where}: has another SHA-1 than the model says"
        else:
            identity = (status.st_dev, status.st_ino)
            self._regions.append(_Region(tensor, where, path, identity, begin, begin + length))

    def overlaps(self) -> Iterator[str]:
        """Tensors that share bytes: ten thousand of the same gigabyte would fill any memory."""
        filled = (region for region in self._regions if region.end > region.begin)
        ordered = sorted(filled, key=lambda region: (region.identity, region.begin))
        for one, other in itertools.pairwise(ordered):
            if one.identity == other.identity and other.begin < one.end:
                yield f"{other.where}: its bytes are those of another tensor too"

    def read(self) -> None:
        """Put the values into their tensors, which are external no longer.

        Raises:
            ModelFileError: a file is no longer the one that was looked at.
            OSError: a file cannot be read.
        """
        for region in self._regions:
            with region.path.open("rb") as file:
                status = os.fstat(file.fileno())
                file.seek(region.begin)
                values = file.read(region.end - region.begin)
            same = (status.st_dev, status.st_ino) == region.identity
            if not same or len(values) < region.end - region.begin:
                raise ModelFileError(str(region.path), ["changed while the model was read"])
            region.tensor.raw_data = values
            region.tensor.ClearField("external_data")
            region.tensor.ClearField("data_location")


def _plain_file(folder: Path, location: str) -> tuple[Path, os.stat_result]:
    """The file at a location below the folder.

    Raises:
        ValueError: why it is none that may be read.
    """
    spellings = PurePosixPath(location), PureWindowsPath(location)
    if not location or "\0" in location:
        raise ValueError("expected the path of a file")
    if any(path.is_absolute() or path.drive or path.root for path in spellings):
        raise ValueError("expected a path below the model's folder, received an absolute one")
    if any(".." in path.parts for path in spellings):
        raise ValueError("expected a path below the model's folder, received one that leaves it")
    path = folder
    status = None
    for part in spellings[0].parts:
        path = path / part
        try:
            status = path.lstat()
        except OSError as error:
            raise ValueError(f"cannot be read ({error.strerror})") from None
        if stat.S_ISLNK(status.st_mode):
            raise ValueError(f"{shown(part)} is a symbolic link, which may lead anywhere: copy it")
    if status is None or not stat.S_ISREG(status.st_mode):
        raise ValueError("expected a plain file")
    if status.st_nlink > 1:
        raise ValueError("is a hard link, which may be a file from anywhere: copy it")
    return path, status


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < DIGITS):
        raise ValueError(f"expected a number of bytes, received {shown(text)}")
    return int(text)


def _sha1(path: Path) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
