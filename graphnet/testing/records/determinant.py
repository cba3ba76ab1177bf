"""Determinants against the sum over all permutations."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.determinant import Determinant


@st.composite
def cases(draw):
    """Now and then the last row is twice the first, so that the matrix is singular."""
    n, seed = draw(st.sampled_from((2, 3, 1, 4))), draw(seeds)
    leading = draw(st.sampled_from(((), (draw(batch_sizes),), (draw(batch_sizes), 2))))
    x = random_array((*leading, n, n), seed)
    if n > 1 and draw(st.sampled_from((False, False, True))):
        x[..., -1, :] = 2 * x[..., 0, :]
    return Case(Determinant(), (x,), seed)


def determinant(_, x):
    n = x.shape[-1]
    y = np.zeros(x.shape[:-2])
    for at in np.ndindex(y.shape):
        rows = x[at].tolist()
        terms = []
        for order in itertools.permutations(range(n)):
            turned = sum(a > b for i, b in enumerate(order) for a in order[:i])
            terms.append((-1) ** turned * math.prod(rows[i][j] for i, j in enumerate(order)))
        y[at] = math.fsum(terms)
    return y


RECORDS = [Record(Determinant, cases(), determinant)]
