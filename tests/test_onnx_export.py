"""Graphs as ONNX models: every operator, read again as the same graph, and beside onnxruntime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings

import graphnet as gn
import ops
from graphnet import onnx as gx
from graphnet.onnx.rules import WRITERS
from graphnet.testing import prove
from graphnet.testing.records import RECORDS
from tests.onnx_cases import graph_of
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


def written(case):
    """The graph of a case, its feeds, and the model as bytes."""
    graph, feeds = graph_of(case)
    try:
        model = gx.to_model(graph)
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

    # onnxruntime 1.32 divides by zero where it turns an array without entries: the process ends
    assume(all(x is None or x.size for x in case.inputs))
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
    public = {getattr(ops, name) for name in ops.__all__}
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


@pytest.mark.parametrize(
    "operator", [ops.AvgPool(1, 4, "same"), ops.MaxPool(2, 3, "same")], ids=repr
)
@pytest.mark.parametrize("size", [3, 7])
def test_windows_smaller_than_their_step_are_the_same_everywhere(operator, size):
    """The standard's rule for them pads by a negative number, which runtimes take in many ways."""
    graph = gn.Graph(y=operator(gn.Input("x", (1, 1, size))))
    model = gx.to_model(graph)
    (node,) = model.graph.node
    assert {"auto_pad", "pads"} & {attribute.name for attribute in node.attribute} == {"pads"}
    assert list(differences(graph, gx.load(model.SerializeToString()))) == []


def read_by_its_parts(graph, **feeds):
    """The result of the graph, and of the function that it is written as."""
    model = gx.to_model(graph, opset=21)
    assert list(differences(graph, gx.load(model.SerializeToString()))) == []
    (function,) = model.functions
    function.ClearField("metadata_props")  # read by what it computes, and not by its name
    found = gn.Executor(gx.load(model.SerializeToString())).forward(**feeds)["y"]
    return gn.Executor(graph).forward(**feeds)["y"], found


