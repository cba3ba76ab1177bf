"""Kernels that write where they are told.

A *placed* kernel says what it asks of its memory (:class:`Terms`) and is bound, once, to arrays
that never move; what comes back is called without arguments, step after step.  So nothing is
allocated while a network runs, and a plan can give dead memory to the next value.

Arrays have the shapes of the operators, ``(N, C, *spatial)``.  The memory behind one is either in
the order of its axes (:data:`ROWS`) or has the channels side by side (:data:`LAST`).

By its methods ``forward`` and ``backward`` a placed kernel serves like any other, on memory that
is made for the call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ops.operator import Operator, Spec, known

__all__ = [
    "ANY",
    "LAST",
    "ROWS",
    "SAME",
    "Call",
    "PlacedKernel",
    "Terms",
    "allocate",
    "arranged",
    "in_turn",
    "is_arranged",
    "last",
]

#: Memory in the order of the axes.
ROWS = "rows"
#: Memory ``(N, *spatial, C)``.
LAST = "channels last"
#: Either of them, as long as all the arrays that are marked so have the same one.
SAME = "same"
#: Either of them, of an input: it is read as it lies.
ANY = "any"

#: Something bound, which is done by calling it; what comes back is true if it failed.
Call = Callable[[], object]


@dataclass(frozen=True)
class Terms:
    """What a placed kernel asks of its memory.

    Attributes:
        inputs: the layout of each input, and of its gradient.
        outputs: the layout of each output, and of its gradient.
        reads: the positions of the inputs that backward reads; no states, which are renewed
            before that.
        keeps: the positions of the outputs that backward reads.
        extras: what forward writes for backward besides.
        packed: bytes that are computed from the inputs ``packs`` alone, ahead of forward.
        packs: the positions of those inputs.
        forward_space: bytes of temporary memory.
        backward_space: likewise.
        again_space: likewise, for :meth:`PlacedKernel.bind_again`.
        over: ``(output, input)`` positions of an output that may replace an input in its memory.
        over_gradient: ``(input, output)`` positions of an input's gradient that may replace
            the output's gradient.
        adds: the positions of inputs whose gradient can be added to what lies in its place.
        again: the positions of outputs that :meth:`PlacedKernel.bind_again` computes a second
            time, from ``reads``, ``rereads`` and ``extras``, for little; unless there are
            ``rereads`` they are not kept.
        rereads: the positions of inputs that ``bind_again`` reads, and backward does not.
        differentiable: whether there is a backward.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reads: tuple[int, ...] = ()
    keeps: tuple[int, ...] = ()
    extras: tuple[Spec, ...] = ()
    packed: int = 0
    packs: tuple[int, ...] = ()
    forward_space: int = 0
    backward_space: int = 0
    again_space: int = 0
    over: tuple[tuple[int, int], ...] = ()
    over_gradient: tuple[tuple[int, int], ...] = ()
    adds: tuple[int, ...] = ()
    again: tuple[int, ...] = ()
    rereads: tuple[int, ...] = ()
    differentiable: bool = True

    def settled(self, layout: str, lying: Sequence[str] = ()) -> Terms:
        """These terms with the given layout for :data:`SAME`.

        Args:
            layout: one of the two.
            lying: the layouts that inputs have, for :data:`ANY`; in rows where it ends.
        """
        if not {SAME, ANY} & {*self.inputs, *self.outputs}:
            return self
        as_it_lies = (*lying, *[ROWS] * len(self.inputs))
        inputs = tuple(
            {SAME: layout, ANY: own}.get(x, x)
            for x, own in zip(self.inputs, as_it_lies, strict=False)
        )
        outputs = tuple(layout if x == SAME else x for x in self.outputs)
        return replace(self, inputs=inputs, outputs=outputs)


@dataclass
class Memory:
    """The arrays that a kernel is bound to; those it did not ask for are None or absent."""

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    extras: Sequence[Any] = ()
    packed: Any = None
    space: Any = None
    doutputs: Sequence[Any] = field(default_factory=tuple)
    dinputs: Sequence[Any] = field(default_factory=tuple)
    adds: frozenset[int] = frozenset()
    """The positions of those ``dinputs`` that are added to, not overwritten."""


