"""``python -m benchmarks NAME``: run one of the benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import chains, cpu, gpu, imported, memory, seed

BENCHMARKS = {
    "chains": chains,
    "cpu": cpu,
    "gpu": gpu,
    "imported": imported,
    "memory": memory,
    "seed": seed,
}


def main() -> None:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in BENCHMARKS.items():
        command = commands.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        command.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
        module.add_arguments(command)
    options = parser.parse_args()
    BENCHMARKS[options.name].run(options)


main()
