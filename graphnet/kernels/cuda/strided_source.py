"""The sources of kernels over views, for a number of axes and an expression of their entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphnet.kernels.cuda.device import source
from graphnet.kernels.cuda.kernel import UNITS

__all__ = ["index_source", "map_source", "stored", "sum_source"]

#: Numbers of entries below that take 32 bits, which a card divides in a fraction of the time.
SMALL = 1 << 31


def map_source(kinds: Mapping[str, str], kind: str, count: int, size: int, then: str) -> str:
    """The source of a kernel ``mapped``, which stores an entry for each that it walks over.

    Args:
        kinds: the operands by name, and the types of CUDA C that they have.
        kind: the type of the result.
        count: how many axes there are.
        size: how many entries.
        then: the statement that stores one at ``target``.
    """
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
    """The source of kernels ``sums``, over stretches, and ``totals`` of these stretches.

    A row is one stretch of the sum of one entry, for a thread or for a warp.

    Args:
        kinds: the operands by name, and the types of CUDA C that they have.
        kind: the type of the result.
        counts: how many axes stay, and how many are summed over.
        size: how many entries there are.
        result: the expression that is summed.
        then: the statement that stores the ``total`` at ``target``.
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


def stored(result: str, adds: bool) -> str:
    """The statement that stores an expression at ``target``, or adds it to what lies there."""
    before = "widened(*target) + " if adds else ""
    return f"store(target, {before}({result}));"
