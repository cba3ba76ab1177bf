"""Images kept as bytes where a network computes, as the mini-batches of one epoch after the other.

On a GPU a batch is gathered, cropped, mirrored and scaled by one kernel, so no image crosses over
while a network is trained.  On NumPy the same batches come from the same numbers, bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphnet.backends import Backend, get_backend
from graphnet.data.dataset import expect_integer
from graphnet.data.pixels import Pixels, statistics
from ops.arrays import Array
from ops.random import philox

__all__ = ["PixelBatches"]

#: Epochs are this many counters apart, of which each example takes one.
EPOCH = 1 << 32
#: Keys and counters reach the card as signed integers.
LARGEST = (1 << 63) - 1


class PixelBatches:
    """Mini-batches ``(images, labels)`` of images kept as bytes, on a backend.

    Each image is cropped at a random place from its surroundings of ``padding`` pixels, mirrored
    left to right with probability 1/2, and scaled per channel, ``(pixel - mean) / std``; what lies
    beyond it is the mean, which is 0.  All of it follows from ``(seed, epoch)`` and the place of
    the example in the epoch, by Philox, and the order of the examples is that of
    :class:`graphnet.data.Batches`.

    Iterating gives epoch 0 the first time, epoch 1 the second, and so on; :meth:`epoch` gives any.

    Shapes:
        - images: ``(batch_size, C, H, W)`` of float32 or float16, labels: ``(batch_size,)`` of
          int64; arrays of the backend

    Args:
        pixels: images ``(N, C, H, W)`` of uint8, and labels ``(N,)`` of integers; NumPy arrays,
            which are copied to the backend once.
        batch_size: examples per batch; the last batch of an epoch has what remains.
        backend: the name of a backend, or one; that of the network.
        padding: the most pixels by which an image is moved along an axis; default 0.
        flip: whether images are mirrored at random, default False.
        mean: per channel, ``(C,)``; those of the images when None.
        std: the deviation per channel, ``(C,)``; those of the images when None.
        shuffle: whether the examples are put in random order, default True.
        seed: chooses the orders and the random changes, from 0 to 2**63 - 1; default 0.
        drop_last: leave out a last batch that is smaller, default False.
        dtype: of the images, ``"float32"`` or ``"float16"``.

    Raises:
        TypeError, ValueError: an argument is out of range, or pixels and labels do not fit.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural
    Networks", 2012; crops from padding: He et al., "Deep Residual Learning for Image
    Recognition", 2016, section 4.2.

    >>> import numpy as np
    >>> pixels = np.arange(48, dtype="uint8").reshape(4, 1, 3, 4), np.array([0, 1, 1, 0])
    >>> batches = PixelBatches(pixels, 3, padding=1, flip=True)
    >>> len(batches), [images.shape for images, labels in batches]
    (2, [(3, 1, 3, 4), (1, 1, 3, 4)])
    """

    def __init__(
        self,
        pixels: Pixels,
        batch_size: int,
        backend: str | Backend = "numpy",
        *,
        padding: int = 0,
        flip: bool = False,
        mean: Any = None,
        std: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        dtype: str = "float32",
    ) -> None:
        expect_integer("a batch_size", batch_size, least=1)
        expect_integer("a padding", padding, least=0)
        expect_integer("a seed", seed, least=0)
        if seed > LARGEST:
            raise ValueError(f"expected a seed of at most {LARGEST}, received {seed}")
        if dtype not in ("float32", "float16"):
            raise ValueError(f"expected a dtype of float32 or float16, received {dtype!r}")
        images, labels = (np.asarray(part) for part in pixels)
        _expect_pixels(images, labels)
        if drop_last and batch_size > len(images):
            raise ValueError(
                f"expected a batch_size of at most {len(images)} where the last, smaller batch "
                f"is dropped, received {batch_size}"
            )
        if mean is None or std is None:
            own_mean, own_std = statistics(images)
            mean, std = own_mean if mean is None else mean, own_std if std is None else std
        channels = images.shape[1]
        scales = []
        for name, given in (("mean", mean), ("std", std)):
            scale = np.ascontiguousarray(given, "float32").reshape(-1)
            if scale.shape != (channels,) or (name == "std" and not (scale > 0).all()):
                raise ValueError(
                    f"expected {'positive ' * (name == 'std')}{name} for {channels} channels, "
                    f"received {given!r}"
                )
            scales.append(scale)
        self.backend = get_backend(backend) if isinstance(backend, str) else backend
        self.batch_size, self.padding, self.flip = int(batch_size), int(padding), bool(flip)
        self.shuffle, self.seed, self.drop_last = bool(shuffle), int(seed), bool(drop_last)
        self.dtype = dtype
        self._examples = len(images)
        #: Whether the backend has the kernel; others compute on the host.
        self._on_card = "cuda" in self.backend.providers
        held = (images, labels.astype(np.int64), *scales)
        if self._on_card:
            held = tuple(self.backend.from_host(np.ascontiguousarray(part)) for part in held)
        self._images, self._labels, self._mean, self._std = held
        self._epochs = itertools.count()

    def __len__(self) -> int:
        whole, rest = divmod(self._examples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return self.epoch(next(self._epochs))

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """The batches of one epoch, counted from 0.

        Raises:
            TypeError, ValueError: the number is no integer, negative or 2**31 or more.
        """
        expect_integer("an epoch", number, least=0)
        if number >= EPOCH // 2:
            raise ValueError(f"expected an epoch below {EPOCH // 2}, received {number}")
        return self._draw(int(number))

    def _draw(self, epoch: int) -> Iterator[tuple[Array, Array]]:
        order = np.arange(self._examples)
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(self._examples)
        # the order crosses over once for each epoch
        there = self.backend.from_host(order) if self._on_card else order
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = there[start : start + self.batch_size]
            yield self._changed(chosen, epoch * EPOCH + start), self._labelled(chosen)

    def _labelled(self, chosen: Array) -> Array:
        labels = self._labels[chosen]
        return labels if self._on_card else self.backend.from_host(labels)

    def _changed(self, chosen: Array, counter: int) -> Array:
        if self._on_card:
            from graphnet.kernels.cuda.pixels import gather_pixels

            return gather_pixels(
                self._images, chosen, self._mean, self._std, padding=self.padding,
                mirrors=self.flip, key=self.seed, counter=counter, dtype=self.dtype,
            )  # fmt: skip
        return self.backend.from_host(self._on_host(chosen, counter))

    def _on_host(self, chosen: Array, counter: int) -> Array:
        """What the kernel computes, by NumPy."""
        images = self._images[chosen].astype(np.float32)
        images -= self._mean[:, None, None]
        images /= self._std[:, None, None]
        count, channels, height, width = images.shape
        counters = np.uint64(counter) + np.arange(count, dtype=np.uint64)
        words = philox(np.array([self.seed], np.uint64), counters)
        border = self.padding
        padded = np.zeros((count, channels, height + 2 * border, width + 2 * border), np.float32)
        padded[:, :, border : border + height, border : border + width] = images
        # (N, C, 2 border + 1, 2 border + 1, H, W): every way to cut an image from its padding
        cuts = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = ((word * np.uint64(2 * border + 1)) >> np.uint64(32) for word in words[:2])
        changed = cuts[np.arange(count), :, down.astype(np.int64), right.astype(np.int64)]
        if self.flip:
            mirrored = (words[2] >> np.uint64(31)).astype(bool)
            changed = np.where(mirrored[:, None, None, None], changed[..., ::-1], changed)
        return np.ascontiguousarray(changed, self.dtype)


def _expect_pixels(images: Array, labels: Array) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"expected images uint8 (N, C, H, W), at least one, received {images.dtype} "
            f"{images.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(
            f"expected integer labels, one for each of {len(images)} images, received "
            f"{labels.dtype} {labels.shape}"
        )
