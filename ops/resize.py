"""Resizing the spatial axes by interpolation, one axis after the other.

Along an axis of ``n`` entries, output ``i`` of ``out`` lies at a coordinate among them, and is
a weighted sum of the entries nearby: of 1 for ``"nearest"``, 2 for ``"linear"``, 4 for
``"cubic"``.  An entry that would lie outside is the one at the border.

The reverse pass gathers as well.  Coordinates grow with ``i``, so the outputs that take an
entry lie side by side: each entry collects a few neighbouring gradients, in a fixed order.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ops.arrays import Array, namespace
from ops.fields import (
    FINITE,
    POSITIVE,
    expect_choice,
    expect_number,
    freeze_flags,
    freeze_numbers,
    freeze_sizes,
)
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    known,
    show,
    show_shape,
)
from ops.windows import PerAxis, per_axis

__all__ = ["Resize"]


_COORDINATES = (
    "half_pixel",
    "align_corners",
    "asymmetric",
    "pytorch_half_pixel",
    "half_pixel_symmetric",
)

#: The entries that each mode takes, counted from the one at or before the coordinate.
_TAPS = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}

#: Numbers and arrays alike become whole ones.
_ROUNDING = {
    "round_prefer_floor": lambda c: -((0.5 - c) // 1),
    "round_prefer_ceil": lambda c: (c + 0.5) // 1,
    "floor": lambda c: c // 1,
    "ceil": lambda c: -(-c // 1),
}


@dataclass(frozen=True)
class Resize(Operator):
    """Interpolation to another spatial size, or by a scale, in 1, 2 or 3 dimensions.

    With ``scale = out / n``, or as given, output ``i`` lies at the coordinate

    - ``"half_pixel"``: ``(i + 0.5) / scale - 0.5``
    - ``"pytorch_half_pixel"``: the same, but 0 if ``out`` is 1
    - ``"half_pixel_symmetric"``: ``(i + 0.5 - out / 2) / scale + n / 2 - 0.5``, which keeps the
      centre where a given scale does not fit the size
    - ``"asymmetric"``: ``i / scale``
    - ``"align_corners"``: ``i * (n - 1) / (out - 1)``, or 0 if ``out`` is 1

    PyTorch's mode ``nearest`` has ``asymmetric`` coordinates rounded by ``floor``,
    ``nearest-exact`` has ``half_pixel`` ones rounded by ``round_prefer_ceil``.

    Shapes:
        - x: ``(N, C, *spatial)`` with 1 to 3 spatial axes
        - y: ``(N, C, *size)``, where ``size = floor(n * scale)`` if a scale is given

    Args:
        size: the spatial sizes of y: one integer for all, or one per axis.
        scale: the factors of the sizes: one number for all, or one per axis.  Either size or
            scale is given, not both.
        mode: ``"nearest"``, ``"linear"`` or ``"cubic"``; default ``"nearest"``.
        coordinates: one of the above; default ``"half_pixel"``.
        nearest: how ``"nearest"`` rounds a coordinate: ``"round_prefer_floor"`` (halves down),
            ``"round_prefer_ceil"`` (halves up), ``"floor"`` or ``"ceil"``.
        cubic_coefficient: Keys' ``a``; default -0.75.
        exclude_outside: whether ``"cubic"`` gives entries outside no weight and the others all
            of it, rather than let the border stand in for them; default False.  The other
            modes give the same result either way, unless they are spread by ``antialias``.
        antialias: whether ``"linear"`` and ``"cubic"`` are spread over as many entries as lie
            between two outputs, where these are further apart than entries; default False.

    Raises:
        TypeError, ValueError: a field is out of range, or not exactly one of size and scale is
            given.
        ShapeError: the input is not floating, of the wrong rank or empty, or a scale leaves
            nothing of it.

    Source: ONNX ``Resize``; Keys, "Cubic Convolution Interpolation for Digital Image
    Processing", 1981.

    >>> import numpy as np
    >>> Resize(4, mode="linear").forward(np.array([[[0.0, 1.0]]]))[0].tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """

    size: PerAxis | None = None
    scale: float | tuple[float, ...] | None = None
    _: KW_ONLY
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_coefficient: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def __post_init__(self) -> None:
        if (self.size is None) == (self.scale is None):
            raise ValueError(
                f"Resize: expected either size or scale, "
                f"received size {self.size!r} and scale {self.scale!r}"
            )
        if self.size is not None:
            freeze_sizes(self, "size")
        else:
            object.__setattr__(self, "scale", _factors(self, self.scale))
        expect_choice(self, "mode", tuple(_TAPS))
        expect_choice(self, "coordinates", _COORDINATES)
        expect_choice(self, "nearest", tuple(_ROUNDING))
        freeze_numbers(self, FINITE, "cubic_coefficient")
        freeze_flags(self, "exclude_outside", "antialias")

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, least=3, most=5)
        return x.with_shape((*x.shape[:2], *(axis.out for axis in self._axes(x))))

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = x
        for number, axis in self._changed(x.shape):
            y = axis.gather(y, number)
        return y, (x.shape,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        if not needs[0]:
            return (None,)
        (shape,) = saved
        dx = dy
        for number, axis in reversed(self._changed(shape)):
            dx = axis.scatter(dx, number)
        return (dx.copy() if dx is dy else dx,)

    def flops(self, x: Spec) -> int:
        if self.mode == "nearest":
            return 0
        sizes, total = list(known(*x.shape)), 0
        for number, axis in self._changed(x.shape):
            sizes[number] = axis.out
            total += math.prod(sizes) * (2 * len(axis.offsets) - 1)
        return total

    def taps(self, x: Spec) -> list[tuple[Array, Array]]:
        """For each spatial axis the entries that make up an output, and their weights.

        Returns:
            Two NumPy arrays ``(out, taps)`` an axis, of indices and of float64 weights.

        >>> (index, weight), = Resize(4, mode="linear").taps(Spec((1, 1, 2)))
        >>> index.tolist(), weight.tolist()[1]
        ([[0, 0], [0, 1], [0, 1], [1, 1]], [0.75, 0.25])
        """
        return [axis.table() for axis in self._axes(x)]

    def _changed(self, shape: tuple[Any, ...]) -> list[tuple[int, _Axis]]:
        """The axes that do not stay as they are, with their numbers."""
        axes = enumerate(self._axes(Spec(shape)), start=2)
        return [(number, axis) for number, axis in axes if axis.changes]

    def _axes(self, x: Spec) -> tuple[_Axis, ...]:
        sizes = known(*x.shape[2:])
        steps: tuple[tuple[float, float], ...]
        if self.size is not None:
            outs = per_axis("size", self.size, len(sizes))
            steps = tuple(zip(sizes, outs, strict=True))
        elif self.scale is not None:
            scales = per_axis("scale", self.scale, len(sizes))
            outs = tuple(math.floor(n * s) for n, s in zip(sizes, scales, strict=True))
            steps = tuple((1.0, s) for s in scales)
        if 0 in sizes or 0 in outs:
            raise ShapeError(
                f"expected spatial sizes of at least 1, received {show(x)} to be resized to "
                f"{show_shape(outs)}"
            )
        axes = zip(sizes, outs, steps, strict=True)
        return tuple(_Axis(n, out, step, self) for n, out, step in axes)


@dataclass(frozen=True)
class _Axis:
    """How one axis is sampled: at ``out`` points among ``size`` entries.

    Attributes:
        step: the distance of neighbouring points, as a quotient: dividing once keeps every
            coordinate exact that is whole or a half.
        resize: the modes.
    """

    size: int
    out: int
    step: tuple[float, float]
    resize: Resize

    @property
    def offsets(self) -> tuple[int, ...]:
        """The entries that an output takes, counted from the one at or before its coordinate."""
        taps = _TAPS[self.resize.mode]
        if self._spread == 1:
            return taps
        reach = math.ceil(len(taps) / 2 * self._spread)  # all entries within it on either side
        return tuple(range(1 - reach, reach + 1))

    @property
    def _spread(self) -> float:
        """How many entries lie between two outputs, at least 1, where the modes follow it."""
        if not self.resize.antialias or self.resize.mode == "nearest":
            return 1.0
        return max(self.step[0] / self.step[1], 1.0)

    @property
    def changes(self) -> bool:
        """Whether any output differs from the entry of the same index."""
        return self.size != self.out or self.step[0] != self.step[1]

    def gather(self, x: Array, axis: int) -> Array:
        """Interpolate along an axis."""
        y = None
        for _, index, weight in self._taps(x, axis):
            part = x.take(index, axis=axis)
            if weight is not None:
                part *= weight
            y = part if y is None else y + part
        return y

    def scatter(self, dy: Array, axis: int) -> Array:
        """The transpose of :meth:`gather`."""
        xp = namespace(dy)
        entries = xp.arange(self.size)
        below = [1] * (dy.ndim - 1 - axis)
        dx = xp.zeros((*dy.shape[:axis], self.size, *dy.shape[axis + 1 :]), dtype=dy.dtype)
        for tap, index, weight in self._taps(dy, axis):
            part = dy if weight is None else dy * weight
            start = xp.searchsorted(index, entries, side="left")
            end = xp.searchsorted(index, entries, side="right")
            for k in range(self._most(tap)):
                taken = part.take(xp.minimum(start + k, self.out - 1), axis=axis)
                dx += xp.where((start + k < end).reshape(-1, *below), taken, 0)
        return dx

    def table(self) -> tuple[Array, Array]:
        """The entries ``(out, taps)`` that every output takes, and their weights."""
        taps = list(self._taps(np.empty((1,), "float64"), 0))
        index = np.stack([index for _, index, _ in taps], axis=1)
        weights = [np.ones(self.out) if weight is None else weight for *_, weight in taps]
        return index, np.stack(weights, axis=1)

    def _taps(self, like: Array, axis: int) -> Iterator[tuple[int, Array, Array | None]]:
        """Each tap, the entry every output takes there, and its weight (1 when None)."""
        xp = namespace(like)
        at = self._coordinate(xp.arange(self.out, dtype="float64"))
        base = self._base(at)
        below = [1] * (like.ndim - 1 - axis)
        for tap, weight in zip(self.offsets, self._weights(at - base, base), strict=True):
            index = xp.clip(base + tap, 0, self.size - 1).astype("int64")
            if weight is not None:
                weight = weight.astype(like.dtype).reshape(-1, *below)
            yield tap, index, weight

    def _weights(self, t: Array, base: Array) -> list[Array | None]:
        """The weight of each tap for coordinates ``base + t``."""
        if self.resize.mode == "nearest":
            return [None]
        if self._spread > 1:
            weights = self._spread_weights(t)
        elif self.resize.mode == "linear":
            return [1 - t, t]
        else:
            a = self.resize.cubic_coefficient
            weights = [_far(1 + t, a), _near(t, a), _near(1 - t, a), _far(2 - t, a)]
            if not self.resize.exclude_outside:
                return weights
        if self.resize.exclude_outside:
            inside = [(base + tap >= 0) & (base + tap < self.size) for tap in self.offsets]
            weights = [weight * within for weight, within in zip(weights, inside, strict=True)]
        total = sum(weights)
        return [weight / total for weight in weights]

    def _spread_weights(self, t: Array) -> list[Array]:
        """The weight of each tap, of its distance in outputs and not in entries."""
        xp = namespace(t)
        distances = [xp.abs(tap - t) / self._spread for tap in self.offsets]
        if self.resize.mode == "linear":
            return [xp.maximum(1 - d, 0) for d in distances]
        a = self.resize.cubic_coefficient
        return [xp.where(d <= 1, _near(d, a), xp.where(d < 2, _far(d, a), 0.0)) for d in distances]

    def _coordinate(self, i: Any) -> Any:
        """Where output ``i``, a number or an array of them, lies among the entries."""
        shift, (up, down), move = self._line()
        return (i + shift) * up / down + move

    def _line(self) -> tuple[float, tuple[float, float], float]:
        """The coordinate ``(i + shift) * up / down + move``."""
        coordinates = self.resize.coordinates
        if coordinates == "asymmetric":
            return 0, self.step, 0
        if coordinates == "align_corners":
            return 0, (self.size - 1, max(self.out - 1, 1)), 0
        if coordinates == "half_pixel_symmetric":
            return 0.5 - self.out / 2, self.step, self.size / 2 - 0.5
        if coordinates == "pytorch_half_pixel" and self.out == 1:
            return 0, (0, 1), 0
        return 0.5, self.step, -0.5

    def _base(self, at: Any) -> Any:
        """The entry from which taps are counted, for a coordinate or an array of them."""
        resize = self.resize
        return _ROUNDING[resize.nearest if resize.mode == "nearest" else "floor"](at)

    def _most(self, tap: int) -> int:
        """No entry is taken by more outputs than this."""

        def entry(i: int) -> int:
            return int(self._base(self._coordinate(i))) + tap

        # many may lie outside, where the border stands in
        outputs = range(self.out)
        first = bisect.bisect_right(outputs, 0, key=entry)
        last = self.out - bisect.bisect_left(outputs, self.size - 1, key=entry)
        _, (up, down), _ = self._line()
        # the factor is for points that rounding moves across an entry
        between = math.ceil(down / up * (1 + 1e-9)) if up else self.out
        return max(first, last, min(between, self.out))


def _near(distance: Any, a: float) -> Any:
    """Keys' cubic at a distance of at most 1."""
    return ((a + 2) * distance - (a + 3)) * distance * distance + 1


def _far(distance: Any, a: float) -> Any:
    """Keys' cubic at a distance between 1 and 2."""
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a


def _factors(owner: Resize, scale: Any) -> float | tuple[float, ...]:
    if isinstance(scale, (list, tuple)):
        return tuple(expect_number(owner, "scale", entry, POSITIVE) for entry in scale)
    return expect_number(owner, "scale", scale, POSITIVE)
