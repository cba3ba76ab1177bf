"""Graphs as ONNX models: every operator, read again as the same graph, and beside onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings

import graphnet as gn
import ops
from graphnet import onnx as gx
from graphnet.onnx.importing import Stored
from graphnet.onnx.rules import TABLE, WRITERS
from graphnet.testing import prove
from graphnet.testing.records import RECORDS
from graphnet.values import State, declare
from tests.same_graphs import differences

onnx = pytest.importorskip("onnx")

SETTINGS = settings(
    max_examples=15, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)

#: What is written in the form that inference has, and so is read as another operator.
AT_INFERENCE = {ops.BatchNormReLU}

needs_runtime = pytest.mark.skipif(
    find_spec("onnxruntime") is None, reason="onnxruntime is not installed"
)

by_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.operator.__name__)


def opset_for(operator):
    """The opset that is written by default, or the first that has the operator."""
    return max([21, *(rule.since for rule in TABLE if rule.operator is operator)])


def graph_of(case):
    """A graph of one node with float32 inputs, and what is fed to it."""
    data = type(case.operator).signature().data
    learned = set(case.operator.parameters(*case.specs[: len(data)])) if data else set()
    values, feeds = {}, {}
    for role, x in zip(case.roles, case.inputs, strict=True):
        if x is None:
            values[role] = None
            continue
        x = np.asarray(x.astype("float32")) if x.dtype == np.float64 else np.asarray(x)
        if role in case.states:
            # the node names what only training reads
            name = None if isinstance(case.operator, ops.Dropout) else role
            values[role] = State(name, x.shape, Stored(x), x.dtype.name)
        elif role in learned:
            values[role] = gn.Parameter(role, x.shape, Stored(x), x.dtype.name)
        else:
            values[role] = gn.Input(role, x.shape, x.dtype.name)
            feeds[role] = x
    variadic = type(case.operator).signature().variadic
    given = (tuple(values.values()), {}) if variadic else ((), values)
    outputs = declare(case.operator, *given).visible_outputs
    return gn.Graph(**{f"y{i}": value for i, value in enumerate(outputs)}), feeds


def written(case):
    """The graph of a case, its feeds, and the model as bytes."""
    graph, feeds = graph_of(case)
    try:
        model = gx.to_model(graph, opset=opset_for(type(case.operator)))
    except gx.OnnxError as error:
        assert "the standard" in str(error)  # has no such form
        assume(False)
    return graph, feeds, model.SerializeToString()


def read_again(case):
    graph, feeds, content = written(case)
    loaded = gx.load(content)
    expected = gn.Executor(graph).forward(**feeds)
    found = gn.Executor(loaded).forward(**{k: x for k, x in feeds.items() if k in loaded.inputs})
    for name, y in expected.items():
        np.testing.assert_allclose(found[name], y, rtol=1e-5, atol=1e-6)
    if loaded.nodes and type(case.operator) not in AT_INFERENCE:
        assert list(differences(graph, loaded)) == []
    elif not loaded.nodes:
        # what changes nothing leaves no node, nor does what gives the same whatever is fed
        assert isinstance(loaded.outputs["y0"], gn.Input | gn.Constant)


@by_record
def test_what_was_written_is_read_as_the_same_graph(record):
    prove(record.cases, read_again, settings=SETTINGS)


def runs_alike(case):
    import onnxruntime

    unlike = EXCEPT.get(type(case.operator))
    assume(unlike is None or not unlike(case.operator, *case.inputs))
    graph, feeds, content = written(case)
    expected = gn.Executor(graph).forward(**feeds)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options)
        found = session.run(list(expected), feeds)
    except Exception:
        # it has no kernel for the dtypes, or none for arrays without an axis or an entry
        assume(False)
    for y, other in zip(expected.values(), found, strict=True):
        assert (y.dtype, y.shape) == (other.dtype, other.shape)
        finite = np.abs(y[np.isfinite(y)]).max(initial=0)
        np.testing.assert_allclose(other, y, rtol=1e-3, atol=1e-4 * max(1, finite))


#: What onnxruntime has no kernel for, or gets wrong.
UNLIKE = {
    ops.BitCast: "onnxruntime has no kernel",
    ops.CumProd: "onnxruntime has no kernel",
    ops.LinearAttention: "onnxruntime has no kernel",
    ops.Fold: "onnxruntime lays windows over one axis in another order",
    ops.Resize: "onnxruntime takes other entries of an axis of size 1",
}


def nothing_counts(operator, x, labels, *weights):
    return operator.reduction == "mean" and bool((labels == operator.ignore_index).all())


#: Cases in which onnxruntime gives something else than the standard's reference implementation.
EXCEPT = {
    ops.SoftmaxCrossEntropy: nothing_counts,
    ops.NegativeLogLikelihood: nothing_counts,
    ops.GridSample: lambda operator, *_: operator.mode == "cubic",
    ops.DFT: lambda operator, *_: operator.inverse and operator.onesided,
    ops.PReLU: lambda _, x, slope: x.ndim == 0,
}


@needs_runtime
@by_record
def test_onnxruntime_gives_the_same_results(record):
    if record.operator in UNLIKE:
        pytest.skip(UNLIKE[record.operator])
    prove(record.cases, runs_alike, settings=SETTINGS)


def test_every_public_operator_can_be_written():
    public = {cls for name, cls in vars(ops).items() if name in ops.__all__}
    operators = {c for c in public if isinstance(c, type) and issubclass(c, ops.Operator)}
    lacking = {
        cls.__name__ for cls in operators - {ops.Operator} - set(WRITERS) if cls not in AT_INFERENCE
    }
    assert lacking == set()


def small_classifier():
    image = gn.Input("image", ("N", 3, 8, 8))
    label = gn.Input("label", ("N",), "int64")
    x = ops.Conv(4, kernel_size=3, padding="same", bias=False)(image)
    x = ops.Dropout(0.25)(ops.ReLU()(ops.BatchNorm()(x)))
    logits = ops.Linear(5)(x)
    return gn.Graph(logits=logits, loss=ops.SoftmaxCrossEntropy()(logits, label))


MODELS = {
    "classifier": small_classifier,
    "resnet": lambda: gn.models.resnet(18),
    "mobilenet": gn.models.mobilenet,
    "unet": gn.models.unet,
    "vit": gn.models.vit,
    "transformer": lambda: gn.models.character_transformer(20),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_network_comes_back_with_its_names_and_weights(name):
    net = gn.Executor(MODELS[name](), seed=3)
    loaded = gx.load(gx.to_model(net).SerializeToString())
    assert list(differences(net.graph, loaded)) == []
    theirs = gn.Executor(loaded).snapshot()
    for key, array in net.snapshot().items():
        if "dropout" not in key:  # the key and counter of a generator are not part of a model
            np.testing.assert_array_equal(theirs[key], array)


@needs_runtime
@pytest.mark.parametrize("name", MODELS)
def test_a_network_runs_in_onnxruntime(name):
    import onnxruntime

    net = gn.Executor(MODELS[name](), seed=3)
    content = gx.to_model(net).SerializeToString()
    rng = np.random.default_rng(0)
    feeds = {}
    for key, value in net.graph.inputs.items():
        shape = value.spec.bind(2).shape
        drawn = rng.normal(size=shape) if value.spec.is_floating else rng.integers(0, 2, shape)
        feeds[key] = drawn.astype(value.dtype)
    expected = net.forward(**feeds)
    session = onnxruntime.InferenceSession(content)
    for y, other in zip(expected.values(), session.run(list(expected), feeds), strict=True):
        np.testing.assert_allclose(other, y, rtol=1e-3, atol=1e-4 * np.abs(y).max())


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20, 21, 23, onnx.defs.onnx_opset_version()])
def test_the_opset_can_be_chosen(opset):
    graph = small_classifier()
    model = gx.to_model(graph, opset=opset)
    assert model.opset_import[0].version == opset
    assert list(differences(graph, gx.load(model.SerializeToString()))) == []


@pytest.mark.parametrize("opset", [13, 17, 19])
@pytest.mark.parametrize(
    "operator",
    [
        ops.GELU(),
        ops.GELU("tanh"),
        ops.Mish(),
        ops.HardSwish(),
        ops.SiLU(),
        ops.LayerNorm(),
        ops.RMSNorm(),
        ops.GroupNorm(2),
    ],
    ids=repr,
)
def test_what_an_old_opset_lacks_is_written_in_parts(operator, opset):
    graph = gn.Graph(
        y=operator(gn.Input("x", ("N", 4, 6) if operator.__class__ is ops.GroupNorm else ("N", 6)))
    )
    model = gx.to_model(graph, opset=opset)
    assert list(differences(graph, gx.load(model.SerializeToString()))) == []
    (function,) = model.functions or [None]
    if function is not None:
        function.ClearField("metadata_props")  # read by what it computes, and not by its name
        x = np.linspace(-3, 3, 48 if len(graph.inputs["x"].shape) == 3 else 12, dtype="float32")
        x = x.reshape(2, *graph.inputs["x"].shape[1:])
        found = gn.Executor(gx.load(model.SerializeToString())).forward(x=x)["y"]
        np.testing.assert_allclose(found, gn.Executor(graph).forward(x=x)["y"], atol=1e-5)


def test_weights_beyond_what_a_file_holds_are_refused(monkeypatch):
    monkeypatch.setattr("graphnet.onnx.saving.LARGEST", 100)
    with pytest.raises(gx.OnnxError, match="expected weights of at most 100 bytes"):
        gx.to_model(small_classifier())


@pytest.mark.parametrize("opset", [6, 12, onnx.defs.onnx_opset_version() + 1])
def test_an_opset_that_cannot_be_written_is_refused(opset):
    with pytest.raises(gx.OnnxError, match=rf"expected an opset in 13\.\.\d+, received {opset}"):
        gx.to_model(small_classifier(), opset=opset)


def test_operators_that_cannot_be_written_are_listed_at_once():
    @dataclass(frozen=True)
    class Mine(ops.ReLU):
        pass

    @dataclass(frozen=True)
    class Yours(ops.ReLU):
        pass

    x = gn.Input("x", ("N", 4))
    with pytest.raises(gx.OnnxError, match=r"cannot be written as ONNX: Mine \(2\), Yours \(1\)"):
        gx.to_model(gn.Graph(y=Yours()(Mine()(Mine()(x)))))


def test_an_operator_newer_than_the_opset_is_refused_with_its_node():
    x = gn.Input("x", ("N", 4))
    graph = gn.Graph(y=ops.CumProd()(x, name="running"))
    with pytest.raises(gx.OnnxError, match=r"running \(CumProd, declared at .*from opset 26 on"):
        gx.to_model(graph)


def test_the_trained_values_are_written_and_no_others(tmp_path):
    graph = small_classifier()
    net = gn.Executor(graph, seed=1)
    changed = {name: array + 1 for name, array in net.snapshot().items() if array.dtype == "f4"}
    net.assign(changed)
    gx.save(net, tmp_path / "net.onnx")
    found = gn.Executor(gx.load(tmp_path / "net.onnx")).snapshot()
    for name, array in changed.items():
        np.testing.assert_array_equal(found[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_frozen_parameters_and_their_decay_come_back():
    weight = gn.Parameter("w", (4, 2), decay=False, trainable=False)
    graph = gn.Graph(y=ops.MatMul()(gn.Input("x", ("N", 4)), weight))
    loaded = gx.load(gx.to_model(graph).SerializeToString())
    assert not loaded.parameters["w"].trainable
    assert not loaded.parameters["w"].decay
    assert gx.load(gx.to_model(graph).SerializeToString(), trainable=True).parameters["w"].trainable


def test_an_output_under_two_names_and_an_input_that_is_one():
    x = gn.Input("x", ("N", 4))
    y = ops.ReLU()(x)
    graph = gn.Graph(one=y, two=y, three=x)
    loaded = gx.load(gx.to_model(graph).SerializeToString())
    assert list(loaded.outputs) == ["one", "two", "three"]
    assert loaded.outputs["one"] is loaded.outputs["two"]
    assert loaded.outputs["three"] is loaded.inputs["x"]


def test_what_is_no_graph_is_refused():
    with pytest.raises(TypeError, match="expected an Executor or a Graph, received int"):
        gx.to_model(3)
