"""What the records of recurrent networks share: drawn inputs, and gates one number at a time."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, sizes
from graphnet.testing.strategies import random_array, seeds

unit_counts = st.sampled_from((1, 2, 3))
directions = st.sampled_from(("forward", "reverse", "bidirectional"))


@st.composite
def fitting_inputs(draw, operator, states):
    """A seed, and inputs that fit: sequence, weights, biases and initial states or None."""
    features, steps, batch = draw(sizes), draw(sizes), draw(batch_sizes)
    seed = draw(seeds)
    d, width = operator.directions, operator.units
    rows = (d, operator.gates * width)
    given = [True, True, True, operator.bias, operator.bias]
    given += [draw(st.booleans()) for _ in range(states)]
    shapes = [(batch, steps, features), (*rows, features), (*rows, width), rows, rows]
    shapes += [(d, batch, width)] * states
    return seed, tuple(
        random_array(shape, seed + i) if there else None
        for i, (shape, there) in enumerate(zip(shapes, given, strict=True))
    )


def times_of(operator, steps):
    """The order of the steps for each direction."""
    ahead = list(range(steps))
    return {"forward": [ahead], "reverse": [ahead[::-1]]}.get(
        operator.direction, [ahead, ahead[::-1]]
    )


def affine(weight, bias, d, entries):
    """The weight of one direction times the entries, and its bias, as a list of floats."""
    constants = [0.0] * weight.shape[1] if bias is None else bias[d].tolist()
    return [
        math.fsum([constant, *(w * v for w, v in zip(row, entries, strict=True))])
        for row, constant in zip(weight[d].tolist(), constants, strict=True)
    ]


def logistic(value):
    return 1.0 / (1.0 + math.exp(-value))


def initial(state, d, n, count):
    """The state an example starts with in one direction, as floats."""
    return [0.0] * count if state is None else state[d, n].tolist()
