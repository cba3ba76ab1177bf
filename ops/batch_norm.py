"""Batch normalization: statistics over the batch in training, given ones at inference."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import POSITIVE, SHARE, freeze_numbers
from ops.initializers import Constant
from ops.normalization import channel_axes, channels, gain_and_shift
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    State,
    expect_floating,
    expect_spec,
    show,
)

__all__ = ["BatchNorm", "BatchNormInference"]

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
        return gain_and_shift(channels(x), x.dtype)

    def states(self, x: Spec) -> dict[str, State]:
        shape = channels(x)
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
        axes, across = channel_axes(x)
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
        axes, across = channel_axes(x)
        x_hat = (x - mean.reshape(across)) * rstd.reshape(across)
        dbeta = dout.sum(axis=axes)
        dgamma = (dout * x_hat).sum(axis=axes)
        dx = None
        if needs[0]:
            count = math.prod(x.shape[axis] for axis in axes)
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
        _, across = channel_axes(x)
        scale = gamma / namespace(x).sqrt(running_var + self.eps)
        y = (x - running_mean.reshape(across)) * scale.reshape(across)
        y += beta.reshape(across)
        return y, (x, gamma, running_mean, running_var)

    def backward(self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]) -> _Gradients:
        x, gamma, running_mean, running_var = saved
        axes, across = channel_axes(x)
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


def _check_statistics(x: Spec, gamma: Spec, beta: Spec, mean: Spec, var: Spec) -> None:
    expect_floating("an input", x)
    shape = channels(x)
    for name, spec in zip(
        ("gamma", "beta", "running_mean", "running_var"), (gamma, beta, mean, var), strict=True
    ):
        expect_spec(name, spec, shape, x.dtype)
