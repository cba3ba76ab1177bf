"""Sampling an image at points that another input gives, by interpolation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import expect_choice, freeze_flags
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    known,
    show,
)
from ops.scatter import added_back, picked

__all__ = ["GridSample"]

#: The entries that each mode takes along an axis, counted from the one at or before the point.
_TAPS = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}

#: Keys' coefficient, as in PyTorch and ONNX.
_CUBIC = -0.75


@dataclass(frozen=True)
class GridSample(Operator):
    """The entries of an image at the points of a grid, interpolated along every axis.

    A coordinate g of the grid lies at ``((g + 1) n - 1) / 2`` among the n entries of its axis, or
    at ``(g + 1) (n - 1) / 2`` if the corners are aligned.  The last number of a point is its
    coordinate along the first spatial axis, as x, y stands for column, row.  A gradient flows to
    the points as well, but for ``"nearest"``, where it is 0.

    Shapes:
        - x: ``(N, C, *spatial)`` with 1 to 3 spatial axes
        - grid: ``(N, *out, axes)``, of the dtype of x
        - y: ``(N, C, *out)``

    Args:
        mode: ``"linear"``, the default, ``"nearest"`` (halves to the even entry) or ``"cubic"``.
        padding: what lies outside: ``"zeros"``, the default; ``"border"``, the outermost entry; or
            ``"reflection"``, the image mirrored at its border.
        align_corners: whether -1 and 1 are the centres of the outermost entries, and not their
            outer edges; default False.

    Raises:
        TypeError, ValueError: a field is none of these.
        ShapeError: the inputs have other ranks or dtypes, differ in their examples, or the image
            has no entry.

    Source: Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial Transformer Networks", 2015; ONNX
    ``GridSample``.

    >>> import numpy as np
    >>> x, grid = np.array([[[1.0, 3.0]]]), np.array([[[-0.5], [0.0], [0.5]]])
    >>> GridSample().forward(x, grid)[0].tolist()
    [[[1.0, 2.0, 3.0]]]
    """

    mode: str = "linear"
    padding: str = "zeros"
    align_corners: bool = False

    def __post_init__(self) -> None:
        expect_choice(self, "mode", tuple(_TAPS))
        expect_choice(self, "padding", ("zeros", "border", "reflection"))
        freeze_flags(self, "align_corners")

    def infer(self, x: Spec, grid: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, least=3, most=5)
        axes = x.rank - 2
        fits = grid.rank == x.rank and grid.shape[0] == x.shape[0] and grid.dtype == x.dtype
        if not fits or grid.shape[-1] != axes or 0 in known(*x.shape[2:]):
            raise ShapeError(
                f"expected an image with entries and a grid (N, *out, {axes}) of its dtype, with "
                f"{axes} axes of points for its {axes} spatial axes, received {show(x)} and "
                f"{show(grid)}"
            )
        return x.with_shape((*x.shape[:2], *grid.shape[1:-1]))

    def forward(self, x: Array, grid: Array) -> tuple[Array, tuple[Any, ...]]:
        rows = _rows(x)
        y: Any = 0.0
        for places, weight, _ in self._corners(grid, x.shape):
            y = y + weight[..., None] * picked(rows, places, 0)
        # (N, points, C) -> (N, C, *out)
        return y.swapaxes(1, 2).reshape((*x.shape[:2], *grid.shape[1:-1])), (x, grid)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, grid = saved
        xp = namespace(x)
        batch, channels, *spatial = x.shape
        rows = _rows(x)
        flat = dy.reshape((batch, channels, math.prod(dy.shape[2:]))).swapaxes(1, 2)
        drows = xp.zeros(rows.shape, dtype=dy.dtype)
        dcoordinates = xp.zeros((batch, flat.shape[1], len(spatial)), dtype=dy.dtype)
        for places, weight, slopes in self._corners(grid, x.shape):
            if needs[0]:
                drows += added_back(flat * weight[..., None], places, rows.shape, 0)
            if needs[1] and slopes:
                met = (flat * picked(rows, places, 0)).sum(axis=2)
                for axis, slope in enumerate(slopes):
                    dcoordinates[..., len(spatial) - 1 - axis] += met * slope
        dx = drows.reshape((batch, *spatial, channels)) if needs[0] else None
        return (
            None if dx is None else xp.moveaxis(dx, -1, 1),
            dcoordinates.reshape(grid.shape) if needs[1] else None,
        )

    def flops(self, x: Spec, grid: Spec) -> int:
        corners = len(_TAPS[self.mode]) ** (x.rank - 2)
        return self.infer(x, grid).elements * 2 * int(corners)

    def _corners(
        self, grid: Array, shape: tuple[int, ...]
    ) -> Iterator[tuple[Array, Array, list[Array]]]:
        """Each combination of taps: the rows taken, their weights and the slopes of these.

        Rows and weights are ``(N, points)``; there is a slope for the coordinate along each
        spatial axis, by which the weight changes with the number in the grid.
        """
        xp = namespace(grid)
        batch, _, *spatial = shape
        points = grid.reshape((batch, math.prod(grid.shape[1:-1]), len(spatial)))
        axes = [
            self._taps(points[..., len(spatial) - 1 - axis], n) for axis, n in enumerate(spatial)
        ]
        first = xp.arange(batch)[:, None] * math.prod(spatial)
        for taps in itertools.product(*axes):
            places: Any = 0
            weight: Any = 1.0
            for (index, own, _), n in zip(taps, spatial, strict=True):
                places, weight = places * n + index, weight * own
            slopes = []
            if self.mode != "nearest":
                for axis, (_, _, slope) in enumerate(taps):
                    for other, (_, own, _) in enumerate(taps):
                        slope = slope if other == axis else slope * own
                    slopes.append(slope)
            yield first + places, weight, slopes

    def _taps(self, numbers: Array, n: int) -> list[tuple[Array, Array, Array]]:
        """The entries taken along one axis, with their weights and slopes, ``(N, points)`` each."""
        xp = namespace(numbers)
        scale = (n - 1) / 2 if self.align_corners else n / 2
        at = (numbers + 1) * scale - (0.0 if self.align_corners else 0.5)
        if self.mode == "nearest":
            at = xp.rint(at)
        at, turn = self._inside(at, n)
        base = xp.floor(at)
        t = at - base
        weights, slopes = _weights(self.mode, t)
        taps = []
        for tap, weight, slope in zip(_TAPS[self.mode], weights, slopes, strict=True):
            index = base + tap
            if self.padding == "zeros":
                met = (index >= 0) & (index < n)
                weight, slope = weight * met, slope * met
            elif self.padding == "reflection":
                index = self._inside(index, n)[0]
            # beyond the range of indices too, where a point is far outside
            index = xp.clip(index, 0, n - 1).astype("int64")
            taps.append((index, weight, slope * turn * scale))
        return taps

    def _inside(self, at: Array, n: int) -> tuple[Array, Array]:
        """Coordinates brought back into the image, and whether they run forward, back or not."""
        xp = namespace(at)
        low, high = (0.0, n - 1.0) if self.align_corners else (-0.5, n - 0.5)
        outside = (at < low) | (at > high)
        one = xp.ones_like(at)
        if self.padding == "zeros":
            # an entry beyond the outermost is as good as any, and an index of it exists
            return xp.clip(at, -4.0, n + 3.0), one
        if self.padding == "border":
            return xp.where(outside, xp.clip(at, 0.0, n - 1.0), at), xp.where(outside, 0, one)
        width = high - low
        if width == 0:
            return xp.zeros_like(at), xp.zeros_like(at)
        distance = xp.abs(at - low)
        turns = xp.floor(distance / width)
        rest = distance - turns * width
        back = turns - 2.0 * xp.floor(turns / 2.0)  # 1 for an odd number of turns, else 0
        mirrored = xp.where(back == 0, low + rest, high - rest)
        sign = xp.where(at < low, -one, one) * (1.0 - 2.0 * back).astype(at.dtype)
        return xp.where(outside, mirrored, at), xp.where(outside, sign, one)


def _weights(mode: str, t: Array) -> tuple[list[Array], list[Array]]:
    """The weight of each tap at a distance ``t`` from the first, and its slope."""
    xp = namespace(t)
    one = xp.ones_like(t)
    if mode == "nearest":
        return [one], [xp.zeros_like(t)]
    if mode == "linear":
        return [1.0 - t, t], [-one, one]
    distances = (1.0 + t, t, 1.0 - t, 2.0 - t)
    weights = [_far(distances[0]), _near(t), _near(distances[2]), _far(distances[3])]
    slopes = [
        _far_slope(distances[0]),
        _near_slope(t),
        -_near_slope(distances[2]),
        -_far_slope(distances[3]),
    ]
    return weights, slopes


def _near(d: Array) -> Array:
    """Keys' cubic at a distance of at most 1."""
    return ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1.0


def _near_slope(d: Array) -> Array:
    return (3 * (_CUBIC + 2) * d - 2 * (_CUBIC + 3)) * d


def _far(d: Array) -> Array:
    """Keys' cubic at a distance between 1 and 2."""
    return ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC


def _far_slope(d: Array) -> Array:
    return (3 * _CUBIC * d - 10 * _CUBIC) * d + 8 * _CUBIC


def _rows(x: Array) -> Array:
    """``(N, C, *spatial) -> (N * positions, C)``."""
    batch, channels, *spatial = x.shape
    rows = namespace(x).moveaxis(x, 1, -1)
    return rows.reshape((batch * math.prod(spatial), channels))
