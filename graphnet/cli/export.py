"""``graphnet export``: a network with its weights as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from graphnet.cli.arguments import positive_integer, seed_number
from graphnet.cli.network import add_network, find_network
from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.weights import pytorch_names

__all__ = ["add_export"]


def add_export(commands: Any) -> None:
    """Add ``graphnet export`` to the commands."""
    export = commands.add_parser(
        "export",
        help="write a network and its weights to an ONNX file",
        description="Writes a network in its inference form, with its weights, to an ONNX file.",
    )
    export.set_defaults(run=_export)
    add_network(export)
    export.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="safetensors or .npz, names as in the network or as in PyTorch; default: those of "
        "MODEL.onnx, else the first ones of a fresh network",
    )
    export.add_argument("--out", type=Path, required=True, metavar="MODEL.onnx")
    export.add_argument(
        "--outputs", nargs="+", metavar="NAME", help="default: all but scalars, such as losses"
    )
    export.add_argument(
        "--opset", type=positive_integer, help="default: what graphnet.onnx.save takes"
    )
    export.add_argument("--seed", type=seed_number, default=0, help="of the first weights")


def _export(options: argparse.Namespace) -> int:
    from graphnet.onnx import save

    if options.out.suffix.lower() != ".onnx":
        raise ValueError(f"expected a file that ends in .onnx, received {options.out}")
    graph = find_network(options)
    graph = graph.select(*(options.outputs or _results(graph)))
    net = Executor(graph, seed=options.seed)
    if options.weights is not None:
        names = pytorch_names([*net.parameters, *net.states])
        report = net.import_weights(options.weights, rename=names)
        print(report)
    opset = {} if options.opset is None else {"opset": options.opset}
    save(net, options.out, **opset)
    print(f"{graph!r} written to {options.out}")
    return 0


def _results(graph: Graph) -> list[str]:
    """The outputs other than scalars; all of them where there are no others."""
    return [name for name, value in graph.outputs.items() if value.shape] or list(graph.outputs)
