"""Random changes of training images that leave their labels true.

A transform is called with images ``(N, C, H, W)`` and a NumPy generator; it returns a new
array of the same shape and dtype, and never changes the one it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphnet.data.dataset import expect_integer
from ops.arrays import Array

__all__ = ["Compose", "Flip", "Shift", "Transform"]

#: What changes a batch of images: ``transform(images, rng)``.
Transform = Callable[[Array, np.random.Generator], Array]


@dataclass(frozen=True)
class Shift:
    """Move each image by its own random number of pixels, at most ``pixels`` along each axis.

    The part of an image that becomes empty takes the smallest value of that image and
    channel, which is the background of images that are bright on dark.

    Raises:
        TypeError, ValueError: ``pixels`` is no integer or negative, or the images have not
            four axes.

    Source: Simard, Steinkraus, Platt, "Best Practices for Convolutional Neural Networks
    Applied to Visual Document Analysis", 2003.

    >>> import numpy as np
    >>> images = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> Shift(1)(images, np.random.default_rng(3))[0, 0]
    array([[ 0.,  4.,  5.,  6.],
           [ 0.,  8.,  9., 10.],
           [ 0., 12., 13., 14.],
           [ 0.,  0.,  0.,  0.]])
    """

    pixels: int

    def __post_init__(self) -> None:
        expect_integer("Shift pixels", self.pixels, least=0)

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """The images moved, each by its own draw from ``rng``."""
        _expect_images(images)
        examples, channels, height, width = images.shape
        border = self.pixels
        padded = np.empty(
            (examples, channels, height + 2 * border, width + 2 * border), images.dtype
        )
        padded[...] = images.min(axis=(2, 3), keepdims=True)
        padded[:, :, border : border + height, border : border + width] = images
        # (N, C, 2 border + 1, 2 border + 1, H, W): every way to cut an image from its padding
        cuts = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = rng.integers(0, 2 * border + 1, (2, examples))
        return cuts[np.arange(examples), :, down, right]


@dataclass(frozen=True)
class Flip:
    """Mirror each image left to right with probability 1/2.

    Raises:
        ValueError: the images have not four axes.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional
    Neural Networks", 2012.

    >>> import numpy as np
    >>> images = np.array([1.0, 2.0] * 3).reshape(3, 1, 1, 2)
    >>> Flip()(images, np.random.default_rng(0)).reshape(3, 2)
    array([[1., 2.],
           [2., 1.],
           [2., 1.]])
    """

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """The images, about half of them mirrored."""
        _expect_images(images)
        mirrored = rng.random(len(images)) < 0.5
        return np.where(mirrored[:, None, None, None], images[..., ::-1], images)


@dataclass(frozen=True, init=False, repr=False)
class Compose:
    """Apply transforms one after the other.

    Raises:
        TypeError: there is none, or one cannot be called.

    >>> Compose(Shift(2), Flip())
    Compose(Shift(pixels=2), Flip())
    """

    transforms: tuple[Transform, ...]

    def __init__(self, *transforms: Transform) -> None:
        if not transforms or not all(map(callable, transforms)):
            received = ", ".join(map(repr, transforms)) or "nothing"
            raise TypeError(f"Compose: expected one or more transforms, received {received}")
        object.__setattr__(self, "transforms", transforms)

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """The images after the last transform."""
        for transform in self.transforms:
            images = transform(images, rng)
        return images


def _expect_images(images: Array) -> None:
    if images.ndim != 4:
        raise ValueError(f"expected images (N, C, H, W), received shape {images.shape}")
