"""A dataset as the mini-batches of one epoch after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from graphnet.data.augment import Transform
from graphnet.data.dataset import Dataset, expect_integer
from ops.arrays import Array

__all__ = ["Batches"]


@dataclass(frozen=True, eq=False)
class Batches:
    """Mini-batches ``(images, labels)`` of a dataset, in an order that can be repeated.

    Order and augmentation of an epoch follow from ``(seed, epoch)`` alone.  Iterating gives
    epoch 0 the first time, epoch 1 the second, and so on; :meth:`epoch` gives any epoch, and
    is the one to use when training is resumed.

    Shapes:
        - images: ``(batch_size, C, H, W)``, labels: ``(batch_size,)``; contiguous copies

    Args:
        dataset: where the examples come from.
        batch_size: examples per batch; the last batch of an epoch has what remains.
        shuffle: whether the examples are put in random order, default True.
        seed: chooses the orders and the random changes, default 0.
        augment: a transform of :mod:`graphnet.data.augment`, or any ``f(images, rng)``.
        drop_last: leave out a last batch that is smaller, default False.

    Raises:
        TypeError, ValueError: ``batch_size`` or ``seed`` is out of range, ``augment`` cannot
            be called or changes shape or dtype, or no batch would be left.

    >>> import numpy as np
    >>> pets = Dataset(np.zeros((5, 1, 2, 2), "float32"), np.arange(5) % 2, ("cat", "dog"), "pets")
    >>> batches = Batches(pets, 2)
    >>> len(batches), [images.shape for images, labels in batches]
    (3, [(2, 1, 2, 2), (2, 1, 2, 2), (1, 1, 2, 2)])
    """

    dataset: Dataset
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    augment: Transform | None = None
    drop_last: bool = False
    _epochs: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)

    def __post_init__(self) -> None:
        expect_integer("a batch_size", self.batch_size, least=1)
        expect_integer("a seed", self.seed, least=0)
        if self.augment is not None and not callable(self.augment):
            raise TypeError(f"expected a transform to augment, received {self.augment!r}")
        if self.drop_last and self.batch_size > len(self.dataset):
            raise ValueError(
                f"expected a batch_size of at most {len(self.dataset)} where the last, smaller "
                f"batch is dropped, received {self.batch_size}"
            )

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return self.epoch(next(self._epochs))

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """The batches of one epoch, counted from 0.

        Raises:
            TypeError, ValueError: the number is no integer or negative.
        """
        expect_integer("an epoch", number, least=0)
        return self._draw(np.random.default_rng((self.seed, number)))

    def _draw(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        examples = len(self.dataset)
        order = rng.permutation(examples) if self.shuffle else np.arange(examples)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = order[start : start + self.batch_size]
            images, labels = self.dataset.images[chosen], self.dataset.labels[chosen]
            yield self._augmented(images, rng), labels

    def _augmented(self, images: Array, rng: np.random.Generator) -> Array:
        if self.augment is None:
            return images
        changed = self.augment(images, rng)
        if changed.shape != images.shape or changed.dtype != images.dtype:
            raise ValueError(
                f"expected {self.augment!r} to keep {images.dtype} {images.shape}, "
                f"received {changed.dtype} {changed.shape}"
            )
        return np.ascontiguousarray(changed)
