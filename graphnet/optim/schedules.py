"""Learning rates as functions of the step.

A schedule is a frozen dataclass, called with the number of the step, counted from 1; it
returns the learning rate of that step as a float.  A schedule of one's own derives from
:class:`Schedule` and defines ``__call__``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.fields import (
    NOT_NEGATIVE,
    UP_TO_ONE,
    expect_count,
    freeze_numbers,
)

__all__ = ["Constant", "Cosine", "Schedule", "StepDecay", "WarmUp", "as_schedule"]


@dataclass(frozen=True)
class Schedule:
    """Base of all schedules."""

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, the first of which is 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate at every step.

    Raises:
        TypeError, ValueError: the value is no finite number of at least 0.

    >>> Constant(0.1)(1000)
    0.1
    """

    value: float

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "value")

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, the first of which is 1."""
        expect_count(self, "step", step)
        return self.value


@dataclass(frozen=True)
class StepDecay(Schedule):
    """The learning rate times ``factor`` after every ``every`` steps.

    ``rate = initial * factor ** floor((step - 1) / every)``

    Decay per epoch is ``every`` = steps per epoch (``len(batches)``); exponential decay is
    ``every`` = 1.

    Args:
        initial: the rate of the first ``every`` steps.
        every: the number of steps between two changes.
        factor: what the rate is multiplied by, above 0 and at most 1; default 0.1.

    Raises:
        TypeError, ValueError: a field is no number or out of range.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional
    Neural Networks", 2012, section 5.

    >>> rate = StepDecay(1.0, every=2, factor=0.5)
    >>> [rate(step) for step in range(1, 6)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "initial")
        freeze_numbers(self, UP_TO_ONE, "factor")
        expect_count(self, "every", self.every)

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, the first of which is 1."""
        expect_count(self, "step", step)
        return self.initial * self.factor ** ((step - 1) // self.every)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine wave from ``initial`` down to ``final``, which then remains.

    ``rate = final + (initial - final) * (1 + cos(pi * t / steps)) / 2`` with
    ``t = min(step - 1, steps)``

    Args:
        initial: the rate of the first step.
        steps: the length of the descent, in steps.
        final: the rate of step ``steps + 1`` and all after it; default 0.

    Raises:
        TypeError, ValueError: a field is no number or out of range.

    Source: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    ICLR 2017, equation 5, without restarts.

    >>> rate = Cosine(1.0, steps=4)
    >>> [round(rate(step), 3) for step in (1, 2, 3, 4, 5, 6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "initial", "final")
        expect_count(self, "steps", self.steps)

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, the first of which is 1."""
        expect_count(self, "step", step)
        passed = min(step - 1, self.steps) / self.steps
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * passed)) / 2


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear rise from 0 to the first rate of another schedule, which then takes over.

    ``rate = then(1) * step / steps`` up to step ``steps``, afterwards ``then(step - steps)``

    Args:
        steps: the length of the rise, in steps.
        then: the schedule after it, whose clock starts at 1; a number stays constant.

    Raises:
        TypeError, ValueError: ``steps`` is no positive integer, ``then`` no learning rate.

    Source: Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
    arXiv:1706.02677, 2017, section 2.2.

    >>> rate = WarmUp(4, then=StepDecay(1.0, every=2, factor=0.5))
    >>> [rate(step) for step in range(1, 9)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.5]
    """

    steps: int
    then: float | Schedule

    def __post_init__(self) -> None:
        expect_count(self, "steps", self.steps)
        as_schedule(self.then)

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, the first of which is 1."""
        expect_count(self, "step", step)
        then = as_schedule(self.then)
        if step > self.steps:
            return then(step - self.steps)
        return then(1) * step / self.steps


def as_schedule(rate: Any) -> Schedule:
    """A number as the schedule that is constant; a schedule as it is.

    Raises:
        TypeError: the value is neither.
        ValueError: the number is negative, infinite or NaN.

    >>> as_schedule(0.1)
    Constant(value=0.1)
    """
    return rate if isinstance(rate, Schedule) else Constant(rate)
