"""Tables of plain text, and numbers as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["human", "render_table"]

_PREFIXES = {-3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}
_NUMBER = re.compile(r"[-+]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+]?\d+)?\s?[%×/µ\w]*|-?inf|nan|[-–]?")
_UNBOUNDED = 100_000  # columns; rich asks for a width, and a table takes only what it needs


def human(n: float, unit: str = "") -> str:
    """A number with three or so digits and an SI prefix, in powers of 1000.

    Args:
        n: the number, in ``unit``; below 1 the prefixes m, µ and n are taken.
        unit: what is counted, such as ``"B"`` or ``"s"``.

    >>> human(1_234_567, "B"), human(3.4e6), human(512, "B"), human(0.00125, "s")
    ('1.2 MB', '3.4 M', '512 B', '1.2 ms')
    """
    if not math.isfinite(n):
        return f"{n} {unit}".rstrip()
    power = math.floor(math.log10(abs(n)) / 3) if n else 0
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    if abs(round(n / 1000.0**power, 1)) >= 1000 and power < max(_PREFIXES):
        power += 1  # 999,960 is 1.0 M and not 1000.0 k
    whole = power == 0 and float(n).is_integer()
    digits = f"{n:.0f}" if whole else f"{n / 1000.0**power:.1f}"
    return f"{digits} {_PREFIXES[power]}{unit}".rstrip()


def render_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: str = "",
    total_row: Sequence[Any] | None = None,
    width: int | None = None,
) -> str:
    """A table as plain text; columns of numbers are aligned to the right.

    Args:
        columns: the headings.
        rows: one entry per column; anything with a ``str``.
        title: a line above the table.
        total_row: one entry per column, below a line at the end.
        width: the characters a line may take, long entries are broken; as many as needed when None.

    Raises:
        ValueError: a row has more or fewer entries than there are columns.

    >>> print(render_table(("node", "FLOPs"), [("conv", "1.2 M"), ("relu", 900)]))
     node   FLOPs
    ──────────────
     conv   1.2 M
     relu     900
    """
    footers = [""] * len(columns) if total_row is None else total_row
    for row in (*rows, footers):
        if len(row) != len(columns):
            raise ValueError(
                f"expected {len(columns)} entries in a row, received {len(row)}: {row}"
            )
    table = Table(
        title=Text(title) if title else None,
        box=box.SIMPLE,
        show_edge=False,
        show_footer=total_row is not None,
    )
    for number, heading in enumerate(columns):
        entries = [str(row[number]).strip() for row in rows]
        numeric = any(entries) and all(map(_NUMBER.fullmatch, entries))
        table.add_column(
            Text(heading),
            footer=Text(str(footers[number])),
            justify="right" if numeric else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(str(entry)) for entry in row))  # Text: brackets are no markup
    out = StringIO()
    Console(file=out, width=width or _UNBOUNDED, color_system=None, force_terminal=False).print(
        table
    )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
