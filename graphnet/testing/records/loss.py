"""Losses of values against loops over the entries, one Python float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array
from ops.loss import REDUCTIONS, Huber, KLDivergence, L1Loss, L2Penalty, MeanSquaredError

reductions = st.sampled_from(REDUCTIONS)


def entries_for(draw, reduction):
    """A shape that has something to take the mean of, where one is taken."""
    shape = draw(batched(min_rank=reduction == "batchmean"))
    return tuple(max(n, 1) for n in shape) if "mean" in reduction else shape


def combined(values, reduction, shape):
    """What becomes of the losses of the entries, given in raster order."""
    if reduction == "none":
        return np.reshape(np.array(values, dtype=np.float64), shape)
    count = {"mean": len(values), "batchmean": (*shape, 1)[0]}.get(reduction, 1)
    return math.fsum(values) / count


def loop(loss):
    """A reference that applies ``loss(operator, x, label)`` to one entry after the other."""

    def reference(operator, x, labels):
        pairs = zip(x.flat, labels.flat, strict=True)
        values = [loss(operator, float(p), float(q)) for p, q in pairs]
        return combined(values, operator.reduction, x.shape)

    return reference


@st.composite
def apart(draw, operator):
    """Differences spaced apart, and a delta midway between two of them."""
    reduction, seed = draw(reductions), draw(seeds)
    shape = entries_for(draw, reduction)
    difference = spaced_array(shape, seed)
    labels = random_array(shape, seed + 1)
    fields = {"reduction": reduction}
    if operator is Huber:
        half = max(difference.size + difference.size % 2, 2) // 2
        fields["delta"] = draw(st.integers(1, half + 1)) * 2.0 / half
    return Case(operator(**fields), (labels + difference, labels), seed)


@st.composite
def divergence_cases(draw):
    reduction = draw(st.sampled_from((*REDUCTIONS, "batchmean")))
    log_target, seed = draw(st.booleans()), draw(seeds)
    shape = entries_for(draw, reduction)
    labels = np.random.default_rng([seed, 2]).uniform(0.05, 1.0, shape)
    if log_target:
        labels = np.log(labels)
    x = random_array(shape, seed)
    return Case(KLDivergence(reduction, log_target), (x, labels), seed)


def divergence(operator, x, label):
    probability = math.exp(label) if operator.log_target else label
    return probability * math.log(probability) - probability * x


@st.composite
def penalty_cases(draw):
    seed = draw(seeds)
    weights = draw(st.lists(shapes(min_size=0, max_size=3), min_size=1, max_size=3))
    arrays = [random_array(shape, seed + n) for n, shape in enumerate([(), *weights])]
    return Case(L2Penalty(draw(st.sampled_from((0.0, 0.01, 1.5)))), tuple(arrays), seed)


def penalty(operator, loss, *weights):
    return float(loss) + operator.strength * math.fsum(v * v for w in weights for v in w.flat)


def huber(operator, x, label):
    size = abs(x - label)
    straight = size > operator.delta
    return operator.delta * (size - operator.delta / 2) if straight else size**2 / 2


RECORDS = [
    Record(MeanSquaredError, apart(MeanSquaredError), loop(lambda _, x, label: (x - label) ** 2)),
    Record(L1Loss, apart(L1Loss), loop(lambda _, x, label: abs(x - label))),
    Record(Huber, apart(Huber), loop(huber)),
    Record(KLDivergence, divergence_cases(), loop(divergence), linear=("x",)),
    Record(L2Penalty, penalty_cases(), penalty, linear=("loss",)),
]
