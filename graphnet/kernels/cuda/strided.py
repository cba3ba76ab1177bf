"""Arrays of one shape whose strides differ, walked together: maps of them, and sums over axes.

An operand may be any view: transposed, cut out, mirrored, or broadcast by strides of 0.  So one
kernel copies, cuts, joins and spreads, and another one sums the gradients of what was spread.
The sources are written for the number of axes that are left where neighbours are joined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphnet.kernels.cuda.device import BLOCKS, LINE, WARP, Device, source, walked
from graphnet.kernels.cuda.kernel import DTYPES, UNITS
from graphnet.kernels.placed import Call, in_turn

__all__ = ["Strided", "index_source", "joined", "map_source", "steps_of", "sum_source"]

#: The least entries of a thread, and the most stretches, where a sum is cut into stretches.
LEAST, MOST = 32, 1024
#: A sum of finite entries that is finite itself.
_BOUNDED = (
    "total * factor > (double)FINITE && total * factor <= 1.7976931348623157e308"
    " ? (double)FINITE : total * factor"
)
#: Numbers of entries below that take 32 bits, which a card divides in a fraction of the time.
SMALL = 1 << 31


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
        then = _stored(result, adds)
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
        then = _stored(f"(float)({total})", adds)
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


def map_source(kinds: Mapping[str, str], kind: str, count: int, size: int, then: str) -> str:
    """The source of a kernel that walks over entries and stores one at ``target`` for each."""
    names = ("y", *kinds)
    given = "".join(f"const {kinds[name]}* {name}_begin, " for name in kinds)
    read = "".join(f"        {_read(name, kind)}\n" for name, kind in kinds.items())
    return (
        f"{index_source(size)}"
        f"KERNEL mapped({kind}* y_begin, {given}Int size, double number, "
        f"{_parameters('n', names, count)}) {{\n"
        "    float factor = (float)number;\n"
        "    for (Int at = FIRST; at < size; at += STRIDE) {\n"
        f"        Int {', '.join(f'{name}_at = 0' for name in names)};\n"
        f"{_decoded('at', 'n', names, count)}{read}"
        f"        {kind}* target = y_begin + y_at;\n"
        f"        {then}\n    }}\n}}\n"
    )


def sum_source(
    kinds: Mapping[str, str],
    kind: str,
    counts: tuple[int, int],
    size: int,
    result: str,
    then: str,
) -> str:
    """The source of sums: ``counts`` are those of the axes that stay and of those that go.

    A row is one stretch of the sum of one entry, for a thread or for a warp; ``then`` stores the
    ``total`` at ``target``.
    """
    names = ("y", *kinds)
    given = "".join(f"const {kinds[name]}* {name}_begin, " for name in kinds)
    read = "".join(f"        {_read(name, kind)}\n" for name, kind in kinds.items())
    stay, go = counts
    begin = "".join(
        f"const {kinds[name]}* {name}_row = {name}_begin + {name}_at; " for name in kinds
    )
    sizes = ", ".join(f"Int n{axis}" for axis in range(stay))
    steps = ", ".join(f"Int y_n{axis}" for axis in range(stay))
    return (
        f"{index_source(size)}"
        f"KERNEL sums({given}{kind}* y_begin, double* parts, Int kept, Int reduced, Int stretch, "
        f"Int rows, double factor, {_parameters('n', names, stay)}, "
        f"{_parameters('m', tuple(kinds), go)}) {{\n"
        "    ROW;\n"
        "    Int at = within ? row % kept : 0, first = row / kept * stretch;\n"
        "    Int end = first + stretch < reduced ? first + stretch : reduced;\n"
        f"    Int {', '.join(f'{name}_at = 0' for name in names)};\n"
        f"{_decoded('at', 'n', names, stay)}    {begin}\n"
        "    double total = 0;\n"
        "    for (Int entry = first + lane; within && entry < end; entry += LANES) {\n"
        f"        Int {', '.join(f'{name}_at = 0' for name in kinds)};\n"
        f"{_decoded('entry', 'm', tuple(kinds), go)}{read.replace('_begin', '_row')}"
        f"        total += (double)({result});\n"
        "    }\n"
        "    total = lanes_sum(total);\n"
        "    if (lane || !within) return;\n"
        "    if (parts) { parts[row] = total; return; }\n"
        f"    {kind}* target = y_begin + y_at;\n    {then}\n}}\n\n"
        f"KERNEL totals(const double* parts, {kind}* y_begin, Int rows, Int stretches, "
        f"double factor, {sizes}, {steps}) {{\n"
        "    ROW;\n    double total = 0;\n"
        "    for (Int part = lane; within && part < stretches; part += LANES)\n"
        "        total += parts[part * rows + row];\n"
        "    total = lanes_sum(total);\n    if (lane || !within) return;\n"
        f"    Int y_at = 0;\n{_decoded('row', 'n', ('y',), stay)}"
        f"    {kind}* target = y_begin + y_at;\n    {then}\n}}\n"
    )


def index_source(size: int) -> str:
    """What all sources have in common, and the type that counts entries."""
    kind = "unsigned" if size < SMALL else "Word"
    return f"{source()}\ntypedef {kind} Index;\n\n"


def _parameters(prefix: str, names: Sequence[str], count: int) -> str:
    """Parameters for sizes, and for strides of each name."""
    axes = [f"{prefix}{axis}" for axis in range(count)]
    return ", ".join(f"Int {given}" for given in
                     (*axes, *(f"{name}_{axis}" for name in names for axis in axes)))  # fmt: skip


def _decoded(at: str, prefix: str, names: Sequence[str], count: int) -> str:
    """Statements that move each name's place to the entry of a number in raster order."""
    lines = [f"    {{ Index rest = (Index){at}, i;\n"]
    for axis in reversed(range(count)):
        size = f"(Index){prefix}{axis}"
        cut = f"i = rest % {size}; rest /= {size};" if axis else "i = rest;"
        moves = " ".join(f"{name}_at += (Int)i * {name}_{prefix}{axis};" for name in names)
        lines.append(f"      {cut} {moves}\n")
    return "".join((*lines, "    }\n"))


def _read(name: str, kind: str) -> str:
    value = f"{name}_begin[{name}_at]"
    if kind in UNITS.values():
        return f"{kind} {name} = {value};"
    return f"float {name} = widened({value});"


def _stored(result: str, adds: bool) -> str:
    before = "widened(*target) + " if adds else ""
    return f"store(target, {before}({result}));"
