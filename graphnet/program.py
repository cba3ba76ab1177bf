"""Programs: a plan bound to memory, as a list of calls without arguments.

Every value that a placed kernel writes or reads has a place: a range of bytes in one block, for
as long as it is needed, after which another value may lie there.  Parameters lie in arrays of
their own.  Kernels that are not placed take part with the arrays they make; what a placed kernel
reads of theirs is copied to its place.

Times number the steps: forward ``0 .. F - 1``, then F, when outputs are read, then the reverse of
step i at ``2 F - i``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from graphnet.debug import ContractError, check_gradient
from graphnet.explain import Event, Location
from graphnet.kernels.placed import (
    ROWS,
    SAME,
    Call,
    Memory,
    PlacedKernel,
    Terms,
    allocate,
    first,
)
from graphnet.kernels.tools import HOST, Tools
from graphnet.memory import Arena, Buffer
from graphnet.plan import ABSENT, Plan, Reverse, ReverseStep, Step
from graphnet.run import call_backward, call_forward
from ops.operator import Spec, known, show

__all__ = ["Blocks", "Place", "Program", "ReverseProgram"]


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
class _Step:
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
    again: list[_Step] = field(default_factory=list)
    """Steps of which an output is computed once more ahead of it."""
    after: list[tuple[Place, Place, bool]] = field(default_factory=list)
    """Copies made after it; added to what is there where the flag says so."""
    doutputs: list[Place | None] = field(default_factory=list)
    dinputs: list[Place | None] = field(default_factory=list)
    adds: frozenset[int] = frozenset()

    def memory(self) -> Memory:
        """The arrays of all places."""
        return Memory(
            [_array(p) for p in self.inputs],
            [_array(p) for p in self.outputs],
            [p.array for p in self.extras],
            _array(self.packed),
            _array(self.space),
            [_array(p) for p in self.doutputs],
            [_array(p) for p in self.dinputs],
            self.adds,
        )


class Program:
    """The forward pass of a plan.

    Args:
        plan: some of whose kernels are placed.
        leaves: the arrays of parameters, states and constants by slot; they stay where they are.
        dropped: slots that are computed again in reverse, of those that :attr:`droppable` names.
        tools: for the arrays of the backend.

    Attributes:
        nbytes: the size of the block it needs.
        values: an array per slot, as far as there is one.
        places: those of the values, by slot.
        saved: what each step saved for its reverse.
        calls: ``(step, call)`` in order.
        fixed: those that depend on leaves alone, and are called when these have changed.
    """

    def __init__(
        self,
        plan: Plan,
        leaves: Mapping[int, Any],
        dropped: Set[int] = frozenset(),
        tools: Tools = HOST,
    ) -> None:
        self.plan = plan
        self.tools = tools
        #: Of the placed kernels by step, with a layout for each input and output.
        self.terms: dict[int, Terms] = {}
        self.places = self._places(leaves)
        self.values: list[Any] = [None] * plan.size
        self.saved: list[Any] = [None] * len(plan.steps)
        for slot, array in leaves.items():
            self.values[slot] = array
        self._frozen = self._find_frozen(leaves)
        #: Step and position of what is computed again in reverse, and not kept.
        self.again = self._computed_again()
        self.again |= {
            slot: (index, 0) for slot, index in self.droppable().items() if slot in dropped
        }
        self._last = self._last_uses()
        self.arena = Arena()
        self._buffers: list[Buffer] = []
        self._settled: list[Place] = []
        for slot, _ in plan.inputs.values():
            if slot in self.places:
                self._place(self.places[slot], -1, self._last[slot])
        self.steps = [self._lay_out(index, step) for index, step in enumerate(plan.steps)]
        self.arena.place(self._buffers)
        self.nbytes = self.arena.nbytes
        self.block: Any = None
        self.calls: list[tuple[int, Call]] = []
        self.fixed: list[tuple[int, Call]] = []

    def bind(self, block: Any) -> None:
        """Bind all kernels to a block of at least :attr:`nbytes` bytes."""
        self.block = block
        for place in self._settled:
            place.settle(lambda offset, nbytes: block[offset : offset + nbytes])
        for slot, place in self.places.items():
            self.values[slot] = place.array
        self.calls, self.fixed = [], []
        for entry in self.steps:
            frozen = self._is_frozen(entry.step)
            calls = self.fixed if frozen else self.calls
            if not isinstance(entry.step.kernel, PlacedKernel):
                calls.append((entry.index, self._free_call(entry)))
                continue
            for source, target in entry.before:
                calls.append((entry.index, self.tools.copied(source.array, target.array)))
            memory = entry.memory()
            if entry.packed is not None:
                pack = (entry.index, entry.step.kernel.bind_packed(memory))
                (self.fixed if self._packs_frozen(entry.step) else calls).append(pack)
            calls.append((entry.index, entry.step.kernel.bind_forward(memory)))

    def unbind(self) -> None:
        """Let the block go."""
        self.block = None
        self.calls, self.fixed = [], []
        for place in self._settled:
            place.array = None
        for slot in self.places:
            self.values[slot] = self.places[slot].array

    def refresh(self) -> None:
        """Compute what depends on leaves alone; ahead of :meth:`feed`, whose room it may use."""
        call_all(self.plan, self.fixed, "forward")

    def feed(self, feeds: Mapping[str, Any]) -> None:
        """Take the inputs; what has a place is copied there."""
        for name, (slot, _) in self.plan.inputs.items():
            if slot in self.places:
                self.tools.feed(feeds[name], self.places[slot].array)
            else:
                self.values[slot] = self.tools.owned(feeds[name])

    def run(self, events: list[Event] | None = None) -> None:
        """Run the forward pass on what was fed; each call is noted in ``events`` if given."""
        calls = self.calls
        if events is not None:
            calls = noted(calls, "forward", events, self.tools)
        call_all(self.plan, calls, "forward")

    def droppable(self) -> dict[int, int]:
        """The slots that reverse reads but could have computed again, with their steps."""
        plan = self.plan
        renewed = {*plan.states.values(), *plan.renewed.values(), *plan.outputs.values()}
        found: dict[int, int] = {}
        read: set[int] = set()
        for index, step in enumerate(plan.steps):
            terms = self.terms.get(index)
            if terms is None:
                # what it saves may be a view of what it reads
                for slot in step.inputs if step.keep else ():
                    found.pop(slot, None)
                continue
            if step.keep:
                read.update(step.inputs[i] for i in terms.reads)
                read.update(step.outputs[i] for i in terms.keeps)
            # states are renewed before the reverse pass
            whole = len(step.outputs) == 1 and renewed.isdisjoint(step.inputs)
            if (whole or _is_partial(step, terms, 0)) and not self._is_frozen(step):
                found[step.outputs[0]] = index
        return {s: i for s, i in found.items() if s in read and s not in renewed}

    def reread(self, slot: int) -> list[int]:
        """The positions of the inputs from which a slot is computed again."""
        index, position = self.again[slot]
        step, terms = self.plan.steps[index], self.terms[index]
        partly = _is_partial(step, terms, position)
        positions = {*terms.reads, *terms.rereads} if partly else set(range(len(step.inputs)))
        return [i for i, given in enumerate(step.inputs) if i in positions and given != ABSENT]

    def locations(self) -> list[Location]:
        """Where the first output of each step lies."""
        found = []
        for step in self.plan.steps:
            place = self.places.get(step.outputs[0])
            if place is None:
                found.append(Location("its own", None))
            else:
                found.append(Location(place.layout, place.buffer.offset if place.buffer else None))
        return found

    def _places(self, leaves: Mapping[int, Any]) -> dict[int, Place]:
        """A place for each value that a placed kernel writes or reads, leaves in rows."""
        plan = self.plan
        specs = {plan.slots[value]: spec for value, spec in plan.specs.items()}
        places: dict[int, Place] = {
            slot: Place(specs[slot], ROWS, array=array) for slot, array in leaves.items()
        }
        for reading in (False, True):  # who writes decides, and else who reads first
            for index, step in enumerate(plan.steps):
                kernel = step.kernel
                if not isinstance(kernel, PlacedKernel):
                    continue
                if not reading:
                    self.terms[index] = kernel.terms.settled(_layout_of(kernel, step, places))
                terms = self.terms[index]
                slots = step.inputs if reading else step.outputs
                for slot, layout in zip(
                    slots, terms.inputs if reading else terms.outputs, strict=False
                ):
                    if slot != ABSENT and slot not in places:
                        places[slot] = Place(specs[slot], layout)
        return places

    def _find_frozen(self, leaves: Mapping[int, Any]) -> set[int]:
        """The slots that change only when leaves do, in a plan that changes none itself."""
        plan = self.plan
        if plan.training or any(step.keep for step in plan.steps):
            return set()
        frozen = {ABSENT, *leaves}
        for step in plan.steps:
            if frozen.issuperset(step.inputs):
                frozen.update(step.outputs)
        return frozen

    def _is_frozen(self, step: Step) -> bool:
        return self._frozen.issuperset(step.inputs) if self._frozen else False

    def _packs_frozen(self, step: Step) -> bool:
        kernel = step.kernel
        assert isinstance(kernel, PlacedKernel)
        packs = {step.inputs[position] for position in kernel.terms.packs}
        return bool(self._frozen) and self._frozen.issuperset(packs)

    def _computed_again(self) -> dict[int, tuple[int, int]]:
        """For each slot that need not be kept, its step and the position among the outputs."""
        plan = self.plan
        found: dict[int, tuple[int, int]] = {}
        for index, step in enumerate(plan.steps):
            if not isinstance(step.kernel, PlacedKernel):
                # what it saves may be a view of what it reads
                for slot in step.inputs if step.keep else ():
                    found.pop(slot, None)
                continue
            terms = self.terms[index]
            if terms.rereads:
                continue
            if step.keep and found.keys().isdisjoint(step.inputs[i] for i in terms.reads):
                found.update({step.outputs[i]: (index, i) for i in terms.again})
        for slot in (*plan.outputs.values(), *plan.renewed.values()):
            found.pop(slot, None)
        return found

    def _last_uses(self) -> dict[int, int]:
        """For each slot, the time after which nobody reads its place."""
        plan = self.plan
        end = len(plan.steps)
        last: dict[int, int] = {}

        def until(slot: int, time: int) -> None:
            last[slot] = max(last.get(slot, -1), time)

        for index, step in enumerate(plan.steps):
            reverse = 2 * end - index
            # what a kernel that is not placed saves may be a view of any of them
            reads: Sequence[int] = range(len(step.inputs))
            keeps: Sequence[int] = range(len(step.outputs))
            if isinstance(step.kernel, PlacedKernel):
                reads, keeps = self.terms[index].reads, self.terms[index].keeps
            for slots, again in ((step.inputs, reads), (step.outputs, keeps)):
                for position, slot in enumerate(slots):
                    kept = step.keep and position in again and slot not in self.again
                    until(slot, reverse if kept else index)
        for slot, (index, _) in self.again.items():
            for position in self.reread(slot):
                source = plan.steps[index].inputs[position]
                if source not in self.again:
                    until(source, 2 * end - index)
        for slot in (*plan.outputs.values(), *plan.renewed.values()):
            until(slot, end)
        return last

    def _place(self, place: Place, first_time: int, last_time: int) -> Place:
        """Give a place a buffer."""
        place.buffer = Buffer(known(place.spec.nbytes)[0], first_time, last_time)
        self._buffers.append(place.buffer)
        self._settled.append(place)
        return place

    def _bytes(self, count: int, first_time: int, last_time: int) -> Place:
        return self._place(Place(Spec((count,), "uint8"), ROWS), first_time, last_time)

    def _lay_out(self, index: int, step: Step) -> _Step:
        entry = _Step(index, step)
        kernel = step.kernel if isinstance(step.kernel, PlacedKernel) else None
        frozen = self._is_frozen(step)
        for position, slot in enumerate(step.outputs):
            place = self.places.get(slot)
            if place is None:
                continue
            if frozen:
                place.array = allocate(place.spec, place.layout, self.tools.xp)
            elif kernel is None or not self._over(index, step, position, place):
                self._place(place, index, self._last[slot])
        if kernel is None:
            return entry
        terms = self.terms[index]
        reverse = 2 * len(self.plan.steps) - index
        entry.outputs = [self.places[slot] for slot in step.outputs]
        layouts = (*terms.inputs, *[ROWS] * (len(step.inputs) - len(terms.inputs)))
        for position, (slot, layout) in enumerate(zip(step.inputs, layouts, strict=False)):
            place = None if slot == ABSENT else self.places[slot]
            if place is not None and not _same_memory(place, layout):
                again = step.keep and position in terms.reads
                copy = Place(place.spec, layout)
                if frozen:
                    copy.array = allocate(copy.spec, layout, self.tools.xp)
                else:
                    self._place(copy, index, reverse if again else index)
                entry.before.append((place, copy))
                place = copy
            entry.inputs.append(place)
        last_time = reverse if step.keep else index
        entry.extras = [self._place(Place(s, ROWS), index, last_time) for s in terms.extras]
        if terms.packed:
            if self._packs_frozen(step):
                entry.packed = Place(Spec((terms.packed,), "uint8"), ROWS)
                entry.packed.array = self.tools.new_block(terms.packed)
            else:
                entry.packed = self._bytes(terms.packed, index, index)
        if terms.forward_space:
            entry.space = self._bytes(terms.forward_space, index, index)
        return entry

    def _over(self, index: int, step: Step, position: int, place: Place) -> bool:
        """Let an output replace an input that nobody reads any more, where the kernel can."""
        assert isinstance(step.kernel, PlacedKernel)
        for output, source in step.kernel.terms.over:
            slot = step.inputs[source]
            old = self.places.get(slot)
            if (
                output == position
                and old is not None
                and old.buffer is not None
                and not any(self.places[s].buffer is old.buffer for s in step.outputs[:position])
                and self._last[slot] == index
                and old.layout == place.layout
                and old.spec == place.spec
            ):
                place.buffer = old.buffer
                place.buffer.last = self._last[step.outputs[position]]
                self._settled.append(place)
                return True
        return False

    def _free_call(self, entry: _Step) -> Call:
        """A call of a kernel that makes its own arrays."""
        step, index, values, saved = entry.step, entry.index, self.values, self.saved
        targets = [self.places.get(slot) for slot in step.outputs]
        tools = self.tools
        dead = [slot for slot in step.release if slot not in self.places]

        def call() -> None:
            results, kept = call_forward(step, [values[slot] for slot in step.inputs])
            for slot, target, array in zip(step.outputs, targets, results, strict=True):
                if target is None:
                    values[slot] = _detached(tools, array, self.block)
                else:
                    _write(tools, target, array)
            if step.keep:
                saved[index] = kept
            for slot in dead:
                values[slot] = None

        return call


class ReverseProgram:
    """The reverse pass of a program, from one output to some leaves.

    Args:
        program: whose forward pass comes first.
        reverse: the steps.
        leaves: arrays for the gradients of parameters by slot, which are overwritten.
        apart: whether what finds no room in the program's block gets a block of its own; else
            the program's grows, which must not be bound yet.

    Attributes:
        nbytes: the size of that block.
        gradients: an array per slot, as far as there is one.
    """

    def __init__(
        self, program: Program, reverse: Reverse, leaves: Mapping[int, Any], *, apart: bool = True
    ) -> None:
        self.program, self.reverse = program, reverse
        plan = program.plan
        self.gradients: list[Any] = [None] * plan.size
        self._owned = dict(leaves)
        self.places: dict[int, Place] = {}
        self._buffers: list[Buffer] = []
        self._settled: list[Place] = []
        self._end = 2 * len(plan.steps) + 1
        self._producer = {
            slot: index for index, step in enumerate(plan.steps) for slot in step.outputs
        }
        #: What was not kept and is computed again, by slot.
        self._revived: dict[int, Place] = {}
        self._last_read = self._last_reads()
        if self._is_placed(reverse.source):
            self._open(reverse.source, len(plan.steps))
        self.steps = [(back, self._lay_out(back)) for back in reverse.steps]
        #: For each step, the slots to whose gradients it is the first to contribute.
        self._opened: dict[int, set[int]] = {}
        seen = {reverse.source}
        for back in reverse.steps:
            needed = {s for s, need in zip(back.inputs, back.needs, strict=True) if need}
            self._opened[back.index] = needed - seen
            seen |= needed
        arena = program.arena.fork(apart=apart)
        self._edge = arena.nbytes
        arena.place(self._buffers)
        if not apart:
            program.nbytes = self._edge = arena.nbytes
        self.nbytes = arena.nbytes - self._edge
        self.block: Any = None
        self.annex: Any = None
        self.calls: list[tuple[int, Call]] = []

    def bind(self, annex: Any) -> None:
        """Bind all kernels to the block of the program and one more."""
        block = self.program.block
        self.block, self.annex = block, annex

        def at(offset: int, nbytes: int) -> Any:
            if offset < self._edge:
                return block[offset : offset + nbytes]
            return annex[offset - self._edge : offset - self._edge + nbytes]

        for place in self._settled:
            place.settle(at)
        tools = self.program.tools
        self.calls = []
        for back, entry in self.steps:
            if entry is None:
                self.calls.append((back.index, self._free_call(back)))
                continue
            kernel = entry.step.kernel
            assert isinstance(kernel, PlacedKernel)
            for other in entry.again:
                self.calls += [(other.index, call) for call in _again_calls(other, tools)]
            for source, target in entry.before:
                self.calls.append((back.index, tools.copied(source.array, target.array)))
            self.calls.append((back.index, kernel.bind_backward(entry.memory())))
            for source, target, adds in entry.after:
                call = tools.added if adds else tools.copied
                self.calls.append((back.index, call(source.array, target.array)))

    def unbind(self) -> None:
        """Let the blocks go."""
        self.block = self.annex = None
        self.calls = []
        for place in self._settled:
            place.array = None

    def run(self, seed: Any, events: list[Event] | None = None) -> None:
        """Run the reverse pass from the gradient of its output; see :meth:`Program.run`."""
        source = self.reverse.source
        self.gradients[:] = [None] * len(self.gradients)
        for slot, place in self.places.items():
            self.gradients[slot] = place.array
        if source in self.places:
            self.program.tools.copied(seed, self.places[source].array)()
        else:
            self.gradients[source] = seed
        calls = self.calls
        if events is not None:
            calls = noted(calls, "backward", events, self.program.tools)
        call_all(self.program.plan, calls, "reverse")

    def _last_reads(self) -> dict[int, int]:
        """When each slot that is computed again is read for the last time."""
        program = self.program
        steps = program.plan.steps
        last: dict[int, int] = {}
        revived: set[int] = set()

        def read(slot: int, time: int) -> None:
            last[slot] = time
            if slot in program.again and slot not in revived:
                revived.add(slot)
                index, _ = program.again[slot]
                for position in program.reread(slot):
                    read(steps[index].inputs[position], time)

        for back in self.reverse.steps:  # in the order of their times
            terms = program.terms.get(back.index)
            if terms is not None:
                step = steps[back.index]
                slots = {step.inputs[i] for i in terms.reads}
                for slot in slots | {step.outputs[i] for i in terms.keeps}:
                    read(slot, 2 * len(steps) - back.index)
        return last

    def _read(
        self,
        entry: _Step,
        slots: Sequence[int],
        places: Sequence[Place | None],
        positions: Sequence[int],
        time: int,
    ) -> list[Place | None]:
        """The places of what a step reads of the forward pass, some of it computed again."""
        found = list(places)
        for position in positions:
            slot, place = slots[position], places[position]
            # a copy in another layout was kept
            if slot in self.program.again and place is self.program.places[slot]:
                found[position] = self._revive(slot, time, entry.again)
        return found

    def _revive(self, slot: int, time: int, again: list[_Step]) -> Place:
        """Where a slot lies that is computed again, by steps that join ``again``."""
        if slot in self._revived:
            return self._revived[slot]
        program = self.program
        index, position = program.again[slot]
        forward, terms = program.steps[index], program.terms[index]
        kept = forward.step.keep
        entry = _Step(index, forward.step)
        entry.extras = forward.extras if kept else [self._temporary(e, time) for e in terms.extras]
        entry.inputs = [None] * len(forward.inputs)
        for source in program.reread(slot):
            given = forward.step.inputs[source]
            place = program.places[given]
            copied = forward.inputs[source]
            if copied is not place and source in terms.reads and kept:
                entry.inputs[source] = copied
                continue
            if given in program.again:
                place = self._revive(given, time, again)
            if copied is not program.places[given]:
                copy = self._temporary(place.spec, time, terms.inputs[source])
                entry.before.append((place, copy))
                place = copy
            entry.inputs[source] = place
        value = program.places[slot]
        own = Place(value.spec, value.layout)
        self._revived[slot] = self._place(own, time, self._last_read[slot])
        entry.outputs = [own if i == position else None for i in range(len(forward.outputs))]
        if not _is_partial(forward.step, terms, position):
            if terms.packed:
                entry.packed = self._bytes(terms.packed, time)
            if terms.forward_space:
                entry.space = self._bytes(terms.forward_space, time)
        again.append(entry)
        return own

    def _temporary(self, spec: Spec, time: int, layout: str = ROWS) -> Place:
        """A place for the time of one step."""
        return self._place(Place(spec, layout), time, time)

    def _bytes(self, count: int, time: int) -> Place:
        return self._temporary(Spec((count,), "uint8"), time)

    def _is_placed(self, slot: int) -> bool:
        return slot in self._owned or slot in self.program.places

    def _open(self, slot: int, time: int) -> Place:
        """A place for the gradient of a slot, to which the first contribution comes now."""
        value = self.program.places.get(slot)
        if slot in self._owned:
            array = self._owned[slot]
            place = Place(Spec(array.shape, array.dtype.name), ROWS, array=array)
        else:
            assert value is not None, "only what has a place gets here"
            place = Place(value.spec, value.layout)
            self._place(place, time, self._until(slot))
        self.places[slot] = place
        return place

    def _until(self, slot: int) -> int:
        """When the gradient of a slot is read for the last time."""
        if slot in self.reverse.shapes or slot not in self._producer:
            return self._end
        return 2 * len(self.program.plan.steps) - self._producer[slot]

    def _place(self, place: Place, first_time: int, last_time: int) -> Place:
        place.buffer = Buffer(known(place.spec.nbytes)[0], first_time, last_time)
        self._buffers.append(place.buffer)
        self._settled.append(place)
        return place

    def _lay_out(self, back: ReverseStep) -> _Step | None:
        program = self.program
        step = program.plan.steps[back.index]
        time = 2 * len(program.plan.steps) - back.index
        kernel = step.kernel
        if not isinstance(kernel, PlacedKernel):
            for slot, need in zip(back.inputs, back.needs, strict=True):
                if need and self._is_placed(slot) and slot not in self.places:
                    self._open(slot, time)
            return None
        forward = program.steps[back.index]
        terms = program.terms[back.index]
        entry = _Step(back.index, step, extras=forward.extras)
        entry.inputs = self._read(entry, step.inputs, forward.inputs, terms.reads, time)
        entry.outputs = self._read(entry, step.outputs, forward.outputs, terms.keeps, time)
        for slot, layout in zip(back.outputs, terms.outputs, strict=True):
            place = None if slot == ABSENT else self.places.get(slot)
            if place is not None and not _same_memory(place, layout):
                copy = self._temporary(place.spec, time, layout)
                entry.before.append((place, copy))
                place = copy
            entry.doutputs.append(place)
        layouts = (*terms.inputs, *[ROWS] * (len(back.inputs) - len(terms.inputs)))
        for position, (slot, need) in enumerate(zip(back.inputs, back.needs, strict=True)):
            if not need:
                entry.dinputs.append(None)
                continue
            layout = layouts[position]
            known_already = slot in self.places
            if not known_already and self._over(entry, position, slot, layout, terms.over_gradient):
                entry.dinputs.append(self.places[slot])
                continue
            total = self.places[slot] if known_already else self._open(slot, time)
            alone = back.inputs.count(slot) == 1
            if known_already and alone and position in terms.adds and total.layout == layout:
                entry.adds |= {position}
                entry.dinputs.append(total)
            elif known_already or not _same_memory(total, layout):
                own = self._temporary(total.spec, time, layout)
                entry.after.append((own, total, known_already))
                entry.dinputs.append(own)
            else:
                entry.dinputs.append(total)
        if terms.backward_space:
            entry.space = self._bytes(terms.backward_space, time)
        return entry

    def _over(
        self, entry: _Step, position: int, slot: int, layout: str, pairs: Iterable[tuple[int, int]]
    ) -> bool:
        """Let an input's gradient replace the output's, where the kernel can."""
        value = self.program.places[slot]
        if slot in self._owned or value.layout != layout:
            return False
        for source, output in pairs:
            old = entry.doutputs[output]
            if (
                source == position
                and old is not None
                and old.buffer is not None
                and not any(d is not None and d.buffer is old.buffer for d in entry.dinputs)
                and entry.step.outputs[output] not in self.reverse.shapes
                and old.layout == layout
                and old.spec == value.spec
            ):
                place = Place(value.spec, layout, old.buffer)
                old.buffer.last = self._until(slot)
                self._settled.append(place)
                self.places[slot] = place
                return True
        return False

    def _free_call(self, back: ReverseStep) -> Call:
        """A call of a kernel that makes its own arrays."""
        program, gradients, wanted = self.program, self.gradients, self.reverse.shapes
        step, saved = program.plan.steps[back.index], program.saved
        # the first to come replaces what lies there, all others are added
        opened = self._opened[back.index]
        sums: set[int] = set()
        tools = program.tools

        def call() -> None:
            results = call_backward(step, back, saved[back.index], gradients)
            saved[back.index] = None
            for slot in back.outputs:
                if slot not in wanted and slot not in self.places:
                    gradients[slot] = None
            fresh = set(opened)
            for position, (slot, gradient) in enumerate(zip(back.inputs, results, strict=True)):
                if not back.needs[position]:
                    continue
                place = self.places.get(slot)
                if place is not None or slot in wanted:
                    check_gradient(program.plan, step, position, gradient)
                if place is not None:
                    (tools.copied if slot in fresh else tools.added)(gradient, place.array)()
                    fresh.discard(slot)
                elif gradients[slot] is None:
                    gradients[slot] = _detached(tools, gradient, self.block, self.annex)
                elif slot in sums:
                    gradients[slot] += gradient
                else:
                    gradients[slot] = gradients[slot] + gradient

        return call


class Blocks:
    """The memory that the programs of one executor share.

    A block that is too small is replaced; programs are then bound anew when they run next.
    """

    def __init__(self, tools: Tools = HOST) -> None:
        self._new_block = tools.new_block
        self._main = self._annex = self._new_block(0)
        self._bound: list[Program | ReverseProgram] = []

    def attach(self, program: Program) -> None:
        """See that a program is bound to the block."""
        if len(self._main) < program.nbytes:
            self._unbind()
            self._main = self._new_block(0)  # the old one goes before the new one comes
            self._main = self._new_block(program.nbytes)
        if program.block is not self._main:
            program.bind(self._main)
            self._bound.append(program)

    def attach_reverse(self, reverse: ReverseProgram) -> None:
        """See that a reverse program is bound to the blocks; its program is so already."""
        if len(self._annex) < reverse.nbytes:
            for other in self._bound:
                if isinstance(other, ReverseProgram):
                    other.unbind()
            self._annex = self._new_block(0)
            self._annex = self._new_block(reverse.nbytes)
        if reverse.block is not self._main or reverse.annex is not self._annex:
            reverse.bind(self._annex)
            self._bound.append(reverse)

    def release(self) -> None:
        """Let both blocks go."""
        self._unbind()
        self._main = self._annex = self._new_block(0)

    def _unbind(self) -> None:
        for program in self._bound:
            program.unbind()
        self._bound = []


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


def _array(place: Place | None) -> Any:
    return None if place is None else place.array


def _is_partial(step: Step, terms: Terms, position: int) -> bool:
    """Whether a kernel computes an output again from what it saved, and not from all inputs."""
    return step.keep and position in terms.again


def _again_calls(entry: _Step, tools: Tools) -> list[Call]:
    """What computes an output of a step once more."""
    kernel = entry.step.kernel
    assert isinstance(kernel, PlacedKernel)
    calls = [tools.copied(source.array, target.array) for source, target in entry.before]
    memory = entry.memory()
    (position,) = (i for i, place in enumerate(entry.outputs) if place is not None)
    if _is_partial(entry.step, kernel.terms, position):
        return [*calls, kernel.bind_again(memory)]
    if entry.packed is not None:
        calls.append(kernel.bind_packed(memory))
    return [*calls, kernel.bind_forward(memory)]


def _layout_of(kernel: PlacedKernel, step: Step, places: Mapping[int, Place]) -> str:
    """The layout for :data:`SAME`: that of the first such input, so far as it is known."""
    for slot, layout in zip(step.inputs, kernel.terms.inputs, strict=False):
        if layout == SAME and slot in places and places[slot].spec.rank > 2:
            return places[slot].layout
    return ROWS


def _same_memory(place: Place, layout: str) -> bool:
    """Whether an array of this place serves as one of the layout."""
    if place.layout == layout or place.spec.rank < 3:
        return True
    _, channels, *spatial = known(*place.spec.shape)
    return channels == 1 or all(size == 1 for size in spatial)


def _detached(tools: Tools, array: Any, *blocks: Any) -> Any:
    """The array, or a copy if it may be a view of memory that others use later."""
    return array.copy() if any(tools.may_share(array, block) for block in blocks) else array


def _write(tools: Tools, place: Place, array: Any) -> None:
    received = Spec(array.shape, array.dtype.name)
    if received != place.spec:
        raise ContractError(f"inferred {show(place.spec)}, computed {show(received)}")
    tools.copied(array, place.array)()
