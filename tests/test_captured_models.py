"""Training steps of every ready-made network are captured, in every precision."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from graphnet.kernels.cudnn import provider as cudnn_provider
from graphnet.kernels.cudnn.choice import KEPT
from tests.cards import CountingCupy, cupy_works
from tests.frontend import install
from tests.test_emulated import CudnnBackend

#: Small ones of every kind, with what is optional.
MODELS = {
    "three_layer_convnet": lambda: gn.models.three_layer_convnet((1, 8, 8), filters=4, reg=0.01),
    "deep_convnet": lambda: gn.models.deep_convnet(
        (1, 8, 8), filters=(4, 5), pools=(1,), dropout=0.2, reg=0.01
    ),
    "resnet": lambda: gn.models.resnet(18, (3, 8, 8), width=2),
    "mobilenet": lambda: gn.models.mobilenet((3, 8, 8), width=2),
    "unet": lambda: gn.models.unet((1, 8, 8), width=2, classes=3),
    "vit": lambda: gn.models.vit((1, 4, 4), width=16, depth=1, heads=2, dropout=0.1),
    "character_transformer": lambda: gn.models.character_transformer(
        11, context=5, width=16, depth=1, heads=2, dropout=0.1
    ),
}
PRECISIONS = ["fast", "tf32", "float16", "bfloat16"]


@pytest.fixture(params=["cudnn", "other", pytest.param("cupy", marks=pytest.mark.gpu)])
def make_backend(request, monkeypatch, tmp_path):
    """A card with cuDNN: its stand-in, one that refuses attention, and the real one."""
    if request.param == "cupy":
        if not cupy_works():
            pytest.skip("no CUDA device")
        return CountingCupy
    request.addfinalizer(KEPT.forget)
    monkeypatch.setattr(cudnn_provider, "import_cupy", lambda: None)
    frontend = install(monkeypatch, request.getfixturevalue("emulated"), tmp_path)
    if request.param == "other":
        if request.getfixturevalue("name") not in ("vit", "character_transformer"):
            pytest.skip("there is no attention in it")
        frontend.refuses = lambda operations: any("sdpa" in name for name in operations)
    return CudnnBackend


def feeds_of(graph, batch, seed):
    rng = np.random.default_rng([batch, seed])
    feeds = {}
    for name, value in graph.inputs.items():
        shape = (batch, *value.shape[1:])
        drawn = rng.integers(0, 3, shape) if value.dtype == "int64" else rng.normal(size=shape)
        feeds[name] = drawn.astype(value.dtype)
    return feeds


def test_every_ready_made_network_is_among_them():
    assert set(MODELS) == set(gn.models.__all__)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_nothing_stands_against_capturing_any_ready_made_network(make_backend, name, precision):
    net = gn.Executor(MODELS[name](), make_backend(), precision=precision)
    assert "captured: from its second time on" in net.explain(2, training=True)


#: A step whose gradients overflow is skipped.
overflows = pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")


@overflows
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", ["fast", "float16"])
def test_replayed_steps_of_every_ready_made_network_are_the_others(make_backend, name, precision):
    results = []
    for capture in (False, True):
        net = gn.Executor(MODELS[name](), make_backend(), precision=precision)
        step = net.training_step(gn.optim.Adam(0.01), capture=capture)
        losses = [net.to_host(step(**feeds_of(net.graph, 2, n))["loss"]) for n in range(3)]
        results.append((losses, net.snapshot()))
    assert step.uncaptured == "" and np.isfinite(losses).all() and losses[0] != losses[1]
    assert results[0][0] == results[1][0]
    for key, array in results[0][1].items():
        np.testing.assert_array_equal(results[1][1][key], array, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_every_ready_made_network_is_that_of_the_processor(make_backend, name):
    card, host = (
        gn.Executor(MODELS[name](), backend, kernels=kernels)
        for backend, kernels in ((make_backend(), None), ("numpy", "reference"))
    )
    feeds = feeds_of(host.graph, 8, 0)
    found, wanted = (net.forward(training=True, **feeds) for net in (card, host))
    for each in wanted:
        right = np.asarray(wanted[each])
        # batch statistics of few and near values magnify rounding, layer after layer
        np.testing.assert_allclose(card.to_host(found[each]), right, rtol=1e-3, atol=1e-3)
    gradients, expected = card.backward("loss"), host.backward("loss")
    largest = max(np.abs(array).max() for array in expected.values())
    for each, right in expected.items():
        np.testing.assert_allclose(
            card.to_host(gradients[each]), right, atol=1e-3 * largest, err_msg=each
        )


@pytest.mark.parametrize("name", ["unet", "vit", "mobilenet"])
def test_channels_stay_last_so_that_no_kernel_waits_for_a_rearrangement(make_backend, name):
    net = gn.Executor(MODELS[name](), make_backend())
    net.forward(training=True, **feeds_of(net.graph, 2, 0))
    (planned,) = net._plans.kept.values()
    program = planned.program
    moved = [entry.step.name for entry in program.steps if entry.before]
    (reverse,) = planned.reverses.values()
    moved += [e.step.name for _, e in reverse.steps if e is not None and e.before]
    assert moved == []
