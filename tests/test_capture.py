"""A training step captured and replayed is the step call by call, bit for bit.

On the emulated card a captured step is recorded and done when it is replayed, as a CUDA graph is,
and what CUDA would refuse is refused; on a real card it is a CUDA graph.
"""

from __future__ import annotations

import dataclasses
import gc

import numpy as np
import pytest

import graphnet as gn
from graphnet.capture import say_captured
from graphnet.kernels.cuda.layer_norm import CudaLayerNorm
from graphnet.kernels.cuda.optimizers import CudaUpdate
from graphnet.kernels.placed import ROWS, PlacedKernel, Terms
from ops import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    Mean,
    ReduceLogSumExp,
    ReLU,
    SoftmaxCrossEntropy,
    Tanh,
)
from tests.emulator import EmulatedBackend
from tests.test_emulated import feeds_of, gated


def pooled():
    """States, random numbers, and every shape of memory there is."""
    image, label = gn.Input("image", ("N", 3, 8, 8)), gn.Input("label", ("N",), "int64")
    x = MaxPool(2)(ReLU()(BatchNorm()(image)))
    x = Dropout(0.25)(AvgPool(2)(x))
    logits = Linear(5)(ReLU()(Linear(7, bias=False)(Flatten()(x))))
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def averaged():
    image, label = gn.Input("image", ("N", 3, 8, 8)), gn.Input("label", ("N",), "int64")
    y = GlobalAvgPool()(BatchNorm()(Dropout(0.5)(image)))
    logits = Linear(5)(LayerNorm()(Tanh()(MatMul()(Flatten()(y), gn.Parameter("w", (3, 3))))))
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def convolutional():
    image, label = gn.Input("image", ("N", 3, 8, 8)), gn.Input("label", ("N",), "int64")
    x = ReLU()(Conv(4, 3)(image))
    logits = Linear(5)(GlobalAvgPool()(x))
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


CAPTURED = [gated, pooled, averaged]


OPTIMIZERS = [
    gn.optim.SGD(gn.optim.Cosine(0.1, steps=9), momentum=0.9, weight_decay=0.01, clip_norm=0.5),
    gn.optim.RMSProp(clip_value=0.1),
    gn.optim.AdamW(gn.optim.WarmUp(4, then=0.01), clip_norm=1.0),
]


def trained(make, backend, optimizer, batches, **options):
    """Losses and logits of some steps, everything that is learned or remembered, and the step."""
    net = gn.Executor(make(), backend)
    step = net.training_step(optimizer, **options)
    results = []
    for number, batch in enumerate(batches):
        feeds = feeds_of(net.graph, batch)
        feeds["image"] += np.float32(number)
        outputs = step(**feeds)
        results += [net.to_host(outputs[name]) for name in ("loss", "logits")]
    slots = {name: net.to_host(array) for name, array in step.slots.items()}
    return results, {**net.snapshot(), **slots}, step


def replays_of(step):
    """What a training step replays, for each plan."""
    plans = step._runner.plans.kept.values()
    return [planned.captured[step._captured][-1] for planned in plans]


@pytest.mark.parametrize("make", CAPTURED)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_that_are_replayed_are_those_that_are_not_bit_for_bit(make_backend, make, optimizer):
    batches = [4, 4, 4, 3, 4, 3, 3, 4]
    plain, wanted, other = trained(make, make_backend(), optimizer, batches, capture=False)
    found, after, step = trained(make, make_backend(), optimizer, batches)
    assert step.uncaptured == "" and other.uncaptured == "captures are turned off"
    replays = replays_of(step)
    assert len(replays) == 2 and all(replay.is_captured for replay in replays)
    for one, two in zip(plain, found, strict=True):
        np.testing.assert_array_equal(two, one)
    assert wanted.keys() == after.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)


def test_a_rate_that_stays_as_it_was_captured_changes_the_results(make_backend, monkeypatch):
    optimizer, batches = OPTIMIZERS[2], [4] * 5
    right = trained(gated, make_backend(), optimizer, batches)[0]
    tell = CudaUpdate.tell
    monkeypatch.setattr(CudaUpdate, "tell", lambda self, step: tell(self, min(step, 2)))
    stuck = trained(gated, make_backend(), optimizer, batches)[0]
    same = [np.array_equal(one, two) for one, two in zip(stuck, right, strict=True)]
    # a loss and logits each: those of the fourth step are the first to follow another rate
    assert same == [True] * 6 + [False] * 4


