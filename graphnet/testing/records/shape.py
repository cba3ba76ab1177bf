"""Operators that move entries, against loops that move them one index at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.shape import Expand, Flatten, Reshape, Squeeze, Transpose, Unsqueeze


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


def signed(draw, axis, rank):
    """An axis counted from the front or from the end."""
    return axis - draw(st.sampled_from((0, rank)))


@st.composite
def squeeze_cases(draw):
    shape = list(draw(batched(min_rank=0)))
    for _ in range(draw(st.sampled_from((1, 2)))):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    chosen = draw(st.lists(st.sampled_from(ones), min_size=1, unique=True))
    several = tuple(signed(draw, axis, len(shape)) for axis in chosen)
    seed = draw(seeds)
    operator = Squeeze(draw(st.sampled_from((None, several[0], several))))
    return Case(operator, (random_array(tuple(shape), seed),), seed)


def squeeze(operator, x):
    if operator.axes is None:
        return moved(x, [n for n in x.shape if n != 1])
    dropped = {axis % x.ndim for axis in operator.axes}
    return moved(x, [n for axis, n in enumerate(x.shape) if axis not in dropped])


@st.composite
def unsqueeze_cases(draw):
    shape = draw(batched(min_rank=0, max_rank=3))
    count = draw(st.sampled_from((1, 2, 3)))
    rank = len(shape) + count
    chosen = draw(st.permutations(range(rank)))[:count]
    axes = tuple(signed(draw, axis, rank) for axis in chosen)
    seed = draw(seeds)
    operator = Unsqueeze(axes[0] if count == 1 and draw(st.booleans()) else axes)
    return Case(operator, (random_array(shape, seed),), seed)


def unsqueeze(operator, x):
    rank = x.ndim + len(operator.axes)
    shape = list(x.shape)
    for axis in sorted(axis % rank for axis in operator.axes):
        shape.insert(axis, 1)
    return moved(x, shape)


@st.composite
def expand_cases(draw):
    """Sizes that stretch x or leave it as it is, in every way to write them."""
    shape = tuple(draw(st.sampled_from((n, 1))) for n in draw(batched(min_rank=0)))
    wanted, named = [], False
    for n in shape:
        keeping = [1, -1] if named else [1, -1, "N"]
        forms = [*keeping, 2, 3, 4] if n == 1 else [*keeping, n] if n else keeping
        wanted.append(draw(st.sampled_from(forms)))
        named = named or wanted[-1] == "N"
    if draw(st.booleans()):
        wanted = [*draw(st.lists(st.sampled_from((1, 2, 3)), min_size=1, max_size=2)), *wanted]
    else:
        # what is not named stays
        wanted = wanted[draw(st.integers(0, len(wanted))) :]
    seed = draw(seeds)
    return Case(Expand(tuple(wanted)), (random_array(shape, seed),), seed)


def expand(operator, x):
    rank = max(x.ndim, len(operator.shape))
    wanted = [1] * (rank - len(operator.shape)) + list(operator.shape)
    given = [1] * (rank - x.ndim) + list(x.shape)
    sizes = [n if size in (1, -1, "N") else size for size, n in zip(wanted, given, strict=True)]
    y = np.empty(sizes)
    for index in np.ndindex(y.shape):
        own = index[rank - x.ndim :]
        y[index] = x[tuple(i if n > 1 else 0 for i, n in zip(own, x.shape, strict=True))]
    return y


RECORDS = [
    Record(Flatten, flatten_cases(), flatten, linear=("x",)),
    Record(Reshape, reshape_cases(), reshape, linear=("x",)),
    Record(Transpose, transpose_cases(), transpose, linear=("x",)),
    Record(Squeeze, squeeze_cases(), squeeze, linear=("x",)),
    Record(Unsqueeze, unsqueeze_cases(), unsqueeze, linear=("x",)),
    Record(Expand, expand_cases(), expand, linear=("x",)),
]
