"""Elementary functions against Python's own, one entry at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import away_from_zero, seeds, spaced_array
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt


def positive(shape, seed):
    return spaced_array(shape, seed, low=0.25, high=4.25)


def between_steps(shape, seed):
    """At least 0.05 from every integer and every half, where steps are."""
    rng = np.random.default_rng([seed, 2])
    halves = rng.integers(-6, 6, shape) / 2
    return halves + spaced_array(shape, seed, low=0.05, high=0.45)


def cases(operator, entries):
    return st.builds(
        lambda shape, seed: Case(operator, (entries(shape, seed),), seed),
        batched(min_rank=0),
        seeds,
    )


def each(function):
    def reference(_, x):
        return np.array([function(value) for value in x.ravel().tolist()]).reshape(x.shape)

    return reference


def record(operator, entries, function, **fields):
    return Record(operator, cases(operator(), entries), each(function), **fields)


RECORDS = [
    record(Exp, spaced_array, math.exp),
    record(Log, positive, math.log),
    record(Sqrt, positive, math.sqrt),
    record(Reciprocal, away_from_zero, lambda value: 1 / value),
    record(Abs, spaced_array, math.fabs),
    record(Neg, spaced_array, lambda value: 0 - value, linear=("x",)),
    record(Erf, spaced_array, math.erf),
    record(Floor, between_steps, math.floor),
    record(Ceil, between_steps, math.ceil),
    record(Round, between_steps, round),
    record(Sign, between_steps, lambda value: math.copysign(1, value)),
]
