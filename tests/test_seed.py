"""What the system must show as a whole: losses, gradients, learning, normalization, depth."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest

import graphnet as gn
from graphnet.testing import check_gradients
from ops import BatchNorm, Hinge

EXAMPLES = Path(__file__).parent.parent / "examples"


def feeds(shape: tuple[int, ...], classes: int, size: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(size, *shape)).astype("float32")
    return {"image": images, "label": rng.integers(0, classes, size)}


# -- the loss of an untrained network


@pytest.mark.parametrize("classes", [2, 10, 37])
def test_an_untrained_classifier_loses_the_logarithm_of_its_classes(classes):
    graph = gn.models.three_layer_convnet((3, 16, 16), classes=classes)
    loss = gn.Executor(graph).forward(**feeds((3, 16, 16), classes, 20))["loss"]
    assert loss == pytest.approx(math.log(classes), rel=1e-3)


def test_l2_adds_the_squares_of_the_weights_and_not_of_the_biases():
    def network(reg):
        return gn.Executor(gn.models.three_layer_convnet((3, 16, 16), reg=reg))

    fed = feeds((3, 16, 16), 10, 20)
    plain, penalised = network(0.0), network(0.5)
    for net in (plain, penalised):  # biases that would show if they were counted
        biases = [name for name in net.parameters if name.endswith("bias")]
        net.assign({name: np.full_like(net.parameters[name], 1.0) for name in biases})
    weights = [array for name, array in plain.parameters.items() if name.endswith("weight")]
    penalty = 0.5 * sum((w.astype("float64") ** 2).sum() for w in weights)
    without, with_penalty = (net.forward(**fed)["loss"] for net in (plain, penalised))
    assert with_penalty > without
    assert with_penalty - without == pytest.approx(penalty, rel=1e-3)


# -- gradients of whole networks in float64


SMALL = (2, 6, 6)
NETWORKS = {
    "three layers": lambda: gn.models.three_layer_convnet(
        SMALL, filters=3, kernel_size=3, hidden=5, classes=4, weight_scale="kaiming", reg=0.1
    ),
    "deep": lambda: gn.models.deep_convnet(
        SMALL, filters=(3, 4), pools=(1,), classes=4, batchnorm=False, reg=0.1
    ),
    "deep, normalized": lambda: gn.models.deep_convnet(
        SMALL, filters=(3, 4), pools=(1,), classes=4, reg=0.1
    ),
    "deep, hinge loss": lambda: gn.models.deep_convnet(
        SMALL, filters=(3, 4), pools=(0,), classes=4, loss=Hinge()
    ),
    "deep, dropout": lambda: gn.models.deep_convnet(
        SMALL, filters=(3, 4), pools=(0,), classes=4, dropout=0.4
    ),
    "residual": lambda: gn.models.resnet(18, (2, 8, 8), classes=4, width=2),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_gradients_of_a_whole_network_agree_with_differences(name, training):
    graph = NETWORKS[name]()
    fed = feeds(tuple(graph.inputs["image"].shape[1:]), 4)
    assert check_gradients(graph, fed, training=training) < 1e-6


# -- learning by heart


@pytest.mark.parametrize("batchnorm", [True, False])
def test_50_digits_are_learned_by_heart_in_30_epochs(batchnorm):
    digits = gn.data.load_digits().train.subset(range(50))
    graph = gn.models.deep_convnet((1, 8, 8), filters=(16, 16), pools=(1,), batchnorm=batchnorm)
    trainer = gn.Trainer(gn.Executor(graph), gn.optim.Adam(5e-3))
    trainer.fit(digits, epochs=30, batch_size=10, quiet=True)
    assert trainer.evaluate(digits).accuracy == 1.0


def test_the_three_layer_network_learns_50_digits_by_heart():
    digits = gn.data.load_digits().train.subset(range(50))
    graph = gn.models.three_layer_convnet((1, 8, 8), kernel_size=3, weight_scale=1e-2)
    trainer = gn.Trainer(gn.Executor(graph), gn.optim.Adam(2e-3))
    trainer.fit(digits, epochs=30, batch_size=10, quiet=True)
    assert trainer.evaluate(digits).accuracy == 1.0


# -- batch normalization


@pytest.mark.parametrize("shape", [(200, 3), (20, 3, 4, 5)], ids=["features", "channels"])
def test_batch_norm_gives_each_feature_mean_beta_and_deviation_gamma(shape):
    rng = np.random.default_rng(0)
    across = (-1, *[1] * (len(shape) - 2))
    means, deviations = np.array([10.0, -4.0, 0.5]), np.array([3.0, 0.5, 20.0])
    x = means.reshape(across) + deviations.reshape(across) * rng.normal(size=shape)
    axes = (0, *range(2, len(shape)))
    value = gn.Input("x", ("N", *shape[1:]), "float64")
    net = gn.Executor(gn.Graph(y=BatchNorm()(value)))

    def check(gamma, beta):
        y = net.forward(x=x, training=True)["y"]
        np.testing.assert_allclose(y.mean(axis=axes), beta, atol=1e-10)
        # eps takes its part of the variance
        var = x.var(axis=axes)
        np.testing.assert_allclose(y.std(axis=axes), gamma * np.sqrt(var / (var + 1e-5)))
        np.testing.assert_allclose(y.std(axis=axes), gamma, rtol=1e-4)

    assert abs(x.mean(axis=axes)).max() > 5
    assert x.std(axis=axes).max() > 10
    check(np.ones(3), np.zeros(3))
    gamma, beta = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, -13.0])
    net.assign({"batch_norm_1.gamma": gamma, "batch_norm_1.beta": beta})
    check(gamma, beta)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_batch_norm_gets_further_at_its_best_rate_and_works_over_more_rates(seed, capsys):
    results = runpy.run_path(str(EXAMPLES / "batchnorm_learning_rates.py"))["main"](seed)
    normalized, plain = ([r for r in results if r.batchnorm is which] for which in (True, False))
    # each at the rate that suits it best
    assert min(r.loss for r in normalized) < 0.6 * min(r.loss for r in plain)
    # over all rates together
    assert np.mean([r.accuracy for r in normalized]) > 0.08 + np.mean([r.accuracy for r in plain])
    assert "learning rate" in capsys.readouterr().out


# -- initialization


@pytest.mark.slow
def test_of_31_layers_only_those_of_kaiming_learn(capsys):
    results = runpy.run_path(str(EXAMPLES / "kaiming_31_layers.py"))["main"]()
    kaiming = [r for r in results if r.scale == "kaiming"]
    others = [r for r in results if r.scale != "kaiming"]
    assert min(r.accuracy for r in kaiming) > 0.9
    assert max(r.accuracy for r in others) < 0.3
    # why: the signal of the others is gone before it reaches the logits
    assert min(r.logits for r in kaiming) > 1e4 * max(r.logits for r in others)
    assert {result.scale for result in results} == {1e-1, 1e-2, 1e-3, "kaiming"}
    assert "kaiming" in capsys.readouterr().out
