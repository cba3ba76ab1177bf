"""Losses against loops over the examples, one Python float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array
from ops import Hinge, L2Penalty, MeanSquaredError, SoftmaxCrossEntropy

LABELS = st.sampled_from(("int8", "uint8", "int32", "int64", "uint64"))


def drawn_labels(classes, shape, dtype, seed):
    return np.random.default_rng([seed, 2]).integers(0, classes, shape).astype(dtype)


@st.composite
def cross_entropy_cases(draw):
    batch, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    positions = draw(shapes(0, 2, max_size=3))
    seed = draw(seeds)
    labels = drawn_labels(classes, (batch, *positions), draw(LABELS), seed)
    x = random_array((batch, classes, *positions), seed)
    return Case(SoftmaxCrossEntropy(), (x, labels), seed)


def cross_entropy(_, x, labels):
    terms = []
    for n, *at in np.ndindex(labels.shape):
        logits = x[(n, slice(None), *at)].tolist()
        terms.append(math.log(math.fsum(map(math.exp, logits))) - logits[labels[(n, *at)]])
    return math.fsum(terms) / len(terms)


@st.composite
def hinge_cases(draw):
    batch, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    seed = draw(seeds)
    x = spaced_array((batch, classes), seed)
    # scores differ by whole multiples of the spacing, so half of one keeps all off the margin
    spacing = 4.0 / (x.size + x.size % 2)
    margin = draw(st.just(0.0) | st.integers(0, x.size).map(lambda n: (n + 0.5) * spacing))
    return Case(Hinge(margin), (x, drawn_labels(classes, batch, draw(LABELS), seed)), seed)


def hinge(operator, x, labels):
    terms = [
        max(0.0, score - row[label] + operator.margin)
        for row, label in zip(x.tolist(), labels.tolist(), strict=True)
        for j, score in enumerate(row)
        if j != label
    ]
    return math.fsum(terms) / len(labels)


squared_cases = st.builds(
    lambda shape, seed: Case(
        MeanSquaredError(), (random_array(shape, seed), random_array(shape, seed + 1)), seed
    ),
    shapes(min_rank=0),
    seeds,
)


def squared(_, x, labels):
    return math.fsum((p - q) ** 2 for p, q in zip(x.flat, labels.flat, strict=True)) / x.size


@st.composite
def penalty_cases(draw):
    seed = draw(seeds)
    weights = draw(st.lists(shapes(min_size=0, max_size=3), min_size=1, max_size=3))
    arrays = [random_array(shape, seed + n) for n, shape in enumerate([(), *weights])]
    return Case(L2Penalty(draw(st.sampled_from((0.0, 0.01, 1.5)))), tuple(arrays), seed)


def penalty(operator, loss, *weights):
    return float(loss) + operator.strength * math.fsum(v * v for w in weights for v in w.flat)


RECORDS = [
    Record(SoftmaxCrossEntropy, cross_entropy_cases(), cross_entropy),
    Record(Hinge, hinge_cases(), hinge),
    Record(MeanSquaredError, squared_cases, squared),
    Record(L2Penalty, penalty_cases(), penalty, linear=("loss",)),
]
