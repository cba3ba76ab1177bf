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
from ops.fields import POSITIVE, SHARE, freeze_counts, freeze_numbers, is_integer
from ops.initializers import Constant
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    State,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    normalize_axis,
    show,
)

__all__ = ["BatchNorm", "BatchNormInference", "GroupNorm", "LayerNorm"]

_Arrays = tuple[Array, ...]
_Gradients = tuple[Array | None, ...]


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Operator):
    """Batch normalization per feature ``(N, D)`` or per channel ``(N, C, *spatial)``.

    ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` with mean and biased variance over the
    batch and all positions.  The running statistics follow as
    ``running = momentum * running + (1 - momentum) * batch`` and take the place of the
    batch's at inference (:class:`BatchNormInference`).

    Shapes:
        - x, y: ``(N, C, *spatial)``
        - gamma, beta, running_mean, running_var: ``(C,)``

    Args:
        eps: added to the variance; default 1e-5.
        momentum: the part of the running statistics that is kept; default 0.9
            (PyTorch counts the other part: its ``momentum`` is 0.1).

    Raises:
        ValueError: ``eps`` is not positive, or ``momentum`` outside 0..1.
        ShapeError: fewer than two axes, or one value per channel, whose variance is 0.

    Source: Ioffe, Szegedy, "Batch Normalization", 2015.

    >>> import graphnet as gn
    >>> BatchNorm()(gn.Input("x", ("N", 8, 4, 4))).shape
    (N, 8, 4, 4)
    """

    eps: float = 1e-5
    momentum: float = 0.9

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "eps")
        freeze_numbers(self, SHARE, "momentum")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return _gain_and_shift(_channels(x), x.dtype)

    def states(self, x: Spec) -> dict[str, State]:
        shape = _channels(x)
        return {
            "running_mean": State(shape, Constant(0.0), x.dtype),
            "running_var": State(shape, Constant(1.0), x.dtype),
        }

    def infer(
        self, x: Spec, gamma: Spec, beta: Spec, running_mean: Spec, running_var: Spec
    ) -> tuple[Spec, Spec, Spec]:
        _check_statistics(x, gamma, beta, running_mean, running_var)
        values = x.with_shape((x.shape[0], *x.shape[2:])).size
        if isinstance(values, int) and values < 2:
            raise ShapeError(
                f"expected more than one value per channel in training, received {show(x)}, "
                f"whose batch variance would be 0"
            )
        return x, running_mean, running_var

    def forward(
        self, x: Array, gamma: Array, beta: Array, running_mean: Array, running_var: Array
    ) -> tuple[_Arrays, _Arrays]:
        axes, across = _channel_axes(x)
        mean = x.mean(axis=axes)
        y = x - mean.reshape(across)
        var = (y * y).mean(axis=axes)
        rstd = 1 / namespace(x).sqrt(var + self.eps)
        y *= (gamma * rstd).reshape(across)
        y += beta.reshape(across)
        keep, renew = self.momentum, 1 - self.momentum
        running = (keep * running_mean + renew * mean, keep * running_var + renew * var)
        return (y, *running), (x, gamma, mean, rstd)

    def backward(self, saved: _Arrays, dy: _Arrays, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, mean, rstd = saved
        dout = dy[0]  # the running statistics carry no gradient
        axes, across = _channel_axes(x)
        x_hat = (x - mean.reshape(across)) * rstd.reshape(across)
        dbeta = dout.sum(axis=axes)
        dgamma = (dout * x_hat).sum(axis=axes)
        dx = None
        if needs[0]:
            count = x.size // x.shape[1]
            dx = x_hat * (dgamma / -count).reshape(across)
            dx += dout
            dx -= (dbeta / count).reshape(across)
            dx *= (gamma * rstd).reshape(across)
        return dx, dgamma if needs[1] else None, dbeta if needs[2] else None, None, None

    def for_inference(self) -> Operator:
        return BatchNormInference(eps=self.eps)

    def flops(self, x: Spec, *others: Spec) -> int:
        return 7 * x.elements


@dataclass(frozen=True, kw_only=True)
class BatchNormInference(Operator):
    """Batch normalization with given statistics: an affine map per channel.

    ``y = gamma * (x - running_mean) / sqrt(running_var + eps) + beta``

    Shapes:
        - x, y: ``(N, C, *spatial)``
        - gamma, beta, running_mean, running_var: ``(C,)``

    Args:
        eps: added to the variance; default 1e-5.

    Raises:
        ValueError: ``eps`` is not positive.
        ShapeError: fewer than two axes, or statistics of another shape.

    Source: Ioffe, Szegedy, "Batch Normalization", 2015, algorithm 2.

    >>> import graphnet as gn
    >>> x, c = gn.Input("x", ("N", 8)), gn.Input("c", (8,))
    >>> BatchNormInference()(x, c, c, c, c).shape
    (N, 8)
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "eps")

    def infer(
        self, x: Spec, gamma: Spec, beta: Spec, running_mean: Spec, running_var: Spec
    ) -> Spec:
        _check_statistics(x, gamma, beta, running_mean, running_var)
        return x

    def forward(
        self, x: Array, gamma: Array, beta: Array, running_mean: Array, running_var: Array
    ) -> tuple[Array, _Arrays]:
        _, across = _channel_axes(x)
        scale = gamma / namespace(x).sqrt(running_var + self.eps)
        y = (x - running_mean.reshape(across)) * scale.reshape(across)
        y += beta.reshape(across)
        return y, (x, gamma, running_mean, running_var)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, running_mean, running_var = saved
        axes, across = _channel_axes(x)
        rstd = 1 / namespace(x).sqrt(running_var + self.eps)
        dx = dy * (gamma * rstd).reshape(across) if needs[0] else None
        dgamma = dmean = dvar = None
        dbeta = dy.sum(axis=axes)
        if needs[1] or needs[4]:
            dgamma = (dy * (x - running_mean.reshape(across))).sum(axis=axes) * rstd
            dvar = dgamma * gamma * rstd * rstd / -2
        if needs[3]:
            dmean = dbeta * gamma * -rstd
        every = (dx, dgamma, dbeta, dmean, dvar)
        return tuple(g if need else None for g, need in zip(every, needs, strict=True))

    def flops(self, x: Spec, *others: Spec) -> int:
        return 3 * x.elements


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
        if not is_integer(self.axis):
            raise TypeError(f"LayerNorm: expected an integer axis, received {self.axis!r}")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        return _gain_and_shift(self._shape(x), x.dtype)

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
        return _gain_and_shift(_channels(x), x.dtype)

    def infer(self, x: Spec, gamma: Spec, beta: Spec) -> Spec:
        expect_floating("an input", x)
        shape = _channels(x)
        expect_spec("gamma", gamma, shape, x.dtype)
        expect_spec("beta", beta, shape, x.dtype)
        if shape[0] % self.groups or 0 in x.shape[1:]:
            raise ShapeError(
                f"expected non-empty axes and channels divisible by {self.groups} groups, "
                f"received {show(x)}"
            )
        return x

    def forward(self, x: Array, gamma: Array, beta: Array) -> tuple[Array, _Arrays]:
        _, across = _channel_axes(x)
        x_hat, mean, rstd = _normalize(self._split(x), (2,), self.eps)
        y = x_hat.reshape(x.shape) * gamma.reshape(across)
        y += beta.reshape(across)
        return y, (x, gamma, mean, rstd)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, mean, rstd = saved
        axes, across = _channel_axes(x)
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


def _gain_and_shift(shape: tuple[int, ...], dtype: str) -> dict[str, Parameter]:
    return {
        "gamma": Parameter(shape, Constant(1.0), dtype, decay=False),
        "beta": Parameter(shape, Constant(0.0), dtype, decay=False),
    }


def _channels(x: Spec) -> tuple[int]:
    expect_rank("an input", x, 2)
    return (known(x.shape[1])[0],)


def _channel_axes(x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes a channel's statistics run over, and the shape in which they broadcast to x."""
    return (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))


def _check_statistics(x: Spec, gamma: Spec, beta: Spec, mean: Spec, var: Spec) -> None:
    expect_floating("an input", x)
    shape = _channels(x)
    for name, spec in zip(
        ("gamma", "beta", "running_mean", "running_var"), (gamma, beta, mean, var), strict=True
    ):
        expect_spec(name, spec, shape, x.dtype)
