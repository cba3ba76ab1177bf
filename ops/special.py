"""Functions that NumPy lacks, from those that every array library has: logistic and error function.

For the error function, four rational approximations cover the axis, each accurate to below
2^-57 of its value:

    |x| < 0.84375      erf(x) = x + x * P(x^2) / Q(x^2)
    |x| < 1.25         erf(x) = c + P(|x| - 1) / Q(|x| - 1)           for x > 0
    |x| < 1 / 0.35     erfc(x) = exp(-x^2 - 0.5625 + P(s) / Q(s)) / x   for x > 0, s = 1 / x^2
    |x| < 28           the same with other coefficients; beyond, erfc(x) underflows to 0

Source: the coefficients of fdlibm's ``s_erf.c``, Sun Microsystems, 1993.
"""

from __future__ import annotations

from ops.arrays import Array, namespace

__all__ = ["erf", "erfc", "sigmoid"]

# Numerator and denominator of each range, constant term first.
_CENTRE = (
    (
        1.28379167095512558561e-01,
        -3.25042107247001499370e-01,
        -2.84817495755985104766e-02,
        -5.77027029648944159157e-03,
        -2.37630166566501626084e-05,
    ),
    (
        1.0,
        3.97917223959155352819e-01,
        6.50222499887672944485e-02,
        5.08130628187576562776e-03,
        1.32494738004321644526e-04,
        -3.96022827877536812320e-06,
    ),
)
_NEAR_ONE = (
    (
        -2.36211856075265944077e-03,
        4.14856118683748331666e-01,
        -3.72207876035701323847e-01,
        3.18346619901161753674e-01,
        -1.10894694282396677476e-01,
        3.54783043256182359371e-02,
        -2.16637559486879084300e-03,
    ),
    (
        1.0,
        1.06420880400844228286e-01,
        5.40397917702171048937e-01,
        7.18286544141962662868e-02,
        1.26171219808761642112e-01,
        1.36370839120290507362e-02,
        1.19844998467991074170e-02,
    ),
)
_ERF_NEAR_ONE = 8.45062911510467529297e-01
_TAIL = (
    (
        -9.86494403484714822705e-03,
        -6.93858572707181764372e-01,
        -1.05586262253232909814e01,
        -6.23753324503260060396e01,
        -1.62396669462573470355e02,
        -1.84605092906711035994e02,
        -8.12874355063065934246e01,
        -9.81432934416914548592e00,
    ),
    (
        1.0,
        1.96512716674392571292e01,
        1.37657754143519042600e02,
        4.34565877475229228821e02,
        6.45387271733267880336e02,
        4.29008140027567833386e02,
        1.08635005541779435134e02,
        6.57024977031928170135e00,
        -6.04244152148580987438e-02,
    ),
)
_FAR_TAIL = (
    (
        -9.86494292470009928597e-03,
        -7.99283237680523006574e-01,
        -1.77579549177547519889e01,
        -1.60636384855821916062e02,
        -6.37566443368389627722e02,
        -1.02509513161107724954e03,
        -4.83519191608651397019e02,
    ),
    (
        1.0,
        3.03380607434824582924e01,
        3.25792512996573918826e02,
        1.53672958608443695994e03,
        3.19985821950859553908e03,
        2.55305040643316442583e03,
        4.74528541206955367215e02,
        -2.24409524465858183362e01,
    ),
)


def sigmoid(x: Array) -> Array:
    """The logistic function ``1 / (1 + exp(-x))``, by element.

    >>> import numpy as np
    >>> sigmoid(np.array([-1e3, 0.0, 1e3])).tolist()
    [0.0, 0.5, 1.0]
    """
    xp = namespace(x)
    # exp(x) / (1 + exp(x)) below 0: an exponential of nothing positive cannot overflow, and
    # two of them are quicker than a choice between the signs
    return xp.exp(xp.minimum(x, 0.0)) / (1.0 + xp.exp(-xp.abs(x)))


def erf(x: Array) -> Array:
    """The error function ``2 / sqrt(pi) * integral of exp(-t^2) from 0 to x``, by element.

    >>> import numpy as np
    >>> erf(np.array([-0.5, 0.0, 2.0])).round(6).tolist()
    [-0.5205, 0.0, 0.995322]
    """
    xp = namespace(x)
    tail = _tail(xp.abs(x))
    outside = xp.where(x < 0, tail - 1.0, 1.0 - tail)
    return xp.where(xp.abs(x) < 0.84375, _centre(x), outside)


def erfc(x: Array) -> Array:
    """The complement ``1 - erf(x)``, with its relative accuracy kept where it is small.

    >>> import numpy as np
    >>> erfc(np.array([-0.5, 0.0, 2.0])).round(6).tolist()
    [1.5205, 1.0, 0.004678]
    """
    xp = namespace(x)
    tail = _tail(xp.abs(x))
    outside = xp.where(x < 0, 2.0 - tail, tail)
    return xp.where(xp.abs(x) < 0.84375, 1.0 - _centre(x), outside)


def _centre(x: Array) -> Array:
    """``erf(x)`` for ``|x| < 0.84375``; other entries are clipped, so that none overflows."""
    x = namespace(x).clip(x, -0.84375, 0.84375)
    return x + x * _ratio(_CENTRE, x * x)


def _tail(a: Array) -> Array:
    """``erfc(a)`` for ``a >= 0.84375``; other entries are clipped."""
    xp = namespace(a)
    near_one = 1.0 - _ERF_NEAR_ONE - _ratio(_NEAR_ONE, xp.clip(a, 0.84375, 1.25) - 1.0)
    z = xp.clip(a, 1.25, 28.0)
    s = 1.0 / (z * z)
    correction = xp.where(z < 1 / 0.35, _ratio(_TAIL, s), _ratio(_FAR_TAIL, s))
    # exp(-z^2) would magnify the rounding of z^2: the square of the head is exact
    head = xp.floor(z * 16.0) * 0.0625
    rest = (head - z) * (head + z) + correction
    beyond = xp.exp(-head * head - 0.5625) * xp.exp(rest) / z
    return xp.where(a < 1.25, near_one, beyond)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    numerator, denominator = coefficients
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's scheme, constant term first."""
    total = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        total = (total + coefficient) * x
    return total + coefficients[0]
