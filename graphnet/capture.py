"""Work that is captured once and replayed: a whole training step as one CUDA graph.

What is captured is bound to its memory for good.  So a plan can be captured if all its kernels
are placed: those write where they are told, in the plan's block.  What varies from step to step,
the learning rate among it, lies in device memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from graphnet.backends import Backend, CaptureError
from graphnet.kernels import PlacedKernel
from graphnet.kernels.wide import kind
from graphnet.plan import Plan

__all__ = ["Replay", "say_captured", "unfit"]

#: How many nodes a text names.
SHOWN = 8


def unfit(plan: Plan) -> list[str]:
    """Each node of a plan that cannot be captured, and why."""
    found = []
    for step in plan.steps:
        if not isinstance(step.kernel, PlacedKernel):
            why = f"the {step.provider} kernel makes its own arrays"
        elif not (why := step.kernel.uncapturable):
            continue
        found.append(f"{step.name} ({kind(step.node.operator)}): {why}")
    return found


def say_captured(reasons: list[str]) -> str:
    """One line on whether a training step is captured, or what stands against it."""
    if not reasons:
        return "captured: from its second time on, a training step is replayed as one CUDA graph"
    more = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return f"not captured: {'; '.join(reasons[:SHOWN])}{more}"


class Replay:
    """Work that is done call by call the first time, and replayed from the second time on.

    The first time loads what is loaded late, which cannot be captured.

    Args:
        backend: that captures.
        work: what enqueues the work, on memory that stays where it is.

    Attributes:
        refused: why it could not be captured; it goes on call by call then.
    """

    def __init__(self, backend: Backend, work: Callable[[], object]) -> None:
        self._backend, self._work = backend, work
        self._launch: Callable[[], object] | None = None
        self._warm = False
        self.refused = ""

    @property
    def is_captured(self) -> bool:
        """Whether the work is replayed."""
        return self._launch is not None

    def __call__(self) -> None:
        """Do the work."""
        if self._warm and self._launch is None and not self.refused:
            try:
                self._launch = self._backend.capture(self._work)
            except CaptureError as error:
                self.refused = "; ".join((str(error), *getattr(error, "__notes__", ())))
                warnings.warn(
                    f"a step is not captured, and runs call by call: {self.refused}",
                    RuntimeWarning,
                    stacklevel=4,
                )
        self._warm = True
        (self._launch or self._work)()
