"""Activations with hard corners against their formulas, one Python float at a time.

The corners fall between spaced entries, so that no entry lies on one.
"""

from __future__ import annotations

import math

from hypothesis import strategies as st

from graphnet.testing.batches import batched
from graphnet.testing.case import Case
from graphnet.testing.record import Record
from graphnet.testing.records.activation import each
from graphnet.testing.strategies import seeds, spaced_array
from ops.hard import Clip, HardSigmoid, HardSwish, Shrink, ThresholdedReLU


@st.composite
def two_corner_cases(draw, operator, low, high):
    """Entries below, between and above the corners, about a third or more of them between."""
    shape = draw(batched(min_rank=0))
    size = math.prod(shape)
    count = max(size + size % 2, 2)
    first = draw(st.integers(0, max(count // 3, 1)))
    last = draw(st.integers(max(count - count // 3, first + 1), count))
    seed = draw(seeds)
    # 0.7, 1.7, ...: none lies on ``first`` or ``last``, nor a quarter of the way between them,
    # where the gradient of HardSwish is 0
    x = 0.2 + spaced_array(shape, seed, 0.0, float(count))
    return Case(operator, (low + (x - first) * ((high - low) / (last - first)),), seed)


@st.composite
def clip_cases(draw):
    low = draw(st.sampled_from((-1.5, -0.5, 0.0, 0.5)))
    high = low + draw(st.sampled_from((0.5, 1.0, 3.0)))
    bounded = draw(st.sampled_from(((True, True), (True, False), (False, True), (False, False))))
    operator = Clip(low if bounded[0] else None, high if bounded[1] else None)
    return draw(two_corner_cases(operator, low, high))


def clip(operator, value):
    if operator.low is not None and value < operator.low:
        return operator.low
    if operator.high is not None and value > operator.high:
        return operator.high
    return value


@st.composite
def sigmoid_cases(draw):
    operator = HardSigmoid(
        alpha=draw(st.sampled_from((0.2, 1 / 6, 0.5, 3.0))),
        beta=draw(st.sampled_from((0.5, 0.0, -0.75, 2.0))),
    )
    corners = [(end - operator.beta) / operator.alpha for end in (0.0, 1.0)]
    return draw(two_corner_cases(operator, *corners))


def hard_sigmoid(operator, value):
    line = operator.alpha * value + operator.beta
    return 0.0 if line <= 0 else 1.0 if line >= 1 else line


def hard_swish(_, value):
    return 0.0 if value <= -3 else value if value >= 3 else value * (value + 3) / 6


@st.composite
def threshold_cases(draw):
    operator = ThresholdedReLU(draw(st.sampled_from((1.0, -0.5, 0.0, 2.5))))
    seed = draw(seeds)
    x = operator.alpha + spaced_array(draw(batched(min_rank=0)), seed)
    return Case(operator, (x,), seed)


@st.composite
def shrink_cases(draw):
    threshold = draw(st.sampled_from((0.25, 0.5, 1.0)))
    operator = Shrink(threshold, draw(st.sampled_from((0.0, threshold, 0.75, -0.5))))
    return draw(two_corner_cases(operator, -threshold, threshold))


def shrink(operator, value):
    if value < -operator.threshold:
        return value + operator.bias
    return value - operator.bias if value > operator.threshold else 0.0


RECORDS = [
    Record(Shrink, shrink_cases(), each(shrink)),
    Record(Clip, clip_cases(), each(clip)),
    Record(
        ThresholdedReLU,
        threshold_cases(),
        each(lambda operator, v: v if v > operator.alpha else 0.0),
    ),
    Record(HardSigmoid, sigmoid_cases(), each(hard_sigmoid)),
    Record(HardSwish, two_corner_cases(HardSwish(), -3.0, 3.0), each(hard_swish)),
]
