"""Operators that move entries, against loops that move them one index at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops import Concat, Flatten, Pad, Reshape, Transpose


def moved(x, shape):
    """The entries of ``x`` in raster order, laid out in ``shape``."""
    y = np.empty(shape)
    for there, here in zip(np.ndindex(y.shape), np.ndindex(x.shape), strict=True):
        y[there] = x[here]
    return y


@st.composite
def flatten_cases(draw):
    shape = draw(batched())
    start = draw(st.integers(-len(shape), len(shape) - 1))
    seed = draw(seeds)
    return Case(Flatten(start), (random_array(shape, seed),), seed)


def flatten(operator, x):
    start = operator.start_axis % x.ndim
    return moved(x, (*x.shape[:start], math.prod(x.shape[start:])))


@st.composite
def reshape_cases(draw):
    """The sizes of the input in another order, with an axis of 1 or two joined, and wildcards."""
    shape = draw(batched())
    target: list = list(draw(st.permutations(shape)))
    change = draw(st.sampled_from(("none", "insert", "join")))
    if change == "insert":
        target.insert(draw(st.integers(0, len(target))), 1)
    elif change == "join" and len(target) > 1:
        target = [target[0] * target[1], *target[2:]]
    form = draw(st.sampled_from(("sizes", -1, "N", "both")))
    if form == "both":
        # the batch stays, what follows it is joined
        rest = draw(st.sampled_from((shape[1:], shape[:0:-1])))
        target = ["N", *rest[:-1], -1]
    elif form != "sizes":
        empty = [position for position, n in enumerate(target) if n == 0]
        position = draw(st.sampled_from(empty or range(len(target))))
        target[position] = form
    seed = draw(seeds)
    return Case(Reshape(tuple(target)), (random_array(shape, seed),), seed)


def reshape(operator, x):
    given = math.prod(n for n in operator.shape if n not in (-1, "N"))
    if "N" in operator.shape and -1 in operator.shape:
        wildcards = {"N": len(x), -1: math.prod(x.shape[1:]) // given}
    else:
        wildcards = dict.fromkeys(("N", -1), x.size // max(given, 1))
    return moved(x, [wildcards.get(n, n) for n in operator.shape])


@st.composite
def transpose_cases(draw):
    shape = draw(batched())
    axes = [
        axis - draw(st.sampled_from((0, len(shape))))
        for axis in draw(st.permutations(range(len(shape))))
    ]
    seed = draw(seeds)
    operator = draw(st.sampled_from((Transpose(), Transpose(tuple(axes)))))
    return Case(operator, (random_array(shape, seed),), seed)


def transpose(operator, x):
    axes = range(x.ndim)[::-1] if operator.axes is None else operator.axes
    y = np.empty([x.shape[axis] for axis in axes])
    for index in np.ndindex(x.shape):
        y[tuple(index[axis] for axis in axes)] = x[index]
    return y


@st.composite
def concat_cases(draw):
    shape = draw(batched())
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    seed = draw(seeds)
    xs = []
    for number, size in enumerate(draw(st.lists(batch_sizes, min_size=1, max_size=3))):
        sizes = list(shape)
        sizes[axis] = size
        xs.append(random_array(tuple(sizes), seed + number))
    return Case(Concat(axis), tuple(xs), seed)


def concat(operator, *xs):
    axis = operator.axis % xs[0].ndim
    sizes = list(xs[0].shape)
    sizes[axis] = sum(x.shape[axis] for x in xs)
    y, start = np.empty(sizes), 0
    for x in xs:
        for index in np.ndindex(x.shape):
            y[(*index[:axis], start + index[axis], *index[axis + 1 :])] = x[index]
        start += x.shape[axis]
    return y


@st.composite
def pad_cases(draw):
    shape = draw(batched())
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in shape)
    seed = draw(seeds)
    operator = Pad(padding, draw(st.sampled_from((0.0, -2.5, 1.0))))
    return Case(operator, (random_array(shape, seed),), seed)


def pad(operator, x):
    pairs = list(zip(x.shape, operator.padding, strict=True))
    y = np.full([n + begin + end for n, (begin, end) in pairs], operator.value)
    for index in np.ndindex(x.shape):
        y[tuple(i + begin for i, (_, (begin, _)) in zip(index, pairs, strict=True))] = x[index]
    return y


RECORDS = [
    Record(Flatten, flatten_cases(), flatten, linear=("x",)),
    Record(Reshape, reshape_cases(), reshape, linear=("x",)),
    Record(Transpose, transpose_cases(), transpose, linear=("x",)),
    Record(Concat, concat_cases(), concat, linear=("xs0",)),
    Record(Pad, pad_cases(), pad, linear=("x",)),
]
