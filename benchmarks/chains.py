"""Chains of elementwise operators, beside the same without chains and beside PyTorch's.

One forward pass, and one of training with its reverse.  Every engine's results are compared
before anything is timed; PyTorch, eager and compiled, takes part where it is installed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import graphnet as gn
from benchmarks.timing import alternate, machine, write_json
from graphnet.draw import render_table
from graphnet.kernels.chain import Chain
from ops import GELU, Add, Exp, Multiply, Neg, ReLU, Sigmoid, SiLU, Subtract, Sum, Tanh

#: Of float32, relative to the largest entry.
TOLERANCE = 1e-4


def _three(a: Any, b: Any) -> Any:
    return ReLU()(Add()(Multiply()(a, b), a))


def _six(a: Any, b: Any) -> Any:
    return Multiply()(Exp()(Neg()(Tanh()(Subtract()(Multiply()(a, b), a)))), b)


def _gated(a: Any, b: Any) -> Any:
    return Add()(Multiply()(GELU()(a), Sigmoid()(SiLU()(b))), a)


#: Each as graphnet declares it, and as PyTorch would.
CHAINS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "3: relu(a * b + a)": (_three, lambda f, a, b: f.relu(a * b + a)),
    "6: exp(-tanh(a * b - a)) * b": (_six, lambda f, a, b: (-(a * b - a).tanh()).exp() * b),
    "gelu(a) * sigmoid(silu(b)) + a": (
        _gated,
        lambda f, a, b: f.gelu(a) * f.silu(b).sigmoid() + a,
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (median)")
    parser.add_argument("--entries", type=int, nargs="+", default=[1 << 12, 1 << 16, 1 << 22])


def run(options: argparse.Namespace) -> None:
    """Time all engines in turn; print milliseconds and ratios to what graphnet does in chains."""
    rows = []
    for name, (declare, torch_step) in CHAINS.items():
        for entries in options.entries:
            for training in (False, True):
                functions = _engines(declare, torch_step, entries, training)
                seconds = alternate(functions, options.rounds)
                rows.append(
                    {
                        "chain": name,
                        "entries": entries,
                        "pass": "training" if training else "forward",
                        **{f"{engine} ms": s * 1e3 for engine, s in seconds.items()},
                    }
                )
    engines = [key for key in rows[0] if str(key).endswith(" ms")]
    shown = [
        (
            row["chain"],
            f"{row['entries']:,}",
            row["pass"],
            *(f"{row[key]:.3f} ({row[key] / row['chained ms']:.2f}x)" for key in engines),
        )
        for row in rows
    ]
    title = f"medians of {options.rounds}, {machine()['processor']}"
    print(render_table(("chain", "entries", "pass", *engines), shown, title=title))
    if options.json:
        write_json(options.json, {"benchmark": "chains", "rows": rows})


def _engines(
    declare: Callable[..., Any], torch_step: Callable[..., Any], entries: int, training: bool
) -> dict[str, Callable[[], object]]:
    """What is timed, by name, once all of it gives the same."""
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(entries // 64, 64)).astype("float32") for name in "ab"}
    y = declare(gn.Input("a", ("N", 64)), gn.Input("b", ("N", 64)))
    graph = gn.Graph(y=Sum()(y) if training else y)
    functions, results = {}, {}
    for name, net in (("chained", gn.Executor(graph)), ("operator by operator", _unchained(graph))):
        functions[name] = _graphnet_step(net, feeds, training)
        results[name] = functions[name]()
    for name, step in _torch_steps(torch_step, feeds, training).items():
        functions[name], results[name] = step, step()
    for name, found in results.items():
        for one, wanted in zip(found, results["chained"], strict=True):
            scale = TOLERANCE * max(1, np.abs(wanted).max())
            if not np.allclose(one, wanted, rtol=0, atol=scale):
                raise SystemExit(f"{name} gives another result than graphnet in chains")
    return functions


def _unchained(graph: gn.Graph) -> gn.Executor:
    """An executor whose kernels are the same, and that makes no chains."""
    net = gn.Executor(graph)
    plans = net._plans
    plans._providers = {
        name: dataclasses.replace(provider, chains=None)
        for name, provider in net._providers.items()
    }
    form = plans.form(False, tuple(graph.outputs), False)
    assert not any(isinstance(node.operator, Chain) for node in form.nodes.values())
    return net


def _graphnet_step(
    net: gn.Executor, feeds: dict[str, np.ndarray], training: bool
) -> Callable[[], list[np.ndarray]]:
    def forward() -> list[np.ndarray]:
        return [net.forward(**feeds)["y"]]

    def both() -> list[np.ndarray]:
        net.forward(training=True, **feeds)
        gradients = net.backward("y", wrt=["a", "b"])
        return [gradients["a"], gradients["b"]]

    return both if training else forward


def _torch_steps(
    step: Callable[..., Any], feeds: dict[str, np.ndarray], training: bool
) -> dict[str, Callable[[], list[np.ndarray]]]:
    try:
        import torch
        from torch.nn import functional
    except ImportError:
        return {}
    a, b = (torch.from_numpy(x.copy()).requires_grad_(training) for x in feeds.values())

    def plain(a: Any, b: Any) -> Any:
        return step(functional, a, b)

    def timed(function: Callable[..., Any]) -> Callable[[], list[np.ndarray]]:
        def forward() -> list[np.ndarray]:
            with torch.inference_mode():
                return [function(a, b).numpy()]

        def both() -> list[np.ndarray]:
            a.grad = b.grad = None
            function(a, b).sum().backward()
            return [a.grad.numpy(), b.grad.numpy()]

        return both if training else forward

    return {"torch eager": timed(plain), "torch compiled": timed(torch.compile(plain))}
