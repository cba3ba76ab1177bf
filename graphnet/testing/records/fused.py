"""Fused operators against the chains they stand for, computed by the naive kernels.

ReLU has a kink at 0, so each case is made such that nothing it rectifies comes near: by what is
added where there is an addition, else by the shift of each channel.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from hypothesis import strategies as st

from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records import batch_norm, convolution
from graphnet.testing.records.normalization import gain_and_shift
from graphnet.testing.strategies import random_array, seeds, shapes
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.convolution import Conv
from ops.fused import BatchNormInferenceReLU, BatchNormReLU, ConvReLU, FoldBatchNorm


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
    Record(
        FoldBatchNorm,
        fold_cases(),
        fold,
        linear=("weight", "gamma", "beta", "running_mean", "bias"),
    )
]
