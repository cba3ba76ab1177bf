"""Binary cross entropy from its definition, one Python float at a time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.cross_entropy import combined, reductions
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops.binary_cross_entropy import BinaryCrossEntropy


@st.composite
def binary_cases(draw):
    reduction, seed, from_logits = draw(reductions), draw(seeds), draw(st.booleans())
    shape = draw(batched(min_rank=0))
    if reduction == "mean":
        shape = tuple(max(n, 1) for n in shape)
    x = random_array(shape, seed) if from_logits else spaced_array(shape, seed, 0.05, 0.95)
    # some of them exactly 0 or 1
    labels = np.random.default_rng([seed, 2]).uniform(-0.3, 1.3, shape).clip(0.0, 1.0)
    return Case(BinaryCrossEntropy(from_logits, reduction), (x, labels), seed)


def binary(operator, x, labels):
    terms = []
    for value, label in zip(x.flat, labels.flat, strict=True):
        p = 1 / (1 + math.exp(-value)) if operator.from_logits else float(value)
        terms.append(-label * math.log(p) - (1 - label) * math.log(1 - p))
    return combined(terms, [1.0] * len(terms), operator, x.shape)


RECORDS = [Record(BinaryCrossEntropy, binary_cases(), binary, linear=("labels",))]
