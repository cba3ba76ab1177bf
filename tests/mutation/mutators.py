"""From the syntax tree of a function to its mutants, each with one fault."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants"]

#: What sums or averages away an axis: leaving it out is the missing reduction.
REDUCTIONS = {"sum", "mean", "max", "min", "unbroadcast"}
#: What moves axes: leaving it out is the forgotten transpose.
MOVES = {"swapaxes", "transpose", "moveaxis"}


@dataclass(frozen=True)
class Mutant:
    """One fault in one function.

    Attributes:
        kind: sign, term, factor, index, axis, stride, reduction, comparison, branch, aliasing,
            needs or transpose.
        line: where, in the file.
        before: the expression that was changed.
        after: what it became.
        tree: the whole function with the fault.
    """

    kind: str
    line: int
    before: str
    after: str
    tree: ast.FunctionDef


def mutants(function: ast.FunctionDef) -> Iterator[Mutant]:
    """Every mutant of a function.

    >>> source = "def f(dy, x): return (dy * x).sum(axis=0)"
    >>> for mutant in mutants(ast.parse(source).body[0]): print(mutant.kind, mutant.after)
    reduction dy * x
    axis axis=1
    term dy
    term x
    """
    body = {id(node) for statement in function.body for node in ast.walk(statement)}
    for index, node in enumerate(ast.walk(function)):
        if id(node) not in body:  # defaults and annotations
            continue
        for kind, changed in _changes(node):
            tree = copy.deepcopy(function)
            target = list(ast.walk(tree))[index]
            before = ast.unparse(target)
            replacement = _replace(tree, target, changed)
            ast.fix_missing_locations(tree)
            if ast.dump(tree) != ast.dump(function):
                line = getattr(node, "lineno", function.lineno)
                yield Mutant(kind, line, before, replacement, tree)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    """What may go wrong at a node, as functions from a copy of it to what takes its place."""
    if isinstance(node, ast.BinOp):
        yield from _arithmetic(node)
    elif isinstance(node, ast.AugAssign):
        other = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
        if type(node.op) in other:
            yield "sign", lambda n: _with(n, op=other[type(n.op)]())
            yield "term", lambda n: ast.copy_location(ast.Pass(), n)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if not isinstance(node.operand, ast.Constant):
            yield "sign", lambda n: n.operand
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "branch", lambda n: n.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _comparison(node)
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, ast.IfExp):
        yield "needs", lambda n: n.body
        yield "needs", lambda n: n.orelse
    elif isinstance(node, ast.Subscript):
        yield from _index(node)
    elif isinstance(node, ast.keyword) and node.arg in ("axis", "axes"):
        yield from _axis(node)
    elif isinstance(node, ast.Slice):
        for bound in ("lower", "upper", "step"):
            if getattr(node, bound) is not None:
                kind = "stride" if bound == "step" else "index"
                yield kind, lambda n, bound=bound: _with(n, **{bound: None})
    elif isinstance(node, ast.Constant) and type(node.value) is float:
        yield "factor", lambda n: ast.Constant(n.value * 2 if n.value else 1.0)


def _arithmetic(node: ast.BinOp) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        yield "term", lambda n: n.left
        if not isinstance(node.op, ast.Div):
            yield "term", lambda n: n.right
    if isinstance(node.op, ast.Add):
        yield "sign", lambda n: _with(n, op=ast.Sub())
    elif isinstance(node.op, ast.Sub):
        yield "sign", lambda n: _with(n, op=ast.Add())
    elif isinstance(node.op, ast.Div):
        yield "factor", lambda n: _with(n, op=ast.Mult())
    elif isinstance(node.op, ast.Pow):
        yield "factor", lambda n: n.left
    elif isinstance(node.op, ast.MatMult):
        yield "term", lambda n: _with(n, left=n.right, right=n.left)
    elif isinstance(node.op, (ast.FloorDiv, ast.Mod)):
        yield "term", lambda n: n.left


def _comparison(node: ast.Compare) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    other = {
        ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE,
        ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    }  # fmt: skip
    border = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
    for table in (other, border):
        if type(node.ops[0]) in table:
            changed = table[type(node.ops[0])]
            yield "comparison", lambda n, changed=changed: _with(n, ops=[changed()])


def _call(node: ast.Call) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in REDUCTIONS | MOVES | {"copy"}:
        kind = "reduction" if name in REDUCTIONS else "transpose" if name in MOVES else "aliasing"
        if isinstance(node.func, ast.Attribute) and not _is_library(node.func.value):
            yield kind, lambda n: n.func.value
        elif node.args:
            yield kind, lambda n: n.args[0]
    if name == "where" and len(node.args) == 3:
        yield "branch", lambda n: _with(n, args=[n.args[0], n.args[2], n.args[1]])
    if name == "swapaxes" and len(node.args) == 2 and isinstance(node.func, ast.Attribute):
        yield "axis", lambda n: _with(n, args=[n.args[0], n.args[0]])


def _index(node: ast.Subscript) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    if isinstance(node.slice, ast.Constant) and type(node.slice.value) is int:
        value = node.slice.value
        yield "index", lambda n: _with(n, slice=ast.Constant(value + 1))
        if value:
            yield "index", lambda n: _with(n, slice=ast.Constant(value - 1))


def _axis(node: ast.keyword) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    value = node.value
    if isinstance(value, ast.Constant) and type(value.value) is int:
        yield "axis", lambda n: _with(n, value=ast.Constant(value.value + 1))
    elif isinstance(value, ast.UnaryOp):  # axis=-1
        yield "axis", lambda n: _with(n, value=ast.Constant(0))
    elif isinstance(value, ast.Tuple) and value.elts:
        yield "axis", lambda n: _with(n, value=_with(n.value, elts=n.value.elts[1:]))
        yield "axis", lambda n: _with(n, value=_with(n.value, elts=n.value.elts[:-1]))
    elif isinstance(value, (ast.Name, ast.Attribute, ast.Call)):
        yield "axis", lambda n: _with(n, value=ast.Constant(0))


def _is_library(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("xp", "np")


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _replace(tree: ast.AST, target: ast.AST, changed: Callable[[ast.AST], ast.AST]) -> str:
    """Put what ``changed`` makes of ``target`` in its place; returns it as source."""
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                made = changed(target)
                setattr(parent, name, made)
                return ast.unparse(made)
            if isinstance(value, list) and any(entry is target for entry in value):
                made = changed(target)
                value[next(i for i, entry in enumerate(value) if entry is target)] = made
                return ast.unparse(made)
    raise LookupError("the target is no part of the tree")
