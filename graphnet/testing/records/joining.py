"""Joining and cutting, against loops that move one entry at a time."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, batched, sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.joining import Concat, Split, Stack, Tile


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
def stack_cases(draw):
    shape = draw(batched(min_rank=0, max_rank=3))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    seed = draw(seeds)
    count = draw(st.sampled_from((2, 3, 1)))
    return Case(Stack(axis), tuple(random_array(shape, seed + n) for n in range(count)), seed)


def stack(operator, *xs):
    axis = operator.axis % (xs[0].ndim + 1)
    y = np.empty((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]))
    for number, x in enumerate(xs):
        for index in np.ndindex(x.shape):
            y[(*index[:axis], number, *index[axis:])] = x[index]
    return y


@st.composite
def split_cases(draw):
    shape = list(draw(batched()))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    parts = tuple(draw(st.lists(sizes, min_size=2, max_size=4)))
    if draw(st.booleans()):
        parts = len(parts)
        shape[axis] = parts * draw(batch_sizes)
    else:
        shape[axis] = sum(parts)
    seed = draw(seeds)
    return Case(Split(parts, axis), (random_array(tuple(shape), seed),), seed)


def split(operator, x):
    axis, parts = operator.axis % x.ndim, operator.parts
    if isinstance(parts, int):
        parts = (x.shape[axis] // parts,) * parts
    ys, start = [], 0
    for size in parts:
        y = np.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]))
        for index in np.ndindex(y.shape):
            y[index] = x[(*index[:axis], start + index[axis], *index[axis + 1 :])]
        ys.append(y)
        start += size
    return tuple(ys)


@st.composite
def tile_cases(draw):
    shape = draw(batched(min_rank=0, max_rank=3))
    repeats = tuple(draw(st.sampled_from((1, 2, 3))) for _ in shape)
    seed = draw(seeds)
    return Case(Tile(repeats), (random_array(shape, seed),), seed)


def tile(operator, x):
    y = np.empty([n * k for n, k in zip(x.shape, operator.repeats, strict=True)])
    for copy in itertools.product(*map(range, operator.repeats)):
        for index in np.ndindex(x.shape):
            y[tuple(k * n + i for k, n, i in zip(copy, x.shape, index, strict=True))] = x[index]
    return y


RECORDS = [
    Record(Concat, concat_cases(), concat, linear=("xs0",)),
    Record(Stack, stack_cases(), stack, linear=("xs0",)),
    Record(Split, split_cases(), split, linear=("x",)),
    Record(Tile, tile_cases(), tile, linear=("x",)),
]
