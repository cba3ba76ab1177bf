"""CIFAR-10 from its binary files, which hold bytes and nothing that could run.

A file is a row of records without header: 1 byte for the label, then 3,072 bytes for the
red, the green and the blue plane of an image of 32 x 32 pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphnet.data.dataset import Splits, stratify
from graphnet.data.pixels import Pixels, standardize

__all__ = ["load_cifar10", "read_cifar10"]

#: The records of one file.
RECORDS = 10_000

_IMAGE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load_cifar10(folder: str | Path, validation: int = 5000, seed: int = 0) -> Splits:
    """The 60,000 colour images of CIFAR-10: 45,000 to train, 5,000 to validate, 10,000 to test.

    Pixel values are scaled per channel to mean 0 and standard deviation 1 over the training
    part.  The folder is the one that ``cifar-10-binary.tar.gz`` unpacks to.

    Shapes:
        - images: ``(N, 3, 32, 32)``, labels: ``(N,)``

    Args:
        folder: where ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin`` lie.
        validation: examples taken from the training files to validate, stratified by class.
        seed: chooses them.

    Raises:
        FileNotFoundError: files are missing; the message names them.
        ValueError: a file has the wrong size, or holds a label above 9.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
    https://www.cs.toronto.edu/~kriz/cifar.html.

    >>> load_cifar10("/nowhere")
    Traceback (most recent call last):
    ...
    FileNotFoundError: /nowhere: expected data_batch_1.bin, ...
    """
    (images, labels), test = read_cifar10(folder)
    held_out, kept = stratify(labels, (validation,), seed)
    return standardize(
        "cifar-10",
        _CLASSES,
        (images[kept], labels[kept]),
        (images[held_out], labels[held_out]),
        test,
    )


def read_cifar10(folder: str | Path) -> tuple[Pixels, Pixels]:
    """The 50,000 training images of CIFAR-10 and its 10,000 test images, as bytes.

    They are what :class:`graphnet.data.PixelBatches` takes.

    Shapes:
        - images: ``(N, 3, 32, 32)`` of uint8, labels: ``(N,)`` of uint8

    Args:
        folder: as for :func:`load_cifar10`.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_cifar10` does.

    >>> read_cifar10("/nowhere")
    Traceback (most recent call last):
    ...
    FileNotFoundError: /nowhere: expected data_batch_1.bin, ...
    """
    folder = Path(folder)
    missing = [file for file in (*_TRAIN, _TEST) if not (folder / file).is_file()]
    if missing:
        message = f"{folder}: expected {', '.join(missing)}, received a folder without"
        if any((folder / Path(file).stem).is_file() for file in missing):
            message += (
                "; it holds the Python version, whose pickles can run code when they are "
                "read: the binary version (cifar-10-binary.tar.gz) is needed"
            )
        raise FileNotFoundError(message)
    batches = [_read_batch(folder / file) for file in _TRAIN]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return (images, labels), _read_batch(folder / _TEST)


def _read_batch(path: Path) -> Pixels:
    size = path.stat().st_size
    if size != RECORDS * _RECORD:
        raise ValueError(
            f"{path}: expected {RECORDS * _RECORD} bytes ({RECORDS} records of {_RECORD}), "
            f"received {size}"
        )
    records = np.fromfile(path, np.uint8).reshape(RECORDS, _RECORD)
    labels = records[:, 0]
    if labels.max() >= len(_CLASSES):
        record = int(np.argmax(labels >= len(_CLASSES)))
        raise ValueError(
            f"{path}: expected labels from 0 to {len(_CLASSES) - 1}, "
            f"received {labels[record]} in record {record}"
        )
    return records[:, 1:].reshape(RECORDS, *_IMAGE), labels
