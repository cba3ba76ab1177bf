"""Rotary position embedding against products of complex numbers, one pair after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.rotary import RotaryEmbedding


@st.composite
def cases(draw):
    """Cosines and sines that are no angle's, as they are free inputs."""
    batch, positions = draw(batch_sizes), draw(st.integers(1, 3))
    heads, pairs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    features = 2 * pairs + draw(st.sampled_from((0, 0, 1, 2)))
    leading = draw(st.sampled_from(((positions,), (batch, positions), (1, positions))))
    seed = draw(seeds)
    x = random_array((batch, positions, heads * features), seed)
    cos, sin = (random_array((*leading, pairs), seed + k) for k in (1, 2))
    return Case(RotaryEmbedding(heads, draw(st.booleans())), (x, cos, sin), seed)


def rotary(operator, x, cos, sin):
    batch, positions, width = x.shape
    features, pairs = width // operator.heads, cos.shape[-1]
    cos, sin = (np.broadcast_to(c, (batch, positions, pairs)) for c in (cos, sin))
    y = x.copy()
    for n, t, head, pair in np.ndindex(batch, positions, operator.heads, pairs):
        first = head * features + (2 * pair if operator.interleaved else pair)
        second = first + (1 if operator.interleaved else pairs)
        turned = complex(x[n, t, first], x[n, t, second]) * complex(
            cos[n, t, pair], sin[n, t, pair]
        )
        y[n, t, first], y[n, t, second] = turned.real, turned.imag
    return y


RECORDS = [Record(RotaryEmbedding, cases(), rotary, linear=("x",))]
