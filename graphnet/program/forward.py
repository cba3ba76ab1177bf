"""The forward pass of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from graphnet.debug import ContractError
from graphnet.explain import Event, Location
from graphnet.kernels.placed import ROWS, Call, PlacedKernel, Terms, allocate
from graphnet.kernels.tools import HOST, Tools
from graphnet.memory import Arena, Buffer
from graphnet.plan import ABSENT, Plan, Step
from graphnet.program.calls import call_all, noted
from graphnet.program.places import Entry, Place, detached, is_partial, layout_of, same_memory
from graphnet.run import call_forward
from ops.operator import Spec, known, show

__all__ = ["Program"]


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
        binding: another object each time the calls are bound.
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
        self.binding = object()
        self.calls: list[tuple[int, Call]] = []
        self.fixed: list[tuple[int, Call]] = []

    def bind(self, block: Any) -> None:
        """Bind all kernels to a block of at least :attr:`nbytes` bytes."""
        self.block, self.binding = block, object()
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
            if (whole or is_partial(step, terms, 0)) and not self._is_frozen(step):
                found[step.outputs[0]] = index
        return {s: i for s, i in found.items() if s in read and s not in renewed}

    def reread(self, slot: int) -> list[int]:
        """The positions of the inputs from which a slot is computed again."""
        index, position = self.again[slot]
        step, terms = self.plan.steps[index], self.terms[index]
        partly = is_partial(step, terms, position)
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
                    lying = [
                        places[slot].layout if slot in places else ROWS for slot in step.inputs
                    ]
                    layout = layout_of(kernel, step, places)
                    self.terms[index] = kernel.terms.settled(layout, lying)
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

    def _lay_out(self, index: int, step: Step) -> Entry:
        entry = Entry(index, step)
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
            if place is not None and not same_memory(place, layout):
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

    def _free_call(self, entry: Entry) -> Call:
        """A call of a kernel that makes its own arrays."""
        step, index, values, saved = entry.step, entry.index, self.values, self.saved
        targets = [self.places.get(slot) for slot in step.outputs]
        tools = self.tools
        dead = [slot for slot in step.release if slot not in self.places]

        def call() -> None:
            results, kept = call_forward(step, [values[slot] for slot in step.inputs])
            for slot, target, array in zip(step.outputs, targets, results, strict=True):
                if target is None:
                    values[slot] = detached(tools, array, self.block)
                else:
                    _write(tools, target, array)
            if step.keep:
                saved[index] = kept
            for slot in dead:
                values[slot] = None

        return call


def _write(tools: Tools, place: Place, array: Any) -> None:
    received = Spec(array.shape, array.dtype.name)
    if received != place.spec:
        raise ContractError(f"inferred {show(place.spec)}, computed {show(received)}")
    tools.copied(array, place.array)()
