"""A trained network with another head: what stays, what learns, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from graphnet.training import replace_head
from ops import (
    BatchNorm,
    Conv,
    Flatten,
    GlobalAvgPool,
    Linear,
    MatMul,
    ReLU,
    Resize,
    Softmax,
    Transpose,
)
from ops.initializers import Normal
from tests.small_networks import classifier

RNG = np.random.default_rng(0)


def images(n: int, *shape: int) -> np.ndarray:
    return RNG.normal(size=(n, *shape)).astype("float32")


def backbone(shape: tuple[int, ...] = (3, 8, 8)) -> gn.Graph:
    x = Conv(4, 3)(gn.Input("x", ("N", *shape)), name="stem")
    features = Flatten()(GlobalAvgPool()(ReLU()(BatchNorm()(x, name="norm"))))
    return gn.Graph(y=Softmax()(Linear(7)(features, name="old")))


def test_the_last_linear_layer_is_replaced_and_what_follows_goes():
    graph = replace_head(backbone(), 2)
    assert list(graph.inputs) == ["image", "label"] and list(graph.outputs) == ["logits", "loss"]
    assert graph.outputs["logits"].shape == ("N", 2)
    assert not any(node.kind == "Softmax" for node in graph.nodes.values())
    assert {"stem.weight", "stem.bias", "norm.gamma", "norm.beta", "head.weight", "head.bias"} == {
        *graph.parameters
    }


def test_the_weights_of_the_network_stay():
    old = gn.Executor(backbone(), seed=3)
    new = gn.Executor(replace_head(backbone(), 2), seed=4)
    report = new.import_weights(old.snapshot(), strict=False)
    assert list(report.missing) == ["head.weight", "head.bias"]
    assert sorted(report.extra) == ["old.bias", "old.weight"]


@pytest.mark.parametrize("freeze", [False, True])
def test_frozen_layers_keep_their_weights_and_the_head_learns(freeze):
    net = gn.Executor(replace_head(backbone(), 2, freeze=freeze))
    before = net.snapshot()
    step = net.training_step(gn.optim.SGD(0.5))
    x, label = images(6, 3, 8, 8), np.arange(6) % 2
    losses = [float(step(image=x, label=label)["loss"]) for _ in range(20)]
    assert losses[-1] < losses[0]
    changed = {name for name, array in net.snapshot().items() if (array != before[name]).any()}
    assert ("head.weight" in changed) and ("stem.weight" in changed) != freeze
    assert ("norm.running_mean" in changed) != freeze, "frozen statistics stay too"
    assert set(net.trainable) == ({"head.weight", "head.bias"} if freeze else set(net.parameters))


def test_freezing_leaves_the_network_itself_trainable():
    graph = backbone()
    replace_head(graph, 2, freeze=True)
    assert all(leaf.trainable for leaf in graph.parameters.values())


def test_images_are_scaled_resized_and_repeated_to_what_the_network_takes():
    mean, std = np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 4.0)
    graph = replace_head(backbone((3, 16, 12)), 2, image=(1, 8, 6), mean=mean, std=std)
    grey = images(2, 1, 8, 6)
    fitted = np.repeat(((grey - 2) / 4), 3, axis=1)
    fitted, _ = Resize((16, 12), mode="linear").forward(fitted)
    plain = gn.Executor(replace_head(backbone((3, 16, 12)), 2))
    net = gn.Executor(graph)
    net.assign(plain.snapshot())
    (received,) = net.forward(outputs=["logits"], image=grey).values()
    (expected,) = plain.forward(outputs=["logits"], image=fitted).values()
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_a_network_that_takes_channels_last_gets_them_last():
    x = gn.Input("x", ("N", 8, 6, 3))
    features = Flatten()(GlobalAvgPool()(Conv(4, 3)(Transpose((0, 3, 1, 2))(x))))
    graph = replace_head(gn.Graph(y=Linear(7)(features)), 2)
    assert graph.inputs["image"].shape == ("N", 3, 8, 6)
    net = gn.Executor(graph)
    assert net.forward(outputs=["logits"], image=images(2, 3, 8, 6))["logits"].shape == (2, 2)


def test_a_product_with_a_learned_matrix_is_a_linear_layer():
    x = gn.Input("x", ("N", 3, 4, 4))
    matrix = gn.Parameter("matrix", (48, 7), Normal(0.1))
    bias = gn.Parameter("bias", (7,))
    graph = replace_head(gn.Graph(y=MatMul()(Flatten()(x), matrix) + bias), 5)
    assert list(graph.parameters) == ["head.weight", "head.bias"]


def test_a_product_of_what_is_fed_is_no_linear_layer():
    x = Flatten()(gn.Input("x", ("N", 1, 2, 2)))
    square = MatMul()(x, Transpose((1, 0))(x))
    with pytest.raises(gn.GraphError, match="received none in"):
        replace_head(gn.Graph(y=square), 2)


def test_only_the_outputs_before_the_head_decide_which_inputs_are_needed():
    graph = replace_head(classifier(), 2)
    assert list(graph.inputs) == ["image", "label"]


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (gn.Graph(y=ReLU()(gn.Input("x", ("N", 3, 4, 4)))), "received none in"),
        (gn.Graph(y=Linear(2)(gn.Input("x", ("N", 4)))), "expected images float32"),
        (
            gn.Graph(y=Linear(2, axis=-1)(gn.Input("x", ("N", 5, 4)))),
            "linear_1 (Linear, declared at test_transfer.py:",
        ),
        (
            gn.Graph(y=Linear(2)(gn.Input("a", ("N", 4)) + gn.Input("b", ("N", 4)))),
            "expected one input, a batch of images, received ['a', 'b']",
        ),
    ],
)
def test_what_cannot_be_fine_tuned_says_why(graph, text):
    with pytest.raises(gn.GraphError) as caught:
        replace_head(graph, 2)
    assert text in str(caught.value)


def test_colour_images_for_a_grey_network_are_refused():
    with pytest.raises(gn.GraphError, match="images of 1 channels or of one, received <image"):
        replace_head(backbone((1, 8, 8)), 2, image=(3, 8, 8))
