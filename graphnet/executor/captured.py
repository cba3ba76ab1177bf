"""Training steps whose work is captured, one for each plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphnet.capture import Replay
from graphnet.executor.plans import Planned
from graphnet.executor.runner import Runner
from graphnet.feeds import check_domains
from graphnet.kernels.advance import Update
from graphnet.kernels.placed import allocate
from graphnet.program import ReverseProgram
from ops.arrays import Array

__all__ = ["CapturedStep"]


class CapturedStep:
    """Forward, reverse and update as one piece of work.

    Args:
        runner: of the network.
        update: bound to its parameters and gradients.
        loss: the scalar output to make small.
    """

    def __init__(self, runner: Runner, update: Update, loss: str) -> None:
        self._runner, self._update, self._loss = runner, update, loss

    def __call__(
        self, number: int, feeds: Mapping[str, Any]
    ) -> tuple[dict[str, Array] | None, str]:
        """Make a step, and say why it is not captured; no outputs where it was not made either.

        Args:
            number: of the step, counted from 1.
            feeds: one array per input.

        Raises:
            FeedError, ShapeError, OutOfMemoryError: as :meth:`Executor.forward`.
        """
        runner = self._runner
        planned = runner.planned(True, tuple(runner.graph.outputs), True, feeds)
        if hindrance := _hindrance(planned):
            return None, hindrance
        plan = planned.plan
        check_domains(plan, feeds)
        runner.forget_pass()
        try:
            results, replay = self._bound(planned, feeds)
            self._update.tell(number)
            replay()
            outputs = {name: array.copy() for name, array in results.items()}
        except MemoryError as error:
            del planned
            raise runner.out_of_memory(error, plan, tuple(plan.outputs), True) from error
        runner.leaves.version += 1
        return outputs, replay.refused

    def _bound(self, planned: Planned, feeds: Mapping[str, Any]) -> tuple[dict[str, Array], Replay]:
        """Where the results of a plan will lie, and its work, on what was fed."""
        runner, plan = self._runner, planned.plan
        program = runner.ready(planned, feeds)
        reverse = runner.plans.reverse(plan, self._loss, runner.leaves.trainable)
        backward = runner.ready_reverse(planned, reverse)
        binding = (program.binding, backward.binding)
        bound, results, replay = planned.captured.get(self, (None, {}, None))
        if replay is None or bound != binding:
            results = {
                name: allocate(plan.specs[value], xp=runner.backend.xp)
                for name, value in plan.graph.outputs.items()
            }
            replay = Replay(runner.backend, self._work(planned, backward, results))
            planned.captured[self] = (binding, results, replay)
        return results, replay

    def _work(
        self, planned: Planned, backward: ReverseProgram, results: Mapping[str, Array]
    ) -> Callable[[], None]:
        """What enqueues a whole step."""
        runner, plan, program = self._runner, planned.plan, planned.program
        assert program is not None, "else there is a hindrance"
        states = runner.leaves.states.arrays
        spec = plan.specs[plan.graph.outputs[self._loss]]
        seed = runner.backend.xp.ones((), dtype=spec.dtype)
        update = self._update  # what is kept must not hold the step, with which it goes
        scale = update.bind_seed(seed) if update.scaled else None

        def work() -> None:
            program.run()
            for name, slot in plan.renewed.items():
                states[name][...] = program.values[slot]
            for name, slot in plan.outputs.items():  # the reverse pass uses their memory again
                results[name][...] = program.values[slot]
            runner.clear_unreached(planned, backward)
            if scale is not None:
                scale()
            backward.run(seed)
            update.run()

        return work


def _hindrance(planned: Planned) -> str:
    """Why a step on a plan is not captured; empty if it can be."""
    if planned.program is None:
        return "no kernel works in memory that is laid out ahead"
    if planned.unfit:
        return "; ".join(planned.unfit)
    for name, slot in planned.plan.outputs.items():
        if slot not in planned.program.places:
            return f"the output {name!r} is read by no kernel"
    return ""
