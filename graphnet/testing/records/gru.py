"""The GRU against its equations, one example, one step and one unit at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.recurrent import (
    affine,
    directions,
    fitting_inputs,
    initial,
    logistic,
    times_of,
    unit_counts,
)
from ops.gru import GRU


@st.composite
def cases(draw):
    gru = GRU(
        draw(unit_counts),
        direction=draw(directions),
        bias=draw(st.booleans()),
        reset_after=draw(st.booleans()),
    )
    seed, inputs = draw(fitting_inputs(gru, states=1))
    return Case(gru, inputs, seed)


def reference(
    operator,
    x,
    input_weight,
    hidden_weight,
    input_bias=None,
    hidden_bias=None,
    initial_hidden=None,
):
    units, orders = operator.units, times_of(operator, x.shape[1])
    y = np.zeros((*x.shape[:2], len(orders) * units))
    hidden = np.zeros((len(orders), len(x), units))
    for n in range(len(x)):
        for d, times in enumerate(orders):
            h = initial(initial_hidden, d, n, units)
            for t in times:
                fed = affine(input_weight, input_bias, d, x[n, t].tolist())
                kept = affine(hidden_weight, hidden_bias, d, h)
                # reset gates of all units, then update gates, candidates
                gates = [logistic(a + b) for a, b in zip(fed, kept, strict=True)]
                r, z = gates[:units], gates[units : 2 * units]
                if operator.reset_after:
                    parts = [a * b for a, b in zip(r, kept[2 * units :], strict=True)]
                else:
                    reset = [a * b for a, b in zip(r, h, strict=True)]
                    parts = affine(hidden_weight, hidden_bias, d, reset)[2 * units :]
                for k in range(units):
                    candidate = math.tanh(fed[2 * units + k] + parts[k])
                    h[k] = (1.0 - z[k]) * candidate + z[k] * h[k]
                y[n, t, d * units : (d + 1) * units] = h
            hidden[d, n] = h
    return y, hidden


RECORDS = [Record(GRU, cases(), reference)]
