"""Adaptive pooling: the output size is given, and the windows follow from it.

Along an axis of ``n`` entries, output ``i`` of ``out`` sees the entries from
``floor(i * n / out)`` to ``ceil((i + 1) * n / out)``, the last one excluded.  A window is the
product of one such range per axis, so pooling works on one axis after the other.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import freeze_sizes
from ops.operator import Operator, ShapeError, Spec, expect_floating, expect_rank, known, show
from ops.windows import PerAxis, per_axis

__all__ = ["AdaptiveAvgPool", "AdaptiveMaxPool"]


@dataclass(frozen=True)
class _AdaptivePool(Operator):
    """What average and maximum share: the field and the shapes."""

    output_size: PerAxis

    def __post_init__(self) -> None:
        freeze_sizes(self, "output_size")

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, least=3, most=5)
        if 0 in known(*x.shape[2:]):
            raise ShapeError(f"expected spatial sizes of at least 1, received {show(x)}")
        return x.with_shape((*x.shape[:2], *self._out(x.rank)))

    def flops(self, x: Spec) -> int:
        # each axis leaves fewer entries to the one before it
        sizes, total = list(known(*x.shape)), 0
        for axis, out in reversed(list(enumerate(self._out(x.rank), start=2))):
            reads = sum(end - start for start, end in _ranges(sizes[axis], out))
            sizes[axis] = out
            total += math.prod(sizes) // out * reads
        return total

    def _out(self, rank: int) -> tuple[int, ...]:
        return per_axis("output_size", self.output_size, rank - 2)


@dataclass(frozen=True)
class AdaptiveAvgPool(_AdaptivePool):
    """The mean of each of ``output_size`` windows that cover the input evenly.

    Window ``i`` of an axis is ``x[floor(i * n / out) : ceil((i + 1) * n / out)]``.

    Shapes:
        - x: ``(N, C, *spatial)`` with 1 to 3 spatial axes
        - y: ``(N, C, *output_size)``

    Args:
        output_size: the spatial sizes of y: one integer for all, or one per axis.

    Raises:
        TypeError, ValueError: a size is no integer or below 1.
        ShapeError: the input is not floating, of the wrong rank, or has an empty spatial axis.

    Source: He, Zhang, Ren, Sun, "Spatial Pyramid Pooling in Deep Convolutional Networks for
    Visual Recognition", ECCV 2014; PyTorch ``AdaptiveAvgPool2d``.

    >>> import numpy as np
    >>> AdaptiveAvgPool(2).forward(np.arange(5.0).reshape(1, 1, 5))[0].tolist()
    [[[1.0, 3.0]]]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = x
        for axis, out in reversed(list(enumerate(self._out(x.ndim), start=2))):
            wide, y = y, _blank(y, axis, out)
            for i, (start, end) in enumerate(_ranges(wide.shape[axis], out)):
                window = wide[_span(axis, start, end)]
                y[_span(axis, i, i + 1)] = window.mean(axis=axis, keepdims=True)
        return y, (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        (shape,) = saved
        dx = dy
        for axis in range(2, dy.ndim):
            narrow, dx = dx, _blank(dx, axis, shape[axis])
            for i, (start, end) in enumerate(_ranges(shape[axis], dy.shape[axis])):
                dx[_span(axis, start, end)] += narrow[_span(axis, i, i + 1)] / (end - start)
        return (dx,)


@dataclass(frozen=True)
class AdaptiveMaxPool(_AdaptivePool):
    """The largest entry of each of ``output_size`` windows that cover the input evenly.

    Window ``i`` of an axis is ``x[floor(i * n / out) : ceil((i + 1) * n / out)]``.  NaN counts
    as the largest, and a tie's gradient goes to the first in raster order.

    Shapes:
        - x: ``(N, C, *spatial)`` with 1 to 3 spatial axes
        - y: ``(N, C, *output_size)``

    Args:
        output_size: the spatial sizes of y: one integer for all, or one per axis.

    Raises:
        TypeError, ValueError: a size is no integer or below 1.
        ShapeError: the input is not floating, of the wrong rank, or has an empty spatial axis.

    Source: He, Zhang, Ren, Sun, "Spatial Pyramid Pooling in Deep Convolutional Networks for
    Visual Recognition", ECCV 2014; PyTorch ``AdaptiveMaxPool2d``.

    >>> import numpy as np
    >>> AdaptiveMaxPool(2).forward(np.arange(5.0).reshape(1, 1, 5))[0].tolist()
    [[[2.0, 4.0]]]
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        spatial = x.shape[2:]
        y, winner = x, xp.arange(math.prod(spatial), dtype="int32").reshape(1, 1, *spatial)
        winner = xp.broadcast_to(winner, x.shape)
        # the last axis first: among equal entries the first of the first row then stays
        for axis, out in reversed(list(enumerate(self._out(x.ndim), start=2))):
            wide, y = y, _blank(y, axis, out)
            places, winner = winner, _blank(winner, axis, out)
            for i, (start, end) in enumerate(_ranges(wide.shape[axis], out)):
                here, there = _span(axis, start, end), _span(axis, i, i + 1)
                first = wide[here].argmax(axis=axis, keepdims=True)
                y[there] = xp.take_along_axis(wide[here], first, axis=axis)
                winner[there] = xp.take_along_axis(places[here], first, axis=axis)
        return y, (winner, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        winner, shape = saved
        xp = namespace(dy)
        images = shape[0] * shape[1]
        dx = xp.zeros((images, math.prod(shape[2:])), dtype=dy.dtype)
        image = xp.arange(images).reshape(-1, 1)
        # windows that lie far enough apart have no entry in common, so no sum is lost among them
        apart = [_apart(n, out) for n, out in zip(shape[2:], dy.shape[2:], strict=True)]
        for offsets in itertools.product(*map(range, apart)):
            here = (..., *(slice(o, None, step) for o, step in zip(offsets, apart, strict=True)))
            chosen = math.prod(winner[here].shape[2:])
            # (N, C, *chosen) -> (N * C, chosen)
            place = (image, winner[here].reshape(images, chosen))
            dx[place] += dy[here].reshape(images, chosen)
        return (dx.reshape(shape),)


@functools.lru_cache(maxsize=1024)
def _ranges(size: int, out: int) -> tuple[tuple[int, int], ...]:
    """Where each window over ``size`` entries starts and ends."""
    return tuple((i * size // out, -(-(i + 1) * size // out)) for i in range(out))


@functools.lru_cache(maxsize=1024)
def _apart(size: int, out: int) -> int:
    """The least distance at which no window overlaps another that lies as far from it or more."""
    ranges = _ranges(size, out)
    step = 1
    for i, (_, end) in enumerate(ranges):
        while i + step < out and ranges[i + step][0] < end:
            step += 1
    return step


def _blank(like: Array, axis: int, size: int) -> Array:
    """Zeros like an array, but of another size along one axis."""
    shape = (*like.shape[:axis], size, *like.shape[axis + 1 :])
    return namespace(like).zeros(shape, dtype=like.dtype)


def _span(axis: int, start: int, end: int) -> tuple[slice, ...]:
    """The index of a range along one axis."""
    return (*[slice(None)] * axis, slice(start, end))
