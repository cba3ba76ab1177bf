"""What a plan looks like and where its time goes."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphnet.draw import human, render_table
from graphnet.kernels import Kernel
from graphnet.plan import Plan, Step
from ops.operator import known, show_shape

__all__ = ["Clock", "explain_plan", "timed"]


@dataclass
class Clock:
    """A kernel that notes how long each of its calls takes."""

    kernel: Kernel
    synchronize: Callable[[], None]
    forward_times: list[float] = field(default_factory=list)
    backward_times: list[float] = field(default_factory=list)

    def forward(self, *arrays: Any) -> Any:
        """As the kernel's."""
        start = time.perf_counter()
        result = self.kernel.forward(*arrays)
        self.synchronize()
        self.forward_times.append(time.perf_counter() - start)
        return result

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> Any:
        """As the kernel's."""
        start = time.perf_counter()
        result = self.kernel.backward(saved, dy, needs)
        self.synchronize()
        self.backward_times.append(time.perf_counter() - start)
        return result

    def medians(self, skip: int = 0) -> tuple[float, float]:
        """Median seconds forward and backward, the first ``skip`` calls left out."""
        forward, backward = self.forward_times[skip:], self.backward_times[skip:]
        return (
            statistics.median(forward) if forward else 0.0,
            statistics.median(backward) if backward else 0.0,
        )


def timed(plan: Plan, synchronize: Callable[[], None]) -> tuple[Plan, list[Clock]]:
    """The same plan with a clock around each kernel."""
    clocks = [Clock(step.kernel, synchronize) for step in plan.steps]
    steps = tuple(
        dataclasses.replace(step, kernel=clock)
        for step, clock in zip(plan.steps, clocks, strict=True)
    )
    return dataclasses.replace(plan, steps=steps, reverses={}), clocks


def explain_plan(plan: Plan, seconds: list[tuple[float, float]]) -> str:
    """The plan as a table, with the seconds that each step took forward and in reverse."""
    whole = sum(map(sum, seconds)) or 1.0
    rows = []
    all_flops = [_flops(plan, step) for step in plan.steps]
    for step, flops, (forward, backward) in zip(plan.steps, all_flops, seconds, strict=True):
        visible = step.specs[: len(step.node.visible_outputs)]
        rows.append(
            (
                step.name,
                step.node.kind,
                step.provider,
                ", ".join(show_shape(spec.shape) for spec in visible),
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
        "peak",
        human(plan.peak_bytes, "B"),
        human(sum(all_flops)),
        f"{sum(f for f, _ in seconds) * 1e3:.3f}",
        f"{sum(b for _, b in seconds) * 1e3:.3f}" if plan.training else "",
        "100.0%",
    )
    columns = (
        "node", "operator", "kernel", "output shape", "bytes", "FLOPs",
        "forward ms", "backward ms", "share",
    )  # fmt: skip
    title = f"{'training' if plan.training else 'inference'} at batch {plan.batch}"
    return render_table(columns, rows, title=title, total_row=total)


def _flops(plan: Plan, step: Step) -> int:
    inputs = step.node.inputs
    return step.node.operator.flops(*(None if v is None else plan.specs[v] for v in inputs))