def test_a_replayed_step_launches_nothing_one_by_one_but_what_tells_the_step(emulated):
    net = gn.Executor(pooled(), EmulatedBackend())
    step = net.training_step(gn.optim.Adam())
    feeds = feeds_of(net.graph, 4)
    for _ in range(2):
        step(**feeds)
    emulated.launches.clear()
    step(**feeds)
    assert emulated.launches == ["tell"]


def test_a_larger_batch_moves_the_block_and_smaller_ones_are_captured_anew(make_backend):
    batches = [2, 2, 2, 16, 2, 2, 2, 16, 16, 2]
    optimizer = gn.optim.SGD(0.05, momentum=0.9)
    plain = trained(pooled, make_backend(), optimizer, batches, capture=False)[0]
    found, _, step = trained(pooled, make_backend(), optimizer, batches)
    assert all(replay.is_captured for replay in replays_of(step))
    for one, two in zip(plain, found, strict=True):
        np.testing.assert_array_equal(two, one)


def deep():
    image, label = gn.Input("image", ("N", 3, 8, 8)), gn.Input("label", ("N",), "int64")
    x = image
    for _ in range(4):
        x = ReLU()(Add()(BatchNorm()(Tanh()(x)), x))
    logits = Linear(5)(x)
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def test_what_is_computed_again_under_a_memory_limit_is_captured_too(make_backend):
    results, sizes = [], []
    for share, capture in ((None, False), (0.85, False), (0.85, True)):
        limit = None if share is None else int(share * sizes[0])
        net = gn.Executor(deep(), make_backend(), memory_limit=limit)
        step = net.training_step(gn.optim.Adam(), capture=capture)
        feeds = feeds_of(net.graph, 8)
        results.append([net.to_host(step(**feeds)["loss"]) for _ in range(4)])
        sizes.append(net.planned_bytes(8, training=True))
    assert step.uncaptured == "" and sizes[2] == sizes[1] <= 0.85 * sizes[0]
    assert results[0] == results[1] == results[2]


def test_results_stay_as_they_are_when_the_next_step_comes(make_backend):
    net = gn.Executor(pooled(), make_backend())
    step = net.training_step(gn.optim.SGD(0.5))
    feeds, kept = feeds_of(net.graph, 4), []
    for _ in range(4):
        outputs = step(**feeds)
        kept.append((outputs["loss"], net.to_host(outputs["loss"])))
    for array, before in kept:
        assert net.to_host(array) == before
    assert len({float(before) for _, before in kept}) == 4


def test_what_was_captured_goes_with_its_step(make_backend):
    net = gn.Executor(gated(), make_backend())
    feeds = feeds_of(net.graph, 4)
    for _ in range(3):
        step = net.training_step(gn.optim.SGD(0.1))
        for _ in range(3):
            step(**feeds)
        gc.collect()
        (planned,) = net._plans.kept.values()
        assert list(planned.captured) == [step._captured]


def test_parameters_assigned_between_two_replays_are_seen(make_backend):
    net = gn.Executor(gated(), make_backend())
    step = net.training_step(gn.optim.SGD(0.1))
    feeds = feeds_of(net.graph, 4)
    first = net.snapshot()
    losses = [net.to_host(step(**feeds)["loss"]) for _ in range(4)]
    net.assign(first)
    assert net.to_host(step(**feeds)["loss"]) == losses[0] != losses[3]


def test_what_cannot_be_captured_runs_and_the_table_says_which_node_and_why(make_backend):
    net = gn.Executor(convolutional(), make_backend())
    step = net.training_step(gn.optim.SGD(0.1))
    feeds = feeds_of(net.graph, 4)
    losses = [float(net.to_host(step(**feeds)["loss"])) for _ in range(3)]
    assert losses[2] < losses[0]
    table = net.explain(4, training=True)
    stated = "conv_1 (Conv): the reference kernel makes its own arrays"
    if "conv_1 (Conv)" in step.uncaptured:  # as long as no other kernel serves it
        assert stated in step.uncaptured and f"not captured: {stated}" in table
        assert "linear_1" not in step.uncaptured
    else:
        assert "captured: from its second time on" in table


def test_a_plan_that_is_captured_says_so_and_one_for_inference_says_nothing(make_backend):
    net = gn.Executor(pooled(), make_backend())
    assert "captured: from its second time on" in net.explain(4, training=True)
    assert "captured" not in net.explain(4, training=False)
    assert "captured" not in gn.Executor(pooled()).explain(4, training=True)


def test_an_optimizer_of_ones_own_runs_uncaptured(make_backend):
    @dataclasses.dataclass(frozen=True)
    class Mine(gn.optim.SGD):
        pass

    net = gn.Executor(gated(), make_backend())
    step = net.training_step(Mine(0.1))
    step(**feeds_of(net.graph, 4))
    assert step.uncaptured == "Mine has no kernel of the card"


