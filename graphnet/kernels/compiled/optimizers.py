"""Updates of the optimizers in one pass over parameters, gradients and slots.

The formulas are those of :mod:`graphnet.optim`, operation by operation, so that the results are
the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange

from graphnet.kernels.advance import Advance
from graphnet.kernels.compiled.vector import OPTIONS
from graphnet.optim import SGD, Adam, AdamW, Optimizer, RMSProp

__all__ = ["find_advance"]

_PARALLEL = {"parallel": True, **OPTIONS}


def find_advance(optimizer: Optimizer) -> Advance | None:
    """The compiled update of an optimizer; None for one of a user's own."""
    make = _UPDATES.get(type(optimizer))
    return None if make is None else make(optimizer)


def _make_sgd(optimizer: SGD) -> Advance:
    momentum, nesterov = np.float32(optimizer.momentum), optimizer.nesterov

    def advance(
        parameter: Any, gradient: Any, slots: Any, rate: float, step: int, decay: float
    ) -> None:
        velocity = slots.get("velocity", parameter)
        _sgd(
            parameter, gradient, velocity, np.float32(rate), momentum, nesterov,
            np.float32(decay), get_num_threads(),
        )  # fmt: skip

    return advance


def _make_rmsprop(optimizer: RMSProp) -> Advance:
    kept, new = np.float32(optimizer.decay), np.float32(1 - optimizer.decay)
    eps = np.float32(optimizer.eps)

    def advance(
        parameter: Any, gradient: Any, slots: Any, rate: float, step: int, decay: float
    ) -> None:
        _rmsprop(
            parameter, gradient, slots["mean_square"], np.float32(rate), kept, new, eps,
            np.float32(decay), get_num_threads(),
        )  # fmt: skip

    return advance


def _make_adam(optimizer: Adam | AdamW) -> Advance:
    beta1, beta2 = optimizer.beta1, optimizer.beta2
    factors = tuple(map(np.float32, (beta1, 1 - beta1, beta2, 1 - beta2, optimizer.eps)))

    def advance(
        parameter: Any, gradient: Any, slots: Any, rate: float, step: int, decay: float
    ) -> None:
        shrink = 1.0
        if optimizer.decoupled:
            shrink, decay = 1 - rate * decay, 0.0
        _adam(
            parameter, gradient, slots["mean"], slots["mean_square"],
            np.float32(rate / (1 - beta1**step)), np.float32(1 - beta2**step), factors,
            np.float32(decay), np.float32(shrink), get_num_threads(),
        )  # fmt: skip

    return advance


_UPDATES: dict[type[Optimizer], Callable[[Any], Advance]] = {
    SGD: _make_sgd,
    RMSProp: _make_rmsprop,
    Adam: _make_adam,
    AdamW: _make_adam,
}


# Each thread works on slices: numba then knows that no index is negative, and uses vectors.


@njit(**_PARALLEL)
def _sgd(parameter, gradient, velocity, rate, momentum, nesterov, decay, threads):
    size = parameter.size
    for thread in prange(threads):
        begin, end = size * thread // threads, size * (thread + 1) // threads
        p, g, v = parameter[begin:end], gradient[begin:end], velocity[begin:end]
        if momentum == 0:
            for i in range(p.size):
                whole = g[i] + decay * p[i] if decay != 0 else g[i]
                p[i] -= rate * whole
        elif nesterov:
            for i in range(p.size):
                whole = g[i] + decay * p[i] if decay != 0 else g[i]
                change = rate * whole
                v[i] = v[i] * momentum - change
                p[i] += momentum * v[i] - change
        else:
            for i in range(p.size):
                whole = g[i] + decay * p[i] if decay != 0 else g[i]
                v[i] = v[i] * momentum - rate * whole
                p[i] += v[i]


@njit(**_PARALLEL)
def _rmsprop(parameter, gradient, mean_square, rate, kept, new, eps, decay, threads):
    size = parameter.size
    for thread in prange(threads):
        begin, end = size * thread // threads, size * (thread + 1) // threads
        p, g, s = parameter[begin:end], gradient[begin:end], mean_square[begin:end]
        for i in range(p.size):
            whole = g[i] + decay * p[i] if decay != 0 else g[i]
            s[i] = s[i] * kept + new * (whole * whole)
            p[i] -= rate * whole / (np.sqrt(s[i]) + eps)


@njit(**_PARALLEL)
def _adam(
    parameter, gradient, mean, mean_square, rate, unbias, factors, decay, shrink, threads
):  # fmt: skip
    kept1, new1, kept2, new2, eps = factors
    size = parameter.size
    for thread in prange(threads):
        begin, end = size * thread // threads, size * (thread + 1) // threads
        p, g, m, s = (
            parameter[begin:end], gradient[begin:end], mean[begin:end], mean_square[begin:end]
        )  # fmt: skip
        for i in range(p.size):
            whole = g[i] + decay * p[i] if decay != 0 else g[i]
            old = p[i] * shrink if shrink != 1 else p[i]
            m[i] = m[i] * kept1 + new1 * whole
            s[i] = s[i] * kept2 + new2 * (whole * whole)
            p[i] = old - rate * m[i] / (np.sqrt(s[i] / unbias) + eps)
