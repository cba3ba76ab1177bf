"""The command line: ``graphnet train``, ``check``, ``explain``, ``run`` and others."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence

from graphnet.backends import BackendError
from graphnet.cli.check import add_check
from graphnet.cli.devices import add_devices
from graphnet.cli.explain import add_explain
from graphnet.cli.export import add_export
from graphnet.cli.finetune import add_finetune
from graphnet.cli.run import add_run
from graphnet.cli.summary import add_draw, add_summary
from graphnet.cli.train import add_train

__all__ = ["main"]

#: What is said in one line: bad input, and what is missing or too small here.
EXPECTED = (
    ValueError, TypeError, OSError, ImportError, BackendError, AssertionError, MemoryError,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 success, 1 an error, 2 bad usage)."""
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except EXPECTED as error:
        print(f"graphnet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("graphnet: interrupted", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graphnet", description=__doc__)
    version = f"graphnet {importlib.metadata.version('graphnet')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_train(commands)
    add_check(commands)
    add_summary(commands)
    add_draw(commands)
    add_explain(commands)
    add_run(commands)
    add_finetune(commands)
    add_export(commands)
    add_devices(commands)
    return parser
