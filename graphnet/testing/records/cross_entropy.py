"""Losses on classes against loops over the labels, one Python float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batch_sizes
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.strategies import random_array, seeds, shapes, spaced_array
from ops.cross_entropy import (
    Hinge,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from ops.loss import REDUCTIONS

reductions = st.sampled_from(REDUCTIONS)
label_dtypes = st.sampled_from(("int8", "uint8", "int32", "int64", "uint64"))
class_counts = st.sampled_from((3, 2, 4, 5, 1))


def batch_for(draw, reduction):
    """A mean needs an example."""
    return max(draw(batch_sizes), 1 if reduction == "mean" else 0)


@st.composite
def labelled(draw):
    """The shape of the scores, labels of which some are ignored, and the fields of both."""
    reduction, seed, classes = draw(reductions), draw(seeds), draw(class_counts)
    shape = (batch_for(draw, reduction), *draw(shapes(0, 2, max_size=3)))
    dtype = draw(label_dtypes)
    rng = np.random.default_rng([seed, 2])
    labels = rng.integers(0, classes, shape)
    # one of the classes, one beyond them or, where the dtype has it, one below 0
    outside = (classes, 100) if dtype.startswith("u") else (-1, -100, classes)
    ignored = draw(st.sampled_from((None, classes - 1, *outside)))
    if ignored is not None:
        labels = np.where(rng.random(shape) < 0.3, ignored, labels)
    fields = {"reduction": reduction, "ignore_index": ignored}
    return (shape[0], classes, *shape[1:]), labels.astype(dtype), fields, seed


def combined(terms, weights, operator, shape):
    """What becomes of weighted losses in raster order; the ignored ones weigh nothing."""
    values = [weight * term for term, weight in zip(terms, weights, strict=True)]
    if operator.reduction == "none":
        return np.reshape(np.array(values, dtype=np.float64), shape)
    total = math.fsum(weights) if operator.reduction == "mean" else 1.0
    return math.fsum(values) / total if total else 0.0


def rows(x, labels, ignored=None):
    """For each label its scores, the label, and whether it counts; 0 stands for an ignored one."""
    for n, *at in np.ndindex(labels.shape):
        label = int(labels[(n, *at)])
        counts = label != ignored
        yield x[(n, slice(None), *at)].tolist(), label if counts else 0, counts


@st.composite
def softmax_cases(draw):
    shape, labels, fields, seed = draw(labelled())
    smoothing = draw(st.sampled_from((0.0, 0.1, 0.5, 1.0)))
    operator = SoftmaxCrossEntropy(smoothing, **fields)
    return Case(operator, (random_array(shape, seed), labels), seed)


def softmax_cross_entropy(operator, x, labels):
    terms, weights = [], []
    for logits, label, counts in rows(x, labels, operator.ignore_index):
        total = math.log(math.fsum(map(math.exp, logits)))
        even = math.fsum(total - logit for logit in logits) / len(logits)
        smoothing = operator.label_smoothing
        terms.append((1 - smoothing) * (total - logits[label]) + smoothing * even)
        weights.append(float(counts))
    return combined(terms, weights, operator, labels.shape)


@st.composite
def likelihood_cases(draw):
    shape, labels, fields, seed = draw(labelled())
    weights = spaced_array(shape[1:2], seed + 1, 0.2, 2.2) if draw(st.booleans()) else None
    operator = NegativeLogLikelihood(**fields)
    return Case(operator, (random_array(shape, seed), labels, weights), seed)


def likelihood(operator, x, labels, weights):
    terms, counted = [], []
    for scores, label, counts in rows(x, labels, operator.ignore_index):
        terms.append(-scores[label])
        counted.append(counts * (1.0 if weights is None else float(weights[label])))
    return combined(terms, counted, operator, labels.shape)


@st.composite
def hinge_cases(draw):
    reduction, seed, classes = draw(reductions), draw(seeds), draw(class_counts)
    batch = batch_for(draw, reduction)
    x = spaced_array((batch, classes), seed)
    # scores differ by whole multiples of the spacing, so half of one keeps all off the margin
    spacing = 4.0 / max(x.size + x.size % 2, 1)
    margin = draw(st.just(0.0) | st.integers(0, x.size).map(lambda n: (n + 0.5) * spacing))
    labels = np.random.default_rng([seed, 2]).integers(0, classes, batch)
    return Case(Hinge(margin, reduction), (x, labels.astype(draw(label_dtypes))), seed)


def hinge(operator, x, labels):
    terms = [
        math.fsum(
            max(0.0, score - scores[label] + operator.margin)
            for j, score in enumerate(scores)
            if j != label
        )
        for scores, label, _ in rows(x, labels)
    ]
    return combined(terms, [1.0] * len(terms), operator, labels.shape)


RECORDS = [
    Record(SoftmaxCrossEntropy, softmax_cases(), softmax_cross_entropy),
    Record(NegativeLogLikelihood, likelihood_cases(), likelihood, linear=("x",)),
    Record(Hinge, hinge_cases(), hinge),
]
