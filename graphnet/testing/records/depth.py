"""Blocks and channels, against loops that look up each entry by its written-out formula."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds
from ops.depth import DepthToSpace, SpaceToDepth

#: Block sizes for one, two and three spatial axes that keep the arrays small.
BLOCKS = {1: (2, 3, 1), 2: (2, 3, 1), 3: (2,)}


@st.composite
def cases(draw, operator):
    rank = draw(st.sampled_from((2, 1, 3)))
    block = draw(st.sampled_from(BLOCKS[rank]))
    batch, channels = draw(batch_sizes), draw(st.sampled_from((2, 3, 1)))
    spatial = [draw(st.sampled_from((1, 2, 3) if rank < 3 else (1, 2))) for _ in range(rank)]
    if operator is DepthToSpace:
        shape = (batch, channels * block**rank, *spatial)
    else:
        shape = (batch, channels, *(n * block for n in spatial))
    seed = draw(seeds)
    made = operator(block, draw(st.sampled_from(("DCR", "CRD"))))
    return Case(made, (random_array(shape, seed),), seed)


def pairs(operator, deep):
    """Every index of the deep shape ``(N, C * block^d, *small)`` with that in the wide shape."""
    block, rank = operator.block_size, len(deep) - 2
    channels = deep[1] // block**rank
    for n, c in itertools.product(range(deep[0]), range(channels)):
        for place, inside in enumerate(itertools.product(range(block), repeat=rank)):
            # blocks first or channels first in the raster of the deep channels
            dcr = operator.mode == "DCR"
            depth = place * channels + c if dcr else c * block**rank + place
            for at in np.ndindex(*deep[2:]):
                wide = (i * block + j for i, j in zip(at, inside, strict=True))
                yield (n, depth, *at), (n, c, *wide)


def depth_to_space(operator, x):
    block, spatial = operator.block_size, x.shape[2:]
    channels = x.shape[1] // block ** len(spatial)
    y = np.full((x.shape[0], channels, *(n * block for n in spatial)), np.nan)
    for deep, wide in pairs(operator, x.shape):
        y[wide] = x[deep]
    return y


def space_to_depth(operator, x):
    block, spatial = operator.block_size, x.shape[2:]
    channels = x.shape[1] * block ** len(spatial)
    y = np.full((x.shape[0], channels, *(n // block for n in spatial)), np.nan)
    for deep, wide in pairs(operator, y.shape):
        y[deep] = x[wide]
    return y


RECORDS = [
    Record(DepthToSpace, cases(DepthToSpace), depth_to_space, linear=("x",)),
    Record(SpaceToDepth, cases(SpaceToDepth), space_to_depth, linear=("x",)),
]
