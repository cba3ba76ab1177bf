"""What a plan looks like and where its time goes."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphnet.kernels import Kernel
from graphnet.kernels.wide import kind
from graphnet.plan import Plan, Step
from ops.operator import known, show_shape

__all__ = ["Event", "Location", "explain_plan", "medians", "timed", "write_trace"]


class Event(NamedTuple):
    """One call of a kernel.

    Attributes:
        step: its number in the plan.
        direction: ``"forward"`` or ``"backward"``.
        start: when it began, in seconds of :func:`time.perf_counter`.
        seconds: how long it took.
    """

    step: int
    direction: str
    start: float
    seconds: float


class Location(NamedTuple):
    """Where the first output of a step lies: the layout of its memory, and its offset."""

    layout: str
    offset: int | None


@dataclass
class Clock:
    """A kernel that notes how long each of its calls takes."""

    kernel: Kernel
    index: int
    events: list[Event]
    synchronize: Callable[[], None]

    def forward(self, *arrays: Any) -> Any:
        """As the kernel's."""
        return self._note("forward", lambda: self.kernel.forward(*arrays))

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> Any:
        """As the kernel's."""
        return self._note("backward", lambda: self.kernel.backward(saved, dy, needs))

    def _note(self, direction: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        self.synchronize()
        self.events.append(Event(self.index, direction, start, time.perf_counter() - start))
        return result


def timed(plan: Plan, events: list[Event], synchronize: Callable[[], None]) -> Plan:
    """The same plan with a clock around each kernel, which writes to ``events``."""
    steps = tuple(
        dataclasses.replace(step, kernel=Clock(step.kernel, index, events, synchronize))
        for index, step in enumerate(plan.steps)
    )
    return dataclasses.replace(plan, steps=steps, reverses={})


def medians(runs: Sequence[Sequence[Event]], steps: int) -> list[tuple[float, float]]:
    """For each step, the median seconds forward and backward over several runs."""
    found: dict[str, list[list[float]]] = {"forward": [], "backward": []}
    for run in runs:
        for direction, times in found.items():
            spent = [0.0] * steps
            for event in run:
                if event.direction == direction:
                    spent[event.step] += event.seconds
            times.append(spent)
    forward, backward = (
        [float(np.median(each)) for each in zip(*times, strict=True)] for times in found.values()
    )
    return list(zip(forward, backward, strict=True))


def write_trace(path: str | os.PathLike[str], plan: Plan, events: Sequence[Event]) -> None:
    """Write one run in Chrome's trace format, which ``chrome://tracing`` and Perfetto show.

    Source of the format: "Trace Event Format", the Chromium project.
    """
    begin = min((event.start for event in events), default=0.0)
    rows = []
    for event in events:
        step = plan.steps[event.step]
        rows.append(
            {
                "name": step.name,
                "cat": event.direction,
                "ph": "X",
                "ts": (event.start - begin) * 1e6,
                "dur": event.seconds * 1e6,
                "pid": 0,
                "tid": event.direction,
                "args": {
                    "operator": repr(step.node.operator),
                    "kernel": _kernel(step),
                    "shape": [show_shape(spec.shape) for spec in _visible(step)],
                    "FLOPs": plan.flops(step.node),
                },
            }
        )
    text = json.dumps({"traceEvents": rows, "displayTimeUnit": "ms"}, indent=1)
    Path(path).write_text(text + "\n", encoding="utf-8")


def explain_plan(
    plan: Plan,
    seconds: list[tuple[float, float]],
    locations: Sequence[Location] = (),
    block: int | None = None,
) -> str:
    """The plan as a table.

    Args:
        plan: what is shown.
        seconds: what each step took forward and in reverse.
        locations: where each step's output lies, for a plan that is bound to a block of memory.
        block: the bytes of that block.
    """
    from graphnet.draw import human, render_table

    whole = sum(map(sum, seconds)) or 1.0
    rows = []
    all_flops = [plan.flops(step.node) for step in plan.steps]
    for index, (step, flops) in enumerate(zip(plan.steps, all_flops, strict=True)):
        forward, backward = seconds[index]
        visible = _visible(step)
        place: tuple[str, ...] = ()
        if locations:
            layout, offset = locations[index]
            place = (layout, "" if offset is None else f"{offset:,}")
        rows.append(
            (
                step.name,
                kind(step.node.operator),
                _kernel(step),
                ", ".join(show_shape(spec.shape) for spec in visible),
                *place,
                human(sum(known(*(spec.nbytes for spec in visible))), "B"),
                human(flops),
                f"{forward * 1e3:.3f}",
                f"{backward * 1e3:.3f}" if plan.training else "",
                f"{(forward + backward) / whole:.1%}",
            )
        )
    total = (
        "total",
        "",
        "",
        "peak" if block is None else "block",
        *(("", "") if locations else ()),
        human(plan.peak_bytes if block is None else block, "B"),
        human(sum(all_flops)),
        f"{sum(f for f, _ in seconds) * 1e3:.3f}",
        f"{sum(b for _, b in seconds) * 1e3:.3f}" if plan.training else "",
        "100.0%",
    )
    columns = (
        "node", "operator", "kernel", "output shape", *(("layout", "offset") if locations else ()),
        "bytes", "FLOPs", "forward ms", "backward ms", "share",
    )  # fmt: skip
    title = f"{'training' if plan.training else 'inference'} at batch {plan.batch}"
    return render_table(columns, rows, title=title, total_row=total)


def _kernel(step: Step) -> str:
    """Who computes a step, and by which method where there are several."""
    method = getattr(step.kernel, "method", "")
    return f"{step.provider} {method}".rstrip()


def _visible(step: Step) -> Sequence[Any]:
    """The specs of the outputs other than renewed states."""
    return step.specs[: len(step.node.visible_outputs)]
