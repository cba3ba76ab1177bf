"""Writes the list of operators in ``onnx.md`` from the table by which they are read and written.

Run as ``python -m docs.onnx_operators``.
"""

from __future__ import annotations

from pathlib import Path

from graphnet.onnx.rules import READERS, TABLE, WRITERS
from graphnet.onnx.rules.control import refuse_random

TARGET = Path(__file__).with_name("onnx.md")
BEGIN, END = "<!-- operators -->", "<!-- /operators -->"


def operators() -> str:
    """The two lists as Markdown."""
    lines = ["| ONNX | ours | written from opset |", "|---|---|---:|"]
    for domain, name in sorted(READERS):
        if READERS[domain, name].read is refuse_random:
            continue
        rules = [rule for rule in TABLE if (rule.domain, rule.name) == (domain, name)]
        written = [rule for rule in rules if rule.write is not None and rule.operator is not None]
        ours = ", ".join(f"`{rule.operator.__name__}`" for rule in written if rule.operator)
        since = ", ".join(
            f"{max(rule.since, 13)}{' (else a function)' if rule.older else ''}"
            for rule in written[:1]
        )
        lines.append(f"| `{name}` | {ours or 'several, or none'} | {since or 'not written'} |")
    alone = sorted(cls.__name__ for cls, rule in WRITERS.items() if rule.read is None)
    lines += [
        "",
        "Written as functions, for the standard has no operator of the same meaning: "
        + ", ".join(f"`{name}`" for name in alone)
        + ".",
    ]
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the lists as they are now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{operators()}\n{END}{tail}"


if __name__ == "__main__":
    TARGET.write_text(page(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
