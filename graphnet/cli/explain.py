"""``graphnet explain``: which kernels compute a network, where its values lie, what takes time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from graphnet.backends import BACKENDS
from graphnet.cli.arguments import positive_integer, seed_number
from graphnet.cli.network import add_network, find_network
from graphnet.executor import Executor
from graphnet.executor.precision import PRECISIONS
from graphnet.kernels import PROVIDERS

__all__ = ["add_explain"]


def add_explain(commands: Any) -> None:
    """Add ``graphnet explain`` to the commands."""
    explain = commands.add_parser(
        "explain",
        help="show the plan of a network: kernels, memory, FLOPs, measured time",
        description="Runs a network on random inputs and shows the plan step by step.",
    )
    explain.set_defaults(run=_explain)
    add_network(explain)
    explain.add_argument("--batch", type=positive_integer, default=1, help="default 1")
    explain.add_argument("--training", action="store_true", help="forward and reverse")
    explain.add_argument("--backend", choices=sorted(BACKENDS), default="numpy")
    explain.add_argument("--kernels", nargs="+", choices=sorted(PROVIDERS), help="whom to ask")
    explain.add_argument("--precision", choices=PRECISIONS, default="fast")
    explain.add_argument("--seed", type=seed_number, default=0)
    explain.add_argument(
        "--trace", type=Path, metavar="FILE", help="also write a trace for chrome://tracing"
    )


def _explain(options: argparse.Namespace) -> int:
    net = Executor(
        find_network(options),
        options.backend,
        seed=options.seed,
        kernels=options.kernels,
        precision=options.precision,
    )
    print(net.explain(options.batch, training=options.training))
    if options.trace is not None:
        net.trace(options.trace, options.batch, training=options.training)
        print(f"trace written to {options.trace}")
    return 0
