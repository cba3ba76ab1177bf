"""Fusion and folding: what they make of chains, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from graphnet.passes import fold, for_inference, fuse, sink
from ops import Add, BatchNorm, BatchNormReLU, Conv, Linear, MaxPool, ReLU, Softmax, Tanh
from tests.small_networks import equal


def image(name="x", channels=3):
    return gn.Input(name, ("N", channels, 6, 6))


def conv(filters=4, **fields):
    return Conv(filters, 3, padding=1, **fields)


def kinds(graph):
    return [node.kind for node in graph.nodes.values()]


def residual(*, norm=True, swap=False):
    x = image(channels=4)
    y = conv()(x)
    y = BatchNorm()(y) if norm else y
    return ReLU()(Add()(x, y) if swap else Add()(y, x))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: ReLU()(BatchNorm()(image())), ["BatchNormReLU"]),
        (lambda: ReLU()(conv()(image())), ["ConvReLU"]),
        (lambda: ReLU()(BatchNorm()(conv()(image()))), ["Conv", "BatchNormReLU"]),
        (lambda: residual(), ["Conv", "BatchNormReLU"]),
        (lambda: residual(swap=True), ["Conv", "BatchNormReLU"]),
        (lambda: residual(norm=False), ["ConvReLU"]),
        (lambda: Tanh()(BatchNorm()(image())), ["BatchNorm", "Tanh"]),
        (lambda: ReLU()(Linear(3)(gn.Input("x", ("N", 5)))), ["Linear", "ReLU"]),
        (lambda: ReLU()(ReLU()(conv()(image()))), ["ConvReLU", "ReLU"]),
        # the addition broadcasts
        (
            lambda: ReLU()(BatchNorm()(image()) + gn.Parameter("p", (3, 1, 1))),
            ["BatchNorm", "Add", "ReLU"],
        ),
    ],
)
def test_chains_become_one_node(value, expected):
    assert kinds(fuse(gn.Graph(y=value()))) == expected


def test_only_the_operators_asked_for_are_made():
    wanted = frozenset((BatchNormReLU,))
    assert kinds(fuse(gn.Graph(y=ReLU()(BatchNorm()(image()))), wanted)) == ["BatchNormReLU"]
    assert kinds(fuse(gn.Graph(y=residual()), wanted)) == ["Conv", "BatchNormReLU"]
    assert kinds(fuse(gn.Graph(y=residual(norm=False)), wanted)) == ["Conv", "Add", "ReLU"]
    assert kinds(fuse(gn.Graph(y=first_layer()), wanted)) == ["Conv", "MaxPool", "ReLU"]


HALVES = MaxPool(2)


def first_layer(channels=3, pool=HALVES, filters=16, **fields):
    return ReLU()(pool(Conv(filters, 3, padding=1, **fields)(image(channels=channels))))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: first_layer(), ["ConvMaxPoolReLU"]),
        (lambda: first_layer(channels=4, bias=False), ["ConvMaxPoolReLU"]),
        (lambda: Tanh()(first_layer()), ["ConvMaxPoolReLU", "Tanh"]),
        # what other methods do faster, or no kernel does
        (lambda: first_layer(channels=5), ["Conv", "MaxPool", "ReLU"]),
        (lambda: first_layer(channels=4, groups=2), ["Conv", "MaxPool", "ReLU"]),
        (lambda: first_layer(filters=20), ["Conv", "MaxPool", "ReLU"]),
        (lambda: first_layer(dilation=2), ["Conv", "MaxPool", "ReLU"]),
        (lambda: first_layer(pool=MaxPool(3)), ["Conv", "MaxPool", "ReLU"]),
        (lambda: first_layer(pool=MaxPool(2, 1)), ["Conv", "MaxPool", "ReLU"]),
        (lambda: first_layer(pool=MaxPool(2, padding=1)), ["Conv", "MaxPool", "ReLU"]),
    ],
)
def test_a_first_layer_becomes_one_node(value, expected):
    assert kinds(fuse(gn.Graph(y=value()))) == expected


def test_a_first_layer_of_which_others_read_a_part_stays_as_it_is():
    y = Conv(16, 3)(image())
    z = MaxPool(2)(y)
    assert kinds(fuse(gn.Graph(a=ReLU()(z), b=z))) == ["Conv", "MaxPool", "ReLU"]
    assert kinds(fuse(gn.Graph(a=ReLU()(z), b=Tanh()(y)))) == ["Conv", "MaxPool", "ReLU", "Tanh"]


def test_a_result_that_others_read_keeps_its_node():
    y = BatchNorm()(image())
    assert kinds(fuse(gn.Graph(a=ReLU()(y), b=Tanh()(y)))) == ["BatchNorm", "ReLU", "Tanh"]
    assert kinds(fuse(gn.Graph(a=ReLU()(y), b=y))) == ["BatchNorm", "ReLU"]
    z = Add()(y, image("z"))
    assert kinds(fuse(gn.Graph(a=ReLU()(z), b=z))) == ["BatchNorm", "Add", "ReLU"]
    assert kinds(fuse(gn.Graph(a=ReLU()(Add()(y, y))))) == ["BatchNorm", "Add", "ReLU"]


def test_what_is_fused_is_called_by_all_its_names_and_where_the_last_was_declared():
    graph = fuse(gn.Graph(y=residual()))
    assert list(graph.nodes) == ["conv_1", "batch_norm_1+add_1+relu_1"]
    assert list(graph.parameters) == list(gn.Graph(y=residual()).parameters)
    assert "test_fuse.py" in graph.nodes["batch_norm_1+add_1+relu_1"].declared_at


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: BatchNorm()(conv()(image())), ["FoldBatchNorm", "Conv"]),
        (lambda: BatchNorm()(conv(bias=False)(image())), ["FoldBatchNorm", "Conv"]),
        (
            lambda: BatchNorm()(Linear(3)(gn.Input("x", ("N", 5)))),
            ["FoldBatchNorm", "Linear"],
        ),
        (lambda: residual(), ["FoldBatchNorm", "ConvReLU"]),
        (lambda: BatchNorm()(MaxPool(2)(image())), ["MaxPool", "BatchNormInference"]),
        # units lie along the last axis, what is normalized along the second
        (
            lambda: BatchNorm()(Linear(4, axis=2)(gn.Input("x", ("N", 4, 5)))),
            ["Linear", "BatchNormInference"],
        ),
    ],
)
def test_layers_do_the_normalization_behind_them(value, expected):
    assert kinds(fuse(fold(for_inference(gn.Graph(y=value()))))) == expected


def test_a_layer_whose_result_others_read_keeps_its_weights():
    y = conv()(image())
    graph = fold(for_inference(gn.Graph(a=BatchNorm()(y), b=Softmax()(y))))
    assert "FoldBatchNorm" not in kinds(graph)


def randomized(graph):
    """An executor of it whose running statistics are none of those at the start."""
    net = gn.Executor(graph, kernels="reference")
    rng = np.random.default_rng(0)
    net.assign(
        {
            name: rng.uniform(0.5, 1.5, array.shape).astype(array.dtype)
            for name, array in net.snapshot().items()
        }
    )
    return net


@pytest.mark.parametrize("bias", [False, True])
def test_a_folded_network_computes_the_same(bias):
    x = image()
    y = ReLU()(BatchNorm()(conv(bias=bias)(x)))
    y = ReLU()(Add()(BatchNorm()(conv(4, bias=bias)(y)), y))
    graph = gn.Graph(y=BatchNorm()(Linear(5)(y)))
    net = randomized(graph)
    folded = gn.Executor(fuse(fold(for_inference(graph))), kernels="reference")
    folded.assign(net.snapshot())
    feeds = {"x": np.random.default_rng(1).normal(size=(3, 3, 6, 6)).astype("float32")}
    one, other = net.forward(**feeds)["y"], folded.forward(**feeds)["y"]
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * abs(one).max())


def test_a_fused_network_trains_the_same():
    graph = gn.Graph(
        loss=gn.models.deep_convnet((2, 6, 6), filters=(4, 4), pools=(1,)).outputs["loss"]
    )
    results = []
    for form in (graph, fuse(graph)):
        net = gn.Executor(form, kernels="reference", dtype="float64")
        rng = np.random.default_rng(1)
        feeds = {"image": rng.normal(size=(4, 2, 6, 6)), "label": np.arange(4)}
        outputs = net.forward(training=True, **feeds)
        results.append({**outputs, **net.backward("loss"), **net.snapshot()})
    assert equal(*results)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: MaxPool(2)(ReLU()(conv()(image()))), ["Conv", "MaxPool", "ReLU"]),
        (lambda: MaxPool(3, padding=1)(ReLU()(conv()(image()))), ["Conv", "MaxPool", "ReLU"]),
        # ReLU is part of the normalization's kernel
        (lambda: MaxPool(2)(ReLU()(BatchNorm()(image()))), ["BatchNorm", "ReLU", "MaxPool"]),
        # a window in the padding alone gives -inf, and 0 behind ReLU
        (
            lambda: MaxPool(2, stride=1, padding=1, dilation=3)(ReLU()(conv()(image()))),
            ["Conv", "ReLU", "MaxPool"],
        ),
    ],
)
def test_relu_sinks_below_a_pool(value, expected):
    assert kinds(sink(gn.Graph(y=value()))) == expected


def test_relu_stays_where_others_read_it():
    y = ReLU()(conv()(image()))
    assert kinds(sink(gn.Graph(a=MaxPool(2)(y), b=y))) == ["Conv", "ReLU", "MaxPool"]


def test_a_sunken_network_gives_the_same_also_for_ties_and_nan():
    graph = gn.Graph(y=MaxPool(2)(ReLU()(conv()(image()))))
    x = np.random.default_rng(0).integers(-1, 2, (3, 3, 6, 6)).astype("float32")
    weight = np.random.default_rng(1).integers(-1, 2, (4, 3, 3, 3)).astype("float32")
    x[2, 0, 0, 0] = np.nan
    results = []
    for form in (graph, sink(graph)):
        net = gn.Executor(form, kernels="reference")
        net.assign({"conv_1.weight": weight})
        y = net.forward(x=x, differentiate=True)["y"]
        gradients = net.backward("y", np.ones_like(y), wrt=["conv_1.bias", "x"])
        results.append({"y": y, **gradients})
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name])
