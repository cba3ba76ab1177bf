"""Programs: what a plan computes in one block of memory is what it computes in fresh arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphnet as gn
from graphnet.executor.plans import Plans
from graphnet.kernels import PROVIDERS
from graphnet.memory import Arena, Buffer
from graphnet.program import Blocks
from ops import Add, Concat, Flatten, Linear, ReLU, Sum, Tanh
from tests.placed_reference import PROVIDER, PlacedReference
from tests.random_graphs import RandomGraph, random_graphs
from tests.small_networks import batch, classifier, equal
from tests.test_random_graphs import run


@pytest.fixture(autouse=True)
def placed(monkeypatch):
    """A provider that places most operators, and blocks full of NaN ahead of each run."""
    monkeypatch.setitem(PROVIDERS, "placed", PROVIDER)
    attach = Blocks.attach

    def poisoned(self, program):
        attach(self, program)
        program.block[:] = 255

    monkeypatch.setattr(Blocks, "attach", poisoned)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the same for all draws
@given(random_graphs())
def test_random_graphs_give_the_same_in_a_block(drawn: RandomGraph):
    plain, block = run(drawn, kernels="reference"), run(drawn, kernels="placed")
    assert plain.keys() == block.keys()
    for name, array in plain.items():
        # sums of gradients come in another order where layouts differ
        scale = max(abs(array).max(initial=0), 1)
        np.testing.assert_allclose(block[name], array, rtol=0, atol=1e-12 * scale, err_msg=name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random_graphs(), st.integers(0, 2**32 - 1))
def test_random_graphs_give_the_same_whatever_is_computed_again(placed, drawn: RandomGraph, seed):
    def lay_out(self, plan):
        choose = np.random.default_rng(seed)
        slots = self._programmed(plan).program
        slots = slots.droppable() if slots else ()
        return self._programmed(plan, frozenset(s for s in slots if choose.integers(0, 3)))

    plain = run(drawn, kernels="placed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plans, "_lay_out", lay_out)
        again = run(drawn, kernels="placed")
    assert plain.keys() == again.keys()
    for name, array in plain.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def chain_of_layers(depth=12):
    x = gn.Input("x", ("N", 16))
    for _ in range(depth):
        x = Tanh()(Linear(16)(x))
    return gn.Graph(loss=Sum()(x))


def test_less_memory_costs_time_and_changes_no_bit():
    feeds = {"x": np.random.default_rng(0).normal(size=(64, 16)).astype("float32")}
    sizes, gradients = [], []
    for share in (None, 0.8, 0.5):
        limit = None if share is None else int(share * sizes[0])
        net = gn.Executor(chain_of_layers(), kernels="placed", memory_limit=limit)
        net.forward(training=True, **feeds)
        gradients.append(net.backward("loss"))
        sizes.append(next(iter(net._plans.kept.values())).program.nbytes)
        assert limit is None or sizes[-1] <= limit
        assert equal(gradients[-1], gradients[0])


def test_a_limit_that_cannot_be_kept_names_the_least():
    net = gn.Executor(chain_of_layers(), kernels="placed", memory_limit=1000)
    feeds = {"x": np.ones((64, 16), "float32")}
    with pytest.raises(gn.ExecutorError, match=r"batch 64 in 1,000 bytes, the least .* is [\d,]+;"):
        net.forward(training=True, **feeds)
    net.forward(**feeds)  # the limit is for training
    with pytest.raises(gn.ExecutorError, match="expected fast kernels and no debug"):
        gn.Executor(chain_of_layers(), kernels="reference", memory_limit=1000).forward(
            training=True, **feeds
        )
    for wrong in (0, -1, 1.5, "1 GiB", True):
        with pytest.raises(ValueError, match="expected a memory_limit in bytes"):
            gn.Executor(chain_of_layers(), memory_limit=wrong)


@st.composite
def buffers(draw):
    count = draw(st.integers(0, 30))
    found = []
    for _ in range(count):
        first = draw(st.integers(0, 10))
        found.append(Buffer(draw(st.integers(0, 1000)), first, first + draw(st.integers(0, 10))))
    return found


def overlap(a, b):
    """Whether two buffers are needed at one time and share bytes."""
    meet = a.first <= b.last and b.first <= a.last
    return meet and a.offset < b.offset + b.nbytes and b.offset < a.offset + a.nbytes


@given(buffers(), st.integers(0, 12))
def test_buffers_that_meet_share_no_byte(drawn, edge):
    early, late = ([b for b in drawn if (b.first < edge) == side] for side in (True, False))
    arena = Arena()
    arena.place(early)
    assert all(b.offset + b.nbytes <= arena.nbytes and b.offset % 64 == 0 for b in early)
    fork = arena.fork(apart=True)
    fork.place(late)
    for i, a in enumerate(drawn):
        assert not any(overlap(a, b) for b in drawn[:i] if a.nbytes and b.nbytes)
    edge = fork.nbytes if not late else arena.nbytes + 64
    # what was added lies whole in the one block or in the other
    assert all(b.offset + b.nbytes <= arena.nbytes or b.offset >= edge for b in late)


def test_an_arena_needs_no_more_than_what_is_alive_when_all_sizes_are_one():
    chain = [Buffer(64, i, i + 1) for i in range(100)]
    arena = Arena()
    arena.place(chain)
    assert arena.nbytes == 2 * 64


def test_a_batch_size_may_change_and_come_back():
    nets = [gn.Executor(classifier(), kernels=kernels) for kernels in ("placed", "reference")]
    for number, size in enumerate((3, 6, 1 + 1, 6, 3)):
        feeds = batch(size, number)
        results = []
        for net in nets:
            outputs = net.forward(training=True, **feeds)
            results.append({**outputs, **net.backward("loss"), **net.forward(**feeds)})
        for name, array in results[0].items():
            np.testing.assert_allclose(array, results[1][name], rtol=1e-5, atol=1e-6)


def test_results_stay_as_they_are_when_the_next_run_comes():
    net = gn.Executor(classifier(), kernels="placed")
    outputs = net.forward(training=True, **batch(seed=1))
    gradients = net.backward("loss")
    before = {name: array.copy() for name, array in {**outputs, **gradients}.items()}
    net.forward(training=True, **batch(seed=2))
    net.backward("loss")
    assert equal({**outputs, **gradients}, before)


def test_what_is_fed_may_change_before_the_reverse_pass():
    feeds = batch()
    nets = [gn.Executor(classifier(), kernels="placed") for _ in range(2)]
    for net in nets:
        net.forward(training=True, **feeds)
        if net is nets[0]:
            expected = net.backward("loss")
    feeds["image"][:] = np.nan
    assert equal(nets[1].backward("loss"), expected)


def test_a_plan_that_runs_again_sees_parameters_changed_in_place_or_assigned():
    net = gn.Executor(gn.Graph(y=Linear(2)(gn.Input("x", ("N", 3)))), kernels="placed")
    x = np.ones((1, 3), "float32")
    net.forward(x=x)
    net.assign({"linear_1.weight": np.ones((2, 3), "float32")})
    assert net.forward(x=x)["y"].tolist() == [[3, 3]]
    weight = net.parameters["linear_1.weight"]
    weight[0] = 2
    assert net.forward(x=x)["y"].tolist() == [[6, 3]]
    row = weight[1]
    del weight
    row += 1
    assert net.forward(x=x)["y"].tolist() == [[6, 6]]
    row += 1
    del row
    assert net.forward(x=x)["y"].tolist() == [[6, 9]]


def test_what_depends_on_parameters_alone_is_computed_when_they_change(monkeypatch):
    calls = []
    bind = PlacedReference.bind_forward

    def counted(self, memory):
        call = bind(self, memory)

        def noted():
            calls.append(type(self.operator).__name__)
            call()

        return noted

    monkeypatch.setattr(PlacedReference, "bind_forward", counted)
    monkeypatch.setitem(
        PROVIDERS, "placed", gn.kernels.Provider("all", everything, backends=("numpy",))
    )
    a, b = gn.Parameter("a", (2, 2)), gn.Parameter("b", (2, 2))
    y = Tanh()(gn.Input("x", (2, 2))) + ReLU()(a + b)
    net = gn.Executor(gn.Graph(y=y), kernels="placed")
    x = np.zeros((2, 2), "float32")
    first = net.forward(x=x)["y"]
    assert sorted(calls) == ["Add", "Add", "ReLU", "Tanh"]
    calls.clear()
    np.testing.assert_array_equal(net.forward(x=x)["y"], first)
    assert sorted(calls) == ["Add", "Tanh"]
    net.assign({"a": np.ones((2, 2), "float32"), "b": np.ones((2, 2), "float32")})
    assert (net.forward(x=x)["y"] == 2).all()


def test_an_output_that_is_an_inner_value_is_not_overwritten():
    x = gn.Input("x", ("N", 2, 3, 3))
    a = ReLU()(x)
    b = Tanh()(a)
    graph = gn.Graph(a=a, b=b, c=Add()(b, b), d=Sum()(Concat()(a, b)))
    image = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype("float32")
    results = [
        gn.Executor(graph, kernels=kernels).forward(x=image) for kernels in ("placed", "reference")
    ]
    assert results[0].keys() == results[1].keys()
    for name, array in results[0].items():
        np.testing.assert_allclose(array, results[1][name], rtol=1e-6)
        assert array.flags.c_contiguous and array.flags.owndata


def everything(operator, specs, **options):
    return PlacedReference(operator, specs)


class Failing(PlacedReference):
    def bind_forward(self, memory):
        return lambda: 2

    def bind_backward(self, memory):
        def call():
            raise ZeroDivisionError("so it is")

        return call


class FailingLater(PlacedReference):
    bind_backward = Failing.bind_backward


def failing(kernel):
    def prepare(operator, specs, **options):
        return kernel(operator, specs) if isinstance(operator, Tanh) else None

    return gn.kernels.Provider("fails", prepare, backends=("numpy",))


def test_an_error_of_a_placed_kernel_names_its_node(monkeypatch):
    graph = gn.Graph(y=Sum()(Tanh()(Flatten()(gn.Input("x", ("N", 2))))))
    x = np.ones((1, 2), "float32")
    monkeypatch.setitem(PROVIDERS, "placed", failing(Failing))
    with pytest.raises(RuntimeError, match="status 2") as error:
        gn.Executor(graph, kernels="placed").forward(x=x)
    assert "in the forward pass of tanh_1 (Tanh, declared at" in error.value.__notes__[0]
    monkeypatch.setitem(PROVIDERS, "placed", failing(FailingLater))
    net = gn.Executor(graph, kernels="placed")
    net.forward(x=x, differentiate=True)
    with pytest.raises(ZeroDivisionError) as caught:
        net.backward("y", wrt=["x"])
    assert "in the reverse pass of tanh_1 (Tanh, declared at" in caught.value.__notes__[0]
