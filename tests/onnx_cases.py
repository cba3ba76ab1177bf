"""The cases of records as graphs that can be written as ONNX models."""

from __future__ import annotations

import numpy as np

import graphnet as gn
import ops
from graphnet.onnx.importing import Stored
from graphnet.values import State, declare

__all__ = ["graph_of"]


def graph_of(case):
    """A graph of one node with float32 inputs, and what is fed to it."""
    data = type(case.operator).signature().data
    learned = set(case.operator.parameters(*case.specs[: len(data)])) if data else set()
    values, feeds = {}, {}
    for role, x in zip(case.roles, case.inputs, strict=True):
        if x is None:
            values[role] = None
            continue
        x = np.asarray(x.astype("float32")) if x.dtype == np.float64 else np.asarray(x)
        if role in case.states:
            # the node names what only training reads
            name = None if isinstance(case.operator, ops.Dropout) else role
            values[role] = State(name, x.shape, Stored(x), x.dtype.name)
        elif role in learned:
            values[role] = gn.Parameter(role, x.shape, Stored(x), x.dtype.name)
        else:
            values[role] = gn.Input(role, x.shape, x.dtype.name)
            feeds[role] = x
    variadic = type(case.operator).signature().variadic
    given = (tuple(values.values()), {}) if variadic else ((), values)
    outputs = declare(case.operator, *given).visible_outputs
    return gn.Graph(**{f"y{i}": value for i, value in enumerate(outputs)}), feeds
