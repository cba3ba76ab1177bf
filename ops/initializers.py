"""Initial values of parameters.

An initializer is a frozen dataclass with one method, ``sample(shape, dtype, rng)``.
Variances follow the fan of a weight laid out ``(out, in, *kernel)``:
``fan_in = in * prod(kernel)`` and ``fan_out = out * prod(kernel)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Constant", "Initializer", "Kaiming", "Normal", "RandomKey", "Uniform", "Xavier"]


@dataclass(frozen=True)
class Initializer:
    """What gives a parameter its first value."""

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        """A new NumPy array of ``shape`` and ``dtype``, drawn from ``rng``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Initializer):
    """Every entry equals ``value``.

    >>> Constant(1.0).sample((2,), "float32", np.random.default_rng(0))
    array([1., 1.], dtype=float32)
    """

    value: float = 0.0

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        return np.full(shape, self.value, dtype=dtype)


@dataclass(frozen=True)
class Normal(Initializer):
    """Independent normal entries with mean 0 and standard deviation ``std``.

    >>> Normal(1e-3).sample((2, 3), "float32", np.random.default_rng(0)).shape
    (2, 3)
    """

    std: float = 1e-2

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(0.0, self.std, shape).astype(dtype)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Independent uniform entries in ``±bound``.

    >>> w = Uniform(0.1).sample((2, 3), "float32", np.random.default_rng(0))
    >>> bool(abs(w).max() <= 0.1)
    True
    """

    bound: float = 1e-2

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-self.bound, self.bound, shape).astype(dtype)


@dataclass(frozen=True)
class Kaiming(Initializer):
    """Normal entries with standard deviation ``sqrt(gain / fan_in)``.

    ``gain`` is 2 ahead of a ReLU, which halves the variance, and 1 otherwise.

    Source: He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", ICCV 2015, equation 10.

    >>> w = Kaiming().sample((64, 32, 3, 3), "float64", np.random.default_rng(0))
    >>> bool(abs(w.std() - (2 / (32 * 9)) ** 0.5) < 1e-3)
    True
    """

    gain: float = 2.0

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        fan_in, _ = _fans(shape)
        return rng.normal(0.0, math.sqrt(self.gain / max(fan_in, 1)), shape).astype(dtype)


@dataclass(frozen=True)
class Xavier(Initializer):
    """Uniform entries in ``±sqrt(6 / (fan_in + fan_out))``.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, equation 16.

    >>> w = Xavier().sample((8, 4), "float32", np.random.default_rng(0))
    >>> bool(abs(w).max() <= (6 / 12) ** 0.5)
    True
    """

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        limit = math.sqrt(6.0 / max(sum(_fans(shape)), 1))
        return rng.uniform(-limit, limit, shape).astype(dtype)


@dataclass(frozen=True)
class RandomKey(Initializer):
    """A random unsigned integer: the key of a counter-based generator (:mod:`ops.random`)."""

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 2**32, shape, dtype=np.uint64).astype(dtype)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def as_initializer(value: Any) -> Initializer:
    """Read ``"kaiming"``, ``"xavier"`` or a standard deviation as an initializer.

    Raises:
        ValueError: the name is unknown or the standard deviation negative.

    >>> as_initializer("kaiming"), as_initializer(1e-3)
    (Kaiming(gain=2.0), Normal(std=0.001))
    """
    if isinstance(value, Initializer):
        return value
    if value == "kaiming":
        return Kaiming()
    if value == "xavier":
        return Xavier()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return Normal(float(value))
    raise ValueError(
        f'expected "kaiming", "xavier", a standard deviation or an Initializer, received {value!r}'
    )
