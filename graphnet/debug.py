"""What an executor checks in debug mode: results against inference, and reads of the dead."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphnet.plan import Plan, Step
from ops.operator import Spec, show

__all__ = ["ContractError", "Poison", "check_gradient", "check_results", "kind_of"]


class ContractError(RuntimeError):
    """A kernel computed something other than its operator inferred."""


def check_results(plan: Plan, step: Step, values: list[Any]) -> None:
    """Hold the results of a step against the specs of its plan.

    Raises:
        ContractError: a shape or dtype differs.
    """
    for slot, spec in zip(step.outputs, step.specs, strict=True):
        received = Spec(values[slot].shape, values[slot].dtype.name)
        if received != spec:
            raise ContractError(
                f"{plan.graph.describe(step.node)}: inferred {show(spec)}, "
                f"computed {show(received)}"
            )


def check_gradient(plan: Plan, step: Step, position: int, gradient: Any) -> None:
    """Hold the gradient of the input at ``position`` against its spec.

    Raises:
        ContractError: a shape or dtype differs.
    """
    value = step.node.inputs[position]
    if value is None:
        return
    is_array = hasattr(gradient, "shape") and hasattr(gradient, "dtype")
    received = Spec(gradient.shape, gradient.dtype.name) if is_array else None
    if received != plan.specs[value]:
        raise ContractError(
            f"{plan.graph.describe(step.node)}: the gradient of "
            f"{step.node.input_names[position]!r} should be {show(plan.specs[value])}, "
            f"but is {show(received) if received else kind_of(gradient)}"
        )


def kind_of(value: Any) -> str:
    """What somebody returned, for the error that says what it should have been.

    >>> kind_of((1, None))
    'a tuple (int, NoneType)'
    """
    if isinstance(value, tuple):
        return f"a tuple ({', '.join(type(entry).__name__ for entry in value)})"
    return type(value).__name__


class Poison:
    """Fills what dies in a forward pass with NaN, unless something alive shares its memory.

    A kernel that held on to an array it did not declare in ``saved`` then reads NaN.

    Args:
        arrays: what is there before the first step; it belongs to others and is never filled.
    """

    def __init__(self, arrays: Iterable[Any]) -> None:
        self._holders: Counter[int] = Counter()
        for array in arrays:
            self._hold((array, array))  # by its slot, and by its owner

    def after(self, step: Step, values: list[Any], saved: Any) -> None:
        """Take note of what a step made and saved, and fill what it was the last to read."""
        self._hold(values[slot] for slot in step.outputs)
        if isinstance(saved, tuple):
            self._hold(saved)
        for slot in step.release:
            array = values[slot]
            if not isinstance(array, np.ndarray):
                continue
            memory = _memory(array)
            self._holders[memory] -= 1
            if not self._holders[memory] and array.dtype.kind == "f" and array.flags.writeable:
                array.fill(math.nan)

    def _hold(self, arrays: Iterable[Any]) -> None:
        self._holders.update(_memory(array) for array in arrays if isinstance(array, np.ndarray))


def _memory(array: Any) -> int:
    """Identifies the memory of an array; views have that of the array they view."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return id(array)
