"""Writing by indices, against loops that write one entry after the other."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.indexing import along, place_cases
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.scattering import ScatterElements, ScatterND, TensorScatter

REDUCTIONS = st.sampled_from(("none", "add", "mul", "max", "min"))

COMBINE = {
    "none": lambda kept, update: update,
    "add": lambda kept, update: kept + update,
    "mul": lambda kept, update: kept * update,
    "max": max,
    "min": min,
}


def entries(shape, updated, seed):
    """Entries of the input and updates that are all apart, now and then with a 0."""
    size = math.prod(shape)
    values = spaced_array((size + math.prod(updated),), seed)
    if seed % 2 and len(values):
        values[np.random.default_rng(seed).integers(len(values))] = 0.0
    return values[:size].reshape(shape).copy(), values[size:].reshape(updated).copy()


@st.composite
def elements_cases(draw):
    reduction = draw(REDUCTIONS)
    shape, axis, indices, seed = along(draw, distinct=reduction == "none")
    x, updates = entries(shape, indices.shape, seed)
    return Case(ScatterElements(axis, reduction), (x, indices, updates), seed)


def scatter_elements(operator, x, indices, updates):
    y = x.copy()
    for at in np.ndindex(indices.shape):
        target = list(at)
        target[operator.axis] = int(indices[at])
        target = tuple(target)
        y[target] = COMBINE[operator.reduction](y[target], updates[at])
    return y


@st.composite
def nd_cases(draw):
    reduction = draw(REDUCTIONS)
    shape, _, indices, seed = draw(place_cases(distinct=reduction == "none", batch=False))
    rest = shape[indices.shape[-1] :]
    x, updates = entries(shape, (*indices.shape[:-1], *rest), seed)
    return Case(ScatterND(reduction), (x, indices, updates), seed)


def scatter_nd(operator, x, indices, updates):
    y = x.copy()
    for at in np.ndindex(updates.shape):
        places = indices.ndim - 1
        target = (*map(int, indices[at[:places]]), *at[places:])
        y[target] = COMBINE[operator.reduction](y[target], updates[at])
    return y


@st.composite
def cache_cases(draw):
    rank = draw(st.sampled_from((2, 3, 4)))
    shape = [draw(batch_sizes), *(draw(st.sampled_from((2, 3, 1))) for _ in range(rank - 1))]
    axis = draw(st.integers(1, rank - 1))
    shape[axis] = draw(st.sampled_from((3, 4, 2, 1)))
    run = list(shape)
    run[axis] = draw(st.integers(1, shape[axis]))
    operator = TensorScatter(axis - draw(st.sampled_from((0, rank))), draw(st.booleans()))
    seed = draw(seeds)
    start = None
    if draw(st.booleans()):
        most = shape[axis] if operator.circular else shape[axis] - run[axis] + 1
        start = np.random.default_rng(seed).integers(0, most, shape[0])
    x, update = random_array(tuple(shape), seed), random_array(tuple(run), seed + 1)
    return Case(operator, (x, update, start), seed)


def tensor_scatter(operator, x, update, start=None):
    y = x.copy()
    for at in np.ndindex(update.shape):
        target = list(at)
        target[operator.axis] += 0 if start is None else int(start[at[0]])
        target[operator.axis] %= x.shape[operator.axis]
        y[tuple(target)] = update[at]
    return y


RECORDS = [
    Record(ScatterElements, elements_cases(), scatter_elements),
    Record(ScatterND, nd_cases(), scatter_nd),
    Record(TensorScatter, cache_cases(), tensor_scatter, linear=("x", "update")),
]
