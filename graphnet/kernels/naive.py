"""The naive provider: nested loops over examples, filters and positions, as textbooks give them.

Slow on purpose.  These kernels share no arithmetic with the operators, so they are the
oracle the vectorised ones are compared with, and they can be read line by line:
``Executor(graph, kernels="naive")``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.batch_norm import BatchNorm
from ops.convolution import Conv
from ops.linear import Linear
from ops.operator import Operator, Spec
from ops.pooling import AvgPool, MaxPool
from ops.windows import Windows

__all__ = ["prepare"]

_Pair = tuple[Any, Any]


def prepare(operator: Operator, specs: tuple[Spec | None, ...], **options: bool) -> Any:
    """Textbook loops for Conv, MaxPool, AvgPool, BatchNorm and Linear, on numpy."""
    kernel = _KERNELS.get(type(operator))
    return kernel(operator) if kernel else None


@dataclass(frozen=True)
class NaiveConv:
    """Convolution, one output entry at a time."""

    operator: Conv

    def forward(self, x: Any, weight: Any, bias: Any = None) -> _Pair:
        windows = self._windows(x)
        padded = _pad(x, windows, 0.0)
        y = np.zeros((len(x), len(weight), *windows.out), dtype=x.dtype)
        for n in range(len(x)):
            for f in range(len(weight)):
                channels = self._channels(f, x)
                for o in np.ndindex(*windows.out):
                    window = padded[(n, channels, *_window(windows, o))]
                    y[(n, f, *o)] = np.sum(window * weight[f])
                    if bias is not None:
                        y[(n, f, *o)] += bias[f]
        return y, (x, weight)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        x, weight = saved
        windows = self._windows(x)
        padded = _pad(x, windows, 0.0)
        dpadded, dweight = np.zeros_like(padded), np.zeros_like(weight)
        dbias = np.zeros(len(weight), dtype=x.dtype)
        for n in range(len(x)):
            for f in range(len(weight)):
                channels = self._channels(f, x)
                for o in np.ndindex(*windows.out):
                    here = (n, channels, *_window(windows, o))
                    dweight[f] += padded[here] * dy[(n, f, *o)]
                    dpadded[here] += weight[f] * dy[(n, f, *o)]
                    dbias[f] += dy[(n, f, *o)]
        dx = dpadded[(slice(None), slice(None), *windows.interior)].copy()
        return tuple(
            g if need else None for g, need in zip((dx, dweight, dbias), needs, strict=True)
        )

    def _windows(self, x: Any) -> Windows:
        return self.operator.windows(Spec(x.shape, x.dtype.name))

    def _channels(self, f: int, x: Any) -> slice:
        """The input channels that filter ``f`` sees."""
        width = x.shape[1] // self.operator.groups
        group = f // (self.operator.filters // self.operator.groups)
        return slice(group * width, (group + 1) * width)


@dataclass(frozen=True)
class NaiveMaxPool:
    """Max pooling, one window at a time; the first maximum in raster order takes the gradient."""

    operator: MaxPool

    def forward(self, x: Any) -> _Pair:
        windows = self.operator.windows(Spec(x.shape, x.dtype.name))
        padded = _pad(x, windows, -np.inf)
        y = np.zeros((*x.shape[:2], *windows.out), dtype=x.dtype)
        for n, c in np.ndindex(*x.shape[:2]):
            for o in np.ndindex(*windows.out):
                y[(n, c, *o)] = np.max(padded[(n, c, *_window(windows, o))])
        return y, (x,)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        (x,) = saved
        windows = self.operator.windows(Spec(x.shape, x.dtype.name))
        padded = _pad(x, windows, -np.inf)
        inside = _pad(np.ones_like(x, dtype="bool"), windows, False)
        dpadded = np.zeros_like(padded)
        for n, c in np.ndindex(*x.shape[:2]):
            for o in np.ndindex(*windows.out):
                here = (n, c, *_window(windows, o))
                # of the entries that are no padding, which is no larger than they but may tie
                entries = np.flatnonzero(inside[here])
                first = entries[np.argmax(padded[here].ravel()[entries])]
                dpadded[here][np.unravel_index(first, windows.kernel)] += dy[(n, c, *o)]
        return (dpadded[(slice(None), slice(None), *windows.interior)].copy(),)


@dataclass(frozen=True)
class NaiveAvgPool:
    """Average pooling, one window at a time."""

    operator: AvgPool

    def forward(self, x: Any) -> _Pair:
        windows = self.operator.windows(Spec(x.shape, x.dtype.name))
        padded = _pad(x, windows, 0.0)
        y = np.zeros((*x.shape[:2], *windows.out), dtype=x.dtype)
        for n, c in np.ndindex(*x.shape[:2]):
            for o in np.ndindex(*windows.out):
                here = _window(windows, o)
                y[(n, c, *o)] = np.sum(padded[(n, c, *here)]) / self._count(windows, here)
        return y, (x,)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        (x,) = saved
        windows = self.operator.windows(Spec(x.shape, x.dtype.name))
        dpadded = np.zeros((*x.shape[:2], *windows.padded), dtype=x.dtype)
        for n, c in np.ndindex(*x.shape[:2]):
            for o in np.ndindex(*windows.out):
                here = _window(windows, o)
                dpadded[(n, c, *here)] += dy[(n, c, *o)] / self._count(windows, here)
        return (dpadded[(slice(None), slice(None), *windows.interior)].copy(),)

    def _count(self, windows: Windows, here: tuple[slice, ...]) -> int:
        real = np.zeros(windows.padded)
        real[windows.interior] = 1
        if self.operator.count_include_pad:
            real[:] = 1
        return int(real[here].sum())


@dataclass(frozen=True)
class NaiveBatchNorm:
    """Batch normalization, one channel at a time, its gradient by the chain rule over the batch."""

    operator: BatchNorm

    def forward(self, x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any) -> _Pair:
        keep = self.operator.momentum
        y, mean, var = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
        for c in range(x.shape[1]):
            entries = x[:, c].ravel()
            mean[c] = sum(entries) / len(entries)
            var[c] = sum((entries - mean[c]) ** 2) / len(entries)
            x_hat = (x[:, c] - mean[c]) / np.sqrt(var[c] + self.operator.eps)
            y[:, c] = gamma[c] * x_hat + beta[c]
        running_mean = keep * running_mean + (1 - keep) * mean
        running_var = keep * running_var + (1 - keep) * var
        return (y, running_mean, running_var), (x, gamma, mean, var)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        x, gamma, mean, var = saved
        dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
        for c in range(x.shape[1]):
            dout = dy[0][:, c]
            std = np.sqrt(var[c] + self.operator.eps)
            centred = x[:, c] - mean[c]
            dbeta[c] = np.sum(dout)
            dgamma[c] = np.sum(dout * centred / std)
            # y depends on x directly, through the variance and through the mean
            dx_hat = dout * gamma[c]
            dvar = np.sum(dx_hat * centred) * -0.5 / std**3
            dmean = -np.sum(dx_hat) / std
            dx[:, c] = dx_hat / std + dvar * 2 * centred / centred.size + dmean / centred.size
        every = (dx, dgamma, dbeta, None, None)
        return tuple(g if need else None for g, need in zip(every, needs, strict=True))


@dataclass(frozen=True)
class NaiveLinear:
    """The fully connected layer, one output at a time."""

    operator: Linear

    def forward(self, x: Any, weight: Any, bias: Any = None) -> _Pair:
        leading = x.shape[: self.operator.axis]
        y = np.zeros((*leading, len(weight)), dtype=x.dtype)
        for row in np.ndindex(*leading):
            for unit in range(len(weight)):
                y[(*row, unit)] = sum(x[row].ravel() * weight[unit])
                if bias is not None:
                    y[(*row, unit)] += bias[unit]
        return y, (x, weight)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        x, weight = saved
        dx, dweight = np.zeros_like(x), np.zeros_like(weight)
        dbias = np.zeros(len(weight), dtype=x.dtype)
        for row in np.ndindex(*x.shape[: self.operator.axis]):
            for unit in range(len(weight)):
                dx[row] += weight[unit].reshape(dx[row].shape) * dy[(*row, unit)]
                dweight[unit] += x[row].ravel() * dy[(*row, unit)]
                dbias[unit] += dy[(*row, unit)]
        return tuple(
            g if need else None for g, need in zip((dx, dweight, dbias), needs, strict=True)
        )


def _pad(x: Any, windows: Windows, value: float) -> Any:
    return np.pad(x, ((0, 0), (0, 0), *windows.padding), constant_values=value)


def _window(windows: Windows, position: tuple[int, ...]) -> tuple[slice, ...]:
    """The slices of the padded input that the window at one output position covers."""
    return tuple(
        slice(o * s, o * s + d * (k - 1) + 1, d)
        for o, s, d, k in zip(
            position, windows.stride, windows.dilation, windows.kernel, strict=True
        )
    )


_KERNELS: dict[type[Operator], Any] = {
    Conv: NaiveConv,
    MaxPool: NaiveMaxPool,
    AvgPool: NaiveAvgPool,
    BatchNorm: NaiveBatchNorm,
    Linear: NaiveLinear,
}
