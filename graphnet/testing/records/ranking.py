"""Rankings against Python's own ``sorted``, which is stable, one row of entries at a time.

Entries tie now and then where no gradient flows; elsewhere they are spaced apart.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import seeds, spaced_array
from ops.ranking import ArgMax, ArgMin, TopK


@st.composite
def ranked(draw):
    """A shape, an axis of it with at least one entry, in either form, and a seed."""
    shape = draw(batched())
    axis = draw(st.sampled_from([axis for axis, n in enumerate(shape) if n] or [0]))
    if not shape[axis]:
        shape = (1, *shape[1:])
    return shape, axis - draw(st.sampled_from((0, len(shape)))), draw(seeds)


@st.composite
def arg_cases(draw, operator):
    shape, axis, seed = draw(ranked())
    x = spaced_array(shape, seed)
    form = draw(st.sampled_from(("spaced", "tied", "integers", "booleans")))
    if form != "spaced":
        x = {"tied": np.round, "integers": np.int32, "booleans": np.signbit}[form](x)
    return Case(operator(axis, draw(st.booleans())), (x,), seed)


@st.composite
def top_cases(draw):
    shape, axis, seed = draw(ranked())
    operator = TopK(draw(st.integers(1, shape[axis])), axis, draw(st.booleans()))
    x = spaced_array(shape, seed)
    return Case(operator, (draw(st.sampled_from((x, x, x, np.int32(x)))),), seed)


def rank(operator, x, largest, k):
    """The k best of each row along the axis, and their indices."""
    axis = operator.axis % x.ndim
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    values, indices = np.zeros(shape, x.dtype), np.zeros(shape, np.int64)
    for row in np.ndindex(*x.shape[:axis], *x.shape[axis + 1 :]):
        here = (*row[:axis], slice(None), *row[axis:])
        entries = x[here].tolist()
        sign = -1 if largest else 1
        best = sorted(range(len(entries)), key=lambda i: sign * entries[i])[:k]
        values[here], indices[here] = [entries[i] for i in best], best
    return values, indices


def arg(largest):
    def reference(operator, x):
        indices = rank(operator, x, largest, 1)[1]
        return indices if operator.keepdims else indices.squeeze(operator.axis)

    return reference


RECORDS = [
    Record(ArgMax, arg_cases(ArgMax), arg(largest=True)),
    Record(ArgMin, arg_cases(ArgMin), arg(largest=False)),
    Record(TopK, top_cases(), lambda operator, x: rank(operator, x, operator.largest, operator.k)),
]
