"""``python -m benchmarks NAME``: run one of the benchmarks."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

#: Each of which is a module; it is imported when it is asked for, as each needs something else.
BENCHMARKS = {
    "chains": "elementwise operators in chains, one by one, and in PyTorch",
    "cpu": "training and inference beside PyTorch, ONNX Runtime and OpenVINO",
    "gpu": "training steps beside PyTorch on a GPU",
    "imported": "networks read from files beside the same declared by hand",
    "memory": "time against memory under limits",
    "seed": "nested loops, vectorised and fast kernels, and PyTorch",
}


def main() -> None:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    asked = next((word for word in sys.argv[1:] if word in BENCHMARKS), None)
    for name, summary in BENCHMARKS.items():
        command = commands.add_parser(name, help=summary)
        command.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
        if name == asked:
            module = importlib.import_module(f"benchmarks.{name}")
            module.add_arguments(command)
    options = parser.parse_args()
    module.run(options)


main()
