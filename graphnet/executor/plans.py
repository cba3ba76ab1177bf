"""The plans of a network: one for each form, choice of outputs and batch size, kept for reuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from graphnet.backends import Backend
from graphnet.capture import unfit
from graphnet.executor.errors import ExecutorError
from graphnet.executor.leaves import Leaves
from graphnet.executor.precision import NARROW
from graphnet.graph import Graph
from graphnet.kernels import PlacedKernel, Provider
from graphnet.kernels.tools import HOST, DeviceTools, Tools
from graphnet.out_of_memory import bytes_of
from graphnet.passes import chain, fold, for_inference, fuse, sink
from graphnet.plan import Plan, Reverse, make_plan, make_reverse
from graphnet.program import Program, ReverseProgram
from graphnet.recompute import schemes
from graphnet.values import GraphError
from ops.fields import is_integer
from ops.operator import Operator

__all__ = ["PLANS", "Planned", "Plans", "scalar_outputs"]

#: How many plans an executor remembers; each batch size has its own.
PLANS = 8


@dataclass(eq=False, repr=False)
class Planned:
    """A plan, with the program it is bound to where some of its kernels are placed."""

    plan: Plan
    program: Program | None
    reverses: dict[tuple[Any, ...], ReverseProgram] = field(default_factory=dict)
    version: tuple[int, int] | None = None
    """Of the leaves that the program has seen last, and the block it was bound to."""
    captured: MutableMapping[object, Any] = field(default_factory=WeakKeyDictionary)
    """The work of a training step on this plan, for each that captures it."""

    @cached_property
    def unfit(self) -> list[str]:
        """Why a training step on it is not captured, node by node."""
        return unfit(self.plan)


class Plans:
    """Makes plans of one graph, and remembers the last ones.

    Args:
        graph: the network.
        backend: on which it runs.
        providers: whom to ask for kernels, in order.
        leaves: the arrays of the network.
        dtype: replaces every floating dtype of the graph; the declared ones when None.
        precision: as ``Executor`` takes it.
        memory_limit: bytes that a training step may take beside parameters and gradients.
        debug: whether every array is looked at, for which kernels make arrays of their own.

    Attributes:
        kept: the plans that are remembered, the most recently used last.
        tools: for the arrays of the backend.
    """

    def __init__(
        self,
        graph: Graph,
        backend: Backend,
        providers: Mapping[str, Provider],
        leaves: Leaves,
        *,
        dtype: str | None,
        precision: str,
        memory_limit: int | None,
        debug: bool,
    ) -> None:
        self._graph, self._providers, self._leaves = graph, providers, leaves
        self._dtype, self._precision = dtype, precision
        self._memory_limit, self._debug = memory_limit, debug
        self.tools: Tools = HOST if backend.name == "numpy" else DeviceTools(backend)
        self._forms: dict[tuple[Any, ...], Graph] = {}
        self.kept: dict[tuple[Any, ...], Planned] = {}

    def form(self, training: bool, outputs: tuple[str, ...], differentiate: bool) -> Graph:
        """The graph as it is to run, by all passes."""
        key = (training, outputs, differentiate)
        if key not in self._forms:
            graph = self._graph.select(*outputs)
            if not training:
                graph = for_inference(graph)
            if self.fuses:
                if not training and not differentiate:
                    graph = fold(graph)
                graph = fuse(sink(graph), self.fuses)
            if self._chains is not None:
                graph = chain(graph, self._chains)
            if self._precision in NARROW:
                from graphnet.passes.narrow import narrow

                graph = narrow(graph, self._precision)
            self._forms[key] = graph
        return self._forms[key]

    @cached_property
    def fuses(self) -> frozenset[type[Operator]]:
        """The operators that there are kernels for, of those that fusion makes of a graph."""
        working = [] if self._debug else [p for p in self._providers.values() if p.status()[0]]
        return frozenset().union(*(provider.fused for provider in working))

    @cached_property
    def _chains(self) -> Callable[[Operator], bool] | None:
        """Which operators there are kernels for within chains; None where there are none."""
        if self._debug or self._dtype not in (None, "float32"):
            return None
        serves = [p.chains for p in self._providers.values() if p.chains and p.status()[0]]
        if not serves:
            return None
        return lambda operator: any(each(operator) for each in serves)

    def find(
        self, training: bool, outputs: tuple[str, ...], batch: int, differentiate: bool
    ) -> Planned:
        """The plan of a form for a batch size.

        Raises:
            ValueError: it is no batch size.
            ShapeError: a node does not fit it.
            ExecutorError: the limit of memory cannot be kept.
        """
        if not is_integer(batch) or batch < 0:
            raise ValueError(f"expected a batch size of at least 0, received {batch!r}")
        key = (training, outputs, batch, differentiate)
        planned = self.kept.pop(key, None)
        if planned is None:
            plan = make_plan(
                self.form(training, outputs, differentiate),
                batch,
                self._providers,
                training=training,
                differentiate=differentiate,
                dtype=self._dtype,
                exact=self._precision == "exact",
                tf32=self._precision == "tf32",
                frugal=self._memory_limit is not None,
            )
            planned = self._lay_out(plan)
        self.kept[key] = planned
        if len(self.kept) > PLANS:
            del self.kept[next(iter(self.kept))]
        return planned

    def reverse(self, plan: Plan, output: str | None, wanted: Sequence[str]) -> Reverse:
        """The reverse pass of a plan from an output, the only one when None, to some leaves.

        Raises:
            GraphError: an output or name is unknown, or has no gradient.
        """
        if output is None:
            if len(plan.outputs) != 1:
                raise GraphError(f"expected one of the outputs {list(plan.outputs)}")
            (output,) = plan.outputs
        if output not in plan.outputs:
            raise GraphError(f"expected an output among {list(plan.outputs)}, received {output!r}")
        key = (output, tuple(wanted))
        if key not in plan.reverses:
            leaves = {**self._graph.parameters, **self._graph.inputs}
            for name in wanted:
                if name not in leaves:
                    raise GraphError(
                        f"expected parameters or inputs among {list(leaves)}, received {name!r}"
                    )
                if not leaves[name].spec.is_floating:
                    raise GraphError(f"{name!r} is {leaves[name].dtype} and has no gradient")
            # a form of the graph may lack some of them
            there = [name for name in wanted if leaves[name] in plan.slots]
            plan.reverses[key] = make_reverse(plan, output, there)
        return plan.reverses[key]

    def reverse_program(self, planned: Planned, reverse: Reverse) -> ReverseProgram:
        """The program of a reverse pass, for a plan that has one."""
        found = planned.reverses.get(reverse.key)
        if found is None:
            assert planned.program is not None
            leaves = self._leaves.gradients_by_slot(planned.plan, reverse)
            found = planned.reverses[reverse.key] = ReverseProgram(planned.program, reverse, leaves)
        return found

    def _lay_out(self, plan: Plan) -> Planned:
        """A plan with its program, within the limit of memory."""
        planned = self._programmed(plan)
        limit, program = self._memory_limit, planned.program
        if limit is None or not plan.training:
            return planned
        if program is None:
            raise ExecutorError(
                "memory_limit: no kernel of this plan works in memory that is laid out ahead; "
                "expected fast kernels and no debug"
            )
        least = bytes_of(plan, program)
        for scheme in schemes(plan, program.droppable()) if least > limit else ():
            planned = self._programmed(plan, scheme.slots)
            nbytes = bytes_of(plan, planned.program)
            if nbytes <= limit:
                return planned
            least = min(least, nbytes)
        if least > limit:
            raise ExecutorError(
                f"memory_limit: expected a training step of batch {plan.batch} in {limit:,} bytes, "
                f"the least it takes is {least:,}; a smaller batch takes less"
            )
        return planned

    def _programmed(self, plan: Plan, dropped: frozenset[int] = frozenset()) -> Planned:
        """A plan with its program, and the reverse pass that training makes in the same block."""
        # debug looks at each array
        if self._debug or not any(isinstance(step.kernel, PlacedKernel) for step in plan.steps):
            return Planned(plan, None)
        program = Program(plan, self._leaves.by_slot(plan), dropped, self.tools)
        planned = Planned(plan, program)
        trainable, scalars = self._leaves.trainable, scalar_outputs(plan)
        if plan.training and scalars and trainable:
            reverse = self.reverse(plan, scalars[0], trainable)
            leaves = self._leaves.gradients_by_slot(plan, reverse)
            planned.reverses[reverse.key] = ReverseProgram(program, reverse, leaves, apart=False)
        return planned


def scalar_outputs(plan: Plan) -> list[str]:
    """The outputs that can be differentiated without a gradient that arrives at them."""
    outputs = plan.graph.outputs
    return [n for n, v in outputs.items() if v.shape == () and v.spec.is_floating]
