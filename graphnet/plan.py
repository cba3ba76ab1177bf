"""Plans: a graph, bound to one batch size, as a flat list of steps with their kernels.

A plan is data.  Every value has a slot, a number in the list of arrays that the executor
keeps while it runs; a step names the slots it reads and writes and those it releases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphnet.graph import Graph
from graphnet.kernels import Kernel, PlacedKernel, Provider
from graphnet.memory import last_uses, peak_bytes
from graphnet.values import Input, Node, Value
from ops.dimension import Size
from ops.operator import Interval, Spec, expect_domains

__all__ = ["Plan", "Reverse", "ReverseStep", "Step", "make_plan", "make_reverse"]

#: The slot that always holds None: an optional input that is absent.
ABSENT = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Step:
    """One node of the forward pass, ready to run."""

    name: str
    node: Node
    kernel: Kernel
    provider: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    specs: tuple[Spec, ...]
    keep: bool
    """Whether what the kernel saved is kept for a reverse pass."""
    release: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReverseStep:
    """One node of the reverse pass; gradients live in slots of the same numbers as values."""

    index: int
    """The forward step it belongs to."""
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    needs: tuple[bool, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Reverse:
    """The reverse pass from one output to some leaves."""

    output: str
    source: int
    steps: tuple[ReverseStep, ...]
    gradients: dict[str, int]
    """The slot of each wanted gradient, by the name of its leaf."""
    shapes: dict[int, tuple[Size, ...]]
    """The shape of each wanted gradient, by its slot."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from the other reverse passes of its plan."""
        return self.output, tuple(self.gradients)


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The forward pass of one graph for one batch size, dtype and list of kernel providers."""

    graph: Graph
    batch: int
    training: bool
    steps: tuple[Step, ...]
    slots: dict[Value, int]
    specs: dict[Value, Spec]
    inputs: dict[str, tuple[int, Spec]]
    parameters: dict[str, int]
    states: dict[str, int]
    constants: dict[str, int]
    outputs: dict[str, int]
    renewed: dict[str, int]
    """The slot of the new value of each state, by the state's name."""
    domains: dict[str, tuple[Interval, str]]
    """The values an input may hold, and the node that says so."""
    peak_bytes: int
    """Activation memory at its highest, without parameters and without what is saved."""
    reverses: dict[tuple[str, tuple[str, ...]], Reverse] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of slots."""
        return len(self.slots) + 1

    def flops(self, node: Node) -> int:
        """The operations of a node, at this batch size."""
        return node.operator.flops(*(None if v is None else self.specs[v] for v in node.inputs))


def bind_spec(spec: Spec, batch: int, dtype: str | None) -> Spec:
    """A spec for a known batch, floating dtypes replaced by ``dtype`` if one is given."""
    bound = spec.bind(batch)
    return Spec(bound.shape, dtype) if dtype and bound.is_floating else bound


def make_plan(
    graph: Graph,
    batch: int,
    providers: Mapping[str, Provider],
    *,
    training: bool = False,
    differentiate: bool = False,
    dtype: str | None = None,
    exact: bool = False,
    tf32: bool = False,
    frugal: bool = False,
) -> Plan:
    """Bind a graph to a batch size: infer all shapes, choose kernels, find every last use.

    Args:
        graph: already in the form that is to run.
        batch: the number that ``N`` stands for.
        providers: whom to ask for a kernel, in order.
        training: whether states are renewed.
        differentiate: whether kernels' saved arrays are kept for a reverse pass.
        dtype: replaces every floating dtype of the graph.
        exact: whether methods are ruled out whose rounding is larger than that of plain sums.
        tf32: whether factors of products may be rounded to TF32.
        frugal: whether kernels keep as little for the reverse pass as they can.

    Raises:
        ShapeError: a node does not fit this batch size; the message names it.
    """
    slots: dict[Value, int] = {}
    specs: dict[Value, Spec] = {}
    for value in graph.values():
        slots[value] = len(slots) + 1
        if value.producer is None:
            specs[value] = bind_spec(value.spec, batch, dtype)
    parts = []
    domains: dict[str, tuple[Interval, str]] = {}
    for name, node in graph.nodes.items():
        given = tuple(None if v is None else specs[v] for v in node.inputs)
        specs.update(zip(node.outputs, node.infer(given, name), strict=True))
        provider, kernel = _choose(
            node, given, providers, differentiate, exact=exact, tf32=tf32, frugal=frugal
        )
        parts.append((name, node, provider, kernel))
        _collect_domains(graph, node, given, domains)
    access = [
        (
            [slots[v] for v in node.inputs if v is not None],
            [slots[v] for v in node.outputs],
        )
        for _, node, *_ in parts
    ]
    leaves = (*graph.parameters.values(), *graph.states.values(), *graph.constants.values())
    renewed = {
        graph.name_of(state): slots[output]
        for node in graph.nodes.values()
        for state, output in _renewals(node)
    }
    keep = {slots[v] for v in (*leaves, *graph.outputs.values())}
    dead = last_uses(access, keep | (set(renewed.values()) if training else set()))
    active = _depend_on(graph, set(_floating_leaves(graph, specs)), specs)
    steps = tuple(
        Step(
            name=name,
            node=node,
            kernel=kernel,
            provider=provider,
            inputs=tuple(ABSENT if v is None else slots[v] for v in node.inputs),
            outputs=tuple(slots[v] for v in node.outputs),
            specs=tuple(specs[v] for v in node.outputs),
            keep=differentiate and not active.isdisjoint(node.outputs),
            release=tuple(gone),
        )
        for (name, node, provider, kernel), gone in zip(parts, dead, strict=True)
    )
    activations = {
        slots[v]: _nbytes(specs[v]) for node in graph.nodes.values() for v in node.outputs
    }
    return Plan(
        graph=graph,
        batch=batch,
        training=training,
        steps=steps,
        slots=slots,
        specs=specs,
        inputs={name: (slots[v], specs[v]) for name, v in graph.inputs.items()},
        parameters={name: slots[v] for name, v in graph.parameters.items()},
        states={name: slots[v] for name, v in graph.states.items()},
        constants={name: slots[v] for name, v in graph.constants.items()},
        outputs={name: slots[v] for name, v in graph.outputs.items()},
        renewed=renewed if training else {},
        domains=domains,
        peak_bytes=peak_bytes(access, dead, activations),
    )


def make_reverse(plan: Plan, output: str, wanted: Iterable[str]) -> Reverse:
    """The reverse pass of a plan from one of its outputs to the leaves called ``wanted``.

    Only nodes that lie between them take part, and each is asked only for the gradients
    that somebody needs.
    """
    graph = plan.graph
    leaves: dict[str, Value] = {**graph.inputs, **graph.parameters, **graph.constants}
    targets = {name: leaves[name] for name in wanted}
    active = _depend_on(graph, set(targets.values()), plan.specs)
    source = graph.outputs[output]
    reached = {source} if source in active else set()
    steps = []
    for index in range(len(plan.steps) - 1, -1, -1):
        node = plan.steps[index].node
        if reached.isdisjoint(node.outputs):
            continue
        needs = tuple(v is not None and v in active for v in node.inputs)
        reached.update(v for v, need in zip(node.inputs, needs, strict=True) if need and v)
        steps.append(
            ReverseStep(
                index=index,
                outputs=tuple(plan.slots[v] if v in reached else ABSENT for v in node.outputs),
                inputs=plan.steps[index].inputs,
                needs=needs,
            )
        )
    return Reverse(
        output=output,
        source=plan.slots[source],
        steps=tuple(steps),
        gradients={name: plan.slots[v] for name, v in targets.items()},
        shapes={plan.slots[v]: plan.specs[v].shape for v in targets.values()},
    )


def _choose(
    node: Node,
    specs: tuple[Spec | None, ...],
    providers: Mapping[str, Provider],
    differentiate: bool,
    **options: bool,
) -> tuple[str, Kernel]:
    for name, provider in providers.items():
        kernel = provider.prepare(node.operator, specs, forward_alone=not differentiate, **options)
        forward_alone = isinstance(kernel, PlacedKernel) and not kernel.terms.differentiable
        if kernel is not None and not (differentiate and forward_alone):
            return name, kernel
    raise ValueError(f"{node.describe()}: none of the kernels {list(providers)} serves it")


def _renewals(node: Node) -> Iterable[tuple[Value, Value]]:
    """Each state that a node renews, with the output that holds its new value."""
    count = len(node.renews)
    return zip(node.renews, node.outputs[len(node.outputs) - count :], strict=True)


def _collect_domains(
    graph: Graph,
    node: Node,
    specs: tuple[Spec | None, ...],
    domains: dict[str, tuple[Interval, str]],
) -> None:
    """Note which values an input may hold, where a node that restricts them reads it directly."""
    restricted = expect_domains(node.operator, specs)
    for role, value in zip(node.input_names, node.inputs, strict=True):
        if role in restricted and isinstance(value, Input):
            name = graph.name_of(value)
            new = restricted[role]
            old, _ = domains.get(name, (new, ""))
            both = Interval(max(old.low, new.low), min(old.high, new.high))
            domains[name] = (both, graph.describe(node))


def _floating_leaves(graph: Graph, specs: Mapping[Value, Spec]) -> Iterable[Value]:
    leaves = (*graph.inputs.values(), *graph.parameters.values())
    return (leaf for leaf in leaves if specs[leaf].is_floating)


def _depend_on(graph: Graph, leaves: set[Value], specs: Mapping[Value, Spec]) -> set[Value]:
    """The leaves, and every value to which a gradient of theirs can be traced back."""
    active = set(leaves)
    for node in graph.nodes.values():
        if not active.isdisjoint(v for v in node.inputs if v is not None):
            # a renewed state carries no gradient
            active.update(v for v in node.visible_outputs if specs[v].is_floating)
    return active


def _nbytes(spec: Spec) -> int:
    return spec.elements * np.dtype(spec.dtype).itemsize
