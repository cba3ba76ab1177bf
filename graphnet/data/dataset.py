"""Labelled images in memory, and how they are parted into training, validation and test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops.arrays import Array
from ops.fields import is_integer

__all__ = ["Dataset", "Splits", "stratify"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with one label each, as NumPy arrays in host memory.

    Shapes:
        - images: ``(N, C, H, W)`` of float32
        - labels: ``(N,)`` of int64, indices into ``classes``

    Args:
        images: the images.
        labels: the class of each image.
        classes: the names of the classes.
        name: what the data are, for tables and errors.

    Raises:
        TypeError: images or labels are no NumPy arrays, or a class name is no string.
        ValueError: a shape, a dtype or a label does not fit.

    >>> import numpy as np
    >>> Dataset(np.zeros((4, 1, 8, 8), "float32"), np.array([0, 1, 1, 0]), ("cat", "dog"), "pets")
    Dataset('pets', 4 images (1, 8, 8), 2 classes)
    """

    images: Array
    labels: Array
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        for name in self.classes:
            if not isinstance(name, str):
                raise TypeError(f"{self.name}: expected class names as strings, received {name!r}")
        self._expect_array("images", self.images, "float32", "(N, C, H, W)", 4)
        self._expect_array("labels", self.labels, "int64", "(N,)", 1)
        if len(self.images) != len(self.labels):
            raise ValueError(
                f"{self.name}: expected one label per image, "
                f"received {len(self.images)} images and {len(self.labels)} labels"
            )
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if wrong.size:
            raise ValueError(
                f"{self.name}: expected labels from 0 to {len(self.classes) - 1}, "
                f"received {self.labels[wrong[0]]} at index {wrong[0]}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        size = f"{len(self)} images {self.images.shape[1:]}"
        return f"Dataset({self.name!r}, {size}, {len(self.classes)} classes)"

    def subset(self, indices: Sequence[int] | Array) -> Dataset:
        """The examples at ``indices``, in that order, copied.

        Raises:
            TypeError: the indices are not a flat list of integers.
            IndexError: an index lies outside the dataset.

        >>> import numpy as np
        >>> images, labels = np.zeros((3, 1, 8, 8), "float32"), np.array([0, 1, 1])
        >>> Dataset(images, labels, ("cat", "dog"), "pets").subset([2, 0]).labels
        array([1, 0])
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise TypeError(
                f"{self.name}: expected a flat list of integer indices, "
                f"received {chosen.dtype} of shape {chosen.shape}"
            )
        outside = chosen[(chosen < 0) | (chosen >= len(self))]
        if outside.size:
            raise IndexError(
                f"{self.name}: expected indices from 0 to {len(self) - 1}, received {outside[0]}"
            )
        chosen = chosen.astype(np.int64)
        return Dataset(self.images[chosen], self.labels[chosen], self.classes, self.name)

    def split(self, *sizes: int | float, seed: int) -> tuple[Dataset, ...]:
        """Part the examples at random, stratified by class: see :func:`stratify`.

        Args:
            sizes: one per part, a number of examples (int) or a fraction of them (float,
                rounded down).
            seed: chooses among the possible splits; the same seed gives the same one.

        Returns:
            One dataset per size, and last of all one with the rest (it may be empty).

        Raises:
            TypeError, ValueError: a size is no number, is negative, or all exceed the dataset.

        >>> import numpy as np
        >>> images, labels = np.zeros((8, 1, 2, 2), "float32"), np.arange(8) % 2
        >>> test, train = Dataset(images, labels, ("cat", "dog"), "pets").split(0.25, seed=0)
        >>> len(test), len(train), sorted(test.labels.tolist())
        (2, 6, [0, 1])
        """
        return tuple(self.subset(part) for part in stratify(self.labels, sizes, seed))

    def _expect_array(self, field: str, array: Array, dtype: str, shape: str, rank: int) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{self.name}: expected {field} as a NumPy array, received {type(array).__name__}"
            )
        if array.dtype != dtype or array.ndim != rank:
            raise ValueError(
                f"{self.name}: expected {field} {dtype} {shape}, "
                f"received {array.dtype} {array.shape}"
            )


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset: to learn from, to choose by, to report on."""

    train: Dataset
    validation: Dataset
    test: Dataset


def stratify(labels: Array, sizes: Sequence[int | float], seed: int) -> list[Array]:
    """Part examples at random so that each part holds the classes in equal proportion.

    A part of ``n`` out of ``N`` examples takes of a class with ``k`` of them ``n k / N``,
    rounded down, and the examples still missing come from the classes with the largest
    remainders.  Parts are drawn one after the other, each from what the former have left.

    Args:
        labels: ``(N,)``, the class of each example.
        sizes: one per part, a number of examples (int) or a fraction of them (float,
            rounded down).
        seed: chooses among the possible splits.

    Returns:
        The indices of each part in ascending order, and last of all those of the rest.

    Raises:
        TypeError: a size is neither int nor float, or the seed no integer.
        ValueError: a size is negative, a fraction above 1, or all exceed the examples.

    Source: remainders by Hamilton's method of apportionment, 1792.

    >>> import numpy as np
    >>> few, rest = stratify(np.array([0, 0, 0, 0, 1, 1]), (3,), seed=0)
    >>> few.size, rest.size, np.array([0, 0, 0, 0, 1, 1])[few]
    (3, 3, array([0, 0, 1]))
    """
    expect_integer("a seed", seed, least=0)
    counts = [_count(size, len(labels)) for size in sizes]
    if sum(counts) > len(labels):
        raise ValueError(
            f"expected parts of at most {len(labels)} examples in all, "
            f"received {' + '.join(map(str, counts))} = {sum(counts)}"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    pools = [order[labels[order] == label] for label in np.unique(labels)]
    parts = []
    for count in counts:
        taken = _apportion([pool.size for pool in pools], count)
        parts.append([pool[:n] for pool, n in zip(pools, taken, strict=True)])
        pools = [pool[n:] for pool, n in zip(pools, taken, strict=True)]
    none = np.empty(0, order.dtype)
    return [np.sort(np.concatenate([none, *part])) for part in (*parts, pools)]


def expect_integer(what: str, value: object, least: int) -> None:
    """Refuse what is no integer, or one that is too small.

    Raises:
        TypeError: the value is no integer.
        ValueError: the value is below ``least``.
    """
    if not is_integer(value):
        raise TypeError(f"expected {what} as an integer, received {value!r}")
    if value < least:  # type: ignore[operator]
        raise ValueError(f"expected {what} of at least {least}, received {value}")


def _apportion(sizes: list[int], count: int) -> list[int]:
    """How many of ``count`` examples come from each class; exact, in integers."""
    total = max(sum(sizes), 1)
    taken = [size * count // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: -(sizes[i] * count % total))
    for i in by_remainder[: count - sum(taken)]:
        taken[i] += 1
    return taken


def _count(size: int | float, total: int) -> int:
    if isinstance(size, float):
        if not 0 <= size <= 1:
            raise ValueError(f"expected a fraction from 0 to 1, received {size}")
        # 0.29 * 100 is 28.999999999999996, yet 29 examples are meant
        return math.floor(round(size * total, 6))
    expect_integer("the size of a part", size, least=0)
    return int(size)
