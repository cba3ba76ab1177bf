"""Reductions against exact sums over groups of entries, gathered one by one."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops import Mean, Sum


@st.composite
def cases(draw, operator):
    shape = draw(batched())
    # a mean needs entries
    allowed = [axis for axis, n in enumerate(shape) if n or operator is Sum]
    choices = [st.none()] if len(allowed) == len(shape) else []
    if allowed:
        signed = st.sampled_from(allowed).flatmap(lambda a: st.sampled_from((a, a - len(shape))))
        several = st.lists(signed, min_size=1, unique_by=lambda a: a % len(shape)).map(tuple)
        choices += [signed, several]
    if not choices:  # the mean of a batch of no entry
        shape, choices = (1,), [st.none()]
    seed = draw(seeds)
    fields = {"axis": draw(st.one_of(choices)), "keepdims": draw(st.booleans())}
    return Case(operator(**fields), (random_array(shape, seed),), seed)


def reference(operator, x):
    entries = range(x.ndim) if operator.axis is None else np.atleast_1d(operator.axis)
    axes = {int(axis) % x.ndim for axis in entries}
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    groups = {key: [] for key in np.ndindex(kept)}
    for index in np.ndindex(x.shape):
        groups[tuple(0 if axis in axes else i for axis, i in enumerate(index))].append(x[index])
    y = np.zeros(kept)
    for key, group in groups.items():
        y[key] = math.fsum(group) / (len(group) if isinstance(operator, Mean) else 1)
    if operator.keepdims:
        return y
    return y.reshape([n for axis, n in enumerate(kept) if axis not in axes])


RECORDS = [Record(operator, cases(operator), reference, linear=("x",)) for operator in (Sum, Mean)]
