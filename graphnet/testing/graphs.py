"""Whole graphs against numerical gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.testing.case import BrokenPromise
from graphnet.testing.numeric import STEP

__all__ = ["check_gradients"]


def check_gradients(
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    output: str = "loss",
    *,
    training: bool = True,
    seed: int = 0,
    directions: int = 3,
    rtol: float = 1e-6,
    **executor: Any,
) -> float:
    """Compare every parameter's gradient with central differences in float64.

    Along the gradient and along random directions ``u``, the difference quotient of the output
    must equal the inner product of ``u`` with the gradient; the error is relative to the
    gradient's norm.

    Args:
        graph: with a scalar output.
        feeds: one array per input; floating ones are converted to float64.
        output: which output to differentiate.
        training: check the training form; else the inference form.
        seed: of parameters and directions.
        directions: how many random ones, for each parameter.
        rtol: largest relative error allowed.
        executor: further arguments of :class:`graphnet.Executor`.

    Returns:
        The largest relative error.

    Raises:
        BrokenPromise: a gradient is wrong; the parameter is named.
    """
    net = Executor(graph, dtype="float64", seed=seed, **executor)
    wide: dict[str, Any] = {
        name: array.astype("float64") if array.dtype.kind == "f" else array
        for name, array in feeds.items()
    }
    start = net.snapshot()

    def evaluate(differentiate: bool = False) -> float:
        # states are put back, so that every evaluation drops the same entries
        net.assign({name: start[name] for name in graph.states})
        return float(net.forward(training=training, differentiate=differentiate, **wide)[output])

    value = evaluate(differentiate=True)
    gradients = {name: net.to_host(g) for name, g in net.backward(output).items()}
    rng = np.random.default_rng(seed)
    # a difference quotient cannot resolve slopes below the rounding of the output itself
    noise = 10 * float(np.finfo("float64").eps) * max(abs(value), 1.0) / STEP / rtol
    worst = 0.0
    for name, gradient in gradients.items():
        norm = float(np.linalg.norm(gradient))
        # along the gradient itself a wrong factor shows in full; random directions show the rest
        along = [gradient / norm] if norm else []
        others = [rng.normal(size=gradient.shape) for _ in range(directions)]
        for u in (*along, *(other / max(float(np.linalg.norm(other)), 1e-30) for other in others)):
            sides = []
            for sign in (1, -1):
                net.assign({name: start[name] + sign * STEP * u})
                sides.append(evaluate())
            net.assign({name: start[name]})
            numeric = (sides[0] - sides[1]) / (2 * STEP)
            analytic = float((u * gradient).sum())
            error = abs(numeric - analytic) / max(norm, abs(numeric), noise)
            worst = max(worst, error)
            if not error <= rtol:
                raise BrokenPromise(
                    f"gradient of {name!r}: {numeric:.9g} by central differences, "
                    f"{analytic:.9g} by backward, relative error {error:.2g}, allowed {rtol:g}"
                )
    return worst
