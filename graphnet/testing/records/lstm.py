"""The LSTM against its equations, one example, one step and one cell at a time."""

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
from graphnet.testing.strategies import random_array
from ops.lstm import LSTM


@st.composite
def cases(draw):
    lstm = LSTM(
        draw(unit_counts),
        direction=draw(directions),
        bias=draw(st.booleans()),
        peepholes=draw(st.booleans()),
    )
    seed, inputs = draw(fitting_inputs(lstm, states=2))
    shape = (lstm.directions, 3 * lstm.units)
    peephole = random_array(shape, seed + 7) if lstm.peepholes else None
    return Case(lstm, (*inputs, peephole), seed)


def reference(
    operator,
    x,
    input_weight,
    hidden_weight,
    input_bias=None,
    hidden_bias=None,
    initial_hidden=None,
    initial_cell=None,
    peephole=None,
):
    units, orders = operator.units, times_of(operator, x.shape[1])
    y = np.zeros((*x.shape[:2], len(orders) * units))
    hidden, cell = np.zeros((2, len(orders), len(x), units))
    for n in range(len(x)):
        for d, times in enumerate(orders):
            h, c = initial(initial_hidden, d, n, units), initial(initial_cell, d, n, units)
            for t in times:
                fed = affine(input_weight, input_bias, d, x[n, t].tolist())
                kept = affine(hidden_weight, hidden_bias, d, h)
                # input gates of all cells, then forget gates, candidates, output gates
                gates = [a + b for a, b in zip(fed, kept, strict=True)]
                for k in range(units):
                    i, f, g, o = gates[k::units]
                    to_i, to_f, to_o = (0.0,) * 3 if peephole is None else peephole[d, k::units]
                    i, f = i + to_i * c[k], f + to_f * c[k]
                    c[k] = logistic(f) * c[k] + logistic(i) * math.tanh(g)
                    h[k] = logistic(o + to_o * c[k]) * math.tanh(c[k])
                y[n, t, d * units : (d + 1) * units] = h
            hidden[d, n], cell[d, n] = h, c
    return y, hidden, cell


RECORDS = [Record(LSTM, cases(), reference)]
