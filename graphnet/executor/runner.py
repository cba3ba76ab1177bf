"""Runs plans: the forward pass walks the steps, the reverse pass walks them backwards.

The gradients of a value that fans out are summed, and each goes once it is consumed.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphnet.backends import Backend
from graphnet.executor.errors import ExecutorError
from graphnet.executor.leaves import Leaves
from graphnet.executor.plans import Planned, Plans
from graphnet.explain import Event
from graphnet.feeds import check_domains, check_feeds
from graphnet.graph import Graph
from graphnet.out_of_memory import OutOfMemoryError, bytes_of, largest_batch, say
from graphnet.plan import Plan, Reverse, bind_spec
from graphnet.program import Blocks, Program, ReverseProgram
from graphnet.run import run_forward, run_reverse
from graphnet.values import GraphError
from ops.arrays import Array
from ops.operator import Spec, known, show, show_shape

__all__ = ["Runner"]


@dataclass(eq=False, repr=False)
class _Pass:
    """What a forward pass leaves behind for the reverse pass."""

    planned: Planned
    saved: list[Any]


class Runner:
    """Runs one graph forward and in reverse.

    Args:
        graph: the network.
        backend: on which it runs.
        leaves: the arrays it owns.
        plans: of the graph.
        dtype: replaces every floating dtype of the graph; the declared ones when None.
        debug: check each result against the inferred shape and dtype.
    """

    def __init__(
        self,
        graph: Graph,
        backend: Backend,
        leaves: Leaves,
        plans: Plans,
        *,
        dtype: str | None,
        debug: bool,
    ) -> None:
        self.graph, self.backend, self.leaves, self.plans = graph, backend, leaves, plans
        self._dtype, self._debug = dtype, debug
        self._blocks = Blocks(plans.tools)
        self._last: _Pass | None = None
        self._recent: tuple[tuple[Any, ...], Planned] | None = None

    def forward(
        self,
        training: bool,
        differentiate: bool,
        outputs: tuple[str, ...],
        feeds: Mapping[str, Any],
    ) -> dict[str, Array]:
        """The outputs by name, and what the reverse pass needs kept if it may be asked for."""
        planned = self.planned(training, outputs, differentiate, feeds)
        plan = planned.plan
        check_domains(plan, feeds)
        self._last = None
        try:
            return self._forward(planned, feeds, differentiate)
        except MemoryError as error:
            del planned
            raise self.out_of_memory(error, plan, outputs, differentiate) from error

    def backward(
        self, output: str | None, gradient: Any, wrt: Sequence[str] | None, *, own: bool
    ) -> dict[str, Array]:
        """The gradients that the last forward pass leads to, by name.

        Args:
            output: the output to differentiate; the only one when None.
            gradient: the gradient that arrives at it; 1 for a scalar when None.
            wrt: names of parameters and inputs; all trainable parameters when None.
            own: whether the arrays are the caller's; else the next pass overwrites them.
        """
        if self._last is None:
            raise ExecutorError(
                "backward before forward: call forward(..., training=True) or "
                "forward(..., differentiate=True) first, once for each backward"
            )
        last, plan = self._last, self._last.planned.plan
        if isinstance(wrt, str):
            raise GraphError(f"expected a list of names, received the string {wrt!r}")
        wanted = self.leaves.trainable if wrt is None else list(wrt)
        reverse = self.plans.reverse(plan, output, wanted)
        seed = self.seed(plan, reverse, gradient)
        self._last = None
        try:
            return self._backward(last, reverse, seed, wanted, own=own)
        except MemoryError as error:
            del last
            raise self.out_of_memory(error, plan, tuple(plan.outputs), True) from error

    @property
    def is_placed(self) -> bool:
        """Whether the last forward pass, not yet reversed, ran in a program."""
        return self._last is not None and self._last.planned.program is not None

    def forget_pass(self) -> None:
        """Let go what the last forward pass left behind."""
        self._last = None

    def run(
        self, planned: Planned, feeds: Mapping[str, Any], events: list[Event] | None = None
    ) -> list[Any]:
        """Run the program of a plan; returns an array per slot."""
        program = self.ready(planned, feeds)
        program.run(events)
        return program.values

    def ready(self, planned: Planned, feeds: Mapping[str, Any]) -> Program:
        """The program of a plan, bound and fed."""
        program = planned.program
        assert program is not None
        self._blocks.attach(program)
        current = (self.leaves.current(), id(program.block))
        if planned.version != current:
            program.refresh()
            planned.version = current
        program.feed(feeds)
        return program

    def run_reverse(
        self, planned: Planned, reverse: Reverse, seed: Any, events: list[Event] | None = None
    ) -> list[Any]:
        """Run the reverse of a program; returns a gradient per slot."""
        backward = self.ready_reverse(planned, reverse)
        self.clear_unreached(planned, backward)
        backward.run(seed, events)
        return backward.gradients

    def ready_reverse(self, planned: Planned, reverse: Reverse) -> ReverseProgram:
        """The reverse of a program, bound."""
        backward = self.plans.reverse_program(planned, reverse)
        self._blocks.attach_reverse(backward)
        return backward

    def clear_unreached(self, planned: Planned, backward: ReverseProgram) -> None:
        """Let the gradients be 0 of parameters that a reverse pass does not reach."""
        for name, array in self.leaves.gradients.arrays.items():
            if planned.plan.parameters.get(name) not in backward.places:
                array[...] = 0

    def values(self, plan: Plan, feeds: Mapping[str, Any]) -> list[Array | None]:
        """The list of slots, with everything in it that is there before the first step."""
        values: list[Array | None] = [None] * plan.size
        for slot, array in self.leaves.by_slot(plan).items():
            values[slot] = array
        for name, (slot, _) in plan.inputs.items():
            array = feeds[name]
            values[slot] = array if self.backend.owns(array) else self.backend.from_host(array)
        return values

    def seed(self, plan: Plan, reverse: Reverse, gradient: Any) -> Array:
        """The gradient at the output, once it is checked."""
        spec = plan.specs[plan.graph.outputs[reverse.output]]
        if not spec.is_floating:
            raise ExecutorError(f"{reverse.output!r} is {spec.dtype} and has no gradient")
        if gradient is None:
            if spec.shape != ():
                raise ExecutorError(
                    f"{reverse.output!r} is no scalar but {show_shape(spec.shape)}: "
                    f"give the gradient that arrives at it, "
                    f"backward({reverse.output!r}, gradient)"
                )
            return self.backend.xp.ones((), dtype=spec.dtype)
        if not (isinstance(gradient, np.ndarray) or self.backend.owns(gradient)):
            raise ExecutorError(
                f"expected an array as gradient of {reverse.output!r}, "
                f"received {type(gradient).__name__}"
            )
        if gradient.shape != spec.shape or gradient.dtype != spec.dtype:
            swapped = "" if gradient.dtype.isnative else " with its bytes swapped"
            raise ExecutorError(
                f"gradient of {reverse.output!r}: expected {show(spec)}, "
                f"received {show(Spec(gradient.shape, gradient.dtype.name))}{swapped}"
            )
        if isinstance(gradient, np.ndarray) and not gradient.flags.writeable:
            gradient = gradient.copy()  # compiled kernels take arrays that can be written
        return gradient if self.backend.owns(gradient) else self.backend.from_host(gradient)

    def planned(
        self,
        training: bool,
        outputs: tuple[str, ...],
        differentiate: bool,
        feeds: Mapping[str, Any],
    ) -> Planned:
        """The plan for what is fed, once that is checked."""
        # feeds like the last ones were checked then
        signature = (training, outputs, differentiate, *map(_likeness, feeds.items()))
        if self._recent is None or self._recent[0] != signature:
            graph = self.plans.form(training, outputs, differentiate)
            batch = check_feeds(graph, feeds, self._dtype, self.backend)
            planned = self.plans.find(training, outputs, batch, differentiate)
            self._recent = (signature, planned)
        return self._recent[1]

    def _forward(
        self, planned: Planned, feeds: Mapping[str, Any], differentiate: bool
    ) -> dict[str, Array]:
        """As :meth:`forward`, with a plan and what was found to fit it."""
        plan = planned.plan
        if planned.program is None:
            values = self.values(plan, feeds)
            saved = run_forward(plan, values, debug=self._debug)
        else:
            values, saved = self.run(planned, feeds), planned.program.saved
        if plan.renewed:
            self.leaves.version += 1
        for name, slot in plan.renewed.items():
            self.leaves.states.arrays[name][...] = values[slot]
        if differentiate:
            self._last = _Pass(planned, saved)
        results = {name: self._array(values[slot]) for name, slot in plan.outputs.items()}
        for name, slot in plan.outputs.items():
            # a feed, parameter or constant, or in memory that the next run uses again
            placed = planned.program is not None and slot in planned.program.places
            if placed or plan.graph.outputs[name].producer is None:
                results[name] = results[name].copy()
        return results

    def _backward(
        self, last: _Pass, reverse: Reverse, seed: Any, wanted: Sequence[str], *, own: bool
    ) -> dict[str, Array]:
        """The gradients that a forward pass leads to."""
        planned, saved = last.planned, last.saved
        plan = planned.plan
        if planned.program is None:
            gradients = run_reverse(plan, reverse, saved, seed, debug=self._debug)
        else:
            gradients = self.run_reverse(planned, reverse, seed)
        if reverse.source in reverse.gradients.values() and gradients[reverse.source] is seed:
            gradients[reverse.source] = seed.copy()
        found = {name: gradients[slot] for name, slot in reverse.gradients.items()}
        if planned.program is not None and own:
            placed = planned.reverses[reverse.key].places
            for name, slot in reverse.gradients.items():
                if slot in placed:
                    found[name] = found[name].copy()
        return {
            name: self._zeros(plan, name) if found.get(name) is None else self._array(found[name])
            for name in wanted
        }

    def out_of_memory(
        self, error: MemoryError, plan: Plan, outputs: tuple[str, ...], differentiate: bool
    ) -> OutOfMemoryError:
        """Let all memory of runs go, and say what would fit."""
        traceback.clear_frames(error.__traceback__)
        self._blocks.release()
        self._forget()
        free = self.backend.release()

        def needed(batch: int) -> int:
            planned = self.plans.find(plan.training, outputs, batch, differentiate)
            return bytes_of(planned.plan, planned.program)

        takes = needed(plan.batch)
        fit = None
        if free is not None and free < takes:
            fit = largest_batch(needed, plan.batch, free)
        self._forget()
        return OutOfMemoryError(say(plan, takes, free, fit))

    def _forget(self) -> None:
        """Let plans go, and arrays that lie in cycles of closures."""
        self._last = self._recent = None
        self.plans.kept.clear()
        gc.collect()

    def _array(self, result: Any) -> Array:
        """The result as an array: arithmetic on arrays of no axes gives a scalar in NumPy."""
        return self.backend.xp.asarray(result)

    def _zeros(self, plan: Plan, name: str) -> Array:
        leaf = self.graph.parameters.get(name) or self.graph.inputs[name]
        spec = bind_spec(leaf.spec, plan.batch, self._dtype)
        return self.backend.xp.zeros(known(*spec.shape), dtype=spec.dtype)


def _likeness(feed: tuple[str, Any]) -> tuple[Any, ...]:
    """What of a feed decides whether it fits, and which plan it needs."""
    name, array = feed
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    return name, type(array), shape, dtype, getattr(array, "device", None)
