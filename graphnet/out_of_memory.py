"""What to say where memory runs out: what a plan takes, and which batch would fit."""

from __future__ import annotations

from collections.abc import Callable

from graphnet.plan import Plan
from graphnet.program import Program
from ops.operator import ShapeError, known

__all__ = ["OutOfMemoryError", "bytes_of", "largest_batch", "say"]


class OutOfMemoryError(MemoryError):
    """The device has no room for a run; the executor has let its memory go and can be used."""


def bytes_of(plan: Plan, program: Program | None) -> int:
    """Bytes of all values of a run, beside parameters; what kernels use meanwhile is not in it.

    Args:
        plan: of the run.
        program: that the plan is bound to, if it is.
    """
    if program is None and not any(step.keep for step in plan.steps):
        return plan.peak_bytes
    placed = program.places if program else {}
    own = [
        known(spec.nbytes)[0]
        for value, spec in plan.specs.items()
        if value.producer is not None and plan.slots[value] not in placed
    ]
    return sum(own) + (program.nbytes if program else 0)


def largest_batch(needed: Callable[[int], int], batch: int, free: int) -> int | None:
    """The largest batch below ``batch`` that takes no more than ``free`` bytes.

    Args:
        needed: the bytes that a batch takes, more for a larger one.
        batch: the one that did not fit.
        free: bytes.

    Returns:
        0 where not even one example fits; None where the graph takes no batch that small.

    >>> largest_batch(lambda batch: 10 * batch + 5, 64, 330)
    32
    """
    fits, fails = 0, batch
    try:
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if needed(middle) <= free:
                fits = middle
            else:
                fails = middle
    except ShapeError:
        return fits or None
    return fits


def say(plan: Plan, needed: int, free: int | None, fit: int | None) -> str:
    """The sentence of the error.

    Args:
        plan: that did not fit.
        needed: bytes of its values.
        free: bytes of the device that are free, if that is known.
        fit: see :func:`largest_batch`; None where that says nothing.
    """
    kind = "a training step" if plan.training else "a run"
    text = f"{kind} of batch {plan.batch} takes {needed:,} bytes by its plan, beside parameters"
    if free is None:
        return f"{text}, more than there are; a smaller batch takes less"
    text += f"; {free:,} are free"
    if needed <= free:
        return f"{text}, too few for what its kernels take besides; a smaller batch takes less"
    if fit is None:
        return f"{text}; a smaller batch takes less"
    return f"{text}; " + (f"a batch of {fit} would fit" if fit else "not even one example fits")
