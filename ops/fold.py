"""Windows laid back into the image that they were taken from, where they overlap added up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.fields import freeze_sizes
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    known,
    show,
)
from ops.windows import Padding, PerAxis, Windows, freeze_windows, pad_spatial

__all__ = ["Fold"]


@dataclass(frozen=True)
class Fold(Operator):
    """The image ``(N, C, *size)`` whose windows, where they overlap, add up to it.

    It is the transpose of taking windows: column ``l`` of x holds the entries that window ``l``
    gives to each channel, and what falls on padding is lost.

    Shapes:
        - x: ``(N, C * k, windows)`` for k entries in a window, channels first, and as many
          windows, in raster order, as a convolution over the image has outputs
        - y: ``(N, C, *size)``

    Args:
        size: the spatial sizes of the image, 1 to 3.
        kernel_size: the size of a window; one integer, or one per spatial axis.
        stride: the distance between windows; default 1.
        padding: as in :class:`ops.Conv`; default 0.
        dilation: the distance between the entries of a window; default 1.

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the input is not floating or has other sizes, or a window does not fit.

    Source: ONNX ``Col2Im``; PyTorch's ``fold``.

    >>> import numpy as np
    >>> Fold((3,), 2).forward(np.array([[[1.0, 2.0], [10.0, 20.0]]]))[0].tolist()
    [[[1.0, 12.0, 20.0]]]
    """

    size: tuple[int, ...]
    kernel_size: PerAxis
    stride: PerAxis = 1
    padding: Padding = 0
    dilation: PerAxis = 1

    def __post_init__(self) -> None:
        freeze_sizes(self, "size")
        if not isinstance(self.size, tuple) or not 1 <= len(self.size) <= 3:
            raise ValueError(f"Fold: expected 1 to 3 spatial sizes, received {self.size!r}")
        freeze_windows(self, "kernel_size", "stride", "dilation")

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, 3)
        windows = self._windows()
        entries = math.prod(windows.kernel)
        (rows,) = known(x.shape[1])
        if rows % entries or x.shape[2] != math.prod(windows.out):
            raise ShapeError(
                f"expected {entries} rows for each channel and {math.prod(windows.out)} windows, "
                f"received {show(x)}"
            )
        return x.with_shape((x.shape[0], rows // entries, *self.size))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        windows = self._windows()
        batch, rows, _ = x.shape
        entries = math.prod(windows.kernel)
        channels = rows // entries
        parts = x.reshape((batch, channels, entries, *windows.out))
        return windows.scatter(x, (batch, channels), lambda number: parts[:, :, number]), (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        (shape,) = saved
        windows = self._windows()
        view = windows.view(pad_spatial(dy, windows.padding))  # (N, C, *out, *kernel)
        axes = len(self.size)
        kernel_first = (0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
        return (view.transpose(kernel_first).copy().reshape(shape),)

    def flops(self, x: Spec) -> int:
        return x.elements

    def _windows(self) -> Windows:
        image = Spec((1, 1, *self.size))
        return Windows.over(image, self.kernel_size, self.stride, self.padding, self.dilation)
