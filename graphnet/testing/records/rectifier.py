"""Rectifiers against their formulas, one Python float at a time; no entry lies on a kink."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.activation import activation_cases, each
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU


@st.composite
def learned_cases(draw):
    operator = PReLU(shared=draw(st.booleans()), init=draw(st.sampled_from((-1.0, 0.0, 0.25))))
    shape = draw(batched(min_rank=0 if operator.shared else 2))
    seed = draw(seeds)
    slope = random_array((1,) if operator.shared else shape[1:2], seed + 1)
    return Case(operator, (spaced_array(shape, seed), slope), seed)


def learned(operator, x, slope):
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        below = slope[0] if operator.shared else slope[index[1]]
        y[index] = x[index] if x[index] > 0 else below * x[index]
    return y


def celu(operator, value):
    return value if value > 0 else operator.alpha * (math.exp(value / operator.alpha) - 1)


def selu(_, value):
    """The two constants from the closed form of the paper, its equation 14."""
    one, two = math.erfc(math.sqrt(0.5)), math.erfc(math.sqrt(2))
    alpha = math.sqrt(2 / math.pi) / (1 - one * math.sqrt(math.e))
    variance = (
        2 * two * math.e**2
        + math.pi * one**2 * math.e
        - 2 * (2 + math.pi) * one * math.sqrt(math.e)
        + math.pi
        + 2
    )
    scale = (1 - one * math.sqrt(math.e)) * math.sqrt(2 * math.pi / variance)
    return scale * (value if value > 0 else alpha * (math.exp(value) - 1))


RECORDS = [
    Record(ReLU, activation_cases(st.just(ReLU())), each(lambda _, v: max(v, 0.0))),
    Record(
        LeakyReLU,
        activation_cases(st.sampled_from((0.0, 0.01, 0.5, 1.0, 1.5)).map(LeakyReLU)),
        each(lambda operator, v: v if v > 0 else operator.negative_slope * v),
    ),
    Record(PReLU, learned_cases(), learned, linear=("slope",)),
    Record(
        ELU,
        activation_cases(st.sampled_from((0.0, 0.5, 1.0, 2.0)).map(ELU)),
        each(lambda operator, v: v if v > 0 else operator.alpha * (math.exp(v) - 1)),
    ),
    Record(CELU, activation_cases(st.sampled_from((0.25, 0.5, 1.0, 2.0)).map(CELU)), each(celu)),
    Record(SELU, activation_cases(st.just(SELU())), each(selu)),
]
