"""Whole graphs against numerical gradients."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.kernels import get_providers
from graphnet.passes import for_inference
from graphnet.testing.case import BrokenPromise, Case
from graphnet.testing.checks import check_dot_product, check_specs
from graphnet.testing.numeric import STEP
from graphnet.values import GraphError
from ops.operator import expect_domains, show

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
    """Compare the gradients of all parameters and fed inputs with central differences in float64.

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
        BrokenPromise: a gradient is wrong; the parameter or input is named, and the node at
            which the error enters.
        GraphError: there is no such output, it is no floating scalar, or it depends on no
            parameter and no floating input that may hold any value.
    """
    _expect_scalar(graph, output)
    net = Executor(graph, dtype="float64", seed=seed, **executor)
    wide = {name: _wide(array) for name, array in feeds.items()}
    start = net.snapshot()

    def evaluate(moved: Mapping[str, np.ndarray], differentiate: bool = False) -> float:
        # states are put back, so that every evaluation drops the same entries
        net.assign({name: start[name] for name in graph.states})
        net.assign({name: array for name, array in moved.items() if name in start})
        fed = {**wide, **{name: array for name, array in moved.items() if name in wide}}
        found = net.forward(training=training, differentiate=differentiate, **fed)[output]
        net.assign({name: start[name] for name in moved if name in start})
        return float(found)

    value = evaluate({}, differentiate=True)
    wanted = [*net.trainable, *_movable_inputs(graph)]
    if not wanted:
        raise GraphError(f"{output!r} depends on no parameter and no floating input to check")
    gradients = {name: net.to_host(g) for name, g in net.backward(output, wrt=wanted).items()}
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
            at = start[name] if name in start else wide[name]
            sides = [evaluate({name: at + sign * STEP * u}) for sign in (1, -1)]
            numeric = (sides[0] - sides[1]) / (2 * STEP)
            analytic = float((u * gradient).sum())
            error = abs(numeric - analytic) / max(norm, abs(numeric), noise)
            worst = max(worst, error)
            if not error <= rtol:
                culprit = _find_culprit(graph, start, wide, training, executor)
                raise BrokenPromise(
                    None,
                    f"gradient of {name!r}",
                    f"gradient of {name!r}: {numeric:.9g} by central differences, "
                    f"{analytic:.9g} by backward, relative error {error:.2g}, allowed {rtol:g}; "
                    + (culprit or "no node's own gradient is wrong: the sums between them are"),
                )
    return worst


def _expect_scalar(graph: Graph, output: str) -> None:
    if output not in graph.outputs:
        raise GraphError(f"expected an output among {list(graph.outputs)}, received {output!r}")
    spec = graph.outputs[output].spec
    if spec.shape != () or not spec.is_floating:
        raise GraphError(f"expected a floating scalar, but {output!r} is {show(spec)}")


def _movable_inputs(graph: Graph) -> list[str]:
    """The floating inputs that no reader restricts to a range, which a step might leave."""
    restricted = {
        value
        for node in graph.nodes.values()
        for role, interval in expect_domains(
            node.operator, [None if v is None else v.spec for v in node.inputs]
        ).items()
        for value in [node.inputs[node.input_names.index(role)]]
        if math.isfinite(interval.low) or math.isfinite(interval.high)
    }
    return [
        name
        for name, value in graph.inputs.items()
        if value.spec.is_floating and value not in restricted
    ]


def _find_culprit(
    graph: Graph,
    start: Mapping[str, np.ndarray],
    feeds: Mapping[str, Any],
    training: bool,
    options: Mapping[str, Any],
) -> str | None:
    """The first node of the reverse pass whose own gradient is wrong, in words.

    Every node is held to the dot-product test by itself, on the values it has in this graph.
    """
    form = graph if training else for_inference(graph)
    computed = (value for node in form.nodes.values() for value in node.visible_outputs)
    every = {f"value {i}": value for i, value in enumerate(computed)}
    net = Executor(Graph(**every), dtype="float64", **options)
    leaves = {leaf: start[name] for name, leaf in (*form.parameters.items(), *form.states.items())}
    learned = {**net.graph.parameters, **net.graph.states}  # named anew
    net.assign({name: leaves[leaf] for name, leaf in learned.items()})
    outputs = net.forward(training=True, **{name: feeds[name] for name in net.graph.inputs})
    arrays = {value: net.to_host(outputs[name]) for name, value in every.items()}
    arrays.update((value, feeds[name]) for name, value in net.graph.inputs.items())
    arrays.update(leaves)
    arrays.update((value, _wide(value.array)) for value in net.graph.constants.values())
    providers = get_providers(options.get("kernels") or net.backend.providers)
    for name, node in reversed(form.nodes.items()):
        inputs = tuple(None if value is None else arrays[value] for value in node.inputs)
        case = Case(node.operator, inputs)
        kernels = (provider.prepare(node.operator, case.specs) for provider in providers.values())
        case = dataclasses.replace(case, kernel=next(k for k in kernels if k is not None))
        try:
            check_specs(case)
            check_dot_product(case)
        except BrokenPromise as broken:
            return f"the error enters at {node.describe(name)}: {broken.problem}"
    return None


def _wide(array: Any) -> Any:
    return array.astype("float64") if array.dtype.kind == "f" else array
