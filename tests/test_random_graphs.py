"""Random whole graphs: against differences, the strict backend, and themselves in debug mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given

import graphnet as gn
from graphnet.testing import check_gradients
from graphnet.testing.numeric import numerical_gradient
from tests.random_graphs import RandomGraph, random_graphs
from tests.small_networks import batch, classifier, equal


@given(random_graphs())
def test_gradients_of_random_graphs_agree_with_central_differences(drawn: RandomGraph):
    check_gradients(drawn.graph, drawn.feeds)


@given(random_graphs(max_nodes=5))
def test_gradients_of_small_random_graphs_agree_entry_by_entry(drawn: RandomGraph):
    net = gn.Executor(drawn.graph, dtype="float64")
    start = net.snapshot()
    floating = [name for name, array in drawn.feeds.items() if array.dtype.kind == "f"]
    wanted = [*net.parameters, *floating]

    def loss(name: str) -> Callable[[np.ndarray], float]:
        def evaluate(array: np.ndarray) -> float:
            net.assign(start)
            feeds = dict(drawn.feeds)
            if name in feeds:
                feeds[name] = array
            else:
                net.assign({name: array})
            return float(net.forward(training=True, **feeds)["loss"])

        return evaluate

    net.forward(training=True, **drawn.feeds)
    gradients = net.backward(wrt=wanted)
    assert list(gradients) == wanted
    for name in wanted:
        numeric = numerical_gradient(loss(name), drawn.feeds.get(name, start.get(name)))
        scale = max(abs(numeric).max(initial=0), 1e-3)
        np.testing.assert_allclose(gradients[name], numeric, rtol=0, atol=1e-6 * scale)


def run(drawn: RandomGraph, backend: str = "numpy", **options: Any) -> dict[str, np.ndarray]:
    """All that one training pass and one inference pass give, as host arrays."""
    net = gn.Executor(drawn.graph, backend, dtype="float64", **options)
    feeds = {name: net.backend.from_host(array) for name, array in drawn.feeds.items()}
    trained = net.forward(training=True, **feeds)
    floating = [name for name, array in drawn.feeds.items() if array.dtype.kind == "f"]
    gradients = net.backward(wrt=[*net.parameters, *floating])
    inferred = net.forward(**feeds)
    every = {
        **{f"training {name}": array for name, array in trained.items()},
        **{f"gradient {name}": array for name, array in gradients.items()},
        **{f"inference {name}": array for name, array in inferred.items()},
    }
    return {**{name: net.to_host(array) for name, array in every.items()}, **net.snapshot()}


@given(random_graphs())
def test_random_graphs_give_the_same_on_the_strict_backend(drawn: RandomGraph):
    strict, plain = run(drawn, "strict"), run(drawn)
    assert strict.keys() == plain.keys()
    for name, array in plain.items():
        scale = max(abs(array).max(initial=0), 1)
        np.testing.assert_allclose(strict[name], array, rtol=0, atol=1e-12 * scale, err_msg=name)


@given(random_graphs())
def test_random_graphs_give_bit_for_bit_the_same_in_debug_mode(drawn: RandomGraph):
    debugged, plain = run(drawn, debug=True), run(drawn)
    # debug looks at every array, so nothing is folded: at inference BatchNorm is not yet part of
    # the weights ahead of it, which rounds otherwise
    folded = {name for name in plain if name.startswith("inference ")}
    for name in folded:
        scale = max(abs(plain[name]).max(initial=0), 1)
        found, wanted = debugged.pop(name), plain.pop(name)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * scale, err_msg=name)
    assert folded and equal(debugged, plain)


@given(random_graphs())
def test_random_graphs_leave_feeds_and_parameters_alone(drawn: RandomGraph):
    net = gn.Executor(drawn.graph, dtype="float64", debug=True)
    feeds = {name: array.copy() for name, array in drawn.feeds.items()}
    before = {name: array.copy() for name, array in net.parameters.items()}
    net.forward(training=True, **feeds)
    net.backward()
    assert equal(feeds, drawn.feeds)
    assert equal(dict(net.parameters), before)


@given(random_graphs())
def test_gradients_of_random_graphs_share_no_memory(drawn: RandomGraph):
    net = gn.Executor(drawn.graph, dtype="float64")
    net.forward(training=True, **drawn.feeds)
    floating = [name for name, array in drawn.feeds.items() if array.dtype.kind == "f"]
    gradients = net.backward(wrt=[*net.parameters, *floating])
    held = [*gradients.values(), *net.parameters.values(), *drawn.feeds.values()]
    for i, gradient in enumerate(gradients.values()):
        assert not any(np.shares_memory(gradient, other) for other in held[i + 1 :])


def test_the_strict_backend_moves_only_feeds_parameters_and_results():
    net = gn.Executor(classifier(dropout=0.5), "strict")
    feeds = {name: net.backend.from_host(array) for name, array in batch().items()}
    step = net.training_step(gn.optim.SGD(0.1, momentum=0.9))
    moved = net.backend.transfers.to_device, net.backend.transfers.to_host
    step(**feeds)
    step(**feeds)
    assert (net.backend.transfers.to_device, net.backend.transfers.to_host) == moved
