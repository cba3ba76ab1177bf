"""From the bytes of image files to datasets with pixel values of mean 0 and deviation 1."""

from __future__ import annotations

import numpy as np

from graphnet.data.dataset import Dataset, Splits
from ops.arrays import Array

__all__ = ["Pixels", "standardize", "statistics"]

#: Images ``(N, C, H, W)`` of uint8 and their labels ``(N,)``, as files hold them.
Pixels = tuple[Array, Array]


def standardize(
    name: str, classes: tuple[str, ...], train: Pixels, validation: Pixels, test: Pixels
) -> Splits:
    """Scale pixel values per channel: ``(pixel - mean) / std``.

    Mean and (biased) standard deviation are those of the training part alone, so that
    nothing about the validation and test images is known while learning.  A channel in
    which all training pixels are equal is only centred.

    Raises:
        ValueError: the training part is empty, or labels do not fit the classes.

    >>> import numpy as np
    >>> pixels = np.array([0, 2, 2, 4], "uint8").reshape(4, 1, 1, 1), np.zeros(4, "uint8")
    >>> standardize("dots", ("dot",), pixels, pixels, pixels).train.images.ravel()
    array([-1.4142135,  0.       ,  0.       ,  1.4142135], dtype=float32)
    """
    if not len(train[0]):
        raise ValueError(f"{name}: expected at least one training example, received none")
    mean, std = statistics(train[0])

    def scaled(part: Pixels) -> Dataset:
        images, labels = part
        values = images.astype(np.float32)
        values -= mean
        values /= std
        return Dataset(values, labels.astype(np.int64), classes, name)

    return Splits(scaled(train), scaled(validation), scaled(test))


def statistics(images: Array) -> tuple[Array, Array]:
    """Mean and (biased) standard deviation per channel of bytes, each ``(C, 1, 1)`` of float32.

    The deviation of a channel in which all pixels are equal counts as 1.
    """
    mean, std = [], []
    for channel in range(images.shape[1]):
        plane = images[:, channel]
        mean.append(plane.mean(dtype=np.float64))
        # squares of bytes are exact in float32, and their sum is in float64
        square = np.square(plane, dtype=np.float32).mean(dtype=np.float64)
        std.append(np.sqrt(square - mean[-1] ** 2) if plane.min() < plane.max() else 1.0)
    shape = (len(mean), 1, 1)
    return np.array(mean, np.float32).reshape(shape), np.array(std, np.float32).reshape(shape)
