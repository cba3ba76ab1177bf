"""Networks in TF32 and in half precision: what is computed in what, and how far it is off."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import graphnet as gn
from graphnet.backends import BackendError
from graphnet.executor.errors import ExecutorError
from graphnet.kernels import cuda
from graphnet.kernels.cuda.optimizers import NUMBERS, CudaUpdate
from graphnet.kernels.wide import Wide
from graphnet.passes.narrow import narrow
from ops import (
    BatchNorm,
    BatchNormInference,
    BatchNormInferenceReLU,
    BatchNormReLU,
    Cast,
    Exp,
    LayerNorm,
    Linear,
    MatMul,
    Mean,
    Multiply,
    ReLU,
    Softmax,
    SoftmaxCrossEntropy,
    Spec,
)
from tests.emulator import EmulatedBackend
from tests.test_capture import averaged, pooled, replays_of
from tests.test_emulated import convolutional, feeds_of, gated

#: Units in the last place of each, for numbers around 1.
UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "tf32": 2.0**-11, "fast": 2.0**-24}
NETWORKS = [convolutional, gated, pooled, averaged]


#: Sums by NumPy warn of numbers that are not finite, which on a card they do not.
overflows = pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")


def relative(found, wanted):
    """The root mean square of the error, relative to that of what is wanted."""
    return float(np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()))


def off(make, backend, precision, batch=8):
    """How far loss, logits and gradients are from those in float64: the largest error of each."""
    graph = make()
    card = gn.Executor(graph, backend, precision=precision)
    host = gn.Executor(graph, kernels="reference", dtype="float64")
    host.assign(
        {n: a.astype("float64") if a.dtype == np.float32 else a
         for n, a in card.snapshot().items()}
    )  # fmt: skip
    feeds = feeds_of(graph, batch)
    wide = {n: a.astype("float64") if a.dtype == np.float32 else a for n, a in feeds.items()}
    found, wanted = (net.forward(training=True, **f) for net, f in ((card, feeds), (host, wide)))
    assert all(found[name].dtype == np.float32 for name in found)
    errors = {name: relative(card.to_host(found[name]), np.asarray(wanted[name])) for name in found}
    gradients, expected = card.backward("loss"), host.backward("loss")
    assert all(array.dtype == np.float32 for array in gradients.values())
    errors["gradients"] = relative(
        np.concatenate([np.ravel(card.to_host(gradients[name])) for name in expected]),
        np.concatenate([np.ravel(expected[name]) for name in expected]),
    )
    return errors


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("precision", UNITS)
def test_losses_and_gradients_are_off_by_some_units_in_the_last_place(
    make_backend, make, precision
):
    errors = off(make, make_backend(), precision)
    # a handful of roundings in a row, and batch statistics that magnify them
    assert max(errors.values()) < 40 * UNITS[precision], errors


def test_the_table_of_errors_in_the_documentation_is_what_is_measured(emulated):
    text = (Path(__file__).parent.parent / "docs" / "gpu.md").read_text(encoding="utf-8")
    for make in NETWORKS:
        (row,) = re.findall(rf"^\| {make.__name__} \| (.*) \|$", text, flags=re.M)
        precisions = ("fast", "tf32", "float16", "bfloat16")
        for precision, cell in zip(precisions, row.split(" | "), strict=True):
            errors = off(make, EmulatedBackend(), precision)
            for name, stated in zip(("logits", "gradients"), cell.split(" / "), strict=True):
                # NumPy's libraries differ in the order of their sums
                assert 0.5 < errors[name] / float(stated) < 2, (make.__name__, precision, name)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_is_worse_than_tf32_and_bfloat16_worse_than_float16(make_backend, precision):
    coarser = {"float16": "tf32", "bfloat16": "float16"}[precision]
    errors = [off(gated, make_backend(), each)["gradients"] for each in (coarser, precision)]
    assert errors[1] > 2 * errors[0] if precision == "bfloat16" else errors[1] > errors[0]


@pytest.mark.parametrize("make", [gated, averaged])
def test_tf32_is_asked_for_and_rounds_more_than_float32(make_backend, make):
    fast, tf32 = (off(make, make_backend(), precision) for precision in ("fast", "tf32"))
    assert tf32["logits"] > 20 * fast["logits"]


def test_products_sum_in_float32_and_use_tf32_only_where_it_is_asked_for(emulated):
    for precision, kinds in (("fast", {68}), ("exact", {68}), ("float16", {68}), ("tf32", {77})):
        emulated.library.products.clear()
        net = gn.Executor(gated(), EmulatedBackend(), precision=precision)
        net.forward(training=True, **feeds_of(net.graph, 4))
        net.backward("loss")
        assert set(emulated.library.products) == kinds, precision


def test_what_lies_between_layers_is_narrow_and_what_is_learned_is_not(make_backend):
    net = gn.Executor(convolutional(), make_backend(), precision="float16")
    net.forward(training=True, **feeds_of(net.graph, 4))
    plan = next(iter(net._plans.kept.values())).plan
    dtypes = {}
    for step in plan.steps:
        kind = type(getattr(step.node.operator, "operator", step.node.operator)).__name__
        dtypes.setdefault(kind, set()).add(step.specs[0].dtype)
    half = {"Conv", "BatchNormReLU", "MaxPool", "Dropout", "GlobalAvgPool", "Linear"}
    assert all(dtypes[kind] == {"float16"} for kind in half)
    assert dtypes["SoftmaxCrossEntropy"] == {"float32"}
    for leaves in (net.parameters, net.states):
        for name, array in leaves.items():
            assert array.dtype in (np.float32, np.uint64), name


def test_the_table_names_what_is_computed_and_in_what(make_backend):
    net = gn.Executor(gated(), make_backend(), precision="float16")
    table = net.explain(4, training=True)
    assert "LayerNorm in float32" in table and "SoftmaxCrossEntropy in float32" in table
    assert "captured: from its second time on" in table and "Wide" not in table


def test_half_precision_takes_about_half_the_memory(make_backend):
    sizes = [
        gn.Executor(pooled(), make_backend(), precision=precision).planned_bytes(64, training=True)
        for precision in ("fast", "float16")
    ]
    assert sizes[1] < 0.7 * sizes[0]


OPTIMIZERS = [gn.optim.SGD(0.05, momentum=0.9, clip_norm=1.0), gn.optim.AdamW(0.01)]


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_training_in_half_precision_follows_that_in_float32(
    make_backend, make, optimizer, precision, monkeypatch
):
    monkeypatch.setattr(CudaUpdate, "FIRST", 2.0**12)  # small enough for each of them
    graph = make()
    card = gn.Executor(graph, make_backend(), precision=precision)
    host = gn.Executor(graph, kernels="reference")
    steps = [net.training_step(optimizer) for net in (card, host)]
    feeds = feeds_of(graph, 16)
    for _ in range(6):
        found, wanted = (step(**feeds)["loss"] for step in steps)
        bound = 40 * UNITS[precision] * abs(float(wanted))
        assert abs(float(card.to_host(found)) - float(wanted)) < bound
    numbers = dict(zip(NUMBERS, card.to_host(steps[0].slots["loss.scale"]), strict=True))
    assert numbers["skipped"] == 0 and numbers["scale"] == CudaUpdate.FIRST


@overflows
@pytest.mark.parametrize("make", [gated, pooled])
def test_replayed_steps_in_half_precision_are_those_call_by_call(make_backend, make, monkeypatch):
    monkeypatch.setattr(CudaUpdate, "FIRST", 2.0**20)  # some of the first steps overflow
    monkeypatch.setattr(CudaUpdate, "PATIENCE", 2)
    results = []
    for capture in (False, True):
        net = gn.Executor(make(), make_backend(), precision="float16")
        step = net.training_step(gn.optim.Adam(0.01, clip_norm=1.0), capture=capture)
        losses = [net.to_host(step(**feeds_of(net.graph, 4))["loss"]) for _ in range(10)]
        slots = {name: net.to_host(array) for name, array in step.slots.items()}
        results.append({**net.snapshot(), **slots, "losses": np.array(losses)})
    assert all(replay.is_captured for replay in replays_of(step))
    numbers = dict(zip(NUMBERS, results[0]["loss.scale"], strict=True))
    assert 0 < numbers["skipped"] < 10
    for name, array in results[0].items():
        np.testing.assert_array_equal(results[1][name], array, err_msg=name)


def weakly_learned(scale):
    """A loss whose gradients are small beside what float16 holds."""
    x = gn.Input("image", ("N", 8))
    small = gn.Constant(np.full((), scale, "float32"))
    y = Linear(4, bias=False)(ReLU()(Linear(8, bias=False)(x)))
    return gn.Graph(loss=Mean()(Multiply()(y, small)))


def test_the_scale_of_the_loss_saves_gradients_that_float16_would_lose(make_backend):
    graph, updates = weakly_learned(2.0**-22), []
    feeds = {"image": np.random.default_rng(0).normal(size=(16, 8)).astype("float32")}
    for precision in ("fast", "float16"):
        net = gn.Executor(graph, make_backend(), precision=precision)
        before = net.snapshot()["linear_1.weight"]
        net.training_step(gn.optim.SGD(2.0**20))(**feeds)
        updates.append(net.snapshot()["linear_1.weight"] - before)
    assert relative(*reversed(updates)) < 0.01
    net.forward(training=True, **feeds)
    lost = net.to_host(net.backward("loss")["linear_1.weight"])
    net = gn.Executor(graph, make_backend())
    net.forward(training=True, **feeds)
    kept = net.to_host(net.backward("loss")["linear_1.weight"])
    assert relative(lost, kept) > 0.05  # what a loss that is not scaled gives


@overflows
def test_a_scale_that_is_too_large_comes_down_and_training_goes_on(make_backend, monkeypatch):
    monkeypatch.setattr(CudaUpdate, "FIRST", 2.0**24)
    net = gn.Executor(gated(), make_backend(), precision="float16")
    step = net.training_step(gn.optim.SGD(0.1))
    feeds, before = feeds_of(net.graph, 4), net.snapshot()
    losses = [float(net.to_host(step(**feeds)["loss"])) for _ in range(16)]
    numbers = dict(zip(NUMBERS, net.to_host(step.slots["loss.scale"]), strict=True))
    assert numbers["skipped"] > 2 and numbers["scale"] == 2.0 ** (24 - numbers["skipped"])
    assert losses[0] == losses[1] and losses[-1] < 0.9 * losses[0]
    assert all(np.isfinite(array).all() for array in net.snapshot().values())
    assert any((net.snapshot()[name] != before[name]).any() for name in before)


def test_a_step_in_half_precision_moves_nothing_between_host_and_card(make_backend):
    net = gn.Executor(pooled(), make_backend(), precision="float16")
    step = net.training_step(gn.optim.SGD(0.1))
    lying = {n: net.backend.from_host(a) for n, a in feeds_of(net.graph, 4).items()}
    step(**lying)
    before = dataclasses.replace(net.backend.transfers)
    for _ in range(3):
        step(**lying)
    assert net.backend.transfers == before


@overflows
def test_a_checkpoint_in_half_precision_holds_the_scale(make_backend, monkeypatch, tmp_path):
    monkeypatch.setattr(CudaUpdate, "FIRST", 2.0**24)
    trainers = []
    for _ in range(2):
        net = gn.Executor(gated(), make_backend(), precision="float16")
        trainers.append(gn.training.Trainer(net, gn.optim.SGD(0.1)))
    feeds = feeds_of(gated(), 4)
    for _ in range(5):
        trainers[0].step(**feeds)
    trainers[0].save(tmp_path / "half")
    trainers[1].load(tmp_path / "half")
    for _ in range(3):
        losses = [t.net.to_host(t.step(**feeds)["loss"]) for t in trainers]
        assert losses[0] == losses[1]
    scales = [t.net.to_host(t.step.slots["loss.scale"]) for t in trainers]
    np.testing.assert_array_equal(*scales)
    assert dict(zip(NUMBERS, scales[0], strict=True))["skipped"] > 0


def test_inference_in_half_precision_is_near_that_in_float32(make_backend):
    graph = convolutional()
    image = feeds_of(graph, 4)["image"]
    logits = []
    for precision in ("fast", "float16"):
        net = gn.Executor(graph, make_backend(), precision=precision)
        logits.append(net.to_host(net.forward(outputs=["logits"], image=image)["logits"]))
    assert 0 < relative(logits[1], logits[0]) < 20 * UNITS["float16"]


@pytest.mark.parametrize("make", [gated, convolutional])
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_debug_looks_at_every_array_of_half_precision_too(
    make_backend, make, precision, monkeypatch
):
    monkeypatch.setattr(CudaUpdate, "FIRST", 2.0**12)
    net = gn.Executor(make(), make_backend(), precision=precision, debug=True)
    plain = gn.Executor(make(), make_backend())
    steps = [n.training_step(gn.optim.SGD(0.1)) for n in (net, plain)]
    feeds = feeds_of(net.graph, 4)
    for _ in range(3):
        one, other = (float(net.to_host(step(**feeds)["loss"])) for step in steps)
        assert abs(one - other) < 40 * UNITS[precision] * other


def test_bfloat16_needs_the_library_that_knows_it(emulated, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(BackendError, match="bfloat16 needs ml_dtypes: pip install ml_dtypes"):
        gn.Executor(gated(), EmulatedBackend(), precision="bfloat16")


def for_digits():
    image, label = gn.Input("image", ("N", 1, 8, 8)), gn.Input("label", ("N",), "int64")
    logits = Linear(10)(ReLU()(BatchNorm()(Linear(32, bias=False)(image))))
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


@pytest.mark.slow
@pytest.mark.parametrize("precision", UNITS)
def test_digits_are_learned_alike_in_every_precision(make_backend, precision):
    if make_backend is EmulatedBackend and os.environ.get("HYPOTHESIS_PROFILE") != "nightly":
        pytest.skip("the emulated card takes minutes for it: make nightly")
    digits, found = gn.data.load_digits(), []
    for seed in range(3):
        net = gn.Executor(for_digits(), make_backend(), precision=precision, seed=seed)
        trainer = gn.Trainer(net, gn.optim.Adam(gn.optim.Cosine(1e-2, steps=100)))
        trainer.fit(digits.train, None, epochs=5, batch_size=64, seed=seed)
        found.append(trainer.evaluate(digits.test).accuracy)
    # as stated in docs/gpu.md; one image of 360 is 0.0028
    assert abs(np.mean(found) - 0.965) < 0.006


# -- what is refused


@pytest.mark.parametrize("precision", ["tf32", "float16", "bfloat16"])
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_a_processor_computes_in_no_precision_of_the_card(precision, backend):
    with pytest.raises(ValueError, match=f"precision '{precision}' needs kernels of a GPU: .*'cup"):
        gn.Executor(gated(), backend, precision=precision)


def test_what_does_not_go_with_half_precision_is_refused(emulated):
    backend = EmulatedBackend()
    with pytest.raises(ValueError, match="expected no dtype, received 'float64'"):
        gn.Executor(gated(), backend, precision="float16", dtype="float64")
    wide = gn.Graph(y=Cast("float64")(gn.Input("x", ("N", 3))))
    with pytest.raises(ValueError, match=r"is for networks in float32, received .*float64"):
        gn.Executor(wide, backend, precision="float16")
    with pytest.raises(ValueError, match=r"received 'cupy' with \['reference'\]"):
        gn.Executor(gated(), backend, precision="float16", kernels="reference")

    @dataclasses.dataclass(frozen=True)
    class Mine(gn.optim.SGD):
        pass

    net = gn.Executor(gated(), backend, precision="float16")
    with pytest.raises(ExecutorError, match=r"expected SGD, RMSProp, Adam or AdamW, .* Mine"):
        net.training_step(Mine(0.1))


# -- the pass and the operator


def test_a_value_is_cast_once_and_never_there_and_back():
    x = gn.Input("x", ("N", 4))
    y = Linear(4)(x)
    graph = narrow(gn.Graph(y=y, z=Linear(4)(y), e=Exp()(x), f=Exp()(y)), "float16")
    casts = [n for n in graph.nodes.values() if isinstance(n.operator, Cast)]
    pairs = [(graph.name_of(n), n.inputs[0].dtype, n.outputs[0].dtype) for n in casts]
    assert sorted(pairs) == [
        ("linear_1.bias.float16", "float32", "float16"),
        ("linear_1.float32", "float16", "float32"),
        ("linear_1.weight.float16", "float32", "float16"),
        ("linear_2.bias.float16", "float32", "float16"),
        ("linear_2.float32", "float16", "float32"),
        ("linear_2.weight.float16", "float32", "float16"),
        ("x.float16", "float32", "float16"),
    ]
    assert [value.dtype for value in graph.outputs.values()] == ["float32"] * 4


def test_states_are_renewed_through_a_wide_operator():
    graph = narrow(gn.Graph(y=BatchNorm()(gn.Input("x", ("N", 4)))), "float16")
    (node,) = (n for n in graph.nodes.values() if isinstance(n.operator, Wide))
    assert [graph.name_of(state) for state in node.renews] == [
        "batch_norm_1.running_mean", "batch_norm_1.running_var",
    ]  # fmt: skip
    assert [value.dtype for value in node.outputs] == ["float16", "float32", "float32"]


def test_labels_are_checked_behind_a_wide_loss(make_backend):
    net = gn.Executor(gated(), make_backend(), precision="float16")
    feeds = feeds_of(net.graph, 4)
    feeds["label"][2] = 5
    with pytest.raises(gn.FeedError, match=r"expects values in 0 <= v < 5, received 5 at index 2"):
        net.forward(training=True, **feeds)


WIDENED = [
    (BatchNorm(), (1,) * 4), (BatchNormReLU(), (1,) * 4), (BatchNormReLU(), (1,) * 4 + (0,)),
    (BatchNormInference(), (1,) * 4), (BatchNormInferenceReLU(), (1,) * 4 + (0,)),
    (LayerNorm(), (2,) * 2),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "others"), WIDENED)
def test_kernels_of_wide_operators_round_once_beside_float64(emulated, operator, others):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 5, 3, 6)).astype("float16")
    shapes = {0: (x.shape, "float16"), 1: ((5,), "float32"), 2: ((6,), "float32")}
    given = [x]
    for other in others:
        shape, dtype = shapes[other]
        given.append((np.abs(rng.normal(size=shape)) + 0.5).astype(dtype))
    wide = Wide(operator, "float16")
    specs = tuple(Spec(a.shape, a.dtype.name) for a in given)
    kernel = cuda.prepare(wide, specs)
    assert kernel is not None
    backend = EmulatedBackend()
    result, saved = kernel.forward(*map(backend.from_host, given))
    wanted, kept = operator.forward(*(a.astype("float64") for a in given))
    results, wanted = (r if isinstance(r, tuple) else (r,) for r in (result, wanted))
    assert results[0].dtype == np.float16
    for found, right in zip(results, wanted, strict=True):
        rounding = 2.0**-10 if found.dtype == np.float16 else 1e-5
        np.testing.assert_allclose(backend.to_host(found), right, rtol=rounding, atol=rounding)
    if not kernel.terms.differentiable:
        return
    dy = rng.normal(size=x.shape).astype("float16")
    carried = [backend.from_host(dy), *[None] * (len(results) - 1)]
    needs = tuple(i < 3 or (i == 5) for i in range(len(given)))
    arriving = carried[0] if len(results) == 1 else tuple(carried)
    found = kernel.backward(saved, arriving, needs)
    wide_dy = dy.astype("float64")
    whole = (*needs, *[False] * (len(type(operator).signature().names) - len(needs)))
    expected = operator.backward(
        kept, wide_dy if len(results) == 1 else (wide_dy, None, None), whole
    )[: len(given)]
    for one, right, array in zip(found, expected, given, strict=True):
        if right is not None:
            assert one.dtype == array.dtype
            bound = 2.0**-9 if array.dtype == np.float16 else 1e-4
            np.testing.assert_allclose(backend.to_host(one), right, rtol=bound, atol=4 * bound)


def test_a_wide_loss_of_half_logits_is_that_in_float64(emulated):
    rng = np.random.default_rng(0)
    x, labels = (rng.normal(size=(6, 7)) * 9).astype("float16"), rng.integers(0, 7, 6)
    wide = Wide(SoftmaxCrossEntropy(), "float16", narrows=False)
    kernel, backend = cuda.prepare(wide, (Spec((6, 7), "float16"), Spec((6,), "int64"))), None
    backend = EmulatedBackend()
    loss, saved = kernel.forward(backend.from_host(x), backend.from_host(labels))
    wanted, kept = SoftmaxCrossEntropy().forward(x.astype("float64"), labels)
    assert loss.dtype == np.float32
    np.testing.assert_allclose(backend.to_host(loss), wanted, rtol=1e-6)
    one = backend.from_host(np.ones((), "float32"))
    dx, _ = kernel.backward(saved, one, (True, False))
    right = SoftmaxCrossEntropy().backward(kept, np.ones(()), (True, False))[0]
    assert dx.dtype == np.float16
    np.testing.assert_allclose(backend.to_host(dx), right, rtol=2**-10, atol=2**-24)


def test_the_reference_of_a_wide_operator_is_that_of_the_inner_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4)).astype("float16")
    single, kept = Softmax().forward(x.astype("float32"))
    y, saved = Wide(Softmax(), "float16").forward(x)
    np.testing.assert_array_equal(y, single.astype("float16"))
    (dx,) = Wide(Softmax(), "float16").backward(saved, x, (True,))
    (wanted,) = Softmax().backward(kept, x.astype("float32"), (True,))
    np.testing.assert_array_equal(dx, wanted.astype("float16"))
    assert dx.dtype == np.float16 and y.dtype == np.float16


def test_a_cast_rounds_to_nearest_even_and_widens_exactly(emulated):
    backend = EmulatedBackend()
    x = np.array([1 + 2**-11, 1 + 3 * 2**-11, 65519, 65520, 2**-25, np.nan, -np.inf], "float32")
    down = cuda.prepare(Cast("float16"), (Spec(x.shape),))
    y, saved = down.forward(backend.from_host(x))
    narrowed = backend.to_host(y)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(narrowed, x.astype("float16"))
    (dx,) = down.backward(saved, y, (True,))
    np.testing.assert_array_equal(backend.to_host(dx), narrowed.astype("float32"))
    assert cuda.prepare(Cast("float32"), (Spec(x.shape, "float16"),)) is not None
    assert cuda.prepare(Cast("float64"), (Spec(x.shape),)) is None
    assert cuda.prepare(Cast("float16"), (Spec(x.shape, "int64"),)) is None


def test_products_of_half_matrices_are_rounded_once(emulated):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype("float16") for shape in ((3, 4, 50), (3, 50, 5)))
    backend = EmulatedBackend()
    kernel = cuda.prepare(MatMul(), tuple(Spec(x.shape, "float16") for x in (a, b)))
    y, _ = kernel.forward(backend.from_host(a), backend.from_host(b))
    wanted = a.astype("float64") @ b.astype("float64")
    np.testing.assert_allclose(backend.to_host(y), wanted, rtol=2**-10, atol=2**-12)
