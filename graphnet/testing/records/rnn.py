"""The plain recurrent network against its equation, one example, step and unit at a time."""

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
    times_of,
    unit_counts,
)
from ops.rnn import RNN


@st.composite
def cases(draw):
    rnn = RNN(
        draw(unit_counts),
        direction=draw(directions),
        bias=draw(st.booleans()),
        activation=draw(st.sampled_from(("tanh", "relu"))),
    )
    seed, inputs = draw(fitting_inputs(rnn, states=1))
    return Case(rnn, inputs, seed)


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
    activate = math.tanh if operator.activation == "tanh" else lambda value: max(value, 0.0)
    y = np.zeros((*x.shape[:2], len(orders) * units))
    hidden = np.zeros((len(orders), len(x), units))
    for n in range(len(x)):
        for d, times in enumerate(orders):
            h = initial(initial_hidden, d, n, units)
            for t in times:
                fed = affine(input_weight, input_bias, d, x[n, t].tolist())
                kept = affine(hidden_weight, hidden_bias, d, h)
                h = [activate(a + b) for a, b in zip(fed, kept, strict=True)]
                y[n, t, d * units : (d + 1) * units] = h
            hidden[d, n] = h
    return y, hidden


RECORDS = [Record(RNN, cases(), reference)]
