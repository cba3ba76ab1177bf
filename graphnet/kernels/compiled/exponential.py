"""Exponentials in float32 that loops compute sixteen at a time, which they cannot with C's own.

``x = n ln 2 + r`` with ``|r| <= ln 2 / 2``: a polynomial gives ``exp(r)``, and ``2^n`` is written
into the exponent's bits.  The error is below 2 units in the last place.  NaN stays.

Source: Moshier, "Methods and Programs for Mathematical Functions", 1989 (Cephes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from graphnet.kernels.compiled.vector import OPTIONS

__all__ = ["ENTRYWISE", "as_float", "decay", "exp", "expm1"]

#: A product and a sum may become one instruction; no sum is reordered.
ENTRYWISE = {"fastmath": {"contract"}, "error_model": "numpy", **OPTIONS}

#: Below it the result is 0 and above it infinite.
LOWEST, HIGHEST = np.float32(-104), np.float32(89)
PER_LN2 = np.float32(1.44269504)
#: ln 2 in two parts, of which the first times n is exact.
LN2, LN2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
C5, C4, C3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
C2, C1, C0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
ONE, HALF = np.float32(1), np.float32(0.5)
BIAS, DIGITS = np.int32(127), np.int32(23)
#: From it on ``exp(-a^2)`` is 0; the square of a whole number of sixteenths below it is exact.
FAR, SIXTEEN, SIXTEENTH = np.float32(10.2), np.float32(16), np.float32(0.0625)


@intrinsic
def as_float(typing: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit(forceinline=True, **ENTRYWISE)
def exp(x):
    """``e^x`` of a float32."""
    x = LOWEST if x < LOWEST else x
    x = HIGHEST if x > HIGHEST else x
    whole = np.floor(x * PER_LN2 + HALF)
    r = (x - whole * LN2) - whole * LN2_REST
    n = np.int32(whole)
    half = n >> np.int32(1)  # in two steps, as 2^n alone may be too large or too small
    return (_rest(r) + ONE) * _power(half) * _power(n - half)


@njit(forceinline=True, **ENTRYWISE)
def expm1(x):
    """``e^x - 1`` of a float32 of at most 0, exact to the last digits where that is small."""
    x = LOWEST if x < LOWEST else x
    whole = np.floor(x * PER_LN2 + HALF)
    r = (x - whole * LN2) - whole * LN2_REST
    n = np.int32(whole)
    half = n >> np.int32(1)
    scale = _power(half) * _power(n - half)
    return _rest(r) * scale + (scale - ONE)


@njit(forceinline=True, **ENTRYWISE)
def decay(a):
    """``e^(-a^2)`` of a float32 of at least 0, without the rounding of ``a^2``."""
    a = FAR if a > FAR else a
    head = np.floor(a * SIXTEEN) * SIXTEENTH
    square, beyond = head * head, (head - a) * (head + a)
    whole = np.floor((beyond - square) * PER_LN2 + HALF)
    r = (-square - whole * LN2) + (beyond - whole * LN2_REST)
    n = np.int32(whole)
    half = n >> np.int32(1)
    return (_rest(r) + ONE) * _power(half) * _power(n - half)


@njit(forceinline=True, **ENTRYWISE)
def _rest(r):
    """``e^r - 1`` for ``|r| <= ln 2 / 2``."""
    p = ((((C5 * r + C4) * r + C3) * r + C2) * r + C1) * r + C0
    return p * r * r + r


@njit(forceinline=True, **ENTRYWISE)
def _power(n):
    """``2^n`` of an int32 from -126 to 127."""
    return as_float((n + BIAS) << DIGITS)
