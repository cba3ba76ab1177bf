"""The reverse pass of a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphnet.debug import check_gradient
from graphnet.explain import Event
from graphnet.kernels.placed import ROWS, Call, PlacedKernel
from graphnet.kernels.tools import Tools
from graphnet.memory import Buffer
from graphnet.plan import ABSENT, Reverse, ReverseStep
from graphnet.program.calls import call_all, noted
from graphnet.program.forward import Program
from graphnet.program.places import Entry, Place, detached, is_partial, same_memory
from graphnet.run import call_backward
from ops.operator import Spec, known

__all__ = ["ReverseProgram"]


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
        binding: another object each time the calls are bound.
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
        self.binding = object()
        self.calls: list[tuple[int, Call]] = []

    def bind(self, annex: Any) -> None:
        """Bind all kernels to the block of the program and one more."""
        block = self.program.block
        self.block, self.annex, self.binding = block, annex, object()

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
                self.calls += [(other.index, call) for call in again_calls(other, tools)]
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
        entry: Entry,
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

    def _revive(self, slot: int, time: int, again: list[Entry]) -> Place:
        """Where a slot lies that is computed again, by steps that join ``again``."""
        if slot in self._revived:
            return self._revived[slot]
        program = self.program
        index, position = program.again[slot]
        forward, terms = program.steps[index], program.terms[index]
        kept = forward.step.keep
        entry = Entry(index, forward.step)
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
        space = terms.again_space
        if not is_partial(forward.step, terms, position):
            space = terms.forward_space
            if terms.packed:
                entry.packed = self._bytes(terms.packed, time)
        if space:
            entry.space = self._bytes(space, time)
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

    def _lay_out(self, back: ReverseStep) -> Entry | None:
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
        entry = Entry(back.index, step, extras=forward.extras)
        entry.inputs = self._read(entry, step.inputs, forward.inputs, terms.reads, time)
        entry.outputs = self._read(entry, step.outputs, forward.outputs, terms.keeps, time)
        for slot, layout in zip(back.outputs, terms.outputs, strict=True):
            place = None if slot == ABSENT else self.places.get(slot)
            if place is not None and not same_memory(place, layout):
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
            elif known_already or not same_memory(total, layout):
                own = self._temporary(total.spec, time, layout)
                entry.after.append((own, total, known_already))
                entry.dinputs.append(own)
            else:
                entry.dinputs.append(total)
        if terms.backward_space:
            entry.space = self._bytes(terms.backward_space, time)
        return entry

    def _over(
        self, entry: Entry, position: int, slot: int, layout: str, pairs: Iterable[tuple[int, int]]
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
                    gradients[slot] = detached(tools, gradient, self.block, self.annex)
                else:
                    gradients[slot] = gradients[slot] + gradient

        return call


def again_calls(entry: Entry, tools: Tools) -> list[Call]:
    """What computes an output of a step once more."""
    kernel = entry.step.kernel
    assert isinstance(kernel, PlacedKernel)
    calls = [tools.copied(source.array, target.array) for source, target in entry.before]
    memory = entry.memory()
    (position,) = (i for i, place in enumerate(entry.outputs) if place is not None)
    if is_partial(entry.step, kernel.terms, position):
        return [*calls, kernel.bind_again(memory)]
    if entry.packed is not None:
        calls.append(kernel.bind_packed(memory))
    return [*calls, kernel.bind_forward(memory)]
