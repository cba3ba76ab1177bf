"""Regions taken out and put into borders, against loops that move one entry at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.slicing import Pad, Slice


@st.composite
def run(draw, n, step):
    """A start and an end on an axis of n entries, counted from either end or outside of it."""
    if step > 0:
        first = draw(st.integers(0, max(n - 1, 0)))
        last = draw(st.integers(min(first + 1, n), n))
        start, end = (first, first - n, -n - 3), (last, last - n, 2**31 - 1)
        end = end if last < n else (n, n + 3, 2**31 - 1)
    else:
        first = draw(st.integers(min(1, max(n - 1, 0)), max(n - 1, 0)))
        last = draw(st.integers(-1, max(first - 1, -1)))
        start = (first, first - n, n + 2)
        end = (last, last - n) if last >= 0 else (-n - 1, -n - 3, -(2**31))
    # now and then there is nothing between the two
    return draw(st.sampled_from(start)), draw(st.sampled_from((*end * 3, start[0])))


@st.composite
def slice_cases(draw):
    rank = draw(st.sampled_from((1, 2, 3)))
    shape = tuple(draw(st.sampled_from((5, 3, 4, 6, 1))) for _ in range(rank - 1))
    shape = (draw(batch_sizes) * 2, *shape)
    axes = draw(st.none() | st.permutations(range(rank)))
    count = draw(st.sampled_from(range(1, rank + 1)))
    sliced = range(count) if axes is None else axes[:count]
    stepped = draw(st.sampled_from((True, True, False)))
    steps = [draw(st.sampled_from((2, -1, 1, -2, 3, -3))) if stepped else 1 for _ in sliced]
    starts, ends = zip(
        *(draw(run(shape[axis], step)) for axis, step in zip(sliced, steps, strict=True)),
        strict=True,
    )
    if axes is not None:
        axes = tuple(axis - draw(st.sampled_from((0, rank))) for axis in sliced)
    fields = {
        "starts": starts,
        "ends": ends,
        "axes": axes,
        "steps": tuple(steps) if stepped else None,
    }
    if count == 1 and draw(st.booleans()):
        fields = {name: None if value is None else value[0] for name, value in fields.items()}
    seed = draw(seeds)
    return Case(Slice(**fields), (random_array(shape, seed),), seed)


def slice_reference(operator, x):
    """Walk along each axis from the clipped start, one step at a time."""
    positions = [list(range(n)) for n in x.shape]
    bounds = zip(operator.axes, operator.starts, operator.ends, operator.steps, strict=True)
    for axis, start, end, step in bounds:
        n = x.shape[axis]
        here = start + n if start < 0 else start
        stop = end + n if end < 0 else end
        walked = []
        here = max(here, 0) if step > 0 else max(min(here, n - 1), 0)
        while 0 <= here < n and (here < stop if step > 0 else here > stop):
            walked.append(here)
            here += step
        positions[axis] = walked
    y = np.empty([len(walked) for walked in positions])
    for index in np.ndindex(y.shape):
        y[index] = x[tuple(p[i] for p, i in zip(positions, index, strict=True))]
    return y


@st.composite
def pad_cases(draw):
    shape = draw(batched(min_rank=0, max_rank=3))
    mode = draw(st.sampled_from(("reflect", "edge", "wrap", "constant")))
    padding = []
    for n in shape:
        most = {
            "constant": 2,
            "edge": 2 * (n > 0),
            "reflect": min(max(n - 1, 0), 2),
            "wrap": min(n, 2),
        }[mode]
        padding.append((draw(st.integers(0, most)), draw(st.integers(0, most))))
    seed = draw(seeds)
    operator = Pad(tuple(padding), draw(st.sampled_from((0.0, -2.5, 1.0))), mode)
    return Case(operator, (random_array(shape, seed),), seed)


def pad(operator, x):
    """Ask of each entry of the output where it comes from."""
    pairs = list(zip(x.shape, operator.padding, strict=True))
    y = np.full([n + begin + end for n, (begin, end) in pairs], operator.value)
    for index in np.ndindex(y.shape):
        source = [i - begin for i, (_, (begin, _)) in zip(index, pairs, strict=True)]
        for axis, n in enumerate(x.shape):
            if operator.mode == "edge":
                source[axis] = min(max(source[axis], 0), n - 1)
            elif operator.mode == "reflect":
                source[axis] = n - 1 - abs(n - 1 - abs(source[axis]))
            elif operator.mode == "wrap" and n:
                source[axis] %= n
        if all(0 <= i < n for i, n in zip(source, x.shape, strict=True)):
            y[index] = x[tuple(source)]
    return y


RECORDS = [
    Record(Slice, slice_cases(), slice_reference, linear=("x",)),
    Record(Pad, pad_cases(), pad, linear=("x",)),
]
