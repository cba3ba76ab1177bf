"""Fused operators against the chains they stand for, computed by the naive kernels.

ReLU has a kink at 0, so each case is made such that nothing it rectifies comes near: by what is
added where there is an addition, else by the shift of each channel.  A max pool has one where the
two largest entries of a window meet: inputs are drawn on until none do.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.kernels.naive import NaiveMaxPool
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records import batch_norm, convolution
from graphnet.testing.records.normalization import gain_and_shift
from graphnet.testing.strategies import random_array, seeds, shapes
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.convolution import Conv
from ops.fused import (
    BatchNormInferenceReLU,
    BatchNormReLU,
    ConvMaxPoolReLU,
    ConvReLU,
    FoldBatchNorm,
)


def away_from_zero(y, seed):
    """What must be added to ``y`` so that all entries lie in 0.5..1.5 or below 0 likewise."""
    rng = np.random.default_rng(seed)
    wanted = rng.choice((-1.0, 1.0), y.shape) * rng.uniform(0.5, 1.5, y.shape)
    return wanted - y


def shift(y, seed):
    """For each channel of ``y``, what must be added so that 0 lies inside a wide gap."""
    rng = np.random.default_rng(seed)
    moved = []
    for channel in range(y.shape[1]):
        entries = np.sort(y[:, channel].ravel())
        ends = [entries[0] - 1, *entries, entries[-1] + 1] if entries.size else [-1, 1]
        gaps = np.diff(ends)
        chosen = rng.choice(np.flatnonzero(gaps >= gaps.max() / 2))
        moved.append(-(ends[chosen] + ends[chosen + 1]) / 2)
    return np.array(moved)


def fields_of(operator):
    return {f.name: getattr(operator, f.name) for f in dataclasses.fields(operator)}


@st.composite
def rectified(draw, cases, fused, shifted):
    """Cases of an operator as cases of its fused form; input ``shifted`` moves its channels."""
    case = draw(cases)
    inputs = list(case.inputs)
    y = case.forward()[0][0]
    added = None
    if draw(st.booleans()):
        added = away_from_zero(y, case.seed + 200)
    else:
        old = inputs[shifted]
        inputs[shifted] = shift(y, case.seed + 200) + (0 if old is None else old)
    fields = fields_of(case.operator)
    if fused is ConvReLU:
        fields["bias"] = inputs[shifted] is not None
    return Case(fused(**fields), (*inputs, added), case.seed)


def chain(base, naive):
    """The chain a fused operator stands for, one operator after the other."""

    def reference(operator, *inputs):
        *inner, added = inputs
        own = {f.name: getattr(operator, f.name) for f in dataclasses.fields(base)}
        result = naive(base(**own), *inner)
        y, *others = result if isinstance(result, tuple) else (result,)
        y = np.where((z := y if added is None else y + added) > 0, z, 0)
        return (y, *others) if others else y

    return reference


def has_near_ties(y):
    """Whether two entries of a channel, or one and 0, nearly meet.

    Equal ones are of padding alone, and stay equal.
    """
    channels = [np.append(y[at], 0) for at in np.ndindex(y.shape[:2])]
    return any((np.diff(np.unique(entries)) < 1e-4).any() for entries in channels)


@st.composite
def pooled_cases(draw):
    case = draw(record_of(convolution.RECORDS, Conv).cases)
    for seed in itertools.count(case.seed):
        x = random_array(case.inputs[0].shape, seed)
        y = Case(case.operator, (x, *case.inputs[1:])).forward()[0][0]
        if not has_near_ties(y):
            break
    kernel = [draw(st.integers(1, min(2, size))) for size in y.shape[2:]]
    windows = {"pool_size": tuple(kernel), "pool_stride": draw(st.sampled_from((None, 1, 2)))}
    fused = ConvMaxPoolReLU(**fields_of(case.operator), **windows)
    return Case(fused, (x, *case.inputs[1:]), case.seed)


def pooled(operator, x, weight, bias=None):
    y = convolution.reference(operator, x, weight, bias)
    largest = NaiveMaxPool(operator.pool).forward(y)[0]
    return np.where(largest > 0, largest, 0)


@st.composite
def fold_cases(draw):
    filters = draw(st.integers(0, 3))
    shape = (filters, *draw(shapes(1, 3, min_size=0, max_size=3)))
    seed = draw(seeds)
    operator = FoldBatchNorm(eps=draw(st.sampled_from((1e-5, 0.1))))
    learned = gain_and_shift((filters,), seed + 100)
    running = batch_norm.statistics_of(filters, seed + 101)
    bias = random_array((filters,), seed + 102) if draw(st.booleans()) else None
    return Case(operator, (random_array(shape, seed), *learned, *running, bias), seed)


def fold(operator, weight, gamma, beta, running_mean, running_var, bias=None):
    folded, shifted = np.zeros_like(weight), np.zeros_like(beta)
    for f in range(len(gamma)):
        scale = gamma[f] / math.sqrt(running_var[f] + operator.eps)
        for at in np.ndindex(weight.shape[1:]):
            folded[(f, *at)] = weight[(f, *at)] * scale
        shifted[f] = beta[f] + ((0.0 if bias is None else bias[f]) - running_mean[f]) * scale
    return folded, shifted


def record_of(records, operator):
    return next(record for record in records if record.operator is operator)


RECORDS = [
    Record(
        fused,
        rectified(record_of(records, base).cases, fused, shifted),
        chain(base, record_of(records, base).reference),
    )
    for fused, base, records, shifted in (
        (ConvReLU, Conv, convolution.RECORDS, 2),
        (BatchNormReLU, BatchNorm, batch_norm.RECORDS, 2),
        (BatchNormInferenceReLU, BatchNormInference, batch_norm.RECORDS, 2),
    )
] + [
    Record(ConvMaxPoolReLU, pooled_cases(), pooled),
    Record(
        FoldBatchNorm,
        fold_cases(),
        fold,
        linear=("weight", "gamma", "beta", "running_mean", "bias"),
    ),
]
