"""Extreme entries against Python's own ``max`` and ``min`` of each group."""

from __future__ import annotations

from graphnet.testing.record import Record
from graphnet.testing.records.reduction import cases, each_group
from graphnet.testing.strategies import spaced_array
from ops.extremum import ReduceMax, ReduceMin

RECORDS = [
    Record(ReduceMax, cases(ReduceMax, spaced_array, empty=False), each_group(max)),
    Record(ReduceMin, cases(ReduceMin, spaced_array, empty=False), each_group(min)),
]
