"""Where memory runs out: the plan says what it takes, and the executor goes on."""

from __future__ import annotations

import numpy as np
import pytest

import graphnet as gn
from graphnet.backends.strict import StrictBackend
from graphnet.kernels.tools import DeviceTools
from graphnet.out_of_memory import bytes_of, largest_batch
from ops import BatchNorm, Linear, MeanSquaredError, ShapeError, Tanh
from tests.emulator import EmulatedBackend


def network(norm=True):
    x, target = gn.Input("x", ("N", 8)), gn.Input("target", ("N", 1))
    y = Linear(16)(x)
    y = Linear(1)(Tanh()(BatchNorm()(y) if norm else y))
    return gn.Graph(y=y, loss=MeanSquaredError()(y, target))


def feeds(batch):
    rng = np.random.default_rng(batch)
    return {"x": rng.normal(size=(batch, 8)).astype("float32"),
            "target": rng.normal(size=(batch, 1)).astype("float32")}  # fmt: skip


def plan_bytes(net):
    planned = next(reversed(net._plans.kept.values()))
    return bytes_of(planned.plan, planned.program)


class Card:
    """A backend with so many bytes for blocks."""

    def __init__(self, monkeypatch, room):
        self.room = room
        monkeypatch.setattr(EmulatedBackend, "release", lambda backend: self.room)
        new_block = DeviceTools.new_block

        def limited(tools, nbytes):
            if nbytes > self.room:
                raise MemoryError(f"{nbytes}")
            return new_block(tools, nbytes)

        monkeypatch.setattr(DeviceTools, "new_block", limited)


@pytest.fixture
def card(monkeypatch, emulated):
    return Card(monkeypatch, 1 << 40)


def test_a_step_that_does_not_fit_says_which_batch_would_and_that_one_runs(card):
    net = gn.Executor(network(), EmulatedBackend())
    net.forward(training=True, **feeds(32))
    card.room = plan_bytes(net)
    before = net.snapshot()
    step = net.training_step(gn.optim.SGD(0.1))
    with pytest.raises(gn.OutOfMemoryError, match=r"step of batch 64 .*; a batch of ") as raised:
        step(**feeds(64))
    after = net.snapshot()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    fit = int(str(raised.value).split("a batch of ")[1].split()[0])
    assert 32 <= fit < 64
    step(**feeds(fit))
    assert plan_bytes(net) <= card.room
    assert step.count == 1


def test_not_even_one_example_fits(card):
    card.room = 16
    net = gn.Executor(network(norm=False), EmulatedBackend())
    with pytest.raises(gn.OutOfMemoryError, match="16 are free; not even one example fits"):
        net.forward(training=True, **feeds(4))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_after_a_kernel_found_no_memory_the_next_run_is_as_ever(monkeypatch, direction):
    net, other = (gn.Executor(network(), StrictBackend()) for _ in range(2))

    def fails(*arrays):
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Tanh, direction, fails)
        with pytest.raises(gn.OutOfMemoryError, match=r"of batch 8 takes [\d,]+ bytes") as raised:
            net.forward(training=True, **feeds(8))
            net.backward("loss")
    assert isinstance(raised.value.__cause__, MemoryError)
    with pytest.raises(gn.ExecutorError, match="backward before forward"):
        net.backward("loss")
    for each in (net, other):
        each.forward(training=True, **feeds(8))
    found, wanted = net.backward("loss"), other.backward("loss")
    for name in wanted:
        np.testing.assert_array_equal(net.to_host(found[name]), other.to_host(wanted[name]))


def test_what_a_reference_run_takes_is_all_that_it_keeps():
    net = gn.Executor(network(), StrictBackend())
    net.forward(training=True, **feeds(8))
    # two layers, the statistics of both kinds, and the loss
    values = 8 * (16 + 16 + 16 + 1) + 2 * 16 + 1
    assert plan_bytes(net) == 4 * values
    net.forward(outputs=["y"], x=feeds(8)["x"])
    assert 0 < plan_bytes(net) < 4 * values


def test_a_graph_that_takes_no_other_batch_names_none():
    def needed(batch):
        if batch % 2:
            raise ShapeError("expected an even batch")
        return batch

    assert largest_batch(needed, 12, 2) is None
    assert largest_batch(needed, 12, 7) == 6
    assert largest_batch(lambda batch: batch, 12, 0) == 0
