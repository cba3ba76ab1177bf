"""What elementwise operators compute with one entry of each input, and with its gradient.

Every function takes five float32: its operands, at most three, and two numbers that belong to the
operator.  Forward, the operands are the inputs a and b; in reverse they are the gradient g that
arrives, and what is needed of a, b and the result w.  Every function follows the operator's own in
:mod:`ops`, so that what is not finite comes out the same.
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from graphnet.kernels.compiled.elementary import erf, log
from graphnet.kernels.compiled.exponential import ENTRYWISE, decay, exp

ZERO, ONE, TWO, THREE = (np.float32(number) for number in (0, 1, 2, 3))
ERF_SLOPE = np.float32(2 / math.sqrt(math.pi))

inlined = register_jitable(forceinline=True, **ENTRYWISE)


# -- what several formulas share


@inlined
def above(x):
    """``max(x, 0)``; NaN stays."""
    return ZERO if x < ZERO else x


@inlined
def below(x):
    """``min(x, 0)``; NaN stays."""
    return ZERO if x > ZERO else x


@inlined
def within(x, low, high):
    """The nearest number between two bounds; NaN stays."""
    x = low if x < low else x
    return high if x > high else x


@inlined
def sign_at(x):
    """-1, 0 or 1; NaN stays."""
    return ONE if x > ZERO else (-ONE if x < ZERO else x)


# -- arithmetic


@inlined
def copied(x, _y, _z, _p, _q):
    """One number as it is."""
    return x


@inlined
def summed(a, b, _z, _p, _q):
    """``a + b``."""
    return a + b


@inlined
def difference(a, b, _z, _p, _q):
    return a - b


@inlined
def product(a, b, _z, _p, _q):
    return a * b


@inlined
def quotient(a, b, _z, _p, _q):
    return a / b


@inlined
def quotient_slope(g, a, b, _p, _q):
    return -((g / b) * (a / b))


@inlined
def negative(x, _y, _z, _p, _q):
    return -x


@inlined
def square(a, _y, _z, _p, _q):
    return a * a


@inlined
def square_slope(g, a, _z, _p, _q):
    return g * a * TWO


@inlined
def cube(a, _y, _z, _p, _q):
    return a * a * a


@inlined
def cube_slope(g, a, _z, _p, _q):
    return g * (a * a) * THREE


@inlined
def larger(a, b, _z, _p, _q):
    return a if (a >= b) | (a != a) else b


@inlined
def smaller(a, b, _z, _p, _q):
    return a if (a <= b) | (a != a) else b


@inlined
def where_at_least(g, a, b, _p, _q):
    return g if a >= b else ZERO


@inlined
def unless_at_least(g, a, b, _p, _q):
    return ZERO if a >= b else g


@inlined
def where_at_most(g, a, b, _p, _q):
    return g if a <= b else ZERO


@inlined
def unless_at_most(g, a, b, _p, _q):
    return ZERO if a <= b else g


# -- elementary functions


@inlined
def magnitude(a, _y, _z, _p, _q):
    return abs(a)


@inlined
def abs_slope(g, a, _z, _p, _q):
    return g * sign_at(a)


@inlined
def exponential(a, _y, _z, _p, _q):
    return exp(a)


@inlined
def logarithm(a, _y, _z, _p, _q):
    return log(a)


@inlined
def square_root(a, _y, _z, _p, _q):
    return np.sqrt(a)


@inlined
def sqrt_slope(g, w, _z, _p, _q):
    return g / (TWO * w)


@inlined
def reciprocal(a, _y, _z, _p, _q):
    return ONE / a


@inlined
def reciprocal_slope(g, w, _z, _p, _q):
    return -g * w * w


@inlined
def error_function(a, _y, _z, _p, _q):
    return erf(a)


@inlined
def erf_slope(g, a, _z, _p, _q):
    return g * (ERF_SLOPE * decay(abs(a)))


@inlined
def rounded_down(a, _y, _z, _p, _q):
    return np.floor(a)


@inlined
def rounded_up(a, _y, _z, _p, _q):
    return np.ceil(a)


@inlined
def rounded(a, _y, _z, _p, _q):
    return np.rint(a)


@inlined
def sign(a, _y, _z, _p, _q):
    return sign_at(a)


@inlined
def nothing(_g, _y, _z, _p, _q):
    return ZERO
