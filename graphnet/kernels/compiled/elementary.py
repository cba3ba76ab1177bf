"""Logarithm, error function and what follows from exponentials, in float32, many at a time.

Each is a few units in the last place off its formula in exact numbers.  NaN stays NaN, and an
infinity gives the limit.

Sources: the logarithm's polynomial is that of Moshier, "Methods and Programs for Mathematical
Functions", 1989 (Cephes); the form of the error function beyond 1 is that of Shepherd and
Laframboise, "Chebyshev Approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity", 1981,
with coefficients fitted for float32, as are those below 1, a polynomial in x^2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from graphnet.kernels.compiled.exponential import (
    DIGITS,
    ENTRYWISE,
    FAR,
    HALF,
    LN2,
    LN2_REST,
    ONE,
    as_float,
    decay,
    exp,
    expm1,
)

__all__ = ["erf", "erfc", "log", "log1p", "logistic", "tanh"]

ZERO, TWO = np.float32(0), np.float32(2)
INFINITY, NAN = np.float32(np.inf), np.float32(np.nan)

#: The smallest normal number, and what makes smaller ones normal.
NORMAL, RAISED, RAISE = np.float32(2.0**-126), np.float32(2.0**23), np.float32(-23)
MANTISSA, HALF_BITS, BELOW_ONE = np.int32(0x007FFFFF), np.int32(0x3F000000), np.int32(126)
SQRT_HALF = np.float32(0.70710678)
L8, L7, L6 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
L5, L4, L3 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
L2, L1, L0 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)

#: Of ``(1 + 2 a) exp(a^2) erfc(a)`` in powers of ``(a - CENTRE) / (a + CENTRE)``.
CENTRE = np.float32(2.5)
E9, E8, E7 = np.float32(4.7132076e-4), np.float32(3.6168552e-4), np.float32(-4.2828298e-3)
E6, E5, E4 = np.float32(1.0031017e-3), np.float32(3.2730952e-2), np.float32(-1.0298317e-1)
E3, E2, E1 = np.float32(1.5763403e-1), np.float32(-9.9023275e-2), np.float32(-1.2235694e-1)
E0 = np.float32(1.2648382)
#: Of ``erf(x) / x`` in powers of ``x^2``, for ``|x| < 1``.
F6, F5, F4 = np.float32(7.8472593e-5), np.float32(-8.0081896e-4), np.float32(5.1880991e-3)
F3, F2, F1 = np.float32(-2.6853692e-2), np.float32(1.1283582e-1), np.float32(-3.7612626e-1)
F0 = np.float32(1.1283791)


@intrinsic
def _bits(typing: Any, number: Any) -> Any:
    """The bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@njit(forceinline=True, **ENTRYWISE)
def log(x):
    """The natural logarithm; negative infinity at 0 and NaN below."""
    small = x < NORMAL
    bits = _bits(x * RAISED if small else x)
    exponent = np.float32((bits >> DIGITS) - BELOW_ONE) + (RAISE if small else ZERO)
    m = as_float((bits & MANTISSA) | HALF_BITS)  # from 1/2 to 1
    low = m < SQRT_HALF
    exponent = exponent - ONE if low else exponent
    r = (m + m if low else m) - ONE
    p = (((((((L8 * r + L7) * r + L6) * r + L5) * r + L4) * r + L3) * r + L2) * r + L1) * r + L0
    square = r * r
    y = r * square * p + exponent * LN2_REST - HALF * square + r + exponent * LN2
    y = -INFINITY if x == ZERO else y
    y = NAN if x < ZERO else y
    return y if x < INFINITY else x  # infinity and NaN are their own


@njit(forceinline=True, **ENTRYWISE)
def log1p(x):
    """``log(1 + x)`` for x from 0 to 1."""
    whole = ONE + x
    return log(whole) + (x - (whole - ONE)) / whole


@njit(forceinline=True, **ENTRYWISE)
def logistic(x):
    """``1 / (1 + e^-x)``, by an exponential of nothing positive."""
    e = exp(-abs(x))
    return (e if x < ZERO else ONE) / (ONE + e)


@njit(forceinline=True, **ENTRYWISE)
def tanh(x):
    """The hyperbolic tangent."""
    e = expm1(-TWO * abs(x))
    y = -e / (TWO + e)
    y = -y if x < ZERO else y
    return x if x == ZERO else y  # with its sign


@njit(forceinline=True, **ENTRYWISE)
def erf(x):
    """The error function."""
    beyond = ONE - _tail(abs(x))
    beyond = -beyond if x < ZERO else beyond
    return _near(x) if abs(x) < ONE else beyond


@njit(forceinline=True, **ENTRYWISE)
def erfc(x):
    """``1 - erf(x)``, exact to the last digits where that is small."""
    tail = _tail(abs(x))
    return TWO - tail if x < ZERO else tail


@njit(forceinline=True, **ENTRYWISE)
def _near(x):
    """``erf(x)`` for ``|x| < 1``."""
    s = x * x
    return x * ((((((F6 * s + F5) * s + F4) * s + F3) * s + F2) * s + F1) * s + F0)


@njit(forceinline=True, **ENTRYWISE)
def _tail(a):
    """``erfc(a)`` for a of at least 0."""
    a = FAR if a > FAR else a
    t = (a - CENTRE) / (a + CENTRE)
    p = ((((E9 * t + E8) * t + E7) * t + E6) * t + E5) * t + E4
    p = (((p * t + E3) * t + E2) * t + E1) * t + E0
    return decay(a) * p / (ONE + TWO * a)
