"""What ``PACKAGE.MODULE:NAME`` on the command line stands for."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["find_target"]


def find_target(target: str) -> Any:
    """What ``package.module:name`` or ``package.module:name(literal, field=literal)`` stands for.

    Raises:
        ValueError: the text has another form, or there is nothing of that name.
    """
    where, _, expression = target.rpartition(":") if "(" not in target else target.partition(":")
    if not where or not expression:
        raise ValueError(f"expected PACKAGE.MODULE:NAME, received {target!r}")
    try:
        parsed = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{target}: {error.msg}") from None
    name = parsed.func if isinstance(parsed, ast.Call) else parsed
    if not isinstance(name, ast.Name):
        raise ValueError(f"{target}: expected a name after the colon, received {expression!r}")
    module = _import(where, target)
    if not hasattr(module, name.id):
        raise ValueError(f"{target}: {where} has no {name.id!r}")
    found = getattr(module, name.id)
    if not isinstance(parsed, ast.Call):
        return found
    try:
        positional = [ast.literal_eval(argument) for argument in parsed.args]
        named = {k.arg: ast.literal_eval(k.value) for k in parsed.keywords if k.arg}
    except ValueError:
        raise ValueError(
            f"{target}: fields are literals, such as 3.0, 'same', (1, 2) or None"
        ) from None
    try:
        return found(*positional, **named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{target}: {error}") from None


def _import(where: str, target: str) -> ModuleType:
    """The module of this name, or in this file; its own errors become one sentence."""
    if not where.endswith(".py") and not all(map(str.isidentifier, where.split("."))):
        raise ValueError(
            f"{target}: expected a module such as package.module, or a file ending in .py"
        )
    sys.path.insert(0, "")  # what `python -m` finds, this finds
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        if spec is None or spec.loader is None:
            raise ImportError(f"{where} is no module")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:  # a script that ends itself has proven nothing
        last = traceback.extract_tb(error.__traceback__)[-1]
        inside = "importlib" not in last.filename and last.filename != __file__
        at = f" ({Path(last.filename).name}:{last.lineno})" if inside else ""
        raise ValueError(f"{target}: {type(error).__name__}: {error}{at}") from None
    finally:
        sys.path.remove("")