@pytest.mark.parametrize("p", [1.5, 3.0])
def test_a_norm_that_the_standard_lacks_is_written_in_parts(p):
    x = np.linspace(-3, 3, 24, dtype="float32").reshape(2, 3, 4)
    x[1, :, 2] = 0
    graph = gn.Graph(y=ops.LpNormalization(1, p)(gn.Input("x", x.shape)))
    expected, found = read_by_its_parts(graph, x=x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_running_product_is_a_scan_before_it_is_an_operator(exclusive, reverse):
    x = np.linspace(-2, 2, 24, dtype="float32").reshape(2, 3, 4)
    graph = gn.Graph(y=ops.CumProd(1, exclusive, reverse)(gn.Input("x", x.shape)))
    expected, found = read_by_its_parts(graph, x=x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_running_product_is_an_operator_once_there_is_one():
    graph = gn.Graph(y=ops.CumProd(0, True)(gn.Input("x", (2, 3))))
    model = gx.to_model(graph, opset=26)
    assert [node.op_type for node in model.graph.node if node.input] == ["CumProd"]
    assert list(differences(graph, gx.load(model.SerializeToString()))) == []


def test_sequences_along_any_axes_are_reversed_in_parts():
    x, lengths = np.arange(24.0, dtype="float32").reshape(2, 3, 4), np.array([2, 4, 0])
    given = gn.Input("x", x.shape), gn.Input("lengths", (3,), "int64")
    graph = gn.Graph(y=ops.ReverseSequence(1, 2)(*given))
    expected, found = read_by_its_parts(graph, x=x, lengths=lengths)
    np.testing.assert_array_equal(found, expected)


def test_the_bits_of_integers_stay_in_any_opset():
    x = np.array([[0, -1, 2**31 - 1, -(2**31)]], "int32")
    graph = gn.Graph(y=ops.BitCast("uint32")(gn.Input("x", x.shape, "int32")))
    expected, found = read_by_its_parts(graph, x=x)
    np.testing.assert_array_equal(found, expected)


@pytest.fixture
def small_files(monkeypatch):
    """As if a file could hold a hundred bytes of weights."""
    monkeypatch.setattr("graphnet.onnx.saving.LARGEST", 100)


def test_weights_beyond_what_one_file_holds_are_no_model_in_memory(small_files):
    with pytest.raises(gx.OnnxError, match=r"at most 100 bytes.*graphnet\.onnx\.save puts them"):
        gx.to_model(small_classifier())


def wide_classifier():
    x = ops.ReLU()(ops.Linear(40)(gn.Input("x", ("N", 30))))
    return gn.Executor(gn.Graph(y=ops.Linear(20)(x)), seed=5)


def test_weights_beyond_what_one_file_holds_lie_in_a_file_beside_it(small_files, tmp_path):
    net = wide_classifier()
    gx.save(net, tmp_path / "net.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    stored = onnx.load(tmp_path / "net.onnx", load_external_data=False).graph.initializer
    apart = {t.name: {e.key: e.value for e in t.external_data} for t in stored if t.external_data}
    assert list(apart) == ["linear_1.weight", "linear_2.weight"]  # biases are small
    assert {int(entries["offset"]) % 4096 for entries in apart.values()} == {0}
    again = gx.load(tmp_path / "net.onnx")
    assert list(differences(net.graph, again)) == []
    found = gn.Executor(again).snapshot()
    for name, array in net.snapshot().items():
        np.testing.assert_array_equal(found[name], array)


@needs_runtime
def test_onnxruntime_reads_the_file_beside(small_files, tmp_path):
    import onnxruntime

    net = wide_classifier()
    gx.save(net, tmp_path / "net.onnx")
    x = np.ones((2, 30), "float32")
    (found,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"x": x})
    np.testing.assert_allclose(found, net.forward(x=x)["y"], rtol=1e-5, atol=1e-6)


def test_what_was_there_stays_if_a_file_cannot_be_written(small_files, tmp_path, monkeypatch):
    gx.save(wide_classifier(), tmp_path / "net.onnx")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graphnet.onnx.datafile.DataFile.write", full)
    with pytest.raises(OSError, match="No space"):
        gx.save(gn.Executor(wide_classifier().graph, seed=6), tmp_path / "net.onnx")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


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
    q, k, v = (gn.Input(name, ("N", 4, 6)) for name in "qkv")
    graph = gn.Graph(y=ops.LinearAttention()(q, k, v, name="running")[0])
    with pytest.raises(gx.OpsetError, match=r"running \(LinearAttention, .*from opset 27 on"):
        gx.to_model(graph, opset=26)


def test_without_an_opset_asked_for_the_first_that_will_do_is_written():
    q, k, v = (gn.Input(name, ("N", 4, 6)) for name in "qkv")
    graphs = {
        21: gn.Graph(y=ops.ReLU()(gn.Input("x", ("N", 4)))),
        26: gn.Graph(y=ops.BitCast("int32")(gn.Input("x", ("N", 4)))),
        27: gn.Graph(y=ops.LinearAttention()(q, k, v)[0]),
    }
    for opset, graph in graphs.items():
        model = gx.to_model(graph)
        assert model.opset_import[0].version == opset
        assert list(differences(graph, gx.load(model.SerializeToString()))) == []


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


@pytest.mark.parametrize("opset", ["21", 21.0, True])
def test_an_opset_is_an_integer(opset):
    with pytest.raises(TypeError, match="expected an opset such as 21"):
        gx.to_model(small_classifier(), opset=opset)


@pytest.mark.parametrize("path", [".", "absent/net.onnx"])
def test_a_path_that_no_file_can_have_is_named(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(f"in a folder that is there: {path}")):
        gx.save(small_classifier(), path)
    assert not [*tmp_path.iterdir()]


def test_what_is_no_graph_is_refused():
    with pytest.raises(TypeError, match="expected an Executor or a Graph, received int"):
        gx.to_model(3)
