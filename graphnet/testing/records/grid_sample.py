"""Sampling at points against sums over the neighbours of each, one point after the other.

Points lie apart from entries and from the edges between them, where slopes jump.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.resize import keys
from graphnet.testing.strategies import random_array, seeds
from ops.grid_sample import GridSample


@st.composite
def cases(draw):
    axes = draw(st.sampled_from((2, 1, 2, 3)))
    spatial = tuple(draw(st.sampled_from((3, 2, 4, 1))) for _ in range(axes))
    out = tuple(draw(st.sampled_from((2, 1, 3))) for _ in range(axes))
    operator = GridSample(
        draw(
            st.sampled_from(("linear", "nearest", "cubic") if axes < 3 else ("linear", "nearest"))
        ),
        draw(st.sampled_from(("zeros", "border", "reflection"))),
        draw(st.booleans()),
    )
    batch, channels, seed = draw(batch_sizes), draw(st.sampled_from((1, 2))), draw(seeds)
    rng = np.random.default_rng(seed)
    grid = np.empty((batch, *out, axes))
    for axis, n in enumerate(spatial):
        at = rng.integers(-3, n + 3, grid.shape[:-1]) + rng.uniform(0.1, 0.4, grid.shape[:-1])
        at += rng.choice((0.0, 0.5), grid.shape[:-1])
        number = 2 * at / max(n - 1, 1) - 1 if operator.align_corners else (2 * at + 1) / n - 1
        grid[..., axes - 1 - axis] = number
    return Case(operator, (random_array((batch, channels, *spatial), seed), grid), seed)


def inside(operator, at, n):
    """A coordinate brought back into the image."""
    low, high = (0.0, n - 1.0) if operator.align_corners else (-0.5, n - 0.5)
    if low <= at <= high or operator.padding == "zeros":
        return at
    if operator.padding == "border":
        return min(max(at, 0.0), n - 1.0)
    while low < high and not low <= at <= high:
        at = 2 * low - at if at < low else 2 * high - at
    return at if low < high else 0.0


def taps(operator, number, n):
    """The entries that a point takes along one axis, None for a 0, and their weights."""
    at = (number + 1) / 2 * (n - 1) if operator.align_corners else ((number + 1) * n - 1) / 2
    at = inside(operator, float(round(at)) if operator.mode == "nearest" else at, n)
    base = math.floor(at)
    if operator.mode == "nearest":
        found = [(base, 1.0)]
    elif operator.mode == "linear":
        found = [(base, 1 - (at - base)), (base + 1, at - base)]
    else:
        found = [(base + k, keys(at - base - k, -0.75)) for k in (-1, 0, 1, 2)]
    if operator.padding == "zeros":
        return [(index if 0 <= index < n else None, weight) for index, weight in found]
    return [(min(max(int(inside(operator, i, n)), 0), n - 1), weight) for i, weight in found]


def grid_sample(operator, x, grid):
    spatial = x.shape[2:]
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for n, *at in np.ndindex(grid.shape[:-1]):
        point = grid[(n, *at)][::-1].tolist()
        along = [taps(operator, v, size) for v, size in zip(point, spatial, strict=True)]
        for c in range(x.shape[1]):
            y[(n, c, *at)] = math.fsum(
                math.prod(weight for _, weight in corner) * x[(n, c, *(i for i, _ in corner))]
                for corner in itertools.product(*along)
                if all(i is not None for i, _ in corner)
            )
    return y


RECORDS = [Record(GridSample, cases(), grid_sample, linear=("x",))]
