"""Writes ``operator-reference.md``: every public operator, from its docstring and signature.

Run as ``python -m docs.operator_reference``.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings

import ops
from graphnet.testing import Case
from graphnet.testing.records import RECORDS
from ops.operator import Operator, learned_inputs

TARGET = Path(__file__).with_name("operator-reference.md")
SECTIONS = ("Shapes", "Args", "Raises")


def reference() -> str:
    """The whole page as Markdown."""
    families: dict[str, list[type[Operator]]] = {}
    for name in ops.__all__:
        cls = getattr(ops, name)
        if inspect.isclass(cls) and issubclass(cls, Operator) and cls is not Operator:
            families.setdefault(cls.__module__, []).append(cls)
    lines = [
        "# Operator reference",
        "",
        "Every operator of `ops`, by family. This page is written by",
        "`python -m docs.operator_reference` from the docstrings, whose examples run in the tests.",
        "`N` is the batch. Fields after `*` are given by name. A learned input is created where",
        "the caller gives none. [How operators are proven](proof.md) tells what each has passed.",
        "",
        "```python",
        ">>> from ops import *",
        "",
        "```",
        "",
    ]
    for module, members in sorted(families.items()):
        links = ", ".join(f"[{cls.__name__}](#{cls.__name__.lower()})" for cls in members)
        lines.append(f"- `{module}`: {links}")
    for module, members in sorted(families.items()):
        title = (inspect.getdoc(sys.modules[module]) or "").splitlines()[0].rstrip(".")
        lines += ["", f"## {title}", "", f"`{module}`"]
        for cls in members:
            lines += ["", f"### {cls.__name__}", "", *entry(cls)]
    return "\n".join(lines) + "\n"


def entry(cls: type[Operator]) -> Iterator[str]:
    """The lines of one operator below its heading."""
    yield f"`{call(cls)}`"
    yield ""
    yield f"Inputs: {inputs(cls)}."
    yield ""
    text, example = split_example(inspect.getdoc(cls) or "")
    yield from markdown(text)
    yield ""
    yield "```python"
    yield from example
    yield ""
    yield "```"


def call(cls: type[Operator]) -> str:
    """How the operator is constructed: ``Conv(filters, kernel_size, *, stride=1)``."""
    parts, named = [], False
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        if f.kw_only and not named:
            parts.append("*")
            named = True
        default = f.default is not dataclasses.MISSING
        parts.append(f"{f.name}={f.default!r}" if default else f.name)
    return f"{cls.__name__}({', '.join(parts)})"


def inputs(cls: type[Operator]) -> str:
    """The inputs with what is special about each."""
    signature = cls.signature()
    parameters, states = declared(cls)
    described = []
    for name in signature.names:
        notes = ["learned"] if name in parameters else ["renewed"] if name in states else []
        notes += ["optional"] if name in signature.optional else []
        described.append(f"`{name}`" + (f" ({', '.join(notes)})" if notes else ""))
    if signature.variadic:
        described.append(f"`*{signature.variadic}` (any number)")
    return ", ".join(described)


def declared(cls: type[Operator]) -> tuple[set[str], set[str]]:
    """The inputs that the operator learns, and those it renews, whatever its fields."""
    record = next(record for record in RECORDS if record.operator is cls)
    parameters: set[str] = set()
    states: set[str] = set()

    @settings(max_examples=30, derandomize=True, database=None, deadline=None)
    @given(record.cases)
    def collect(case: Case) -> None:
        data = case.specs[: len(cls.signature().data)]
        learned, renewed = learned_inputs(case.operator, data)
        parameters.update(learned)
        states.update(renewed)

    if cls.signature().data:
        collect()
    return parameters, states


def split_example(text: str) -> tuple[str, list[str]]:
    """A docstring without its example, and the lines of the example."""
    start = text.index(">>>")
    return text[:start].rstrip(), text[start:].rstrip().splitlines()


def markdown(text: str) -> Iterator[str]:
    """A docstring's prose and sections as Markdown."""
    roles = r":(?:class|func|meth|mod):`[~.]?(?:ops\.)?(?:operator\.)?([^`]+)`"
    text = re.sub(roles, r"`\1`", text)
    text = re.sub(r"::$", ":", text.replace("``", "`"), flags=re.MULTILINE)
    section = None
    for line in text.splitlines():
        name = line.rstrip(":")
        if name in SECTIONS and line.endswith(":"):
            section = name
            yield f"**{name}**"
            yield ""
        elif section and line.startswith("    "):
            inner = line[4:]
            if inner.startswith(("- ", " ")):
                yield inner if inner.startswith("- ") else f"  {inner.strip()}"
            else:
                yield re.sub(r"^([\w, *]+):", r"- `\1`:", inner)
        else:
            section = None if line.strip() else section
            yield line


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
