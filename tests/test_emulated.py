"""Whole networks on the emulated card, and on a real one where there is one.

On the emulated one arrays are strict: nothing is converted unseen, and every transfer is counted.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from graphnet.kernels.cudnn import provider as cudnn_provider
from graphnet.kernels.cudnn.choice import KEPT
from ops import (
    GELU,
    Add,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dropout,
    GlobalAvgPool,
    LayerNorm,
    Linear,
    MaxPool,
    Mean,
    Multiply,
    ReLU,
    ScaledDotProductAttention,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from tests.cards import CountingCupy, cupy_works
from tests.emulator import EmulatedBackend
from tests.frontend import install


class CudnnBackend(EmulatedBackend):
    """The emulated card with the stand-in for cuDNN."""

    providers = ("cudnn", "cuda", "reference")


@pytest.fixture(
    params=["emulated", "cudnn", pytest.param("cupy", marks=pytest.mark.gpu)], autouse=True
)
def make_backend(request, monkeypatch, tmp_path):
    """The class of the backend that networks run on."""
    if request.param in ("emulated", "cudnn"):
        emulated = request.getfixturevalue("emulated")
        if request.param == "emulated":
            return EmulatedBackend
        request.addfinalizer(KEPT.forget)
        monkeypatch.setattr(cudnn_provider, "import_cupy", lambda: None)
        install(monkeypatch, emulated, tmp_path)
        return CudnnBackend
    if not cupy_works():
        pytest.skip("no CUDA device")
    return CountingCupy


#: Sums in another order: a few roundings of float32, relative to the largest entry.
TOLERANCE = 1e-4


def convolutional():
    image, label = gn.Input("image", ("N", 3, 8, 8)), gn.Input("label", ("N",), "int64")
    x = ReLU()(BatchNorm()(Conv(8, 3, padding=1, bias=False)(image)))
    y = BatchNorm()(Conv(8, 3, padding=1, bias=False)(x))
    x = MaxPool(2)(ReLU()(Add()(y, x)))
    x = Dropout(0.25)(x)
    logits = Linear(5)(GlobalAvgPool()(x))
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def gated():
    """Elementwise chains, one of whose values fans out."""
    image, label = gn.Input("image", ("N", 12)), gn.Input("label", ("N",), "int64")
    x = LayerNorm()(Linear(16)(image))
    gate = Sigmoid()(Linear(16)(x))
    x = Tanh()(Add()(GELU()(Multiply()(x, gate)), gate))
    logits = Linear(5)(x)
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def feeds_of(graph, batch):
    rng = np.random.default_rng(batch)
    shape = graph.inputs["image"].shape[1:]
    image = rng.normal(size=(batch, *shape)).astype("float32")
    return {"image": image, "label": rng.integers(0, 5, batch)}


@pytest.fixture
def pair(make_backend):
    """A network on the card and on NumPy."""

    def both(make):
        graph = make()
        return gn.Executor(graph, make_backend()), gn.Executor(graph, kernels="reference")

    return both


def expect_close(found, wanted):
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    assert np.abs(found - wanted).max(initial=0) <= TOLERANCE * max(1, np.abs(wanted).max())


@pytest.mark.parametrize("make", [convolutional, gated])
def test_outputs_gradients_and_states_are_those_of_numpy_at_every_batch_size(pair, make):
    card, host = pair(make)
    for batch in (4, 3, 4):
        feeds = feeds_of(host.graph, batch)
        found, wanted = (net.forward(training=True, **feeds) for net in (card, host))
        for name in wanted:
            expect_close(card.to_host(found[name]), np.asarray(wanted[name]))
        gradients, expected = card.backward("loss"), host.backward("loss")
        for name in expected:
            expect_close(card.to_host(gradients[name]), expected[name])
        after, states = card.snapshot(), host.snapshot()
        for name in host.states:
            if states[name].dtype == np.uint64:
                np.testing.assert_array_equal(after[name], states[name])
            else:
                expect_close(after[name], states[name])


@pytest.mark.parametrize("make", [convolutional, gated])
def test_inference_is_that_of_numpy(pair, make):
    card, host = pair(make)
    image = feeds_of(host.graph, 4)["image"]
    found = card.forward(outputs=["logits"], image=image)["logits"]
    expect_close(card.to_host(found), host.forward(outputs=["logits"], image=image)["logits"])


@pytest.mark.parametrize("make", [convolutional, gated])
@pytest.mark.parametrize(
    "optimizer",
    [
        gn.optim.SGD(0.1, momentum=0.9, weight_decay=0.01, clip_norm=0.5),
        gn.optim.RMSProp(clip_value=0.1),
        gn.optim.AdamW(0.01),
    ],
)
def test_training_is_that_of_numpy_and_a_step_moves_nothing_over(pair, make, optimizer):
    card, host = pair(make)
    steps = [net.training_step(optimizer) for net in (card, host)]
    feeds = feeds_of(host.graph, 4)
    lying = {name: card.backend.from_host(array) for name, array in feeds.items()}
    losses = []
    for number in range(3):
        before = (card.backend.transfers.to_device, card.backend.transfers.to_host)
        losses.append(steps[0](**lying)["loss"])
        after = (card.backend.transfers.to_device, card.backend.transfers.to_host)
        assert after == before, f"step {number} moved arrays between host and card"
        expect_close(card.to_host(losses[-1]), np.asarray(steps[1](**feeds)["loss"]))
    found, wanted = card.snapshot(), host.snapshot()
    for name in host.parameters:
        expect_close(found[name], wanted[name])


def test_all_parameters_of_a_step_are_updated_by_two_kernels(emulated):
    net = gn.Executor(convolutional(), EmulatedBackend())
    step = net.training_step(gn.optim.SGD(0.1, weight_decay=0.01))
    feeds = feeds_of(net.graph, 4)
    step(**feeds)
    emulated.launches.clear()
    step(**feeds)
    # those that decay, and those that do not
    assert emulated.launches.count("sgd") == 2


def residual():
    """Values that are large beside all else; each is read twice."""
    x = gn.Input("x", ("N", 16))
    y = x
    for _ in range(4):
        y = ReLU()(Add()(BatchNorm()(GELU()(y)), y))
    return gn.Graph(loss=Mean()(y))


def test_what_is_computed_again_under_a_memory_limit_is_the_same(make_backend):
    feeds = {"x": np.random.default_rng(0).normal(size=(64, 16)).astype("float32")}
    sizes, gradients = [], []
    for share in (None, 0.9):
        limit = None if share is None else int(share * sizes[0])
        net = gn.Executor(residual(), make_backend(), memory_limit=limit)
        net.forward(training=True, **feeds)
        found = net.backward("loss")
        gradients.append({name: net.to_host(array) for name, array in found.items()})
        sizes.append(next(iter(net._plans.kept.values())).program.nbytes)
    assert sizes[1] <= 0.9 * sizes[0]
    for name, gradient in gradients[0].items():
        np.testing.assert_array_equal(gradients[1][name], gradient)


def test_convolutions_and_the_relu_behind_them_are_one_node_of_cudnn(make_backend):
    if "cudnn" not in make_backend.providers:
        pytest.skip("this backend has no cuDNN")
    x = gn.Input("x", ("N", 3, 8, 8))
    y = ConvTranspose(4, 2, stride=2)(ReLU()(Conv(16, 3, padding=1)(x)))
    net = gn.Executor(gn.Graph(y=y), make_backend())
    rows = [line for line in net.explain(2, training=True).splitlines() if "Conv" in line]
    assert len(rows) == 2 and "ConvReLU" in rows[0] and all("cudnn" in row for row in rows)
    image = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
    wanted = gn.Executor(gn.Graph(y=y), kernels="reference").forward(x=image)["y"]
    expect_close(net.to_host(net.forward(x=image)["y"]), np.asarray(wanted))


def attentive():
    x, label = gn.Input("image", ("N", 6, 16)), gn.Input("label", ("N",), "int64")
    heads = (Linear(16, axis=-1)(x) for _ in range(3))
    y = ScaledDotProductAttention(2, causal=True)(*heads)
    logits = Linear(5)(y)
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


@pytest.mark.parametrize("make", [convolutional, attentive])
@pytest.mark.parametrize("precision", ["fast", "tf32", "float16", "bfloat16"])
def test_steps_with_cudnn_are_captured_in_every_precision(make_backend, make, precision):
    """And N captured steps are N others to the last bit."""
    if "cudnn" not in make_backend.providers:
        pytest.skip("this backend has no cuDNN")
    graph = make()
    net, host = gn.Executor(graph, make_backend(), precision=precision), gn.Executor(graph)
    table = net.explain(4, training=True)
    wanted = "ScaledDotProductAttention" if make is attentive else "ConvReLU"
    # attention in float32 is left to cuBLAS
    provider = "cuda" if make is attentive and precision in ("fast", "tf32") else "cudnn"
    assert [line for line in table.splitlines() if wanted in line or "Conv " in line]
    assert all(provider in line.split() for line in table.splitlines() if wanted in line)
    served = {"Linear"} if precision != "fast" else set()
    served |= {"BatchNorm"} if make is convolutional else set()
    for name in served:
        lines = [line for line in table.splitlines() if name in line]
        assert lines and all("cudnn" in line for line in lines)
    steps = [n.training_step(gn.optim.SGD(0.1)) for n in (net, host)]
    feeds = feeds_of(graph, 4)
    found, wanted = (
        float(n.to_host(step(**feeds)["loss"])) for n, step in zip((net, host), steps, strict=True)
    )
    # bfloat16 has eight bits of mantissa, of which a loss keeps about seven
    assert abs(found - wanted) < 0.01 * wanted
    for _ in range(2):
        steps[0](**feeds)
    assert not steps[0].uncaptured
    other = gn.Executor(graph, make_backend(), precision=precision)
    called = other.training_step(gn.optim.SGD(0.1), capture=False)
    for _ in range(3):
        called(**feeds)
    for name, array in other.snapshot().items():
        np.testing.assert_array_equal(net.snapshot()[name], array)


def test_what_only_the_processor_fuses_stays_a_chain_of_operators(make_backend):
    if "cudnn" in make_backend.providers:
        pytest.skip("cuDNN has a ReLU behind a convolution")
    x = gn.Input("x", ("N", 3, 8, 8))
    y = MaxPool(2)(ReLU()(Conv(16, 3, padding=1)(x)))
    net = gn.Executor(gn.Graph(y=ReLU()(Conv(4, 3)(y))), make_backend())
    table = net.explain(2, training=True)
    assert "ConvReLU" not in table and "ConvMaxPoolReLU" not in table
    assert table.count("Conv ") == 2


@pytest.mark.parametrize("precision", ["fast", "float16"])
def test_constants_of_one_entry_join_a_chain_and_others_broadcast(make_backend, precision):
    x = gn.Input("x", ("N", 3, 4))
    across = gn.Parameter("across", (3, 1))
    y = 2.0 * Linear(4, axis=-1)(x) - 1.0
    graph = gn.Graph(loss=Mean()(ReLU()(y * across)))
    net = gn.Executor(graph, make_backend(), precision=precision)
    table = net.explain(2, training=True)
    assert "captured: from its second time on" in table and table.count("Chain") == 1
    host = gn.Executor(graph, kernels="reference")
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")}
    results = []
    for each in (net, host):
        each.assign({"across": np.float32([[1], [-2], [3]])})
        each.forward(training=True, **feeds)
        results.append({n: each.to_host(a) for n, a in each.backward("loss").items()})
    for name, wanted in results[1].items():
        np.testing.assert_allclose(results[0][name], wanted, rtol=0.02, atol=0.02)


def test_the_kernels_of_the_card_serve_and_chains_are_one_of_them(pair):
    card, _ = pair(gated)
    table = card.explain(4, training=True)
    assert "Chain" in table and "cuda" in table
    assert "cuda" in pair(convolutional)[0].explain(4, training=True)
