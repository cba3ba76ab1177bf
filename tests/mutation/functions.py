"""Which functions a backward pass runs, and how one of them is replaced for a while."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import types
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ops.operator import Operator

__all__ = ["Function", "clear_caches", "reached_functions"]

#: The contract and the checks of configuration: no mathematics to get wrong.
OUTSIDE = {"ops.operator", "ops.fields", "ops.arrays", "ops.dimension", "ops.initializers"}
#: Methods of operators that the forward pass and the inference of shapes own.
NOT_BACKWARD = {"infer", "forward", "parameters", "states", "flops", "domains", "__post_init__"}


@dataclass
class Function:
    """A function or method that some backward pass runs.

    Attributes:
        name: ``module.Class.method`` or ``module.function``.
        function: the function object itself.
        tree: its syntax tree.
        users: the operators that run it.
    """

    name: str
    function: types.FunctionType
    tree: ast.FunctionDef
    users: list[type[Operator]] = field(default_factory=list)

    def replace(self, tree: ast.FunctionDef) -> None:
        """Make the function run another tree, for everybody who holds it."""
        bare = ast.FunctionDef(**{**vars(tree), "decorator_list": []})
        if "__class__" in self.function.__code__.co_freevars:  # also where super() is cut away
            bare.body = [*tree.body, ast.Expr(ast.Name("__class__", ast.Load()))]
        # super() reads the cell __class__, which a class body would provide
        maker = ast.parse(f"def _maker():\n    __class__ = None\n    return {tree.name}").body[0]
        assert isinstance(maker, ast.FunctionDef)
        maker.body.insert(1, bare)
        module = ast.fix_missing_locations(ast.Module(body=[maker], type_ignores=[]))
        made: dict[str, types.FunctionType] = {}
        exec(compile(module, "<mutant>", "exec"), self.function.__globals__, made)
        self.function.__code__ = made["_maker"]().__code__


def reached_functions(operators: list[type[Operator]]) -> list[Function]:
    """All functions of ``ops`` that the backward passes of these operators run."""
    found: dict[types.FunctionType, Function] = {}
    for operator in operators:
        for name, function, tree in _reach(operator, "backward"):
            entry = found.setdefault(function, Function(name, function, tree))
            entry.users.append(operator)
    for operator in operators:  # forward passes that share a helper find its faults too
        for _, function, _ in _reach(operator, "forward"):
            if function in found and operator not in found[function].users:
                found[function].users.append(operator)
    return list(found.values())


def _reach(
    operator: type[Operator], start: str
) -> Iterator[tuple[str, types.FunctionType, ast.FunctionDef]]:
    waiting: list[tuple[object, str]] = [(operator, start)]
    seen: set[types.FunctionType] = set()
    while waiting:
        owner, name = waiting.pop()
        located = _locate(owner, name, {start})
        if located is None or located[1] in seen:
            continue
        full_name, function, tree = located
        seen.add(function)
        yield full_name, function, tree
        module = sys.modules[function.__module__]
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and not node.id.startswith("__"):
                waiting.append((module, node.id))
            elif isinstance(node, ast.Attribute):
                value = node.value
                own = isinstance(value, ast.Name) and value.id == "self" and inspect.isclass(owner)
                owners = [owner] if own else _helper_classes(module)
                waiting += [(candidate, node.attr) for candidate in owners]


def _helper_classes(module: types.ModuleType) -> list[type]:
    """The classes beside operators that a module of ``ops`` knows, such as the windows."""
    return [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and cls.__module__.startswith("ops.")
        and cls.__module__ not in OUTSIDE
        and not issubclass(cls, Operator)
    ]


def clear_caches() -> None:
    """Forget what functions of ``ops`` have computed before a mutant was planted."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ops."):
            for owner in (module, *_helper_classes(module)):
                for value in vars(owner).values():
                    value = getattr(value, "__func__", value)
                    if hasattr(value, "cache_clear"):
                        value.cache_clear()


def _locate(
    owner: object, name: str, allowed: Container[str] = ()
) -> tuple[str, types.FunctionType, ast.FunctionDef] | None:
    """The function of that name in a class or module, if it is one of ``ops`` to be mutated."""
    if inspect.isclass(owner):
        if name in NOT_BACKWARD and name not in allowed and issubclass(owner, Operator):
            return None
        classes = [cls for cls in owner.__mro__ if name in vars(cls)]
        if not classes:
            return None
        value = vars(classes[0])[name]
        if isinstance(value, property):
            value = value.fget
        elif isinstance(value, functools.cached_property):
            value = value.func
        qualified = f"{classes[0].__name__}.{name}"
    else:
        value, qualified = getattr(owner, name, None), name
    value = getattr(value, "__func__", value)  # a class method
    value = getattr(value, "__wrapped__", value)  # a cached function
    if not isinstance(value, types.FunctionType):
        return None
    module = value.__module__
    if not module.startswith("ops.") or module in OUTSIDE:
        return None
    tree = _trees(module).get((qualified.rpartition(".")[0], value.__name__))
    return (f"{module}.{value.__qualname__}", value, tree) if tree else None


@functools.cache
def _trees(module: str) -> dict[tuple[str, str], ast.FunctionDef]:
    """The functions of a module by class name, empty for none, and name."""
    path = sys.modules[module].__file__
    assert path is not None
    found = {}
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found["", node.name] = node
        elif isinstance(node, ast.ClassDef):
            methods = [f for f in node.body if isinstance(f, ast.FunctionDef)]
            found.update({(node.name, method.name): method for method in methods})
    return found
