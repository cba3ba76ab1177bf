"""The committed list of what CuPy offers is the one that the installed CuPy gives.

Written anew, where CuPy is installed (a GPU is not needed), by

    python tests/test_strict_names.py
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graphnet.backends

NAMES = Path(graphnet.backends.__file__).with_name("cupy_names.txt")

#: Modules whose functions belong to CuPy's array interface; random draws are left out on purpose.
MODULES = ("", "fft", "lib.stride_tricks", "linalg")

#: The ufuncs that CuPy really serves; for the others these methods only raise.
UFUNC_METHODS = {
    "reduce": ("add", "multiply"),
    "accumulate": ("add", "multiply"),
    "reduceat": ("add",),
}


def cupy_lines(cupy: Any) -> list[str]:
    """One line a name: ``pi`` for a value, ``sum(a, axis, ...)`` for a function."""
    lines = set(ndarray_lines(cupy))
    for path in MODULES:
        module, prefix = cupy, f"{path}." if path else ""
        for part in filter(None, path.split(".")):
            module = getattr(module, part)
        for name, value in public(module):
            if isinstance(value, types.ModuleType | type(annotations)):
                continue
            lines.add(prefix + name + arguments(cupy, value))
            if isinstance(value, cupy.ufunc):
                lines.update(f"{name}.{line}" for line in ufunc_lines(name, value))
    return sorted(lines)


def public(owner: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(owner):
        if not name.startswith("_"):
            yield name, getattr(owner, name)


def ndarray_lines(cupy: Any) -> Iterator[str]:
    for name in dir(cupy.ndarray):
        if name.startswith("__"):
            if not hasattr(object, name):
                yield f"ndarray.{name}"
        elif not name.startswith("_"):
            yield f"ndarray.{name}" + arguments(cupy, getattr(cupy.ndarray, name))


def ufunc_lines(name: str, ufunc: Any) -> Iterator[str]:
    if ufunc._scatter_op is not None:
        yield "at(a, indices, b)"
    yield "outer(A, B, **kwargs)"
    for method, served in UFUNC_METHODS.items():
        if name in served:
            yield method + documented(getattr(ufunc, method))


def arguments(cupy: Any, value: Any) -> str:
    if isinstance(value, type) or not callable(value):
        return ""
    if isinstance(value, cupy.ufunc):
        return f"({', '.join(f'x{i + 1}' for i in range(value.nin))}, out, dtype, casting)"
    try:
        return shown(inspect.signature(value).parameters.values())
    except ValueError:
        return documented(value)


def documented(method: Any) -> str:
    """The arguments of a compiled method, from the first line of its docstring."""
    head = (method.__doc__ or "").partition("\n")[0].partition(" ->")[0]
    try:
        arguments = ast.parse(f"def f{head[head.index('(') :]}: pass").body[0].args
    except (SyntaxError, ValueError):
        return ""
    names = [*arguments.args, *arguments.kwonlyargs]
    first = f"*{arguments.vararg.arg}" if arguments.vararg else None
    last = f"**{arguments.kwarg.arg}" if arguments.kwarg else None
    return written([first, *(entry.arg for entry in names), last])


def written(names: list[str | None]) -> str:
    return f"({', '.join(name for name in names if name not in (None, 'self'))})"


def shown(parameters: Any) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return written([stars.get(p.kind, "") + p.name for p in parameters])


def test_the_list_is_what_the_installed_cupy_offers():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: its names cannot be compared")
    assert NAMES.read_text(encoding="utf-8").splitlines() == cupy_lines(cupy)


if __name__ == "__main__":
    import cupy

    NAMES.write_text("\n".join(cupy_lines(cupy)) + "\n", encoding="utf-8")
