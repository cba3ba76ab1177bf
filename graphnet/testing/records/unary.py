"""Elementary functions against Python's own, one entry at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt


def either_sign(shape, seed):
    return spaced_array(shape, seed)


def positive(shape, seed):
    return spaced_array(shape, seed, low=0.25, high=4.25)


def far_from_zero(shape, seed):
    x = spaced_array(shape, seed)
    return x + np.copysign(0.5, x)


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
    record(Exp, either_sign, math.exp),
    record(Log, positive, math.log),
    record(Sqrt, positive, math.sqrt),
    record(Reciprocal, far_from_zero, lambda value: 1 / value),
    record(Abs, either_sign, math.fabs),
    record(Neg, either_sign, lambda value: 0 - value, linear=("x",)),
    record(Erf, either_sign, math.erf),
    record(Floor, between_steps, math.floor),
    record(Ceil, between_steps, math.ceil),
    record(Round, between_steps, round),
    record(Sign, between_steps, lambda value: math.copysign(1, value)),
]
