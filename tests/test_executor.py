"""Running graphs: training and inference, plans, initial values, updates."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnet as gn
from graphnet.executor import plans
from graphnet.testing import check_gradients
from ops import (
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Linear,
    MaxPool,
    Mean,
    Multiply,
    Operator,
    ShapeError,
    State,
    Sum,
    Tanh,
)
from ops.initializers import Constant
from tests.small_networks import X, batch, classifier, equal, executor, vector

# -- training and inference


def test_states_are_renewed_in_training_and_only_there():
    net = gn.Executor(classifier(dropout=0.5))
    before = {name: array.copy() for name, array in net.states.items()}
    net.forward(**batch())
    net.forward(differentiate=True, **batch())
    assert equal(dict(net.states), before)
    net.forward(training=True, **batch())
    changed = {name for name in before if not np.array_equal(net.states[name], before[name])}
    assert changed == {
        "batch_norm_1.running_mean", "batch_norm_1.running_var", "dropout_1.counter",
    }  # fmt: skip


def test_running_statistics_follow_the_batch():
    net = executor(y=BatchNorm(momentum=0.9)(vector()))
    net.forward(x=X, training=True)
    np.testing.assert_allclose(net.states["batch_norm_1.running_mean"], 0.1 * X.mean(0), rtol=1e-6)
    expected = 0.9 + 0.1 * X.var(0)
    np.testing.assert_allclose(net.states["batch_norm_1.running_var"], expected, rtol=1e-6)


def test_inference_uses_running_statistics_and_no_dropout():
    net = executor(y=Dropout(0.5)(BatchNorm()(vector())))
    mean, var = np.array([3, 4], "float32"), np.array([4, 9], "float32")
    net.assign({"batch_norm_1.running_mean": mean, "batch_norm_1.running_var": var})
    y = net.forward(x=X)["y"]
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(var + 1e-5), rtol=1e-6)
    assert (net.forward(x=X, training=True)["y"] == 0).any()


def test_dropout_differs_from_step_to_step_and_repeats_from_a_snapshot():
    net = executor(y=Dropout(0.5)(vector(100)))
    ones = np.ones((4, 100), "float32")
    start = net.snapshot()
    first, second = (net.forward(x=ones, training=True)["y"] for _ in range(2))
    assert not np.array_equal(first, second)
    net.assign(start)
    np.testing.assert_array_equal(net.forward(x=ones, training=True)["y"], first)
    np.testing.assert_array_equal(net.forward(x=ones, training=True)["y"], second)


def test_the_inference_form_can_be_differentiated():
    check_gradients(classifier(dropout=0.5), batch(), training=False)


def test_what_only_the_training_form_has_gets_gradient_zero_in_the_inference_form():
    x, gate = vector(), gn.Parameter("gate", (2,), Constant(1.0))
    net = executor(y=Sum()(OnlyInTraining()(x, gate)))
    net.forward(x=X, training=True)
    assert abs(net.backward()["gate"]).min() > 0
    net.forward(x=X, differentiate=True)
    np.testing.assert_array_equal(net.backward()["gate"], [0, 0])


@dataclass(frozen=True)
class OnlyInTraining(Multiply):
    def for_inference(self):
        return Passing()


@dataclass(frozen=True)
class Passing(Tanh):
    def infer(self, a):
        return a


def test_a_batch_of_one_value_per_channel_trains_nothing_but_works_at_inference():
    net = executor(y=BatchNorm()(vector()))
    with pytest.raises(ShapeError, match=r"batch_norm_1 \(BatchNorm.*more than one value") as error:
        net.forward(x=X[:1], training=True)
    assert "float32 (1, 2)" in str(error.value)
    assert net.forward(x=X[:1])["y"].shape == (1, 2)


def test_one_example_with_several_positions_is_enough_for_batch_norm():
    net = executor(y=BatchNorm()(gn.Input("x", ("N", 2, 2, 2))))
    fed = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)
    y = net.forward(x=fed, training=True)["y"]
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)


@dataclass(frozen=True)
class CountsRuns(Operator):
    """Has a state, and the same form at inference as in training."""

    def states(self, x):
        return {"runs": State((), Constant(0.0), x.dtype)}

    def infer(self, x, runs):
        return x, runs

    def forward(self, x, runs):
        return (x * 1, runs + 1), ()

    def backward(self, saved, dy, needs):
        return dy[0].copy(), None


def test_a_state_of_an_operator_without_an_inference_form_stays_at_inference():
    net = executor(y=CountsRuns()(vector()))
    for training, runs in [(False, 0), (True, 1), (False, 1), (True, 2)]:
        net.forward(x=X, training=training)
        assert net.states["counts_runs_1.runs"] == runs


# -- batches and plans


def test_a_last_smaller_batch_runs_like_any_other():
    net = gn.Executor(classifier())
    whole = net.forward(**batch(6))["logits"]
    parts = [
        net.forward(outputs=["logits"], image=batch(6)["image"][part])["logits"]
        for part in (slice(0, 4), slice(4, 6))
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)


def test_training_on_batches_of_changing_sizes_gives_the_gradients_of_each():
    net = gn.Executor(classifier())
    for size in (6, 4, 6, 2):
        fresh = gn.Executor(classifier())
        fresh.assign(net.snapshot())
        results = []
        for one in (net, fresh):
            one.forward(training=True, **batch(size, seed=size))
            results.append(one.backward("loss"))
        assert equal(*results)


def test_plans_are_made_once_for_each_batch_size_and_mode(monkeypatch):
    made: Counter[tuple[int, bool]] = Counter()
    make_plan = plans.make_plan

    def counted(graph, size, *args, **options):
        made[size, options["training"]] += 1
        return make_plan(graph, size, *args, **options)

    monkeypatch.setattr(plans, "make_plan", counted)
    net = gn.Executor(classifier())
    for _ in range(3):
        net.forward(training=True, **batch(6))
        net.forward(training=True, **batch(4))
        net.forward(**batch(6))
    assert made == {(6, True): 1, (4, True): 1, (6, False): 1}


def test_plans_of_many_batch_sizes_do_not_pile_up(monkeypatch):
    net = gn.Executor(classifier())
    for size in range(2, 40):
        net.forward(**batch(size))
    assert len(net._plans.kept) <= plans.PLANS


EMPTY = {
    "linear": Linear(3),
    "convolution": Conv(3, 2),
    "pooling": MaxPool(2),
    "batch norm": BatchNorm(),
    "sum": Sum(axis=0),
    "mean": Mean(axis=0),
    "concat": Concat(),
}


@pytest.mark.parametrize("case", EMPTY)
def test_an_empty_batch_is_computed_or_refused_by_name(case):
    x = gn.Input("x", ("N", 2, 4, 4))
    net = executor(y=EMPTY[case](x))
    fed = np.zeros((0, 2, 4, 4), "float32")
    for training in (False, True):
        try:
            y = net.forward(x=fed, training=training)["y"]
        except ShapeError as error:
            assert re.match(r"(batch_norm|mean)_1 \(", str(error))
        else:
            assert y.size == 0 or not y.any()


def test_an_empty_batch_has_no_loss():
    net = gn.Executor(classifier())
    empty = {name: array[:0] for name, array in batch().items()}
    with pytest.raises(ShapeError, match=r"softmax_cross_entropy_1 .* at least one label"):
        net.forward(**empty)
    assert net.forward(image=empty["image"], outputs=["logits"])["logits"].shape == (0, 5)


# -- initial values


def test_the_same_seed_gives_the_same_parameters_and_another_seed_others():
    first, again, other = (gn.Executor(classifier(), seed=seed).snapshot() for seed in (3, 3, 4))
    assert equal(first, again)
    assert not np.array_equal(first["conv_1.weight"], other["conv_1.weight"])


def test_the_first_value_of_a_parameter_depends_on_no_other_parameter():
    x = vector()
    alone = executor(y=Linear(3)(x, name="head"))
    among = executor(y=Linear(3)(Linear(2)(Linear(2)(x)), name="head"), z=Linear(7)(x))
    for name in ("head.weight", "head.bias"):
        np.testing.assert_array_equal(alone.parameters[name], among.parameters[name])


def test_parameters_of_equal_shape_start_out_different():
    parameters = executor(y=Linear(2)(Linear(2)(vector()))).parameters
    assert not np.array_equal(parameters["linear_1.weight"], parameters["linear_2.weight"])


def test_another_dtype_replaces_every_floating_one_and_no_other():
    net = gn.Executor(classifier(dropout=0.5), dtype="float64")
    kinds = {name: array.dtype.name for name, array in net.snapshot().items()}
    assert kinds.pop("dropout_1.key") == kinds.pop("dropout_1.counter") == "uint64"
    assert set(kinds.values()) == {"float64"}
    feeds = batch()
    with pytest.raises(gn.FeedError, match="'image': expected float64, received float32"):
        net.forward(**feeds)
    feeds["image"] = feeds["image"].astype("float64")
    assert net.forward(**feeds)["logits"].dtype == "float64"


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int64"},
        {"dtype": "float33"},
        {"backend": "abc"},
        {"kernels": "fast"},
        {"kernels": ["naive", "fast"]},
    ],
)
def test_an_unknown_backend_dtype_or_kernel_is_refused(options):
    with pytest.raises(ValueError, match=r"expected|unknown"):
        gn.Executor(classifier(), **options)


def test_naive_kernels_give_the_same_results():
    nets = [gn.Executor(classifier(), dtype="float64", kernels=k) for k in ("naive", None)]
    feeds = {**batch(), "image": batch()["image"].astype("float64")}
    for name, y in nets[0].forward(training=True, **feeds).items():
        np.testing.assert_allclose(y, nets[1].forward(training=True, **feeds)[name], rtol=1e-12)
    naive, reference = (net.backward("loss") for net in nets)
    for name, gradient in naive.items():
        np.testing.assert_allclose(gradient, reference[name], rtol=1e-10, atol=1e-13)


# -- parameters from outside


def test_a_snapshot_is_a_copy_and_assign_takes_copies():
    net = gn.Executor(classifier())
    snapshot = net.snapshot()
    for array in snapshot.values():
        array[...] = 7
    assert not any((array == 7).all() for array in net.snapshot().values())
    net.assign(snapshot)
    for array in snapshot.values():
        array[...] = 8
    assert all((array == 7).all() for array in net.snapshot().values())


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"conv_1.bias": np.zeros(3, "float32")}, "received 'conv_1.bias'"),
        ({"linear_1.bias": np.zeros(4, "float32")}, "expected float32 (5,), received float32 (4,)"),
        ({"linear_1.bias": np.zeros(5)}, "expected float32 (5,), received float64 (5,)"),
        ({"linear_1.bias": [0.0] * 5}, "expected a NumPy array, received list"),
    ],
)
def test_assign_refuses_what_does_not_fit_and_changes_nothing(arrays, text):
    net = gn.Executor(classifier())
    before = net.snapshot()
    good = {"linear_1.weight": np.zeros((5, 12), "float32")}
    with pytest.raises(gn.GraphError, match=re.escape(text)):
        net.assign({**good, **arrays})
    assert equal(net.snapshot(), before)


def test_parameters_cannot_be_replaced_behind_the_executors_back():
    net = gn.Executor(classifier())
    with pytest.raises(TypeError):
        net.parameters["linear_1.bias"] = np.zeros(5, "float32")


# -- a training step


@pytest.mark.parametrize(
    "optimizer",
    [gn.optim.SGD(0.1, momentum=0.9, weight_decay=1e-2), gn.optim.AdamW(0.01), gn.optim.RMSProp()],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_a_training_step_is_forward_reverse_and_update(optimizer):
    one, by_hand = (gn.Executor(classifier(dropout=0.3)) for _ in range(2))
    step = one.training_step(optimizer)
    slots = optimizer.slots(dict(by_hand.parameters))
    weights = frozenset(["conv_1.weight", "linear_1.weight"])
    for number in range(1, 4):
        outputs = step(**batch(seed=number))
        expected = by_hand.forward(training=True, **batch(seed=number))
        gradients = by_hand.backward("loss")
        optimizer.update(dict(by_hand.parameters), gradients, slots, number, weights)
        assert equal(outputs, expected)
        assert equal(one.snapshot(), by_hand.snapshot())
        assert equal(step.slots, slots)
    assert step.count == 3


def test_a_training_step_that_fails_is_not_counted():
    step = gn.Executor(classifier()).training_step(gn.optim.SGD(0.1))
    with pytest.raises(gn.FeedError):
        step(image=batch()["image"])
    assert step.count == 0


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("logits", "expected a floating scalar as loss, but 'logits' is float32 (N, 5)"),
        ("score", "expected a loss among ['logits', 'loss'], received 'score'"),
    ],
)
def test_a_loss_has_to_be_a_scalar_output(loss, text):
    with pytest.raises(gn.GraphError, match=re.escape(text)):
        gn.Executor(classifier()).training_step(gn.optim.SGD(0.1), loss)


@given(st.integers(0, 2**32 - 1))
def test_a_small_step_of_gradient_descent_lowers_the_loss(seed):
    net = gn.Executor(classifier(), dtype="float64", seed=seed)
    feeds = {**batch(seed=seed), "image": batch(seed=seed)["image"].astype("float64")}
    step = net.training_step(gn.optim.SGD(1e-4))
    before = step(**feeds)["loss"]
    assert net.forward(training=True, **feeds)["loss"] < before


def test_explain_shows_every_node_with_its_kernel_and_leaves_the_states_alone():
    net = gn.Executor(classifier(dropout=0.5))
    before = net.snapshot()
    for training in (False, True):
        text = net.explain(batch=4, training=training)
        for name in ("conv_1", "reference", "(4, 3, 4, 4)", "total"):
            assert name in text
        assert ("dropout_1" in text) == training
    assert equal(net.snapshot(), before)


def test_an_output_that_is_a_parameter_or_a_feed_is_handed_out_as_a_copy():
    x, p = gn.Input("x", (2,)), gn.Parameter("p", (2,))
    net = gn.Executor(gn.Graph(x=x, p=p))
    feed = np.ones(2, "float32")
    out = net.forward(x=feed)
    assert not np.shares_memory(out["x"], feed)
    assert not np.shares_memory(out["p"], net.parameters["p"])
