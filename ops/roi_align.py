"""Regions of an image brought to one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.bilinear import corners
from ops.fields import POSITIVE, freeze_counts, freeze_flags, freeze_numbers, freeze_sizes
from ops.operator import (
    Interval,
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    show,
)
from ops.scatter import added_back, picked
from ops.windows import PerAxis, per_axis

__all__ = ["RoIAlign"]


@dataclass(frozen=True)
class RoIAlign(Operator):
    """The mean of a region's entries in each of a few bins, interpolated between them.

    A box is cut into ``size`` bins, and each of these is sampled at ``samples`` by ``samples``
    points.  A point that lies at most one entry outside the image sees its border, one that
    lies further out sees 0.

    Shapes:
        - x: ``(N, C, H, W)``
        - boxes: ``(R, 4)``: left, top, right and bottom of each, of the dtype of x
        - examples: ``(R,)``, int64: which image each box is a region of
        - y: ``(R, C, *size)``

    Args:
        size: how many bins along each axis; one integer, or two.
        samples: how many points of a bin along each axis; default 2.
        scale: entries of the image for a unit of the boxes; default 1.
        aligned: whether a box counts from the edges of entries, as an entry at ``i`` covers
            ``i`` to ``i + 1``, and not from their centres, where a box has at least the size 1;
            default True.

    Raises:
        TypeError, ValueError: a field is no integer or number, or out of range.
        ShapeError: the inputs have other ranks or do not fit each other, or there is no entry.

    Source: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", 2017; ONNX ``RoiAlign`` of mode ``avg``
    with a sampling ratio above 0.

    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> RoIAlign(2).forward(x, np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([0]))[0][0, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """

    size: PerAxis
    samples: int = 2
    scale: float = 1.0
    aligned: bool = True

    def __post_init__(self) -> None:
        freeze_sizes(self, "size")
        freeze_counts(self, "samples")
        freeze_numbers(self, POSITIVE, "scale")
        freeze_flags(self, "aligned")

    def infer(self, x: Spec, boxes: Spec, examples: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, 4)
        expect_rank("boxes", boxes, 2)
        expect_spec("boxes", boxes, (boxes.shape[0], 4), x.dtype)
        expect_spec("examples", examples, boxes.shape[:1], "int64")
        if 0 in known(*x.shape[2:]):
            raise ShapeError(f"expected an image with entries, received {show(x)}")
        return x.with_shape((boxes.shape[0], x.shape[1], *per_axis("size", self.size, 2)))

    def domains(self, x: Spec, boxes: Spec, examples: Spec) -> dict[str, Interval]:
        return {"examples": Interval(0, *known(x.shape[0]))}

    def forward(self, x: Array, boxes: Array, examples: Array) -> tuple[Array, tuple[Any, ...]]:
        rows = _rows(x)
        points: Any = 0.0
        for places, weight, _, _ in self._corners(x, boxes, examples):
            points = points + weight[..., None] * picked(rows, places, 0)
        high, wide = per_axis("size", self.size, 2)
        bins = points.reshape((len(boxes), high, self.samples, wide, self.samples, x.shape[1]))
        # (R, high, wide, C) -> (R, C, high, wide)
        return bins.mean(axis=(2, 4)).transpose(0, 3, 1, 2), (x, boxes, examples)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, boxes, examples = saved
        xp = namespace(x)
        batch, channels, height, width = x.shape
        rows = _rows(x)
        # (R, C, high, wide) -> (R, high * samples, wide * samples, C)
        dpoints = (dy / self.samples**2).transpose(0, 2, 3, 1)
        dpoints = dpoints.repeat(self.samples, axis=1).repeat(self.samples, axis=2)
        drows = xp.zeros(rows.shape, dtype=x.dtype)
        dcolumn = xp.zeros(dpoints.shape[:3], dtype=x.dtype)
        drow = xp.zeros(dpoints.shape[:3], dtype=x.dtype)
        for places, weight, by_row, by_column in self._corners(x, boxes, examples):
            if needs[0]:
                drows += added_back(dpoints * weight[..., None], places, rows.shape, 0)
            if needs[1]:
                met = (dpoints * picked(rows, places, 0)).sum(axis=3)
                drow += met * by_row
                dcolumn += met * by_column
        dx = dboxes = None
        if needs[0]:
            dx = drows.reshape((batch, height, width, channels)).transpose(0, 3, 1, 2)
        if needs[1]:
            dboxes = xp.zeros(boxes.shape, dtype=x.dtype)
            for axis, moved in ((0, drow.sum(axis=2)), (1, dcolumn.sum(axis=1))):
                _, share, longer = self._along(boxes, axis)
                # a point lies a share of the length behind the start
                by_end = (moved * share).sum(axis=1) * longer
                dboxes[:, 3 - axis] = self.scale * by_end
                dboxes[:, 1 - axis] = self.scale * (moved.sum(axis=1) - by_end)
        return dx, dboxes, None

    def flops(self, x: Spec, boxes: Spec, examples: Spec) -> int:
        return self.infer(x, boxes, examples).elements * self.samples**2 * 8

    def _along(self, boxes: Array, axis: int) -> tuple[Array, Array, Array]:
        """Where the points lie along an axis, ``(R, points)``, 0 for rows.

        Returns:
            The coordinates; for each point its share of the length of a box; and for each box
            whether its length counts, or 1 stands in for it.
        """
        xp = namespace(boxes)
        bins = per_axis("size", self.size, 2)[axis]
        start = boxes[:, 1 - axis] * self.scale
        length = boxes[:, 3 - axis] * self.scale - start
        counts = xp.ones_like(length)
        if self.aligned:
            start = start - 0.5
        else:
            counts = (length > 1).astype(boxes.dtype)
            length = xp.maximum(length, 1)
        points = bins * self.samples
        share = ((xp.arange(points) + 0.5) / points).astype(boxes.dtype)
        return start[:, None] + share * length[:, None], share, counts

    def _corners(
        self, x: Array, boxes: Array, examples: Array
    ) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Those of all points ``(R, rows, columns)``, with rows of ``_rows`` in place of places."""
        xp = namespace(x)
        height, width = x.shape[2:]
        near, bounded, moves = [], [], []
        for axis, n in enumerate((height, width)):
            at, _, _ = self._along(boxes, axis)
            at = at[:, :, None] if axis == 0 else at[:, None]
            near.append((at >= -1) & (at <= n))
            moves.append((at >= 0) & (at <= n - 1))
            bounded.append(xp.clip(at, 0, n - 1))
        seen = near[0] & near[1]
        first = (examples * (height * width))[:, None, None]
        for place, weight, by_row, by_column in corners(bounded[0], bounded[1], height, width):
            yield (
                first + place,
                weight * seen,
                by_row * (seen & moves[0]),
                by_column * (seen & moves[1]),
            )


def _rows(x: Array) -> Array:
    """``(N, C, H, W) -> (N * H * W, C)``."""
    batch, channels, height, width = x.shape
    return x.transpose(0, 2, 3, 1).reshape((batch * height * width, channels))
