"""Picking by indices, against loops over the indices, one Python integer at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.indexing import Gather, GatherElements, GatherND

DTYPES = st.sampled_from(("int64", "int32", "int8", "uint8", "uint64"))


def drawn_indices(n, shape, dtype, seed, signed=True):
    """Indices below n, of either sign where the dtype has both."""
    low = -n if signed and np.dtype(dtype).kind == "i" else 0
    return np.asarray(np.random.default_rng([seed, 3]).integers(low, n, shape), dtype)


@st.composite
def gather_cases(draw):
    shape = list(draw(batched(max_rank=4)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] = max(shape[axis], 1)
    places = draw(batched(min_rank=0, max_rank=2))
    seed = draw(seeds)
    indices = drawn_indices(shape[axis], places, draw(DTYPES), seed)
    return Case(Gather(axis), (random_array(tuple(shape), seed), indices), seed)


def gather(operator, x, indices):
    axis = operator.axis % x.ndim
    y = np.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    for before in np.ndindex(x.shape[:axis]):
        for at in np.ndindex(indices.shape):
            for after in np.ndindex(x.shape[axis + 1 :]):
                y[(*before, *at, *after)] = x[(*before, int(indices[at]), *after)]
    return y


def along(draw, distinct=False):
    """A shape with entries along an axis, the axis, and indices that fit it."""
    shape = list(draw(batched(max_rank=3)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] = n = draw(st.sampled_from((3, 4, 2, 1)))
    places = [draw(st.integers(min(size, 1), size)) for size in shape]
    places[axis] = (
        draw(st.integers(1, n)) if distinct else draw(st.sampled_from((2, 3, 5, 1, 2, 3, 5, 0)))
    )
    seed, dtype = draw(seeds), draw(DTYPES)
    indices = drawn_indices(n, places, dtype, seed)
    if distinct:
        # along the axis, the first few of all entries in random order
        rng = np.random.default_rng([seed, 4])
        orders = rng.permuted(np.broadcast_to(np.arange(n), (*places, n)), axis=-1)
        for at in np.ndindex(*places):
            first = list(at)
            first[axis] = 0
            indices[at] = orders[tuple(first)][at[axis]]
        if np.dtype(dtype).kind == "i":
            indices[rng.random(places) < 0.5] -= n
    return tuple(shape), axis, indices, seed


@st.composite
def gather_elements_cases(draw):
    shape, axis, indices, seed = along(draw)
    return Case(GatherElements(axis), (random_array(shape, seed), indices), seed)


def gather_elements(operator, x, indices):
    y = np.empty(indices.shape)
    for at in np.ndindex(indices.shape):
        source = list(at)
        source[operator.axis] = int(indices[at])
        y[at] = x[tuple(source)]
    return y


@st.composite
def place_cases(draw, distinct=False, batch=True):
    """Batch axes, sizes that are indexed, the rest, and indices ``(*batch, *places, k)``."""
    common = draw(st.lists(batch_sizes, max_size=1 if batch else 0))
    sizes = draw(st.lists(st.sampled_from((2, 3, 1)), max_size=2))
    sizes = sizes if distinct or common or sizes else [2]
    rest = draw(st.lists(st.sampled_from((2, 1, 3)), max_size=1))
    places = draw(st.lists(st.sampled_from((2, 1, 3)), max_size=2))
    seed = draw(seeds)
    rng = np.random.default_rng([seed, 3])
    if distinct:
        order = rng.permutation(math.prod(sizes))[: math.prod(places)]
        places = [len(order)]
        rows = np.stack(np.unravel_index(order, sizes), axis=-1) if sizes else order[:, None][:, :0]
    else:
        rows = rng.integers(0, 2**31, (*common, *places, len(sizes))) % np.array(sizes, "int64")
    signed = rng.random(rows.shape) < 0.5
    rows = rows - signed * np.array(sizes, "int64")
    dtype = draw(st.sampled_from(("int64", "int32", "int8")))
    return (*common, *sizes, *rest), len(common), np.asarray(rows, dtype), seed


@st.composite
def gather_nd_cases(draw):
    shape, common, indices, seed = draw(place_cases())
    return Case(GatherND(common), (random_array(shape, seed), indices), seed)


def gather_nd(operator, x, indices):
    common, count = operator.batch_axes, indices.shape[-1]
    y = np.empty((*indices.shape[:-1], *x.shape[common + count :]))
    for at in np.ndindex(indices.shape[:-1]):
        y[at] = x[(*at[:common], *map(int, indices[at]))]
    return y


RECORDS = [
    Record(Gather, gather_cases(), gather, linear=("x",)),
    Record(GatherElements, gather_elements_cases(), gather_elements, linear=("x",)),
    Record(GatherND, gather_nd_cases(), gather_nd, linear=("x",)),
]