class PlacedKernel(ABC):
    """One operator on inputs of known shape; subclasses set :attr:`terms`.

    Args:
        operator: what is computed.
        specs: of the inputs, None for those that are absent.

    Attributes:
        method: how it computes, where there are several ways.
        xp: the array library whose arrays it takes.
        uncapturable: on a device, why what it enqueues cannot be captured and replayed.
    """

    terms: Terms
    method: str = ""
    uncapturable: str = ""
    xp: Any = np

    def __init__(self, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        self.specs = specs
        inferred = operator.infer(*specs)
        self.results = inferred if isinstance(inferred, tuple) else (inferred,)

    def bind_packed(self, memory: Memory) -> Call:
        """What computes ``memory.packed`` from the inputs."""
        raise NotImplementedError

    @abstractmethod
    def bind_forward(self, memory: Memory) -> Call:
        """What computes the outputs and the extras."""

    def bind_again(self, memory: Memory) -> Call:
        """What computes the outputs ``again`` once more; the others are None."""
        raise NotImplementedError

    @abstractmethod
    def bind_backward(self, memory: Memory) -> Call:
        """What computes those of ``memory.dinputs`` that are not None.

        An entry of ``memory.doutputs`` is None where no gradient arrives.
        """

    def forward(self, *arrays: Any) -> tuple[Any, tuple[Any, ...]]:
        """As the operator's."""
        terms = self.terms.settled(ROWS)
        given = [*arrays, *[None] * (len(terms.inputs) - len(arrays))]
        memory = Memory(
            [
                None if x is None else arranged(x, layout, self.xp)
                for x, layout in zip(given, terms.inputs, strict=True)
            ],
            [
                allocate(spec, layout, self.xp)
                for spec, layout in zip(self.results, terms.outputs, strict=True)
            ],
            [allocate(spec, ROWS, self.xp) for spec in terms.extras],
            self.xp.empty(terms.packed, dtype="uint8"),
            self.xp.empty(terms.forward_space, dtype="uint8"),
        )
        if terms.packed:
            self.bind_packed(memory)()
        self.bind_forward(memory)()
        kept = (
            *(x if i in terms.reads else None for i, x in enumerate(memory.inputs)),
            *(y if i in terms.keeps else None for i, y in enumerate(memory.outputs)),
            *memory.extras,
        )
        y = memory.outputs
        return (y[0] if len(y) == 1 else tuple(y)), kept

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        """As the operator's."""
        terms = self.terms.settled(ROWS)
        first, second = len(terms.inputs), len(terms.inputs) + len(terms.outputs)
        arriving = dy if isinstance(dy, tuple) else (dy,)
        wanted = [*needs, *[False] * (first - len(needs))]
        memory = Memory(
            saved[:first],
            saved[first:second],
            saved[second:],
            None,
            self.xp.empty(terms.backward_space, dtype="uint8"),
            [
                None if d is None else arranged(d, layout, self.xp)
                for d, layout in zip(arriving, terms.outputs, strict=True)
            ],
            [
                allocate(spec, layout, self.xp) if need and spec is not None else None
                for need, spec, layout in zip(wanted, self.input_specs, terms.inputs, strict=True)
            ],
        )
        self.bind_backward(memory)()
        return tuple(memory.dinputs[: len(needs)])

    @property
    def input_specs(self) -> list[Spec | None]:
        """Those of all inputs the terms speak of, None for what is absent."""
        return [*self.specs, *[None] * (len(self.terms.inputs) - len(self.specs))]


def in_turn(*calls: Call, holds: object = None) -> Call:
    """One call for several, up to the first that fails; ``holds`` lives as long as it does."""
    if len(calls) == 1:
        one = partial(calls[0])
        one.holds = holds  # type: ignore[attr-defined]
        return one

    def run() -> object:
        for call in calls:
            if failed := call():
                return failed
        return holds and None

    return run


def last(x: Any) -> Any:
    """The view ``(N, *spatial, C)`` of an array ``(N, C, *spatial)``."""
    return x.transpose(0, *range(2, x.ndim), 1)


def first(x: Any) -> Any:
    """The view ``(N, C, *spatial)`` of an array ``(N, *spatial, C)``."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def allocate(spec: Spec, layout: str = ROWS, xp: Any = np) -> Any:
    """An array of this shape and dtype behind which the memory has the given layout."""
    shape = known(*spec.shape)
    if layout == LAST and len(shape) > 2:
        return first(xp.empty((shape[0], *shape[2:], shape[1]), dtype=spec.dtype))
    return xp.empty(shape, dtype=spec.dtype)


def arranged(x: Any, layout: str, xp: Any = np) -> Any:
    """The array itself if its memory has this layout, else a copy of which that is true."""
    if is_arranged(x, layout):
        return x
    copy = allocate(Spec(x.shape, x.dtype.name), layout, xp)
    copy[...] = x
    return copy


def is_arranged(x: Any, layout: str) -> bool:
    """Whether the memory of an array has this layout."""
    return bool((last(x) if layout == LAST and x.ndim > 2 else x).flags.c_contiguous)
