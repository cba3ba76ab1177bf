"""Normalizations: subtract a mean, divide by a standard deviation, scale and shift.

They differ in which axes share their statistics.  With ``x_hat = (x - mean) / sqrt(var + eps)``
taken over ``m`` entries, and ``dx_hat`` the gradient that reaches ``x_hat``, all of them have

    dx = (m * dx_hat - sum(dx_hat) - x_hat * sum(dx_hat * x_hat)) / (m * sqrt(var + eps))

The variance is the biased one.  What is saved is ``x`` itself, which is alive anyway, and
the statistics; ``x_hat`` is computed again.
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

__all__ = ["GroupNorm", "LayerNorm", "channel_axes", "channels", "gain_and_shift"]

_Arrays = tuple[Array, ...]
_Gradients = tuple[Array | None, ...]


@dataclass(frozen=True)
class LayerNorm(Operator):
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

    axis: int = -1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "eps")
        freeze_integers(self, "axis")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return gain_and_shift(self._shape(x), x.dtype)

    def infer(self, x: Spec, gamma: Spec, beta: Spec) -> Spec:
        expect_floating("an input", x)
        expect_spec("gamma", gamma, self._shape(x), x.dtype)
        expect_spec("beta", beta, self._shape(x), x.dtype)
        return x

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, _Arrays]:
        axes = tuple(range(x.ndim - gamma.ndim, x.ndim))
        x_hat, mean, rstd = _normalize(x, axes, self.eps)
        x_hat *= gamma
        x_hat += beta
        return x_hat, (x, gamma, mean, rstd)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, mean, rstd = saved
        leading = x.ndim - gamma.ndim
        x_hat = (x - mean) * rstd
        axes = tuple(range(leading, x.ndim))
        dx = _normalize_backward(dy * gamma, x_hat, rstd, axes) if needs[0] else None
        over = tuple(range(leading))
        dgamma = (dy * x_hat).sum(axis=over) if needs[1] else None
        # a sum over no axis at all may be dy itself
        dbeta = (dy.sum(axis=over) if over else dy.copy()) if needs[2] else None
        return dx, dgamma, dbeta

    def flops(self, x: Spec, *others: Spec) -> int:
        return 7 * x.elements

    def _shape(self, x: Spec) -> tuple[int, ...]:
        shape = x.shape[normalize_axis(self.axis, x.rank) :]
        if not all(isinstance(size, int) and size for size in shape):
            raise ShapeError(
                f"expected known, non-empty axes from {self.axis} on, received {show(x)}"
            )
        return shape  # type: ignore[return-value]


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
        x_hat, mean, rstd = _normalize(self._split(x), (2,), self.eps)
        y = x_hat.reshape(x.shape) * gamma.reshape(across)
        y += beta.reshape(across)
        return y, (x, gamma, mean, rstd)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, mean, rstd = saved
        axes, across = channel_axes(x)
        x_hat = (self._split(x) - mean) * rstd  # (N, groups, C / groups * positions)
        dx = None
        if needs[0]:
            dx_hat = self._split(dy * gamma.reshape(across))
            dx = _normalize_backward(dx_hat, x_hat, rstd, (2,)).reshape(x.shape)
        dgamma = (dy * x_hat.reshape(x.shape)).sum(axis=axes) if needs[1] else None
        dbeta = dy.sum(axis=axes) if needs[2] else None
        return dx, dgamma, dbeta

    def flops(self, x: Spec, *others: Spec) -> int:
        return 7 * x.elements

    def _split(self, x: Array) -> Array:
        """``(N, C, *spatial) -> (N, groups, C / groups * positions)``."""
        return x.reshape(x.shape[0], self.groups, math.prod(x.shape[1:]) // self.groups)


def _normalize(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    """A new ``x_hat``, and the mean and ``1 / sqrt(var + eps)`` with their axes kept."""
    mean = x.mean(axis=axes, keepdims=True)
    x_hat = x - mean
    rstd = 1 / namespace(x).sqrt((x_hat * x_hat).mean(axis=axes, keepdims=True) + eps)
    x_hat *= rstd
    return x_hat, mean, rstd


def _normalize_backward(dx_hat: Array, x_hat: Array, rstd: Array, axes: tuple[int, ...]) -> Array:
    """The gradient of :func:`_normalize`, in the array ``dx_hat``, which is given up."""
    mean = dx_hat.mean(axis=axes, keepdims=True)
    along = (dx_hat * x_hat).mean(axis=axes, keepdims=True)
    dx_hat -= mean
    dx_hat -= x_hat * along
    dx_hat *= rstd
    return dx_hat


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
    expect_rank("an input", x, 2)
    return (known(x.shape[1])[0],)


def channel_axes(x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes a channel's statistics run over, and the shape in which they broadcast to x."""
    return (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
