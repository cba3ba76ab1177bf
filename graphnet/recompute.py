"""What to compute a second time in the reverse pass, so that it need not be kept from the first.

The steps of a plan are split into segments.  Of what a segment computes, only what others read is
kept; the reverse pass computes the rest again, one segment at a time.  More segments keep more
values and revive fewer at once.

Source: Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphnet.plan import Plan
from ops.operator import known

__all__ = ["Scheme", "schemes"]

#: Into how many segments a plan is split.
SEGMENTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)
#: FLOPs for a byte up to which a value counts as cheap: normalization and pooling, no products.
CHEAP = 8


@dataclass(frozen=True)
class Scheme:
    """Values that are computed again.

    Attributes:
        slots: of these values.
        flops: how many operations that takes.
    """

    slots: frozenset[int]
    flops: int


def schemes(plan: Plan, droppable: Mapping[int, int]) -> list[Scheme]:
    """Ways to keep less, the fewest operations first.

    Args:
        plan: whose values are meant.
        droppable: the values that can be computed again, each with its step.
    """
    specs = {plan.slots[value]: spec for value, spec in plan.specs.items()}
    nbytes = {slot: known(specs[slot].nbytes)[0] for slot in droppable}
    flops = {slot: plan.flops(plan.steps[index].node) for slot, index in droppable.items()}
    cheap = {slot for slot in droppable if flops[slot] <= CHEAP * nbytes[slot]}
    found = set()
    for part in _splits(plan, droppable, nbytes):
        for slots in (part, part & cheap):
            found.add(Scheme(frozenset(slots), sum(flops[slot] for slot in slots)))
    return sorted(found, key=lambda scheme: (scheme.flops, len(scheme.slots)))


def _splits(
    plan: Plan, droppable: Mapping[int, int], nbytes: Mapping[int, int]
) -> Iterator[set[int]]:
    """For each number of segments, the values that none but their own segment reads."""
    readers: dict[int, list[int]] = {slot: [index] for slot, index in droppable.items()}
    for index, step in enumerate(plan.steps):
        for slot in step.inputs:
            if slot in readers:
                readers[slot].append(index)
    total = sum(nbytes.values())
    for count in SEGMENTS:
        segment, before = [], 0
        for step in plan.steps:
            segment.append(min(count - 1, before * count // max(total, 1)))
            before += sum(nbytes.get(slot, 0) for slot in step.outputs)
        # the reverse pass begins with the last one, for which nothing would be gained
        yield {
            slot
            for slot, indices in readers.items()
            if len({segment[i] for i in indices}) == 1 and segment[indices[0]] < count - 1
        }
