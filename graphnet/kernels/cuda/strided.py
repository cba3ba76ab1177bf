"""Arrays of one shape whose strides differ, walked together: maps of them, and sums over axes.

An operand may be any view: transposed, cut out, mirrored, or broadcast by strides of 0.  So one
kernel copies, cuts, joins and spreads, and another one sums the gradients of what was spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphnet.kernels.cuda.device import BLOCKS, LINE, WARP, Device, walked
from graphnet.kernels.cuda.kernel import DTYPES, UNITS
from graphnet.kernels.cuda.strided_source import map_source, stored, sum_source
from graphnet.kernels.placed import Call, in_turn

__all__ = ["Strided", "joined", "steps_of"]

#: The least entries of a thread, and the most stretches, where a sum is cut into stretches.
LEAST, MOST = 32, 1024
#: A sum of finite entries that is finite itself.
_BOUNDED = (
    "total * factor > (double)FINITE && total * factor <= 1.7976931348623157e308"
    " ? (double)FINITE : total * factor"
)


@dataclass(frozen=True)
class Axes:
    """Sizes of axes, and for each array its strides along them, in entries."""

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.sizes)

    @property
    def numbers(self) -> tuple[int, ...]:
        """All of them, as kernels take them."""
        return (*self.sizes, *(step for strides in self.strides for step in strides))


def joined(shape: Sequence[int], *strides: Sequence[int]) -> Axes:
    """As few axes as possible, the first array walked over in the order of its memory.

    Axes of size 1 go, and neighbours become one where every array allows it; then axes of size 1
    are put in front, so that their number is a power of two and sources are few.

    >>> joined((4, 1, 6), (6, 6, 1), (12, 0, 2))
    Axes(sizes=(24,), strides=((1,), (2,)))
    """
    order = [axis for axis, n in enumerate(shape) if n != 1]
    order.sort(key=lambda axis: -abs(strides[0][axis]))
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for axis in order:
        steps = [each[axis] for each in strides]
        if sizes and all(
            own[-1] == step * shape[axis] for own, step in zip(kept, steps, strict=True)
        ):
            sizes[-1] *= shape[axis]
            for own, step in zip(kept, steps, strict=True):
                own[-1] = step
            continue
        sizes.append(shape[axis])
        for own, step in zip(kept, steps, strict=True):
            own.append(step)
    padding = (1 << max(0, len(sizes) - 1).bit_length()) - len(sizes)
    return Axes((*[1] * padding, *sizes), tuple((*[0] * padding, *own) for own in kept))


@dataclass(frozen=True)
class Strided:
    """Kernels over views of arrays on a device.

    Args:
        device: that holds them.
        dtype: of arrays that are not float32, if there are such.
    """

    device: Device
    dtype: str

    def copied(self, x: Any, y: Any) -> Call:
        """``y[...] = x`` for views of one shape and any one dtype, to be called."""
        kind = UNITS[x.dtype.itemsize]
        axes = joined(y.shape, steps_of(y), steps_of(x))
        text = map_source({"x": kind}, kind, len(axes.sizes), axes.size, "*target = x;")
        return self._walked(text, axes, (y, x), 0.0)

    def mapped(
        self,
        result: str,
        y: Any,
        operands: Mapping[str, Any] | None = None,
        *,
        factor: float = 1.0,
        adds: bool = False,
    ) -> Call:
        """``y = result``, or ``y += result``, entry by entry; to be called.

        Args:
            result: an expression of CUDA C in the names of the operands, and in ``factor``.
            y: a view, in which each entry has a place of its own.
            operands: views that broadcast to the shape of y.
            factor: a number.
            adds: whether the result is added to what lies there.
        """
        given = self._spread(operands or {}, y.shape)
        axes = joined(y.shape, steps_of(y), *map(steps_of, given.values()))
        kinds = {name: self._type(x) for name, x in given.items()}
        then = stored(result, adds)
        text = map_source(kinds, self._type(y), len(axes.sizes), axes.size, then)
        return self._walked(text, axes, (y, *given.values()), float(factor))

    def sum_bytes(self, shape: Sequence[int], reduced: Sequence[int]) -> int:
        """Bytes of temporary memory for :meth:`summed` over these axes of a shape."""
        count = math.prod(shape[axis] for axis in reduced)
        kept = math.prod(shape) // count
        return 8 * kept * max(self._stretches(kept, count, lanes) for lanes in (1, WARP))

    def summed(
        self,
        result: str,
        y: Any,
        operands: Mapping[str, Any],
        space: Any,
        *,
        factor: float = 1.0,
        adds: bool = False,
        bounded: bool = False,
    ) -> Call:
        """``y = factor * sum(result)``, in double and in a fixed order; to be called.

        Args:
            result: an expression of CUDA C in the names of the operands.
            y: a view of which those axes have size 1 over which is summed.
            operands: views of one shape, or that broadcast to that of the first.
            space: temporary memory, of at least :meth:`sum_bytes`.
            factor: a number.
            adds: whether the sum is added to what lies there.
            bounded: whether a sum of finite entries is at most the largest finite number.
        """
        shape = next(iter(operands.values())).shape
        given = self._spread(operands, shape)
        reduced = [axis for axis, n in enumerate(shape) if y.shape[axis] != n]
        kept = [axis for axis in range(len(shape)) if axis not in reduced]
        steps = [steps_of(x) for x in given.values()]
        own = steps_of(y)
        outer = joined(
            [shape[a] for a in kept], [own[a] for a in kept], *([s[a] for a in kept] for s in steps)
        )
        inner = joined([shape[a] for a in reduced], *([s[a] for a in reduced] for s in steps))
        # threads that are neighbours read neighbours
        nearest = min((abs(steps[0][a]) for a in reduced if steps[0][a]), default=0)
        other = min((abs(steps[0][a]) for a in kept if steps[0][a] and shape[a] > 1), default=0)
        together = inner.size >= WARP and (not other or nearest < other)
        lanes = WARP if together else 1
        stretches = self._stretches(outer.size, inner.size, lanes)
        stretch = -(-inner.size // stretches)
        parts = None if stretches == 1 else space[: 8 * outer.size * stretches].view("float64")
        kinds = {name: self._type(x) for name, x in given.items()}
        counts = len(outer.sizes), len(inner.sizes)
        total = _BOUNDED if bounded else "total * factor"
        then = stored(f"(float)({total})", adds)
        text = sum_source(kinds, self._type(y), counts, outer.size * inner.size, result, then)
        tasks = outer.size * stretches
        first = self._bound(
            text, "sums", tasks * lanes, lanes,
            *given.values(), y, parts, outer.size, inner.size, stretch, tasks, float(factor),
            *outer.numbers, *inner.numbers,
        )  # fmt: skip
        if parts is None:
            return first
        ends = self._bound(
            text, "totals", outer.size * WARP, WARP,
            parts, y, outer.size, stretches, float(factor), *outer.sizes, *outer.strides[0],
        )  # fmt: skip
        return in_turn(first, ends)

    def _stretches(self, kept: int, count: int, lanes: int) -> int:
        """Into how many parts sums of so many entries are cut, to keep the card busy."""
        wanted = BLOCKS * LINE * self.device.processors // (kept * lanes)
        parts = max(1, min(wanted, count // (LEAST * lanes), MOST))
        stretch = -(-count // parts)
        return -(-count // stretch)

    def _spread(self, operands: Mapping[str, Any], shape: Sequence[int]) -> dict[str, Any]:
        """Views of one shape, with strides of 0 where an operand is read again and again."""
        return {name: self.device.xp.broadcast_to(x, shape) for name, x in operands.items()}

    def _type(self, x: Any) -> str:
        return {"float32": "float", "bool": "UInt8"}.get(x.dtype.name, "T")

    def _walked(self, text: str, axes: Axes, arrays: tuple[Any, ...], factor: float) -> Call:
        options, arguments = DTYPES.get(self.dtype, ()), (axes.size, factor, *axes.numbers)
        return walked(self.device, text, "mapped", options, axes.size, *arrays, *arguments)

    def _bound(self, text: str, name: str, threads: int, lanes: int, *arguments: Any) -> Call:
        options = (*DTYPES.get(self.dtype, ()), f"-DLANES={lanes}")
        launch = self.device.function(text, name, options)
        return partial(launch, (-(-threads // LINE),), (LINE,), arguments)


def steps_of(x: Any) -> tuple[int, ...]:
    """The strides of a view in entries."""
    return tuple(step // x.dtype.itemsize for step in x.strides)
