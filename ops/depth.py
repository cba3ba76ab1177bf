"""Blocks of positions as channels, and back: upscaling by whole factors without arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array
from ops.fields import expect_choice, freeze_counts
from ops.operator import ShapeError, Spec, expect_rank, known, show
from ops.shape import Rearrangement

__all__ = ["DepthToSpace", "SpaceToDepth"]


@dataclass(frozen=True)
class _Blocks(Rearrangement):
    """What the two share: each is the transpose of the other."""

    block_size: int
    mode: str = "DCR"

    def __post_init__(self) -> None:
        freeze_counts(self, "block_size")
        expect_choice(self, "mode", ("DCR", "CRD"))

    def _unfold(self, x: Array) -> Array:
        """Channels to positions, in new memory."""
        count, b = x.ndim - 2, self.block_size
        channels = x.shape[1] // b**count
        out = (x.shape[0], channels, *(n * b for n in x.shape[2:]))
        blocks = (b,) * count
        if self.mode == "DCR":
            # (N, C * b * b, H, W) -> (N, b, b, C, H, W)
            x = x.reshape(x.shape[0], *blocks, channels, *x.shape[2:])
            channel, first = count + 1, 1
        else:
            # (N, C * b * b, H, W) -> (N, C, b, b, H, W)
            x = x.reshape(x.shape[0], channels, *blocks, *x.shape[2:])
            channel, first = 1, 2
        pairs = [axis for i in range(count) for axis in (count + 2 + i, first + i)]
        # either -> (N, C, H, b, W, b) -> (N, C, H * b, W * b)
        return x.transpose(0, channel, *pairs).copy().reshape(out)

    def _fold(self, x: Array) -> Array:
        """Positions to channels, in new memory."""
        count, b = x.ndim - 2, self.block_size
        out = (x.shape[0], x.shape[1] * b**count, *(n // b for n in x.shape[2:]))
        pairs = [size for n in out[2:] for size in (n, b)]
        # (N, C, H * b, W * b) -> (N, C, H, b, W, b)
        x = x.reshape(*x.shape[:2], *pairs)
        positions, inside = range(2, x.ndim, 2), range(3, x.ndim, 2)
        # -> (N, b, b, C, H, W) or (N, C, b, b, H, W) -> (N, C * b * b, H, W)
        leading = (*inside, 1) if self.mode == "DCR" else (1, *inside)
        return x.transpose(0, *leading, *positions).copy().reshape(out)


@dataclass(frozen=True)
class DepthToSpace(_Blocks):
    """Spread groups of channels over blocks of positions.

    Shapes:
        - x: ``(N, C * block_size^d, *spatial)`` with d spatial axes, of any dtype
        - y: ``(N, C, *spatial * block_size)``

    Args:
        block_size: how many positions each one becomes, along each spatial axis.
        mode: how a channel of x is read: ``"DCR"`` as (place in the block, channel of y),
            ``"CRD"`` as (channel of y, place in the block), which is PyTorch's
            ``PixelShuffle``; default ``"DCR"``.

    Raises:
        TypeError, ValueError: the block size is no positive integer, or the mode unknown.
        ShapeError: the input has no spatial axis, or its channels make no whole blocks.

    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network", 2016; ONNX ``DepthToSpace``.

    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    >>> DepthToSpace(2).forward(x)[0]
    array([[[[1., 2.],
             [3., 4.]]]])
    """

    def infer(self, x: Spec) -> Spec:
        expect_rank("an input", x, least=3)
        (channels,) = known(x.shape[1])
        block = self.block_size ** (x.rank - 2)
        if channels % block:
            raise ShapeError(f"expected a multiple of {block} channels, received {show(x)}")
        spatial = tuple(n * self.block_size for n in x.shape[2:])
        return x.with_shape((x.shape[0], channels // block, *spatial))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return self._unfold(x), ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (self._fold(dy) if needs[0] else None,)


@dataclass(frozen=True)
class SpaceToDepth(_Blocks):
    """Gather blocks of positions into channels: the inverse of :class:`DepthToSpace`.

    Shapes:
        - x: ``(N, C, *spatial * block_size)`` with d spatial axes, of any dtype
        - y: ``(N, C * block_size^d, *spatial)``

    Args:
        block_size: how many positions become one, along each spatial axis.
        mode: how a channel of y is read: ``"DCR"`` as (place in the block, channel of x),
            which is ONNX's, ``"CRD"`` as (channel of x, place in the block), which is
            PyTorch's ``PixelUnshuffle``; default ``"DCR"``.

    Raises:
        TypeError, ValueError: the block size is no positive integer, or the mode unknown.
        ShapeError: the input has no spatial axis, or its positions make no whole blocks.

    Source: ONNX ``SpaceToDepth``.

    >>> import numpy as np
    >>> SpaceToDepth(2).forward(np.arange(4.0).reshape(1, 1, 2, 2))[0].ravel()
    array([0., 1., 2., 3.])
    """

    def infer(self, x: Spec) -> Spec:
        expect_rank("an input", x, least=3)
        sizes = known(*x.shape[2:])
        if any(n % self.block_size for n in sizes):
            raise ShapeError(
                f"expected multiples of {self.block_size} positions, received {show(x)}"
            )
        spatial = tuple(n // self.block_size for n in sizes)
        return x.with_shape((x.shape[0], x.shape[1] * self.block_size ** len(sizes), *spatial))

    def forward(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        return self._fold(x), ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (self._unfold(dy) if needs[0] else None,)
