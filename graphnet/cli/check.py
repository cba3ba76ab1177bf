"""``graphnet check``: the proof of operators, a user's or all of those that come along."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from graphnet.backends import BACKENDS
from graphnet.cli.arguments import number, positive_integer, seed_number
from graphnet.cli.target import find_target
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
        "--low", type=number, help="where floating inputs without a record begin; default -2"
    )
    check.add_argument("--high", type=number, help="and where they end; default 2")
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


def _range(options: argparse.Namespace) -> dict[str, float]:
    """The ends of floating inputs that the command line gives."""
    ends = {"low": options.low, "high": options.high}
    return {name: end for name, end in ends.items() if end is not None}


def _attempts(options: argparse.Namespace) -> Iterator[Attempt]:
    """What is to be proven, each with the way in which it is."""
    from graphnet.testing import Record, prove_operator, prove_record
    from graphnet.testing.records import RECORDS

    def by_record(record: Record, target: str) -> Attempt:
        if _range(options):
            raise ValueError(f"{target} draws by its record, to which --low and --high do nothing")
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
            **_range(o),
        )

    records = {record.operator: record for record in RECORDS}
    if options.all:
        for record in RECORDS:
            yield by_record(record, f"ops:{record.operator.__name__}")
    for target in options.operators:
        found = find_target(target)
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
