"""``graphnet check``: the proof of operators, a user's or all of those that come along."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from graphnet.backends import BACKENDS
from graphnet.cli.arguments import positive_integer, seed_number
from ops.operator import Operator

if TYPE_CHECKING:
    from graphnet.testing import Proof

__all__ = ["add_check"]

#: Proves one operator with the options of the command line.
Attempt = Callable[[argparse.Namespace], "Proof"]


def add_check(commands: Any) -> None:
    """Add ``graphnet check`` to the commands."""
    check = commands.add_parser(
        "check",
        help="prove an operator of yours, or all that come along",
        description="Draws shapes and data and holds operators to every promise of the contract. "
        "The exit status is 1 if a promise is broken.",
    )
    check.set_defaults(run=_check)
    check.add_argument(
        "operators",
        nargs="*",
        metavar="PACKAGE.MODULE:NAME",
        help="a class, an instance, a Record, or a class with its fields, as in mine:Scale(3.0); "
        "a file does for the module, as in mine.py:Scale",
    )
    check.add_argument("--all", action="store_true", help="every operator of ops, by its record")
    check.add_argument(
        "--examples", type=positive_integer, default=50, help="cases drawn for each operator"
    )
    check.add_argument("--seed", type=seed_number, default=0)
    check.add_argument(
        "--low", type=float, default=-2.0, help="where floating inputs without a record begin"
    )
    check.add_argument("--high", type=float, default=2.0, help="and where they end")
    check.add_argument(
        "--backend",
        choices=sorted(BACKENDS),
        nargs="+",
        default=["strict"],
        help="compared with numpy; default strict",
    )
    check.add_argument("--json", action="store_true", help="print the results as JSON")


def _check(options: argparse.Namespace) -> int:
    if not options.operators and not options.all:
        raise ValueError("expected PACKAGE.MODULE:NAME or --all")
    proofs = []
    for attempt in list(_attempts(options)):  # all targets are looked up before the first proof
        proof = attempt(options)
        proofs.append(proof)
        if not options.json:
            print(_line(proof), flush=True)
    broken = [proof for proof in proofs if proof.broken is not None]
    if options.json:
        results = [proof.to_json() for proof in proofs]
        print(json.dumps({"passed": not broken, "seed": options.seed, "operators": results}))
    else:
        for proof in broken:
            print(f"\n{proof.broken}", file=sys.stderr)
        if len(proofs) > 1:
            seconds = sum(proof.seconds for proof in proofs)
            print(f"{len(proofs) - len(broken)} of {len(proofs)} hold, {seconds:.0f} s")
    return 1 if broken else 0


def _line(proof: Proof) -> str:
    if proof.broken is None:
        return f"{proof.name}: every promise holds on {proof.examples} cases, {proof.seconds:.1f} s"
    return f"{proof.name}: BROKEN, {proof.broken.promise}"


def _attempts(options: argparse.Namespace) -> Iterator[Attempt]:
    """What is to be proven, each with the way in which it is."""
    from graphnet.testing import Record, prove_operator, prove_record
    from graphnet.testing.records import RECORDS

    def by_record(record: Record, target: str) -> Attempt:
        return lambda o: prove_record(
            record,
            examples=o.examples,
            seed=o.seed,
            backends=o.backend,
            reproduce=f"graphnet check {target} --examples {o.examples} --seed {o.seed}"
            + (f" --backend {' '.join(o.backend)}" if o.backend != ["strict"] else ""),
        )

    def by_inference(operator: Operator) -> Attempt:
        return lambda o: prove_operator(
            operator,
            examples=o.examples,
            seed=o.seed,
            backends=o.backend,
            low=o.low,
            high=o.high,
        )

    records = {record.operator: record for record in RECORDS}
    if options.all:
        for record in RECORDS:
            yield by_record(record, f"ops:{record.operator.__name__}")
    for target in options.operators:
        found = _find(target)
        if isinstance(found, Record):
            yield by_record(found, target)
        elif isinstance(found, type) and found in records:
            yield by_record(records[found], target)
        elif isinstance(found, type) and issubclass(found, Operator):
            try:
                operator = found()
            except TypeError as error:
                raise TypeError(
                    f"{target}: {error}; give its fields, as in {target}(...), or an instance"
                ) from None
            yield by_inference(operator)
        elif isinstance(found, Operator):
            yield by_inference(found)
        else:
            raise TypeError(f"expected an operator, {target} is of type {type(found).__name__}")


def _find(target: str) -> Any:
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
        raise ValueError(f"{target}: {error}") from None
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
        raise type(error)(f"{target}: {error}") from None


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
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        inside = "importlib" not in last.filename and last.filename != __file__
        at = f" ({Path(last.filename).name}:{last.lineno})" if inside else ""
        raise ValueError(f"{target}: {type(error).__name__}: {error}{at}") from None
    finally:
        sys.path.remove("")
