"""``python -m tests.mutation``: plant every mutant, count the killed, write the report."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest

from graphnet.testing import BrokenPromise, Record, promises, prove
from graphnet.testing.records import RECORDS
from tests.mutation.equivalent import explain
from tests.mutation.functions import Function, clear_caches, reached_functions
from tests.mutation.mutators import Mutant, mutants

ROOT = Path(__file__).parent.parent

#: Seconds after which a mutant that still runs counts as killed.
PATIENCE = 120


class Fate(NamedTuple):
    """What became of a mutant."""

    function: Function
    mutant: Mutant
    killed_by: str | None

    @property
    def reason(self) -> str | None:
        """Why it is no fault, None for one that is."""
        return explain(self.function, self.mutant) if self.killed_by is None else None

    @property
    def survives(self) -> bool:
        """Whether nothing found it, and nothing explains why."""
        return self.killed_by is None and self.reason is None


def survive(records: list[Record], examples: int) -> str | None:
    """The promise that a mutant, planted already, breaks; None if it keeps them all."""
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],  # a killed mutant need not be made small
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for record in records:
        checks = promises(record.reference, record.linear)
        try:
            prove(record.cases, *checks, settings=settings, seed=0)
        except BrokenPromise as broken:
            return broken.promise.partition(" ")[0]
        except Exception as error:
            return type(error).__name__
    return None


def fail(function: Function) -> str | None:
    """The unit tests that a mutant, planted already, fails; None if it passes them all.

    They are those of the families that run the function: what the records leave out by
    construction, such as extreme values, ties and kinks.
    """
    modules = {function.function.__module__, *(cls.__module__ for cls in function.users)}
    files = [ROOT / f"test_{module.rpartition('.')[2]}.py" for module in sorted(modules)]
    names = [str(file) for file in files if file.is_file()]
    if not names:
        return None
    # plugins cannot be loaded any more, now that what they watch is imported and in use
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *quiet, *names])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {code!r} on {names}")
    return "unit tests" if code == pytest.ExitCode.TESTS_FAILED else None


def try_mutant(function: Function, mutant: Mutant, examples: int) -> Fate:
    """Plant a mutant in a process of its own and see whether a promise breaks."""
    records = [record for record in RECORDS if record.operator in function.users]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        warnings.simplefilter("error")  # as in the suite
        clear_caches()
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stderr(nowhere),
            contextlib.redirect_stdout(nowhere),
        ):
            function.replace(mutant.tree)
            found = survive(records, examples)
            try:
                sender.send(found or fail(function))
            except Exception as error:  # no verdict on the mutant, and so none in its favour
                sender.send(error)

    process = context.Process(target=run)
    process.start()
    sender.close()
    if not receiver.poll(PATIENCE):
        killed_by: str | None = "timeout"
        process.kill()
    else:
        try:
            killed_by = receiver.recv()
            if isinstance(killed_by, Exception):
                raise killed_by
        except EOFError:  # the mutant could not even be planted, or took the process down
            killed_by = "crash"
    process.join()
    return Fate(function, mutant, killed_by)


def main() -> int:
    """Run the command line; the exit status is 1 if a mutant survives unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=main.__doc__)
    parser.add_argument("operators", nargs="*", help="names of operators; all when none is given")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="write the report to this Markdown file")
    options = parser.parse_args()
    operators = [r.operator for r in RECORDS]
    if options.operators:
        operators = [o for o in operators if o.__name__ in options.operators]
    start = time.perf_counter()
    work = [(f, m) for f in reached_functions(operators) for m in mutants(f.tree)]
    with ThreadPoolExecutor(options.jobs) as pool:
        fates = list(pool.map(lambda pair: try_mutant(*pair, options.examples), work))
    survivors = [fate for fate in fates if fate.survives]
    for fate in survivors:
        print(f"{fate.function.name}:{fate.mutant.line} {fate.mutant.kind}: "
              f"{fate.mutant.before!r} -> {fate.mutant.after!r}")  # fmt: skip
    text = report(fates, len(operators), options.examples, time.perf_counter() - start)
    print(text.split("\n## ")[0])
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 1 if survivors else 0


def report(fates: list[Fate], operators: int, examples: int, seconds: float) -> str:
    """The figures as Markdown."""
    equivalent = [fate for fate in fates if fate.reason]
    survivors = [fate for fate in fates if fate.survives]
    killed = len(fates) - len(equivalent) - len(survivors)
    share = killed / max(killed + len(survivors), 1)
    lines = [
        "# Mutants in the backward passes",
        "",
        "Written by `python -m tests.mutation --out docs/mutation.md`: one fault at a time is",
        "planted in every `backward` of `ops` and in the helpers that it calls. The records of",
        "the operators concerned are run and, where no promise breaks, the unit tests of their",
        "families. A mutant is killed when a promise breaks or a test fails; as in the suite, a",
        "warning counts as a failure, and so does a crash or a loop without end.",
        "",
        "Not mutated: what refuses input (`ops.fields`, `ops.operator`), `infer`, and `forward`.",
        "",
        f"{operators} operators, {len(fates)} mutants, {examples} cases an operator, "
        f"{seconds / 60:.0f} minutes.",
        "",
        f"**{killed} of {killed + len(survivors)} mutants killed, {100 * share:.1f} %**; "
        f"{len(equivalent)} more are equivalent, {len(survivors)} survive.",
        "",
        "## By kind of fault",
        "",
        "| fault | mutants | killed | equivalent | surviving |",
        "|---|---:|---:|---:|---:|",
    ]
    for kind in sorted({fate.mutant.kind for fate in fates}):
        lines.append(_row(kind, [fate for fate in fates if fate.mutant.kind == kind]))
    lines += ["", "## By module", "", "| module | mutants | killed | equivalent | surviving |",
              "|---|---:|---:|---:|---:|"]  # fmt: skip
    modules = defaultdict(list)
    for fate in fates:
        modules[".".join(fate.function.name.split(".")[:2])].append(fate)
    lines += [_row(f"`{module}`", members) for module, members in sorted(modules.items())]
    killers = Counter(fate.killed_by for fate in fates if fate.killed_by)
    lines += ["", "## What finds it first", "", "| promise, or other | mutants |", "|---|---:|"]
    lines += [f"| {name} | {count} |" for name, count in killers.most_common()]
    if equivalent:
        lines += ["", "## Equivalent mutants", ""]
        reasons = defaultdict(list)
        for fate in equivalent:
            before, after = _one_line(fate.mutant.before), _one_line(fate.mutant.after)
            reasons[fate.reason].append(f"- `{fate.function.name}`: `{before}` to `{after}`")
        for reason, members in reasons.items():
            lines += [f"{reason}:", "", *sorted(set(members)), ""]
    if survivors:
        lines += ["", "## Survivors", ""]
        for fate in survivors:
            before, after = _one_line(fate.mutant.before), _one_line(fate.mutant.after)
            lines.append(f"- `{fate.function.name}`: `{before}` to `{after}`")
    return "\n".join(lines) + "\n"


def _row(name: str, fates: list[Fate]) -> str:
    equivalent = sum(fate.reason is not None for fate in fates)
    alive = sum(fate.survives for fate in fates)
    return f"| {name} | {len(fates)} | {len(fates) - alive - equivalent} | {equivalent} | {alive} |"


def _one_line(source: str) -> str:
    return " ".join(source.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
