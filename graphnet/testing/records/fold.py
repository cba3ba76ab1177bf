"""Windows laid back, one entry of one window after the other."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, window_inputs
from ops.fold import Fold
from ops.operator import Spec
from ops.windows import Windows


@st.composite
def cases(draw):
    fields, size = draw(window_inputs())
    operator = Fold(size, **fields)
    windows = Windows.over(Spec((1, 1, *size)), **fields)
    batch, channels, seed = draw(batch_sizes), draw(st.sampled_from((1, 2))), draw(seeds)
    rows = channels * math.prod(windows.kernel)
    return Case(operator, (random_array((batch, rows, math.prod(windows.out)), seed),), seed)


def fold(operator, x):
    fields = (operator.kernel_size, operator.stride, operator.padding, operator.dilation)
    windows = Windows.over(Spec((1, 1, *operator.size)), *fields)
    entries = list(itertools.product(*map(range, windows.kernel)))
    places = list(itertools.product(*map(range, windows.out)))
    y = np.zeros((len(x), x.shape[1] // len(entries), *operator.size))
    for n, row, column in np.ndindex(x.shape):
        channel, entry = divmod(row, len(entries))
        at = [
            o * s - begin + k * d
            for o, s, (begin, _), k, d in zip(
                places[column],
                windows.stride,
                windows.padding,
                entries[entry],
                windows.dilation,
                strict=True,
            )
        ]
        if all(0 <= i < size for i, size in zip(at, operator.size, strict=True)):
            y[(n, channel, *at)] += x[n, row, column]
    return y


RECORDS = [Record(Fold, cases(), fold, linear=("x",))]
