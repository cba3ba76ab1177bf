"""Linear attention against its recurrence, one example and head, one number at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.linear_attention import LinearAttention


@st.composite
def cases(draw):
    batch, positions = draw(batch_sizes), draw(st.integers(1, 3))
    groups = draw(st.integers(1, 2))
    heads = groups * draw(st.sampled_from((1, 2)))
    d, e = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    rule = draw(st.sampled_from(("linear", "gated", "delta", "gated_delta")))
    operator = LinearAttention(
        heads,
        groups if heads != groups else draw(st.sampled_from((None, groups))),
        rule,
        draw(st.sampled_from((None, 0.5))),
    )
    seed = draw(seeds)
    widths = [heads * d, groups * d, groups * e]
    inputs = [random_array((batch, positions, n), seed + i) for i, n in enumerate(widths)]
    state = random_array((batch, groups, d, e), seed + 3) if draw(st.booleans()) else None
    decay = rate = None
    if "gated" in rule:
        width = draw(st.sampled_from((groups * d, groups)))
        decay = random_array((batch, positions, width), seed + 4) / 2
    if "delta" in rule:
        width = draw(st.sampled_from((groups, 1)))
        rate = random_array((batch, positions, width), seed + 5) / 2
    return Case(operator, (*inputs, state, decay, rate), seed)


def linear_attention(operator, query, key, value, state=None, decay=None, rate=None):
    heads, groups = operator.heads, operator.key_value_heads or operator.heads
    batch, positions, _ = query.shape
    d, e = key.shape[2] // groups, value.shape[2] // groups
    scale = operator.scale or 1 / math.sqrt(d)
    y, last = np.zeros((batch, positions, heads * e)), np.zeros((batch, groups, d, e))
    for n, group in np.ndindex(batch, groups):
        memory = [[0.0] * e for _ in range(d)] if state is None else state[n, group].tolist()
        for t in range(positions):
            k = key[n, t, group * d : (group + 1) * d].tolist()
            v = value[n, t, group * e : (group + 1) * e].tolist()
            if decay is not None:
                own = decay.shape[2] == groups
                fade = [decay[n, t, group if own else group * d + i] for i in range(d)]
                memory = [
                    [math.exp(f) * m for m in row] for f, row in zip(fade, memory, strict=True)
                ]
            speed = 1.0
            if rate is not None:
                speed = rate[n, t, group if rate.shape[2] == groups else 0]
                v = [v[j] - math.fsum(memory[i][j] * k[i] for i in range(d)) for j in range(e)]
            memory = [[memory[i][j] + speed * k[i] * v[j] for j in range(e)] for i in range(d)]
            for head in range(group * heads // groups, (group + 1) * heads // groups):
                q = query[n, t, head * d : (head + 1) * d].tolist()
                for j in range(e):
                    read = math.fsum(q[i] * memory[i][j] for i in range(d))
                    y[n, t, head * e + j] = scale * read
        last[n, group] = memory
    return y, last


RECORDS = [Record(LinearAttention, cases(), linear_attention, linear=("query", "value", "state"))]
