"""A chain of formulas, run block by block, so that what lies between stays in the first cache.

Each formula is compiled once, as a loop over some entries, and kept on disk; a chain is then a
list of the addresses of loops and of what they read and write.  No chain is compiled.
"""

from __future__ import annotations

import functools
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, prange, types
from numba.extending import intrinsic

from graphnet.kernels.compiled import activations, elementary, entries, exponential
from graphnet.kernels.compiled.elementwise import flat
from graphnet.kernels.compiled.exponential import ENTRYWISE
from graphnet.kernels.compiled.formulas import Entry
from graphnet.kernels.compiled.vector import OPTIONS
from graphnet.kernels.placed import Call, in_turn

__all__ = ["BLOCK", "Tape"]

#: Entries of a block.
BLOCK = 1024
#: Entries from which several threads share the work.
LARGE = 1 << 14
BYTES = 4
_WRITTEN_IN = (exponential, elementary, entries, activations)

_Numbers = types.CPointer(types.float32)
_LOOP = types.void(_Numbers, _Numbers, _Numbers, _Numbers, types.intp, types.float32, types.float32)


@functools.cache
def _stamp() -> int:
    """Of the files from which formulas are compiled: other text gives another number."""
    texts = (Path(str(module.__file__)).read_bytes() for module in _WRITTEN_IN)
    return zlib.crc32(b"".join(texts))


@functools.cache
def _compiled(formula: Entry) -> Any:
    """A formula as a loop ``(x, y, z, out, count, p, q)``, compiled."""
    stamp = _stamp()

    def loop(x, y, z, out, count, p, q):
        # numba keeps a loop under what it encloses, and would know of changes in this file alone
        stamp  # noqa: B018
        first, second, third = carray(x, count), carray(y, count), carray(z, count)
        result = carray(out, count)
        for i in range(count):
            result[i] = formula(first[i], second[i], third[i], p, q)

    options = {key: value for key, value in ENTRYWISE.items() if key != "nogil"}
    return cfunc(_LOOP, **options)(loop)


class Tape:
    """Formulas in order, and what each of them reads and writes.

    Operands are known by numbers that :meth:`array`, :meth:`room` and :meth:`constant` give.

    Args:
        size: the entries of every array.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        # address or offset, bytes from one entry to the next, whether it is a room
        self._places: list[tuple[int, int, bool]] = []
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._rooms = 0
        self._steps: list[tuple[Entry, tuple[int, ...], int, tuple[float, float]]] = []
        self._holds: list[Any] = []

    def array(self, array: Any) -> int:
        """The number of an array."""
        entries = flat(array)
        self._holds.append(entries)
        return self._number(("array", entries.ctypes.data), (entries.ctypes.data, BYTES, False))

    def constant(self, value: float) -> int:
        """The number of one value for all entries."""
        if ("constant", value) not in self._numbers:
            block = np.full(BLOCK, value, "float32")
            self._holds.append(block)
            self._number(("constant", value), (block.ctypes.data, 0, False))
        return self._numbers["constant", value]

    def room(self) -> int:
        """The number of a new room for one block, of which each thread has its own."""
        offset = self._rooms * BLOCK * BYTES
        self._rooms += 1
        return self._number(("room", offset), (offset, 0, True))

    def append(
        self,
        formula: Entry,
        operands: tuple[int, ...],
        out: int | None = None,
        numbers: tuple[float, float] = (0.0, 0.0),
    ) -> int:
        """Let a formula follow.

        Returns:
            The number of its result: that of ``out``, or of a new room.
        """
        # loops are vectors where what is written is not what is read
        target = self.room() if out is None or out in operands else out
        self._steps.append((formula, operands, target, numbers))
        if out is not None and out != target:
            target = self.append(entries.copied, (target,), out)
        return target

    def bound(self, threads: int) -> Call:
        """What runs the tape, once arrays are where they stay."""
        places = np.array(self._places, "int64").reshape(-1, 3)
        rows, numbers = [], []
        for formula, operands, target, own in self._steps:
            x, y, z = (*operands, *operands[:1], *operands[:1])[:3]
            rows.append((_compiled(formula).address, x, y, z, target))
            numbers.append(own)
        steps = np.array(rows, "int64").reshape(-1, 5)
        values = np.array(numbers, "float32").reshape(-1, 2)
        tables = steps, values, places, self._rooms
        if self._size < LARGE or threads == 1:
            call = partial(_walk, *tables, 0, self._size)
        else:
            call = partial(_walk_all, *tables, self._size, threads)
        return in_turn(call, holds=self._holds)

    def _number(self, key: tuple[Any, ...], place: tuple[int, int, bool]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self._places)
            self._places.append(place)
        return self._numbers[key]


@intrinsic
def _call(
    typing: Any, loop: Any, x: Any, y: Any, z: Any, out: Any, count: Any, p: Any, q: Any
) -> Any:
    """Call a compiled loop at its address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word, number = ir.IntType(64), ir.FloatType()
        kind = ir.FunctionType(ir.VoidType(), [word] * 5 + [number] * 2)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    words = (types.intp,) * 6
    return types.void(*words, types.float32, types.float32), generate


@njit(**OPTIONS)
def _walk(steps, numbers, places, rooms, begin, end):
    room = np.empty(rooms * BLOCK, np.float32)
    own = room.ctypes.data
    for start in range(begin, end, BLOCK):
        count = min(BLOCK, end - start)
        for s in range(steps.shape[0]):
            _call(
                steps[s, 0],
                _address(places, steps[s, 1], own, start),
                _address(places, steps[s, 2], own, start),
                _address(places, steps[s, 3], own, start),
                _address(places, steps[s, 4], own, start),
                count,
                numbers[s, 0],
                numbers[s, 1],
            )
    # an array lives till it is named last; what is returned is false
    return room.size < 0


@njit(forceinline=True, **OPTIONS)
def _address(places, number, own, start):
    return places[number, 0] + places[number, 1] * start + places[number, 2] * own


@njit(parallel=True, **OPTIONS)
def _walk_all(steps, numbers, places, rooms, size, threads):
    blocks = (size + BLOCK - 1) // BLOCK
    for thread in prange(threads):
        begin = blocks * thread // threads * BLOCK
        end = min(size, blocks * (thread + 1) // threads * BLOCK)
        _walk(steps, numbers, places, rooms, begin, end)
