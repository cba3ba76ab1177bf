"""Attention against a loop over the heads and queries, the scores of each in a list.

A floating mask is not broadcast along the keys: added to all scores of a query alike it
changes nothing, and no difference quotient can measure that.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.attention import ScaledDotProductAttention


@st.composite
def cases(draw):
    batch, groups = draw(batch_sizes), draw(st.integers(1, 3))
    heads = groups * draw(st.sampled_from((1, 1, 2)))
    queries, keys = draw(st.integers(1, 3)), draw(st.sampled_from((2, 3, 4, 1)))
    features, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    seed = draw(seeds)
    inputs = (
        spaced_array((batch, queries, heads * features), seed),
        spaced_array((batch, keys, groups * features), seed + 1),
        random_array((batch, keys, groups * outputs), seed + 2),
    )
    bound = st.sampled_from((None, None, 0, 1, 2))
    operator = ScaledDotProductAttention(
        heads,
        causal=draw(st.booleans()),
        scale=draw(st.sampled_from((None, 0.5, 0.3))),
        key_value_heads=groups if heads != groups else draw(st.sampled_from((None, heads))),
        past=draw(st.sampled_from((0, 1, 2))),
        window=(draw(bound), draw(bound)),
        softcap=draw(st.sampled_from((None, None, 0.75, 3.0))),
    )
    mask = draw(masks((batch, heads, queries, keys), seed + 3))
    return Case(operator, (*inputs, mask), seed)


@st.composite
def masks(draw, shape, seed):
    """None, a boolean mask, or a floating one that rules some keys out; any may be narrow."""
    form = draw(st.sampled_from(("none", "boolean", "floating")))
    if form == "none":
        return None
    narrow = tuple(draw(st.sampled_from((n, 1))) for n in shape[:3])
    if form == "boolean":
        narrow = (*narrow, draw(st.sampled_from((shape[3], 1))))
        narrow = narrow[draw(st.integers(0, 4)) :]
        return np.random.default_rng([seed, 4]).random(narrow) < 0.6
    narrow = (*narrow, shape[3])[draw(st.integers(0, 3)) :]
    mask = random_array(narrow, seed)
    if draw(st.booleans()):
        mask[np.random.default_rng([seed, 4]).random(narrow) < 0.4] = -math.inf
    return mask


def visible(operator, i, j):
    before, after = operator.window
    ahead = j - (operator.past + i)
    if operator.causal and ahead > 0:
        return False
    return (before is None or -ahead <= before) and (after is None or ahead <= after)


def reference(operator, query, key, value, mask):
    heads = operator.heads
    batch, queries, keys = len(query), query.shape[1], key.shape[1]
    shared = heads // (operator.key_value_heads or heads)
    d, e = query.shape[2] // heads, value.shape[2] // (heads // shared)
    scale = 1 / math.sqrt(d) if operator.scale is None else operator.scale
    whole = None if mask is None else np.broadcast_to(mask, (batch, heads, queries, keys))
    y = np.zeros((batch, queries, heads * e))
    for n, h, i in np.ndindex(batch, heads, queries):
        scores = {}
        for j in range(keys):
            if not visible(operator, i, j):
                continue
            added = 0.0 if whole is None else whole[n, h, i, j]
            if whole is not None and whole.dtype == bool:
                added = 0.0 if added else -math.inf
            if added > -math.inf:
                score = scale * math.fsum(
                    query[n, i, h * d + c] * key[n, j, h // shared * d + c] for c in range(d)
                )
                if operator.softcap is not None:
                    score = operator.softcap * math.tanh(score / operator.softcap)
                scores[j] = score + added
        if not scores:
            continue
        weights = {j: math.exp(score - max(scores.values())) for j, score in scores.items()}
        for c in range(e):
            mean = math.fsum(w * value[n, j, h // shared * e + c] for j, w in weights.items())
            y[n, i, h * e + c] = mean / math.fsum(weights.values())
    return y


RECORDS = [Record(ScaledDotProductAttention, cases(), reference, linear=("value",))]
