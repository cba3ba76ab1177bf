"""Normalizations: shift and scale entries by statistics of their own.

They differ in which axes share their statistics.  With ``x_hat = (x - mean) / sqrt(var + eps)``
taken over ``m`` entries, and ``dx_hat`` the gradient that reaches ``x_hat``, all of them have

    dx = (m * dx_hat - sum(dx_hat) - x_hat * sum(dx_hat * x_hat)) / (m * sqrt(var + eps))

The variance is the biased one.  The root mean square in its place, which no mean precedes,
leaves out the term ``sum(dx_hat)``.  What is saved is ``x`` itself, which is alive anyway, and
the statistics; ``x_hat`` is computed again.  No square overflows: the statistics are those of
``x * shrink``, where ``shrink`` is a power of two and so rounds nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import POSITIVE, freeze_counts, freeze_integers, freeze_numbers
from ops.initializers import Constant
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    normalize_axis,
    show,
)

__all__ = [
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "RMSNorm",
    "channel_axes",
    "channels",
    "gain_and_shift",
]

_Arrays = tuple[Array, ...]
_Gradients = tuple[Array | None, ...]


@dataclass(frozen=True)
class _OverLastAxes(Operator):
    """What normalizations of each example over its last axes share: the axes and the eps."""

    axis: int = -1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "eps")
        freeze_integers(self, "axis")

    def _shape(self, x: Spec) -> tuple[int, ...]:
        """The sizes of the normalized axes."""
        shape = x.shape[normalize_axis(self.axis, x.rank) :]
        if not all(isinstance(size, int) and size for size in shape):
            raise ShapeError(
                f"expected known, non-empty axes from {self.axis} on, received {show(x)}"
            )
        return shape  # type: ignore[return-value]


@dataclass(frozen=True)
class LayerNorm(_OverLastAxes):
    """Normalization of each example over its last axes.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` with statistics over ``x.shape[axis:]``.

    Shapes:
        - x, y: any; gamma, beta: ``x.shape[axis:]``

    Args:
        axis: the first of the normalized axes; default -1, the last axis alone.
        eps: added to the variance; default 1e-5.

    Raises:
        ValueError: ``eps`` is not positive.
        ShapeError: there is no such axis, or a normalized axis is the batch or empty.

    Source: Ba, Kiros, Hinton, "Layer Normalization", 2016.

    >>> import graphnet as gn
    >>> LayerNorm()(gn.Input("x", ("N", 16, 64))).shape
    (N, 16, 64)
    """

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return gain_and_shift(self._shape(x), x.dtype)

    def infer(self, x: Spec, gamma: Spec, beta: Spec) -> Spec:
        expect_floating("an input", x)
        expect_spec("gamma", gamma, self._shape(x), x.dtype)
        expect_spec("beta", beta, self._shape(x), x.dtype)
        return x

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, _Arrays]:
        axes = tuple(range(x.ndim - gamma.ndim, x.ndim))
        y, statistics = _normalize(x, axes, self.eps)
        y *= gamma
        y += beta
        return y, (x, gamma, *statistics)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, *statistics = saved
        leading = x.ndim - gamma.ndim
        x_hat = _again(x, *statistics)
        axes = tuple(range(leading, x.ndim))
        dx = _normalize_backward(dy * gamma, x_hat, axes, *statistics) if needs[0] else None
        over = tuple(range(leading))
        dgamma = (dy * x_hat).sum(axis=over) if needs[1] else None
        # a sum over no axis at all may be dy itself
        dbeta = (dy.sum(axis=over) if over else dy.copy()) if needs[2] else None
        return dx, dgamma, dbeta

    def flops(self, x: Spec, *others: Spec) -> int:
        return 7 * x.elements


@dataclass(frozen=True)
class RMSNorm(_OverLastAxes):
    """Division of each example by the root mean square over its last axes.

    ``y = gamma * x / sqrt(mean(x^2) + eps)`` with the mean over ``x.shape[axis:]``.

    Shapes:
        - x, y: any; gamma: ``x.shape[axis:]``

    Args:
        axis: the first of the normalized axes; default -1, the last axis alone.
        eps: added to the mean square; default 1e-6.

    Raises:
        ValueError: ``eps`` is not positive.
        ShapeError: there is no such axis, or a normalized axis is the batch or empty.

    Source: Zhang, Sennrich, "Root Mean Square Layer Normalization", 2019.

    >>> import graphnet as gn
    >>> RMSNorm()(gn.Input("x", ("N", 16, 64))).shape
    (N, 16, 64)
    """

    eps: float = 1e-6

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return {"gamma": Parameter(self._shape(x), Constant(1.0), x.dtype, decay=False)}

    def infer(self, x: Spec, gamma: Spec) -> Spec:
        expect_floating("an input", x)
        expect_spec("gamma", gamma, self._shape(x), x.dtype)
        return x

    def forward(self, x: Array, gamma: Array) -> tuple[Array, _Arrays]:
        axes = tuple(range(x.ndim - gamma.ndim, x.ndim))
        shrink = _shrink(x, axes)
        y = x * shrink
        rstd = _rstd(y, shrink, axes, self.eps)
        y *= rstd
        y *= gamma
        return y, (x, gamma, shrink, rstd)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, shrink, rstd = saved
        leading = x.ndim - gamma.ndim
        x_hat = x * shrink * rstd
        dx = None
        if needs[0]:
            dx = dy * gamma
            dx -= x_hat * (dx * x_hat).mean(axis=tuple(range(leading, x.ndim)), keepdims=True)
            dx *= rstd * shrink
        dgamma = (dy * x_hat).sum(axis=tuple(range(leading))) if needs[1] else None
        return dx, dgamma

    def flops(self, x: Spec, *others: Spec) -> int:
        return 4 * x.elements


@dataclass(frozen=True)
class GroupNorm(Operator):
    """Normalization of each example over groups of channels and all their positions.

    Shapes:
        - x, y: ``(N, C, *spatial)``; gamma, beta: ``(C,)``

    Args:
        groups: the number of groups; 1 normalizes over all channels, C over each alone.
        eps: added to the variance; default 1e-5.

    Raises:
        TypeError, ValueError: ``groups`` is no positive integer, or ``eps`` not positive.
        ShapeError: the channels do not divide into the groups, or an axis is empty.

    Source: Wu, He, "Group Normalization", 2018.

    >>> import graphnet as gn
    >>> GroupNorm(4)(gn.Input("x", ("N", 8, 4, 4))).shape
    (N, 8, 4, 4)
    """

    groups: int
    eps: float = 1e-5

    def __post_init__(self) -> None:
        freeze_counts(self, "groups")
        freeze_numbers(self, POSITIVE, "eps")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return gain_and_shift(channels(x), x.dtype)

    def infer(self, x: Spec, gamma: Spec, beta: Spec) -> Spec:
        expect_floating("an input", x)
        shape = channels(x)
        expect_spec("gamma", gamma, shape, x.dtype)
        expect_spec("beta", beta, shape, x.dtype)
        if shape[0] % self.groups or 0 in x.shape[1:]:
            raise ShapeError(
                f"expected non-empty axes and channels divisible by {self.groups} groups, "
                f"received {show(x)}"
            )
        return x

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, _Arrays]:
        _, across = channel_axes(x)
        x_hat, statistics = _normalize(self._split(x), (2,), self.eps)
        y = x_hat.reshape(x.shape)
        y *= gamma.reshape(across)
        y += beta.reshape(across)
        return y, (x, gamma, *statistics)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, *statistics = saved
        axes, across = channel_axes(x)
        x_hat = _again(self._split(x), *statistics)  # (N, groups, C / groups * positions)
        dx = None
        if needs[0]:
            dx_hat = self._split(dy * gamma.reshape(across))
            dx = _normalize_backward(dx_hat, x_hat, (2,), *statistics).reshape(x.shape)
        dgamma = (dy * x_hat.reshape(x.shape)).sum(axis=axes) if needs[1] else None
        dbeta = dy.sum(axis=axes) if needs[2] else None
        return dx, dgamma, dbeta

    def flops(self, x: Spec, *others: Spec) -> int:
        return 7 * x.elements

    def _split(self, x: Array) -> Array:
        """``(N, C, *spatial) -> (N, groups, C / groups * positions)``."""
        return x.reshape(x.shape[0], self.groups, math.prod(x.shape[1:]) // self.groups)


@dataclass(frozen=True, kw_only=True)
class InstanceNorm(Operator):
    """Normalization of each channel of each example over its positions.

    It is :class:`GroupNorm` with as many groups as channels.  Gamma and beta are always
    learned (``affine=True`` in PyTorch), and there are no running statistics.

    Shapes:
        - x, y: ``(N, C, *spatial)``; gamma, beta: ``(C,)``

    Args:
        eps: added to the variance; default 1e-5.

    Raises:
        ValueError: ``eps`` is not positive.
        ShapeError: fewer than three axes, no channel, or one position, whose variance is 0.

    Source: Ulyanov, Vedaldi, Lempitsky, "Instance Normalization: The Missing Ingredient for
    Fast Stylization", 2016.

    >>> import graphnet as gn
    >>> InstanceNorm()(gn.Input("x", ("N", 8, 4, 4))).shape
    (N, 8, 4, 4)
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "eps")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return gain_and_shift(channels(x), x.dtype)

    def infer(self, x: Spec, gamma: Spec, beta: Spec) -> Spec:
        expect_rank("an input", x, least=3)
        if x.shape[1] == 0 or math.prod(known(*x.shape[2:])) < 2:
            raise ShapeError(
                f"expected channels of more than one position, received {show(x)}, "
                f"whose variance would be 0"
            )
        return self._group_norm(*channels(x)).infer(x, gamma, beta)

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, _Arrays]:
        return self._group_norm(x.shape[1]).forward(x, gamma, beta)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        return self._group_norm(dy.shape[1]).backward(saved, dy, needs)

    def flops(self, x: Spec, *others: Spec) -> int:
        return 7 * x.elements

    def _group_norm(self, channels: int) -> GroupNorm:
        return GroupNorm(channels, self.eps)


def _normalize(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, _Arrays]:
    """A new ``x_hat``, and the statistics from which :func:`_again` computes it again."""
    shrink = _shrink(x, axes)
    x_hat = x * shrink
    mean = x_hat.mean(axis=axes, keepdims=True)
    x_hat -= mean
    rstd = _rstd(x_hat, shrink, axes, eps)
    x_hat *= rstd
    return x_hat, (shrink, mean, rstd)


def _again(x: Array, shrink: Array, mean: Array, rstd: Array) -> Array:
    """The ``x_hat`` of :func:`_normalize`."""
    x_hat = x * shrink
    x_hat -= mean
    x_hat *= rstd
    return x_hat


def _normalize_backward(
    dx_hat: Array, x_hat: Array, axes: tuple[int, ...], shrink: Array, mean: Array, rstd: Array
) -> Array:
    """The gradient of :func:`_normalize`, in the array ``dx_hat``, which is given up."""
    along = (dx_hat * x_hat).mean(axis=axes, keepdims=True)
    dx_hat -= dx_hat.mean(axis=axes, keepdims=True)
    dx_hat -= x_hat * along
    dx_hat *= rstd * shrink
    return dx_hat


def _shrink(x: Array, axes: tuple[int, ...]) -> Array:
    """The power of two that brings the largest entry into 1..2, and 1 where none exceeds 1."""
    xp = namespace(x)
    largest = xp.maximum(x.max(axis=axes, keepdims=True), -x.min(axis=axes, keepdims=True))
    largest = xp.maximum(largest, 1)
    mantissa, _ = xp.frexp(largest)
    return 2 * mantissa / largest


def _rstd(x: Array, shrink: Array, axes: tuple[int, ...], eps: float) -> Array:
    """``1 / sqrt(mean(x^2) + eps)`` of entries that were multiplied by ``shrink``."""
    xp = namespace(x)
    square = (x * x).mean(axis=axes, keepdims=True)
    square += eps * shrink * shrink
    # eps times shrink^2 may vanish beside equal entries, which are 0 by now and stay so
    return 1 / xp.sqrt(xp.maximum(square, float(xp.finfo(x.dtype).tiny)))


def gain_and_shift(shape: tuple[int, ...], dtype: str) -> dict[str, Parameter]:
    """The learned gamma and beta of a normalization, which start as 1 and 0."""
    return {
        "gamma": Parameter(shape, Constant(1.0), dtype, decay=False),
        "beta": Parameter(shape, Constant(0.0), dtype, decay=False),
    }


def channels(x: Spec) -> tuple[int]:
    """The shape of what a channel-wise normalization learns for ``(N, C, *spatial)``.

    Raises:
        ShapeError: there is no known channel axis.
    """
    expect_rank("an input", x, least=2)
    return (known(x.shape[1])[0],)


def channel_axes(x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes a channel's statistics run over, and the shape in which they broadcast to x."""
    return (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
