"""IDX files, the format of MNIST and Fashion-MNIST, plain or compressed with gzip.

A file is a magic number, the sizes of its axes and the values, all big-endian:

    2 bytes     zero
    1 byte      type of the values (0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32,
                0x0D float32, 0x0E float64)
    1 byte      number of axes
    4 bytes     for each axis: its size, unsigned
    the rest    the values, last axis fastest

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

import gzip
import math
import struct
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from graphnet.data.dataset import Splits, stratify
from graphnet.data.pixels import Pixels, standardize
from ops.arrays import Array

__all__ = ["load_idx_folder", "read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 32

#: Deflate packs at most 258 bytes into 2 bits: no honest file grows by more.
_MOST_GROWTH = 1032

_CLASSES = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
}
_FILES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file; a name that ends in ``.gz`` is decompressed.

    No more is read than the header promises, so a file cannot fill the memory.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed; the message says what was expected.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "three-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     read_idx(path)
    array([7, 8, 9], dtype=uint8)
    """
    path = Path(path)
    size = path.stat().st_size
    if path.suffix != ".gz":
        with path.open("rb") as stream:
            return _read(path, stream, size)
    try:
        with gzip.open(path, "rb") as stream:
            return _read(path, stream, size * _MOST_GROWTH)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: expected a whole gzip file, received: {error}") from None


def load_idx_folder(
    folder: str | Path, name: str = "fashion-mnist", validation: int = 5000, seed: int = 0
) -> Splits:
    """Images and labels from the four IDX files of MNIST, Fashion-MNIST and their like.

    The files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same two
    with ``t10k``, also spelled ``train-images.idx3-ubyte``, each plain or with ``.gz``.
    Pixel values are scaled to mean 0 and standard deviation 1 over the training part.

    Shapes:
        - images: ``(N, 1, H, W)``, labels: ``(N,)``

    Args:
        folder: where the files lie.
        name: the name of the data; ``"fashion-mnist"`` names its classes, the classes of
            any other are numbered.
        validation: examples taken from the training files to validate, stratified by class.
        seed: chooses them.

    Raises:
        FileNotFoundError: files are missing; the message names them.
        ValueError: a file is malformed, or the files do not fit together.

    Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv:1708.07747, 2017.

    >>> load_idx_folder("/nowhere")
    Traceback (most recent call last):
    ...
    FileNotFoundError: /nowhere: expected train-images-idx3-ubyte[.gz], ...
    """
    found = [[_find(Path(folder), file) for file in pair] for pair in _FILES]
    missing = [
        f"{file}[.gz]"
        for pair, paths in zip(_FILES, found, strict=True)
        for file, path in zip(pair, paths, strict=True)
        if path is None
    ]
    if missing:
        raise FileNotFoundError(
            f"{folder}: expected {', '.join(missing)}, received a folder without; Debian's "
            f"package dataset-fashion-mnist has them in /usr/share/datasets/fashion-mnist"
        )
    (images, labels), test = (_pair(*paths) for paths in found)  # type: ignore[arg-type]
    if images.shape[1:] != test[0].shape[1:]:
        raise ValueError(
            f"{folder}: expected training and test images of one size, "
            f"received {images.shape[1:]} and {test[0].shape[1:]}"
        )
    held_out, kept = stratify(labels, (validation,), seed)
    most = max(labels.max(initial=0), test[1].max(initial=0))
    classes = _CLASSES.get(name) or tuple(str(label) for label in range(most + 1))
    return standardize(
        name, classes, (images[kept], labels[kept]), (images[held_out], labels[held_out]), test
    )


def _read(path: Path, stream: BinaryIO | gzip.GzipFile, most: int) -> Array:
    """Read one array from a stream that can hold ``most`` bytes."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise ValueError(
            f"{path}: expected the magic number of an IDX file (00 00, a type from 08, 09, 0b, "
            f"0c, 0d, 0e, a number of axes), received {magic.hex(' ') or 'nothing'}"
        )
    dtype, axes = np.dtype(_TYPES[magic[2]]), magic[3]
    if not 1 <= axes <= _MOST_AXES:
        raise ValueError(f"{path}: expected 1 to {_MOST_AXES} axes, received {axes}")
    header = stream.read(4 * axes)
    if len(header) < 4 * axes:
        raise ValueError(f"{path}: expected {4 * axes} bytes of sizes, received {len(header)}")
    shape = struct.unpack(f">{axes}I", header)
    promised = math.prod(shape) * dtype.itemsize
    # an axis of size 0 hides the others from the product, not from NumPy
    extent = math.prod(max(n, 1) for n in shape) * dtype.itemsize
    if promised > most or extent > sys.maxsize:
        raise ValueError(
            f"{path}: expected {promised} bytes of values for the sizes {shape}, "
            f"received a file that holds at most {most}"
        )
    values = stream.read(promised + 1)
    if len(values) != promised:
        received = f"{len(values)}" if len(values) < promised else "more"
        raise ValueError(
            f"{path}: expected {promised} bytes of values for the sizes {shape}, "
            f"received {received}"
        )
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _find(folder: Path, file: str) -> Path | None:
    spellings = (file, file.replace("-idx", ".idx"))
    paths = (folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _pair(images_path: Path, labels_path: Path) -> Pixels:
    """The images of one file as ``(N, 1, H, W)``, and their labels from another."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    for path, array, shape, rank in (
        (images_path, images, "(N, H, W)", 3),
        (labels_path, labels, "(N,)", 1),
    ):
        if array.dtype != np.uint8 or array.ndim != rank:
            raise ValueError(
                f"{path}: expected uint8 {shape}, received {array.dtype} {array.shape}"
            )
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path}: expected {len(images)} labels, one per image of "
            f"{images_path.name}, received {len(labels)}"
        )
    return images[:, None], labels
