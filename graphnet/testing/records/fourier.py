"""Fourier transforms against sums of complex numbers, one result after the other."""

from __future__ import annotations

import cmath

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.fourier import DFT


@st.composite
def cases(draw):
    rank = draw(st.sampled_from((2, 3, 4)))
    inverse, onesided = draw(st.booleans()), draw(st.booleans())
    length = draw(st.sampled_from((None, None, 1, 3, 4, 6)))
    parts = (2 if inverse else 1) if onesided else draw(st.sampled_from((1, 2)))
    axis = draw(st.integers(0, rank - 2))
    shape = [draw(batch_sizes), *(draw(st.sampled_from((2, 1, 3))) for _ in range(rank - 2)), parts]
    shape[axis] = draw(st.sampled_from((3, 4, 2, 5)))
    operator = DFT(axis - draw(st.sampled_from((0, rank))), inverse, onesided, length)
    seed = draw(seeds)
    return Case(operator, (random_array(tuple(shape), seed),), seed)


def transformed(operator, entries):
    """The transform of a list of complex numbers."""
    half = operator.inverse and operator.onesided
    n = operator.length or (2 * (len(entries) - 1) if half else len(entries))
    if half:
        entries = (entries + [0.0] * n)[: n // 2 + 1]
        # the other side is conjugate; the first entry and that at half of n are real
        entries = entries + [v.conjugate() for v in entries[1 : (n + 1) // 2][::-1]]
        entries[0] = complex(entries[0].real)
        if n % 2 == 0:
            entries[n // 2] = complex(entries[n // 2].real)
    entries = (entries + [0.0] * n)[:n]
    turn = 2j * cmath.pi / n * (1 if operator.inverse else -1)
    y = [sum(v * cmath.exp(turn * j * k) for j, v in enumerate(entries)) for k in range(n)]
    if operator.inverse:
        return [v / n for v in y]
    return y[: n // 2 + 1] if operator.onesided else y


def dft(operator, x):
    axis = operator.axis % x.ndim
    parts = 1 if operator.inverse and operator.onesided else 2
    moved = np.moveaxis(x, axis, -2)  # (..., entries, parts)
    rows = []
    for at in np.ndindex(moved.shape[:-2]):
        given = [complex(*pair) for pair in moved[at].tolist()]
        rows.append([[v.real, v.imag][:parts] for v in transformed(operator, given)])
    out = len(transformed(operator, [0j] * x.shape[axis]))
    y = np.array(rows, dtype=float).reshape((*moved.shape[:-2], out, parts))
    return np.moveaxis(y, -2, axis)


RECORDS = [Record(DFT, cases(), dft, linear=("x",))]
