"""Lifetimes: between which steps of a plan each value is needed, and where it lies meanwhile.

>>> uses = last_uses([((1,), (2,)), ((2, 2), (3,)), ((2,), (4,))], keep={4})
>>> uses
[[1], [3], [2]]
>>> peak_bytes([((1,), (2,)), ((2, 2), (3,)), ((2,), (4,))], uses, {1: 8, 2: 4, 3: 4, 4: 4})
12
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

__all__ = ["ALIGNMENT", "Arena", "Buffer", "last_uses", "peak_bytes"]

#: The slots a step reads and the slots it writes.
Access = tuple[Iterable[int], Iterable[int]]

#: Buffers begin at multiples of this many bytes: a line of the cache, and a vector register.
ALIGNMENT = 64


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


@dataclass(eq=False)
class Buffer:
    """Bytes that are needed from one time to another, both included.

    Attributes:
        offset: where it begins in the block, once an :class:`Arena` has placed it.
    """

    nbytes: int
    first: int
    last: int
    offset: int = -1


class Arena:
    """Finds room for buffers in one block of memory, in the order of their times.

    A buffer takes the smallest hole that fits it, or else the end of the block.  Two buffers
    share bytes only if one is needed no more when the other's time begins.

    >>> a, b, c = Buffer(64, 0, 1), Buffer(128, 1, 3), Buffer(64, 2, 3)
    >>> arena = Arena()
    >>> arena.place([a, b, c])
    >>> (a.offset, b.offset, c.offset), arena.nbytes
    ((0, 64, 0), 192)
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._holes: list[tuple[int, int]] = []  # (begin, end), in order and apart
        self._taken: list[tuple[int, int, int]] = []  # (last, begin, end), a heap

    def fork(self, *, apart: bool) -> Arena:
        """An arena that goes on from here by itself.

        Args:
            apart: whether what it adds at the end may be another block of memory: no buffer then
                lies partly there.
        """
        other = Arena()
        other.nbytes = self.nbytes + ALIGNMENT * apart
        other._holes, other._taken = list(self._holes), list(self._taken)
        return other

    def place(self, buffers: Iterable[Buffer]) -> None:
        """Set the offsets of buffers, none of which begins ahead of one placed earlier."""
        for buffer in sorted(buffers, key=lambda b: (b.first, -b.last, -b.nbytes)):
            while self._taken and self._taken[0][0] < buffer.first:
                _, begin, end = heapq.heappop(self._taken)
                self._free(begin, end)
            size = max(1, -(-buffer.nbytes // ALIGNMENT)) * ALIGNMENT
            buffer.offset = self._take(size)
            heapq.heappush(self._taken, (buffer.last, buffer.offset, buffer.offset + size))

    def _take(self, size: int) -> int:
        fitting = [(end - begin, begin) for begin, end in self._holes if end - begin >= size]
        if fitting:
            room, begin = min(fitting)
            index = bisect.bisect_left(self._holes, (begin,))
            self._holes[index : index + 1] = [(begin + size, begin + room)] if room > size else []
            return begin
        begin = self.nbytes
        if self._holes and self._holes[-1][1] == begin:  # the hole at the end grows
            begin, _ = self._holes.pop()
        self.nbytes = begin + size
        return begin

    def _free(self, begin: int, end: int) -> None:
        index = bisect.bisect_left(self._holes, (begin,))
        if index < len(self._holes) and self._holes[index][0] == end:
            end = self._holes.pop(index)[1]
        if index and self._holes[index - 1][1] == begin:
            begin = self._holes.pop(index - 1)[0]
            index -= 1
        self._holes.insert(index, (begin, end))
