"""Max pooling that tells where its maxima were, and what puts entries back there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_flags, freeze_sizes
from ops.operator import Interval, Operator, ShapeError, Spec, expect_rank, known, show
from ops.pooling import MaxPool

__all__ = ["MaxPoolWithIndices", "MaxUnpool"]


@dataclass(frozen=True)
class MaxPoolWithIndices(MaxPool):
    """The largest entry of each window, and its place in the whole input.

    Ties, NaN and padding are those of :class:`ops.MaxPool`.

    Shapes:
        - x: ``(N, C, *spatial)``
        - y: ``(N, C, *out)``, ``out`` as in :class:`ops.MaxPool`
        - indices: the shape of y, int64: places in the input in raster order

    Args:
        kernel_size: the size of the window; one integer, or one per spatial axis.
        stride: the distance between windows; the kernel size when None.
        padding: as in :class:`ops.Conv`; padded entries never win.
        dilation: the distance between the entries of a window.
        column_major: whether the spatial axes are counted with the first of them fastest, and
            not the last; default False.

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the kernel does not fit, or some window would meet padding alone.

    Source: ONNX ``MaxPool`` with two outputs; Zeiler, Fergus, "Visualizing and Understanding
    Convolutional Networks", 2014.

    >>> import numpy as np
    >>> MaxPoolWithIndices(2).forward(np.array([[[1.0, 3.0, 5.0, 4.0]]]))[0]
    (array([[[3., 5.]]]), array([[[1, 2]]]))
    """

    column_major: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_flags(self, "column_major")

    def infer(self, x: Spec) -> tuple[Spec, Spec]:  # type: ignore[override]
        y = super().infer(x)
        return y, Spec(y.shape, "int64")

    def forward(self, x: Array) -> tuple[tuple[Array, Array], tuple[Any, ...]]:
        y, saved = super().forward(x)
        return (y, self._places(saved[0], x.shape)), saved

    def backward(
        self, saved: tuple[Any, ...], dy: tuple[Array, None], needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return super().backward(saved, dy[0], needs)

    def flops(self, x: Spec) -> int:
        return self.infer(x)[0].elements * math.prod(self.windows(x).kernel)

    def _places(self, winner: Array, shape: tuple[int, ...]) -> Array:
        """From the kernel position of each maximum to its place in the input."""
        xp = namespace(winner)
        windows = self.windows(Spec(shape))
        left = winner.astype("int64")
        planes = xp.arange(math.prod(shape[:2])).reshape((*shape[:2], *[1] * len(windows.size)))
        places = planes * math.prod(windows.size)
        for axis in range(len(windows.size) - 1, -1, -1):
            stride, dilation = windows.stride[axis], windows.dilation[axis]
            first = xp.arange(windows.out[axis]) * stride - windows.padding[axis][0]
            first = first.reshape((-1,) + (1,) * (len(windows.size) - 1 - axis))
            behind = windows.size[:axis] if self.column_major else windows.size[axis + 1 :]
            step = left % windows.kernel[axis]
            places = places + (first + step * dilation) * math.prod(behind)
            left = left // windows.kernel[axis]
        return places


@dataclass(frozen=True)
class MaxUnpool(Operator):
    """Zeros, but for entries put back to the places that a max pooling took them from.

    Where several have one place, as maxima of overlapping windows have, any of them stays, and
    each gets the gradient.

    Shapes:
        - x: ``(N, C, *pooled)``
        - indices: the shape of x, int64: places in y in raster order
        - y: ``(N, C, *size)``

    Args:
        size: the spatial sizes of y, one for each spatial axis.

    Raises:
        TypeError, ValueError: the size is no positive integer or several.
        ShapeError: the input has another number of axes, or the indices do not fit it.

    Source: ONNX ``MaxUnpool``; Zeiler, Fergus, "Visualizing and Understanding Convolutional
    Networks", 2014.

    >>> import numpy as np
    >>> MaxUnpool((4,)).forward(np.array([[[3.0, 5.0]]]), np.array([[[1, 2]]]))[0].tolist()
    [[[0.0, 3.0, 5.0, 0.0]]]
    """

    size: tuple[int, ...]

    def __post_init__(self) -> None:
        freeze_sizes(self, "size")
        if not isinstance(self.size, tuple) or not self.size:
            raise ValueError(f"MaxUnpool: expected one size per spatial axis, received {self.size}")

    def infer(self, x: Spec, indices: Spec) -> Spec:
        expect_rank("an input", x, 2 + len(self.size))
        if indices != Spec(x.shape, "int64"):
            raise ShapeError(
                f"expected an int64 index for each entry of {show(x)}, received {show(indices)}"
            )
        return x.with_shape((*x.shape[:2], *self.size))

    def domains(self, x: Spec, indices: Spec) -> dict[str, Interval]:
        return {"indices": Interval(0, math.prod((*known(*x.shape[:2]), *self.size)))}

    def forward(self, x: Array, indices: Array) -> tuple[Array, tuple[Any, ...]]:
        shape = (*x.shape[:2], *self.size)
        y = namespace(x).zeros(math.prod(shape), dtype=x.dtype)
        y[indices.reshape(-1)] = x.reshape(-1)
        return y.reshape(shape), (indices,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (indices,) = saved
        if not needs[0]:
            return None, None
        return dy.reshape(-1)[indices.reshape(-1)].reshape(indices.shape), None

    def flops(self, *specs: Spec) -> int:
        return 0
