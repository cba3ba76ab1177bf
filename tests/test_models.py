"""The models have the shapes they promise, and the gradients of their graphs are right."""

from __future__ import annotations

import numpy as np

import graphnet as gn
from graphnet.testing import check_gradients


def images(shape, classes, count=3):
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(count, *shape)), "label": np.arange(count) % classes}


def test_vit_has_logits_for_each_image_and_right_gradients():
    graph = gn.models.vit((1, 4, 4), patch=2, width=8, depth=1, heads=2, classes=3)
    assert graph.outputs["logits"].shape == ("N", 3)
    check_gradients(graph, images((1, 4, 4), 3), rtol=1e-5)  # curved by many layers


def losses_of_training(graph, feeds, steps=30):
    # zeros that tie in max pooling and kinks of ReLU leave differences nothing to find here
    step = gn.Executor(graph).training_step(gn.optim.Adam(1e-2))
    return [float(step(**feeds)["loss"]) for _ in range(steps)]


def test_mobilenet_has_logits_for_each_image_and_learns_them():
    graph = gn.models.mobilenet((1, 8, 8), width=4, classes=3)
    assert graph.outputs["logits"].shape == ("N", 3)
    feeds = images((1, 8, 8), 3, count=6)
    losses = losses_of_training(graph, {**feeds, "image": feeds["image"].astype("float32")})
    assert losses[-1] < losses[0] / 2


def test_unet_has_logits_for_each_pixel_and_learns_them():
    graph = gn.models.unet((1, 8, 8), classes=3, width=4, depth=1)
    assert graph.outputs["logits"].shape == ("N", 3, 8, 8)
    image = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype("float32")
    label = np.digitize(image[:, 0], [-0.5, 0.5])
    losses = losses_of_training(graph, {"image": image, "label": label})
    assert losses[-1] < losses[0] / 2


def test_the_character_transformer_sees_no_later_character_and_has_right_gradients():
    graph = gn.models.character_transformer(5, context=6, width=8, depth=1, heads=2)
    assert graph.outputs["logits"].shape == ("N", 6, 5)
    rng = np.random.default_rng(0)
    feeds = {name: rng.integers(0, 5, (2, 6)) for name in ("token", "label")}
    check_gradients(graph, feeds, rtol=1e-5)  # curved by many layers
    net = gn.Executor(graph)
    other = feeds["token"].copy()
    other[:, 4:] = (other[:, 4:] + 1) % 5
    a, b = (net.forward(token=x, outputs=["logits"])["logits"] for x in (feeds["token"], other))
    np.testing.assert_allclose(a[:, :4], b[:, :4], atol=1e-6)
    assert not np.allclose(a[:, 5], b[:, 5])
