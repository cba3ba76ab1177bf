"""Reversed sequences, one example after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.sequence import ReverseSequence


@st.composite
def cases(draw):
    shape, seed = draw(batched(min_rank=2, max_rank=4)), draw(seeds)
    rank = len(shape)
    batch, time, *_ = draw(st.permutations(range(rank)))
    lengths = np.random.default_rng(seed).integers(0, shape[time] + 1, shape[batch])
    dtype = draw(st.sampled_from(("int64", "int32")))
    operator = ReverseSequence(
        batch - draw(st.sampled_from((0, rank))), time - draw(st.sampled_from((0, rank)))
    )
    return Case(operator, (random_array(shape, seed), np.asarray(lengths, dtype)), seed)


def reverse_sequence(operator, x, lengths):
    y = x.copy()
    for at in np.ndindex(x.shape):
        length = int(lengths[at[operator.batch_axis]])
        if at[operator.time_axis] < length:
            source = list(at)
            source[operator.time_axis] = length - 1 - at[operator.time_axis]
            y[at] = x[tuple(source)]
    return y


RECORDS = [Record(ReverseSequence, cases(), reverse_sequence, linear=("x",))]
