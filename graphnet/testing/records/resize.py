"""Resizing against sums over all entries, with exact fractions as coordinates."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import one_or_each, random_array, seeds
from ops.resize import Resize

HALF = Fraction(1, 2)
#: The one with most attributes of its own comes up most.
MODES = ("nearest", "linear", "cubic", "cubic")
ROUNDINGS = {
    "round_prefer_floor": lambda c: math.ceil(c - HALF),
    "round_prefer_ceil": lambda c: math.floor(c + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}
COORDINATES = {
    "half_pixel": lambda i, n, out, scale: (i + HALF) / scale - HALF,
    "pytorch_half_pixel": lambda i, n, out, scale: (i + HALF) / scale - HALF if out > 1 else 0,
    "asymmetric": lambda i, n, out, scale: i / scale,
    "align_corners": lambda i, n, out, scale: Fraction(i * (n - 1), out - 1) if out > 1 else 0,
    # the centre moves by what is lost when the size is rounded down
    "half_pixel_symmetric": lambda i, n, out, scale: (
        Fraction(n, 2) * (1 - out / (n * scale)) + (i + HALF) / scale - HALF
    ),
}
#: Exact in binary: a coordinate that is whole or a half stays so.
SCALES = (0.5, 0.75, 0.875, 1.0, 1.25, 1.5, 1.625, 2.0, 2.75, 3.0)


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    largest = {1: 7, 2: 5, 3: 3}[rank]
    coordinates = draw(st.sampled_from(tuple(COORDINATES)))
    # the symmetric ones are those of "half_pixel" but where a scale does not fit the size
    symmetric = coordinates == "half_pixel_symmetric"
    size = tuple(draw(st.integers(1 + symmetric, largest)) for _ in range(rank))

    if draw(st.sampled_from((True, False, False, False) if symmetric else (True, False))):
        given = {"size": one_or_each(draw, tuple(draw(st.integers(1, largest + 2)) for _ in size))}
    else:
        fitting = [
            [s for s in SCALES if n * s >= 1 and not (symmetric and (n * s).is_integer())]
            for n in size
        ]
        given = {
            "scale": one_or_each(draw, tuple(draw(st.sampled_from(scales)) for scales in fitting))
        }
    operator = Resize(
        **given,
        mode=draw(st.sampled_from(MODES)),
        coordinates=coordinates,
        nearest=draw(st.sampled_from(tuple(ROUNDINGS))),
        cubic_coefficient=draw(st.sampled_from((-0.75, -0.5, -1.0))),
        exclude_outside=draw(st.booleans()),
        antialias=draw(st.booleans()),
    )
    seed = draw(seeds)
    x = random_array((draw(batch_sizes), draw(st.integers(1, 2)), *size), seed)
    return Case(operator, (x,), seed)


def keys(distance, a):
    """The cubic convolution kernel."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0


def weights(operator, i, n, out, scale):
    """The entry and its weight for all that output ``i`` sums, border entries repeated."""
    at = COORDINATES[operator.coordinates](i, n, out, scale)
    if operator.mode == "nearest":
        return [(min(max(ROUNDINGS[operator.nearest](at), 0), n - 1), 1.0)]
    spread = max(1 / scale, 1) if operator.antialias else Fraction(1)
    reach = math.ceil(2 * spread)
    near = range(math.floor(at) - reach, math.floor(at) + reach + 2)
    if operator.mode == "linear":
        found = {j: max(1 - abs(at - j) / spread, 0) for j in near}
    else:
        found = {j: keys((at - j) / spread, Fraction(operator.cubic_coefficient)) for j in near}
    if operator.exclude_outside and (operator.mode == "cubic" or spread > 1):
        found = {j: weight for j, weight in found.items() if 0 <= j < n}
    total = sum(found.values())
    found = {j: weight / total for j, weight in found.items()}
    return [(min(max(j, 0), n - 1), float(weight)) for j, weight in found.items()]


def reference(operator, x):
    size = x.shape[2:]
    if operator.size is None:
        scale = (
            operator.scale if isinstance(operator.scale, tuple) else (operator.scale,) * len(size)
        )
        scale = tuple(map(Fraction, scale))
        out = tuple(math.floor(n * s) for n, s in zip(size, scale, strict=True))
    else:
        out = operator.size if isinstance(operator.size, tuple) else (operator.size,) * len(size)
        scale = tuple(Fraction(b, a) for a, b in zip(size, out, strict=True))
    y = np.zeros((*x.shape[:2], *out))
    for at in np.ndindex(*out):
        axes = [weights(operator, *given) for given in zip(at, size, out, scale, strict=True)]
        terms = [
            (tuple(j for j, _ in taps), math.prod(weight for _, weight in taps))
            for taps in itertools.product(*axes)
        ]
        for n, c in np.ndindex(x.shape[:2]):
            y[(n, c, *at)] = math.fsum(weight * x[(n, c, *place)] for place, weight in terms)
    return y


RECORDS = [Record(Resize, cases(), reference, linear=("x",))]
