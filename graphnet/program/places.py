"""Where the values of a program lie, and what each of its steps is bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphnet.kernels.placed import ROWS, SAME, Memory, PlacedKernel, Terms, first
from graphnet.kernels.tools import Tools
from graphnet.memory import Buffer
from graphnet.plan import Step
from ops.operator import Spec, known

__all__ = ["Entry", "Place", "detached", "is_partial", "layout_of", "same_memory"]


@dataclass(eq=False)
class Place:
    """Where a value lies: in a buffer of the block, or in an array of its own.

    Attributes:
        array: the array itself, once it is there.
    """

    spec: Spec
    layout: str
    buffer: Buffer | None = None
    array: Any = None

    def settle(self, at: Callable[[int, int], Any]) -> None:
        """Make the array of a buffer, whose bytes ``at(offset, nbytes)`` gives."""
        if self.buffer is None:
            return
        entries = at(self.buffer.offset, known(self.spec.nbytes)[0]).view(self.spec.dtype)
        shape = known(*self.spec.shape)
        if self.layout == ROWS or len(shape) < 3:
            self.array = entries.reshape(shape)
        else:
            self.array = first(entries.reshape(shape[0], *shape[2:], shape[1]))


@dataclass(eq=False, repr=False)
class Entry:
    """One step of a program: what it is bound to, and what to call."""

    index: int
    step: Step
    inputs: list[Place | None] = field(default_factory=list)
    outputs: list[Place | None] = field(default_factory=list)
    extras: list[Place] = field(default_factory=list)
    packed: Place | None = None
    space: Place | None = None
    before: list[tuple[Place, Place]] = field(default_factory=list)
    """Copies made ahead of the kernel, from the first place to the second."""
    again: list[Entry] = field(default_factory=list)
    """Steps of which an output is computed once more ahead of it."""
    after: list[tuple[Place, Place, bool]] = field(default_factory=list)
    """Copies made after it; added to what is there where the flag says so."""
    doutputs: list[Place | None] = field(default_factory=list)
    dinputs: list[Place | None] = field(default_factory=list)
    adds: frozenset[int] = frozenset()

    def memory(self) -> Memory:
        """The arrays of all places."""
        return Memory(
            [array_of(p) for p in self.inputs],
            [array_of(p) for p in self.outputs],
            [p.array for p in self.extras],
            array_of(self.packed),
            array_of(self.space),
            [array_of(p) for p in self.doutputs],
            [array_of(p) for p in self.dinputs],
            self.adds,
        )


def is_partial(step: Step, terms: Terms, position: int) -> bool:
    """Whether a kernel computes an output again from what it saved, and not from all inputs."""
    return step.keep and position in terms.again


def layout_of(kernel: PlacedKernel, step: Step, places: Mapping[int, Place]) -> str:
    """The layout for :data:`SAME`: that of the first such input, so far as it is known."""
    for slot, layout in zip(step.inputs, kernel.terms.inputs, strict=False):
        if layout == SAME and slot in places and places[slot].spec.rank > 2:
            return places[slot].layout
    return ROWS


def same_memory(place: Place, layout: str) -> bool:
    """Whether an array of this place serves as one of the layout."""
    if place.layout == layout or place.spec.rank < 3:
        return True
    _, channels, *spatial = known(*place.spec.shape)
    return channels == 1 or all(size == 1 for size in spatial)


def detached(tools: Tools, array: Any, *blocks: Any) -> Any:
    """The array, or a copy if it may be a view of memory that others use later."""
    return array.copy() if any(tools.may_share(array, block) for block in blocks) else array


def array_of(place: Place | None) -> Any:
    return None if place is None else place.array
