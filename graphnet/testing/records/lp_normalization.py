"""Vectors of norm 1, one vector of Python floats after the other."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.reduction import away_from_zero
from graphnet.testing.strategies import seeds
from ops.lp_normalization import LpNormalization


@st.composite
def cases(draw):
    shape, seed = draw(batched(max_rank=3)), draw(seeds)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    operator = LpNormalization(axis, draw(st.sampled_from((2.0, 1.0, 3.0, 1.5))))
    return Case(operator, (away_from_zero(shape, seed),), seed)


def normalized(operator, x):
    def unit(vector):
        norm = math.fsum(abs(v) ** operator.p for v in vector.tolist()) ** (1 / operator.p)
        return vector / norm

    return np.apply_along_axis(unit, operator.axis, x) if x.size else x


RECORDS = [Record(LpNormalization, cases(), normalized)]
