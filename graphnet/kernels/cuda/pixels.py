"""Batches of images that lie on the card as bytes, by one kernel."""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.device import LINE, grid_of, source
from graphnet.kernels.cuda.kernel import DTYPES

__all__ = ["gather_pixels"]


def gather_pixels(
    images: Any,
    chosen: Any,
    mean: Any,
    std: Any,
    *,
    padding: int,
    mirrors: bool,
    key: int,
    counter: int,
    dtype: str = "float32",
) -> Any:
    """The chosen images, each cropped at random from its padding, perhaps mirrored, and scaled.

    Args:
        images: ``(N, C, H, W)`` of uint8.
        chosen: ``(n,)`` of int64, indices into them.
        mean: ``(C,)`` of float32.
        std: ``(C,)`` of float32.
        padding: how many pixels of the mean lie around an image.
        mirrors: whether half of the images are mirrored left to right.
        key: of Philox.
        counter: of the first of them.
        dtype: of the result, a key of :data:`graphnet.kernels.cuda.kernel.DTYPES`.

    Returns:
        A new array ``(n, C, H, W)``.
    """
    card = device.get_device()
    channels, height, width = images.shape[1:]
    y = card.xp.empty((len(chosen), channels, height, width), dtype=dtype)
    size = math.prod(y.shape)
    launch = card.function(source("pixels.cu"), "gather_pixels", DTYPES[dtype])
    launch(
        grid_of(card, size),
        (LINE,),
        (images, chosen, mean, std, y, size, channels, height, width, padding, mirrors, key,
         counter),
    )  # fmt: skip
    return y
