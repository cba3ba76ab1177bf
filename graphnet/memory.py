"""Lifetimes: between which steps of a plan each value is needed, and how much that takes.

>>> uses = last_uses([((1,), (2,)), ((2, 2), (3,)), ((2,), (4,))], keep={4})
>>> uses
[[1], [3], [2]]
>>> peak_bytes([((1,), (2,)), ((2, 2), (3,)), ((2,), (4,))], uses, {1: 8, 2: 4, 3: 4, 4: 4})
12
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

__all__ = ["last_uses", "peak_bytes"]

#: The slots a step reads and the slots it writes.
Access = tuple[Iterable[int], Iterable[int]]


def last_uses(steps: Sequence[Access], keep: AbstractSet[int]) -> list[list[int]]:
    """For each step, the slots whose value no later step reads.

    A value that nobody reads dies at the step that wrote it, like slot 3 in the example above.

    Args:
        steps: what each step reads and writes, in order.
        keep: slots that live on after the last step.
    """
    last: dict[int, int] = {}
    for index, (reads, writes) in enumerate(steps):
        for slot in (*writes, *reads):
            last[slot] = index
    dead: list[list[int]] = [[] for _ in steps]
    for slot, index in last.items():
        if slot not in keep:
            dead[index].append(slot)
    return dead


def peak_bytes(
    steps: Sequence[Access], dead: Sequence[Iterable[int]], nbytes: Mapping[int, int]
) -> int:
    """The most bytes alive at once when every value is released after its last use."""
    alive: set[int] = set()
    total = peak = 0
    for (reads, writes), gone in zip(steps, dead, strict=True):
        for slot in {*reads, *writes} - alive:
            alive.add(slot)
            total += nbytes.get(slot, 0)
        peak = max(peak, total)
        for slot in alive.intersection(gone):
            alive.remove(slot)
            total -= nbytes.get(slot, 0)
    return peak
