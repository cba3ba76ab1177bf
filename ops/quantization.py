"""Quantization: floating numbers as small integers, by a scale and a zero point, and back.

A scale, and a zero point, is one for all entries, one for each entry of an axis, or one for
each block of entries along an axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.arrays import Array, namespace
from ops.fields import expect_choice, freeze_counts, freeze_integers
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_integers,
    expect_spec,
    known,
    normalize_axis,
    show,
)

__all__ = ["Dequantize", "Quantize"]


@dataclass(frozen=True)
class _Scaled(Operator):
    """What the two share: which scale belongs to which entry."""

    axis: int = 1
    block_size: int | None = None

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        if self.block_size is not None:
            freeze_counts(self, "block_size")

    def flops(self, x: Spec, *others: Spec | None) -> int:
        return 2 * x.elements

    def _expect_scale(self, x: Spec, scale: Spec) -> None:
        expect_floating("a scale", scale)
        if self.block_size is not None:
            axis = normalize_axis(self.axis, x.rank)
            entries, blocks = known(x.shape[axis], *scale.shape[axis : axis + 1] or (-1,))
            fits = entries == blocks * self.block_size and scale.rank == x.rank
            rest = scale.shape[:axis] + scale.shape[axis + 1 :]
            if not fits or rest != x.shape[:axis] + x.shape[axis + 1 :]:
                raise ShapeError(
                    f"expected one scale for each block of {self.block_size} along axis {axis} "
                    f"of {show(x)}, received {show(scale)}"
                )
        elif scale.rank > 1 or (
            scale.shape not in ((), (1,))
            and scale.shape != (x.shape[normalize_axis(self.axis, x.rank)],)
        ):
            raise ShapeError(
                f"expected one scale, or one for each entry of axis {self.axis} of {show(x)}, "
                f"received {show(scale)}"
            )

    def _spread(self, scale: Array, rank: int) -> Array:
        """Scales or zero points in a shape that broadcasts to the entries."""
        axis = normalize_axis(self.axis, rank) if self.block_size or scale.size != 1 else 0
        if self.block_size is not None:
            return scale.repeat(self.block_size, axis=axis)
        return scale.reshape((-1,) + (1,) * (rank - 1 - axis)) if rank else scale.reshape(())

    def _collected(self, gradient: Array, shape: tuple[int, ...]) -> Array:
        """The transpose of :meth:`_spread`, broadcast to the entries."""
        if self.block_size is not None:
            axis = normalize_axis(self.axis, gradient.ndim)
            ahead, behind = shape[: axis + 1], shape[axis + 1 :]
            return gradient.reshape((*ahead, self.block_size, *behind)).sum(axis=axis + 1)
        if shape in ((), (1,)):
            return gradient.sum().reshape(shape)
        axis = normalize_axis(self.axis, gradient.ndim)
        return gradient.sum(axis=tuple(a for a in range(gradient.ndim) if a != axis))


@dataclass(frozen=True)
class Quantize(_Scaled):
    """Floating numbers as integers, ``y = clip(round(x / scale) + zero_point)``.

    Halves are rounded to the even integer, and what the dtype cannot hold is the nearest
    integer that it does.  No gradient flows through it.

    Shapes:
        - x: any, of a floating dtype
        - scale: ``()`` or ``(1,)``; ``(n,)`` for n entries along the axis; or, with a block size,
          the shape of x with ``n / block_size`` along the axis
        - zero_point: the shape of the scale, of dtype ``dtype``; zeros if left out
        - y: the shape of x, of dtype ``dtype``

    Args:
        axis: the axis along which scales differ; default 1.
        block_size: how many entries along the axis share a scale; one when None.
        dtype: ``"uint8"``, the default, ``"int8"``, ``"uint16"`` or ``"int16"``.

    Raises:
        TypeError, ValueError: a field is none of these.
        ShapeError: x is not floating, or the scale or the zero point does not fit it.

    Source: ONNX ``QuantizeLinear``; Jacob et al., "Quantization and Training of Neural Networks
    for Efficient Integer-Arithmetic-Only Inference", 2018.

    >>> import numpy as np
    >>> x, scale, zero = np.array([-3.0, 0.5, 600.0]), np.array(2.0), np.array(128, "uint8")
    >>> Quantize().forward(x, scale, zero)[0].tolist()
    [126, 128, 255]
    """

    dtype: str = "uint8"

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_choice(self, "dtype", ("uint8", "int8", "uint16", "int16"))

    def infer(self, x: Spec, scale: Spec, zero_point: Spec | None = None) -> Spec:
        expect_floating("an input", x)
        self._expect_scale(x, scale)
        if scale.dtype != x.dtype:
            raise ShapeError(f"expected a scale of {x.dtype}, received {show(scale)}")
        if zero_point is not None:
            expect_spec("a zero point", zero_point, scale.shape, self.dtype)
        return Spec(x.shape, self.dtype)

    def forward(
        self, x: Array, scale: Array, zero_point: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        info = np.iinfo(self.dtype)
        y = xp.rint(x / self._spread(scale, x.ndim))
        if zero_point is not None:
            y = y + self._spread(zero_point, x.ndim).astype(x.dtype)
        return xp.clip(y, info.min, info.max).astype(self.dtype), ()

    def backward(
        self, saved: tuple[Any, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[None, ...]:
        return None, None, None


@dataclass(frozen=True)
class Dequantize(_Scaled):
    """Integers as the floating numbers that they stand for, ``y = (x - zero_point) * scale``.

    The gradient of a scale is ``sum(dy * (x - zero_point))`` over its entries.

    Shapes:
        - x: any, of an integer dtype
        - scale: ``()`` or ``(1,)``; ``(n,)`` for n entries along the axis; or, with a block size,
          the shape of x with ``n / block_size`` along the axis
        - zero_point: the shape of the scale, of the dtype of x; zeros if left out
        - y: the shape of x, of the dtype of the scale

    Args:
        axis: the axis along which scales differ; default 1.
        block_size: how many entries along the axis share a scale; one when None.

    Raises:
        TypeError, ValueError: a field is no integer, or the block size not positive.
        ShapeError: x is of no integer dtype, or the scale or the zero point does not fit it.

    Source: ONNX ``DequantizeLinear``; Jacob et al., "Quantization and Training of Neural
    Networks for Efficient Integer-Arithmetic-Only Inference", 2018.

    >>> import numpy as np
    >>> x, scale, zero = np.array([126, 255], "uint8"), np.array(2.0), np.array(128, "uint8")
    >>> Dequantize().forward(x, scale, zero)[0].tolist()
    [-4.0, 254.0]
    """

    def infer(self, x: Spec, scale: Spec, zero_point: Spec | None = None) -> Spec:
        expect_integers("an input", x)
        self._expect_scale(x, scale)
        if zero_point is not None:
            expect_spec("a zero point", zero_point, scale.shape, x.dtype)
        return Spec(x.shape, scale.dtype)

    def forward(
        self, x: Array, scale: Array, zero_point: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        distance = x.astype(scale.dtype)
        if zero_point is not None:
            distance = distance - self._spread(zero_point, x.ndim).astype(scale.dtype)
        return distance * self._spread(scale, x.ndim), (distance, scale.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        distance, shape = saved
        dscale = self._collected(dy * distance, shape) if needs[1] else None
        return None, dscale, None
