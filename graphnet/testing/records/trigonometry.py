"""Trigonometric functions against Python's own, one entry at a time."""

from __future__ import annotations

import math

from graphnet.testing.record import Record
from graphnet.testing.records.unary import cases, each
from graphnet.testing.strategies import spaced_array
from ops.trigonometry import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Sin, Sinh, Tan


def within(low, high):
    return lambda shape, seed: spaced_array(shape, seed, low, high)


RECORDS = [
    Record(operator, cases(operator(), within(low, high)), each(function))
    for operator, low, high, function in (
        (Sin, -4.0, 4.0, math.sin),
        (Cos, -4.0, 4.0, math.cos),
        (Tan, -1.2, 1.2, math.tan),
        (Asin, -0.9, 0.9, math.asin),
        (Acos, -0.9, 0.9, math.acos),
        (Atan, -4.0, 4.0, math.atan),
        (Sinh, -2.0, 2.0, math.sinh),
        (Cosh, -2.0, 2.0, math.cosh),
        (Asinh, -4.0, 4.0, math.asinh),
        (Acosh, 1.2, 5.0, math.acosh),
        (Atanh, -0.9, 0.9, math.atanh),
    )
]
