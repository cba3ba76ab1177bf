"""Making the calls of a program, plainly or with a clock."""

from __future__ import annotations

import time
from collections.abc import Iterable

from graphnet.explain import Event
from graphnet.kernels.placed import Call
from graphnet.kernels.tools import Tools
from graphnet.plan import Plan

__all__ = ["call_all", "noted"]


def call_all(plan: Plan, calls: Iterable[tuple[int, Call]], direction: str) -> None:
    """Make all calls; an error names the node it belongs to."""
    at = None
    try:
        for entry in calls:
            at = entry
            if status := entry[1]():
                raise RuntimeError(f"the kernel failed with status {status}")
    except Exception as error:
        if at is not None:
            node = plan.graph.describe(plan.steps[at[0]].node)
            error.add_note(f"in the {direction} pass of {node}")
        raise


def noted(
    calls: Iterable[tuple[int, Call]], direction: str, events: list[Event], tools: Tools
) -> list[tuple[int, Call]]:
    """The same calls, each of which writes to ``events`` how long it took."""

    def note(index: int, call: Call) -> Call:
        def run() -> object:
            start = time.perf_counter()
            failed = call()
            tools.synchronize()
            events.append(Event(index, direction, start, time.perf_counter() - start))
            return failed

        return run

    return [(index, note(index, call)) for index, call in calls]