def test_an_output_that_no_kernel_reads_is_that_of_the_step(make_backend):
    x, other = gn.Input("image", ("N", 4)), gn.Input("other", ("N", 2))
    label = gn.Input("label", ("N",), "int64")
    loss = SoftmaxCrossEntropy()(Linear(3)(x), label)
    net = gn.Executor(gn.Graph(loss=loss, image=x, other=other), make_backend())
    step = net.training_step(gn.optim.SGD(0.1))
    for number in range(4):
        image, beside = (np.full((2, size), number, "float32") for size in (4, 2))
        outputs = step(image=image, other=beside, label=np.array([0, 1]))
        np.testing.assert_array_equal(net.to_host(outputs["image"]), image)
        np.testing.assert_array_equal(net.to_host(outputs["other"]), beside)
    assert step.uncaptured == "the output 'other' is read by no kernel"


def test_many_nodes_are_not_all_named():
    text = say_captured([f"relu_{n} (ReLU): no" for n in range(20)])
    assert "relu_7" in text and "relu_8" not in text and text.endswith("and 12 more")


class Transferring(PlacedKernel):
    """A kernel that moves its result to the host and back."""

    backend: EmulatedBackend

    def __init__(self, operator, specs):
        super().__init__(operator, specs)
        self.terms = Terms(inputs=(ROWS,), outputs=(ROWS,))

    def bind_forward(self, memory):
        def call():
            host = self.backend.to_host(memory.inputs[0])
            memory.outputs[0][...] = self.backend.from_host(np.tanh(host))

        return call

    def bind_backward(self, memory):
        return lambda: memory.dinputs[0].__setitem__(..., memory.doutputs[0])


def test_a_step_that_proves_not_to_be_capturable_says_so_and_goes_on(emulated, monkeypatch):
    backend = EmulatedBackend()
    provider = gn.kernels.Provider(
        "transfers",
        lambda operator, specs, **options: (
            Transferring(operator, specs) if isinstance(operator, Tanh) else None
        ),
    )
    monkeypatch.setattr(Transferring, "backend", backend, raising=False)
    monkeypatch.setattr(Transferring, "xp", backend.xp)
    monkeypatch.setitem(gn.kernels.PROVIDERS, "transfers", provider)
    image, label = gn.Input("image", ("N", 4)), gn.Input("label", ("N",), "int64")
    logits = Linear(5)(Tanh()(Linear(4)(image)))
    graph = gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))
    net = gn.Executor(graph, backend, kernels=["transfers", "cuda"])
    step = net.training_step(gn.optim.SGD(0.1))
    feeds = feeds_of(graph, 4)
    step(**feeds)
    with pytest.warns(RuntimeWarning, match="a step is not captured, and runs call by call"):
        step(**feeds)
    assert "a transfer to the host while a step is captured" in step.uncaptured
    assert "in the forward pass of tanh_1 (Tanh, declared at" in step.uncaptured
    count = backend.transfers.to_host
    step(**feeds)
    assert backend.transfers.to_host == count + 1 and step.count == 3


def test_a_kernel_may_say_that_it_cannot_be_captured(make_backend, monkeypatch):
    monkeypatch.setattr(CudaLayerNorm, "uncapturable", "it waits for the moon")
    net = gn.Executor(gated(), make_backend())
    assert "layer_norm_1 (LayerNorm): it waits for the moon" in net.explain(4, training=True)


@pytest.mark.parametrize("precision", ["fast", "float16"])
def test_a_mean_as_loss_is_captured_and_trains(make_backend, precision):
    x = gn.Input("image", ("N", 4))
    net = gn.Executor(gn.Graph(loss=Mean()(Linear(3)(x))), make_backend(), precision=precision)
    step = net.training_step(gn.optim.SGD(0.1))
    feeds = {"image": np.ones((2, 4), "float32")}
    losses = [float(net.to_host(step(**feeds)["loss"])) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2] and step.uncaptured == ""


def test_a_loss_without_a_kernel_is_not_captured_and_trains(make_backend):
    x = gn.Input("image", ("N", 4))
    graph = gn.Graph(loss=ReduceLogSumExp()(Linear(3)(x)))
    net = gn.Executor(graph, make_backend())
    step = net.training_step(gn.optim.SGD(0.1))
    feeds = {"image": np.ones((2, 4), "float32")}
    losses = [float(net.to_host(step(**feeds)["loss"])) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2] and "(ReduceLogSumExp)" in step.uncaptured
