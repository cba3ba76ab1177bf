"""Integers as vectors, against loops over the integers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes, batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.indexing import DTYPES, drawn_indices
from graphnet.testing.strategies import random_array, seeds
from ops.embedding import Embedding, OneHot


@st.composite
def embedding_cases(draw):
    """No index meets the padding: its row has no gradient, though the output depends on it."""
    vocabulary, features = draw(st.sampled_from((4, 2, 5, 3))), draw(st.sampled_from((3, 2, 1)))
    seed = draw(seeds)
    places = draw(batched(min_rank=0, max_rank=3))
    indices = drawn_indices(vocabulary, places, draw(DTYPES), seed, signed=False)
    padding = draw(st.none() | st.integers(-vocabulary, vocabulary - 1))
    if padding is not None:
        unlike = np.asarray((padding + 1) % vocabulary, indices.dtype)
        indices = np.where(indices == padding % vocabulary, unlike, indices)
    weight = random_array((vocabulary, features), seed)
    return Case(Embedding(vocabulary, features, padding), (indices, weight), seed)


def embedding(operator, indices, weight):
    y = np.empty((*indices.shape, operator.features))
    for at in np.ndindex(y.shape):
        y[at] = weight[int(indices[at[:-1]]), at[-1]]
    return y


@st.composite
def one_hot_cases(draw):
    depth = draw(st.sampled_from((3, 1, 2, 4)))
    shape = (draw(batch_sizes), *draw(st.lists(st.sampled_from((1, 2, 3)), max_size=2)))
    shape = draw(st.sampled_from((shape, shape, shape, ())))
    seed = draw(seeds)
    fields = {
        "axis": draw(st.integers(-len(shape) - 1, len(shape))),
        "on_value": draw(st.sampled_from((1.0, 3.0, 0.0))),
        "off_value": draw(st.sampled_from((0.0, 2.0))),
        "dtype": draw(st.sampled_from(("float32", "float64", "int32", "uint8"))),
    }
    # some lie outside
    indices = drawn_indices(depth + 2, shape, draw(DTYPES), seed)
    return Case(OneHot(depth, **fields), (indices,), seed)


def one_hot(operator, indices):
    axis = operator.axis % (indices.ndim + 1)
    y = np.full(
        (*indices.shape[:axis], operator.depth, *indices.shape[axis:]),
        operator.off_value,
        operator.dtype,
    )
    for at in np.ndindex(indices.shape):
        entry = int(indices[at])
        if -operator.depth <= entry < operator.depth:
            y[(*at[:axis], entry, *at[axis:])] = operator.on_value
    return y


RECORDS = [
    Record(Embedding, embedding_cases(), embedding, linear=("weight",)),
    Record(OneHot, one_hot_cases(), one_hot),
]
