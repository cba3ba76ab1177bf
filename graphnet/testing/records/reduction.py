"""Reductions against exact sums over groups of entries, gathered one by one."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import away_from_zero, random_array, seeds, spaced_array
from ops.reduction import Mean, ReduceL1, ReduceL2, ReduceLogSumExp, Sum


@st.composite
def cases(draw, operator, array=random_array, empty=True):
    """Axes in every form; with ``empty`` there may be no entry along them."""
    shape = draw(batched(min_rank=0))
    allowed = [axis for axis, n in enumerate(shape) if n or empty]
    choices = [st.none()] if len(allowed) == len(shape) else []
    if allowed:
        signed = st.sampled_from(allowed).flatmap(lambda a: st.sampled_from((a, a - len(shape))))
        several = st.lists(signed, min_size=1, unique_by=lambda a: a % len(shape)).map(tuple)
        choices += [signed, several]
    if not choices:  # all of a batch of no entry
        shape, choices = (1,), [st.none()]
    seed = draw(seeds)
    fields = {"axis": draw(st.one_of(choices)), "keepdims": draw(st.booleans())}
    return Case(operator(**fields), (array(shape, seed),), seed)


def each_group(combine):
    """The reference that combines the list of entries of each group to one."""

    def reference(operator, x):
        entries = range(x.ndim) if operator.axis is None else np.atleast_1d(operator.axis)
        axes = {int(axis) % x.ndim for axis in entries}
        kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
        groups = {key: [] for key in np.ndindex(kept)}
        for index in np.ndindex(x.shape):
            key = tuple(0 if axis in axes else i for axis, i in enumerate(index))
            groups[key].append(float(x[index]))
        y = np.zeros(kept)
        for key, group in groups.items():
            y[key] = combine(group)
        if operator.keepdims:
            return y
        return y.reshape([n for axis, n in enumerate(kept) if axis not in axes])

    return reference


RECORDS = [
    Record(Sum, cases(Sum), each_group(math.fsum), linear=("x",)),
    Record(
        Mean,
        cases(Mean, empty=False),
        each_group(lambda entries: math.fsum(entries) / len(entries)),
        linear=("x",),
    ),
    Record(
        ReduceL1,
        cases(ReduceL1, spaced_array),
        each_group(lambda entries: math.fsum(map(abs, entries))),
    ),
    Record(ReduceL2, cases(ReduceL2, away_from_zero), each_group(lambda v: math.hypot(*v))),
    Record(
        ReduceLogSumExp,
        cases(ReduceLogSumExp, empty=False),
        each_group(lambda entries: math.log(math.fsum(map(math.exp, entries)))),
    ),
]
