"""NaN and infinities against Python's own functions, one entry at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.comparison import loop
from graphnet.testing.strategies import seeds
from ops.special_values import IsInf, IsNaN

ENTRIES = (-1.5, -0.0, 0.0, 1e30, math.nan, -math.nan, math.inf, -math.inf)


@st.composite
def cases(draw, operators):
    seed = draw(seeds)
    x = np.random.default_rng(seed).choice(ENTRIES, draw(batched(min_rank=0)))
    return Case(draw(operators), (np.asarray(x),), seed)


def infinite(operator, x):
    def counts(value):
        return math.isinf(value) and (operator.positive if value > 0 else operator.negative)

    return loop(counts)(operator, x)


RECORDS = [
    Record(IsNaN, cases(st.just(IsNaN())), loop(math.isnan)),
    Record(IsInf, cases(st.builds(IsInf, st.booleans(), st.booleans())), infinite),
]
