"""Reading ONNX models: what is folded, bound, renamed and refused."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import graphnet as gn
import ops
from graphnet import onnx as gx
from graphnet.onnx.importing import Importer
from tests.same_graphs import differences

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def info(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, inputs, outputs, stored=None, opset=21, functions=(), **more):
    tensors = [numpy_helper.from_array(np.asarray(a), k) for k, a in (stored or {}).items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors, **more)
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(d, 1) for d in sorted({f.domain for f in functions})]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)


def graph_of(model, **options):
    return Importer(model, "model", **options).graph()


def kinds(graph):
    return [node.kind for node in graph.nodes.values()]


def one(kind, inputs, shapes, opset=21, stored=None, outputs=1, **attributes):
    """A model of one node, whose inputs are float unless stored."""
    names = [f"y{i}" for i in range(outputs)]
    given = [info(n, s) for n, s in zip(inputs, shapes, strict=False) if n not in (stored or {})]
    nodes = [helper.make_node(kind, inputs, names, **attributes)]
    return model_of(nodes, given, [info(n, None) for n in names], stored, opset)


def run(model, **feeds):
    graph = graph_of(model)
    found = gn.Executor(graph).forward(**feeds)
    return found["y0"] if len(found) == 1 else found


X = np.linspace(-2, 2, 24, dtype="float32").reshape(2, 3, 4)


# shapes


def test_shape_arithmetic_of_a_free_batch_leaves_no_node():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "two"], ["front"]),
        helper.make_node("Gather", ["s", "second"], ["h"]),
        helper.make_node("Gather", ["s", "third"], ["w"]),
        helper.make_node("Mul", ["h", "w"], ["area"]),
        helper.make_node("Unsqueeze", ["area", "zero"], ["rows"]),
        helper.make_node("Concat", ["front", "rows"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    stored = {"zero": [0], "two": [2], "second": np.array(2), "third": np.array(3)}
    model = model_of(nodes, [info("x", ("b", 3, 4, 5))], [info("y", None)], stored)
    graph = graph_of(model)
    assert kinds(graph) == ["Reshape"]
    assert graph.outputs["y"].shape == ("N", 3, 20)
    assert not graph.constants and not graph.parameters


def test_a_multiple_of_the_batch_is_a_shape_too():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], end=1),
        helper.make_node("Mul", ["s", "three"], ["rows"]),
        helper.make_node("Concat", ["rows", "four"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    stored = {"three": [3], "four": [4]}
    graph = graph_of(model_of(nodes, [info("x", ("b", 3, 4))], [info("y", None)], stored))
    assert str(graph.outputs["y"].shape) == "(3*N, 4)"


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (("b", 3), "(N, 3)"),
        ((None, 3), "(N, 3)"),
        ((5, "N"), "(5, N)"),
        (("seq", "b"), None),
        ((-1, 3), "(N, 3)"),
        ((-1, -1), None),
        ((-1, "?"), None),
        (("?", 3), "(N, 3)"),
        ((2, None), None),
    ],
)
def test_one_free_size_is_the_batch_and_others_must_be_bound(declared, expected):
    model = one("Relu", ["x"], [declared])
    if expected:
        assert str(graph_of(model).outputs["y0"].shape) == expected
    else:
        with pytest.raises(gx.OnnxError, match=r"free sizes beside the batch: bind them, shapes="):
            graph_of(model)
        graph = graph_of(model, shapes={"x": ("N", 7)})
        assert graph.outputs["y0"].shape == ("N", 7)


@pytest.mark.parametrize(
    ("source", "options", "text"),
    [
        (helper.make_tensor_value_info("x", FLOAT, ()), {}, "expected the path of a model or its"),
        (b"", {"trainable": "w"}, "a list of names or a function of a name, received 'w'"),
        (b"", {"trainable": 3}, "expected trainable to be True, False"),
        (b"", {"shapes": "x"}, "expected shapes to be a dictionary"),
        (b"", {"shapes": {"x": 3}}, "expected shapes['x'] to be sizes"),
        (
            b"",
            {"constants": {"x": [1, 2]}},
            "constants['x'] to be an array, received list",
        ),
        (b"", {"dtype": "int8"}, "expected dtype 'float32' or 'float64', received 'int8'"),
    ],
)
def test_arguments_that_no_model_could_use_are_refused_first(source, options, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        gx.load(source, **options)


def test_constants_have_the_dtype_of_their_input():
    nodes = [helper.make_node("Reshape", ["x", "size"], ["y"])]
    model = model_of(nodes, [info("x", (6,)), info("size", (2,), INT64)], [info("y", None)])
    sizes = np.array([2, 3], "int32")  # integers are converted where nothing is lost
    assert graph_of(model, constants={"size": sizes}).outputs["y"].shape == (2, 3)
    with pytest.raises(gx.OnnxError, match="expected int64, received float64"):
        graph_of(model, constants={"size": np.array([2.0, 3.0])})


def test_trainable_names_that_are_not_there_are_refused():
    model = one("Add", ["x", "w"], [(3,)], stored={"w": np.ones(3, "float32")})
    with pytest.raises(gx.OnnxError, match="no initializer is called 'v'"):
        graph_of(model, trainable=["w", "v"])


def test_an_unknown_input_in_shapes_is_refused():
    with pytest.raises(gx.OnnxError, match=r"no input is called 'z'; expected \['x'\]"):
        graph_of(one("Relu", ["x"], [("N", 3)]), shapes={"z": (1, 3)})


def test_a_comparison_that_depends_on_the_batch_is_an_error_that_says_so():
    def model(limit):
        branch = [
            helper.make_graph([helper.make_node(kind, ["x"], ["r"])], kind, [], [info("r", None)])
            for kind in ("Relu", "Neg")
        ]
        nodes = [
            helper.make_node("Shape", ["x"], ["s"], end=1),
            helper.make_node("Equal", ["s", "limit"], ["c"]),
            helper.make_node("If", ["c"], ["y"], then_branch=branch[0], else_branch=branch[1]),
        ]
        stored = {"limit": np.array([limit])}
        return model_of(nodes, [info("x", ("N", 3))], [info("y", None)], stored)

    assert kinds(graph_of(model(-1))) == ["Neg"]  # no batch is of -1
    with pytest.raises(gx.OnnxError, match="depends on the batch"):
        graph_of(model(1))
    assert kinds(graph_of(model(1), shapes={"x": (1, 3)})) == ["ReLU"]


def test_what_decides_a_shape_may_be_bound_to_an_array():
    model = one("Reshape", ["x", "shape"], [(2, 6)])
    model.graph.input.append(info("shape", (2,), INT64))
    with pytest.raises(gx.UndecidedError, match=r"the shape must be known .* \['shape'\]") as found:
        graph_of(model)
    assert found.value.inputs == ("shape",)
    graph = graph_of(model, constants={"shape": np.array([3, 4])})
    assert graph.outputs["y0"].shape == (3, 4)
    assert list(graph.inputs) == ["x"]


# parameters


def two_layers():
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "first"),
        helper.make_node("MatMul", ["h", "table"], ["y"], "second"),
    ]
    stored = {
        "w": np.eye(3, 4, dtype="float32"),
        "b": np.ones(4, "float32"),
        "table": np.ones((4, 2), "float32"),
    }
    return model_of(nodes, [info("x", ("N", 3))], [info("y", None)], stored)


@pytest.mark.parametrize(
    ("chosen", "trained"),
    [
        (None, ["w", "b", "table"]),
        (True, ["w", "b", "table"]),
        (False, []),
        (["table"], ["table"]),
        (lambda name: name != "w", ["b", "table"]),
    ],
)
def test_initializers_are_parameters_trainable_or_frozen(chosen, trained):
    graph = graph_of(two_layers(), trainable=chosen)
    assert [n for n, p in graph.parameters.items() if p.trainable] == trained
    assert set(graph.parameters) == {"w", "b", "table"}
    assert kinds(graph) == ["Linear", "MatMul"]
    assert list(graph.nodes) == ["first", "second"]


def test_a_weight_that_lies_the_other_way_is_turned_once():
    graph = graph_of(two_layers())
    assert graph.parameters["w"].shape == (4, 3)
    assert [leaf.decay for leaf in graph.parameters.values()] == [True, False, True]


@pytest.mark.parametrize("inside", [False, True], ids=["graph", "function"])
def test_a_weight_that_is_read_as_it_lies_and_turned_is_one_parameter(inside):
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "t"], ["y"]),
    ]
    functions = ()
    if inside:
        opsets = [helper.make_opsetid("", 21)]
        functions = [helper.make_function("mine", "Tied", ["x", "w"], ["y"], nodes, opsets)]
        nodes = [helper.make_node("Tied", ["x", "w"], ["y"], domain="mine")]
    weight = np.arange(6, dtype="float32").reshape(3, 2)
    x = np.ones((1, 3), "float32")
    inputs, outputs = [info("x", ("N", 3))], [info("y", None)]
    model = model_of(nodes, inputs, outputs, {"w": weight}, functions=functions)
    for trainable in (True, False):
        graph = graph_of(model, trainable=trainable)
        assert graph.parameters["w"].shape == (3, 2)
        y = gn.Executor(graph).forward(x=x)["y"]
        np.testing.assert_allclose(y, x @ weight @ weight.T)
    assert kinds(graph_of(model)) == ["Transpose", "MatMul", "MatMul"]


def test_running_statistics_are_states_and_shared_ones_are_parameters():
    def model(count):
        nodes = []
        value = "x"
        for number in range(count):
            inputs = [value, *(f"{n}{number}" for n in "gb"), "m", "v"]
            value = f"y{number}"
            nodes.append(helper.make_node("BatchNormalization", inputs, [value]))
        stored = {f"{n}{i}": np.ones(3, "float32") for n in "gb" for i in range(count)}
        stored |= {"m": np.zeros(3, "float32"), "v": np.ones(3, "float32")}
        return model_of(nodes, [info("x", ("N", 3, 4))], [info(value, None)], stored)

    alone, shared = graph_of(model(1)), graph_of(model(2))
    assert kinds(alone) == ["BatchNorm"] and list(alone.states) == ["m", "v"]
    assert kinds(shared) == ["BatchNormInference"] * 2 and {"m", "v"} <= set(shared.parameters)


# versions


def test_softmax_before_opset_13_takes_all_axes_from_its_own_on():
    new = run(one("Softmax", ["x"], [("N", 3, 4)], opset=13, axis=1), x=X)
    old = run(one("Softmax", ["x"], [("N", 3, 4)], opset=11, axis=1), x=X)
    np.testing.assert_allclose(new.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(old.sum(axis=(1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "opset", "attributes", "expected"),
    [
        ("Clip", 6, {"min": -1.0, "max": 0.5}, X.clip(-1, 0.5)),
        ("Clip", 6, {}, X),
        ("Unsqueeze", 11, {"axes": [0, 2]}, X[None][:, :, None]),
        ("ReduceSum", 11, {"axes": [1], "keepdims": 0}, X.sum(axis=1)),
        ("ReduceMean", 13, {"axes": [-1]}, X.mean(axis=-1, keepdims=True)),
        ("Slice", 9, {"starts": [1], "ends": [3], "axes": [2]}, X[:, :, 1:3]),
        ("Pad", 10, {"pads": [0, 0, 1, 0, 0, 0], "value": 2.0}, None),
        ("Dropout", 10, {"ratio": 0.25}, X),
        ("Upsample", 7, {"scales": [1.0, 1.0, 2.0]}, X.repeat(2, axis=2)),
        ("Squeeze", 11, {"axes": [1]}, None),
    ],
)
def test_old_forms_of_attributes_mean_what_they_meant(kind, opset, attributes, expected):
    x = X[:, :1] if kind == "Squeeze" else X
    expected = x[:, 0] if kind == "Squeeze" else expected
    if kind == "Pad":
        expected = np.pad(x, [(0, 0), (0, 0), (1, 0)], constant_values=2)
    y = run(one(kind, ["x"], [x.shape], opset=opset, **attributes), x=x)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_an_operand_was_aligned_by_an_attribute_before_opset_7():
    stored = {"b": np.array([1, 2, 3], "float32")}
    model = one("Add", ["x", "b"], [X.shape], opset=6, stored=stored, broadcast=1, axis=1)
    np.testing.assert_allclose(run(model, x=X), X + stored["b"][:, None])


@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
def test_the_rules_of_padding(rule):
    weight = np.ones((1, 1, 2), "float32")
    x = np.arange(1, 6, dtype="float32").reshape(1, 1, 5)
    y = run(one("Conv", ["x", "w"], [x.shape], stored={"w": weight}, auto_pad=rule), x=x)
    sums = {"SAME_UPPER": [3, 5, 7, 9, 5], "SAME_LOWER": [1, 3, 5, 7, 9]}
    assert y.ravel().tolist() == sums.get(rule, [3, 5, 7, 9])


def test_ceil_mode_adds_a_window_and_no_padding_that_counts():
    x = np.arange(1, 7, dtype="float32").reshape(1, 1, 6)
    common = {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}
    assert run(one("MaxPool", ["x"], [x.shape], **common), x=x).ravel().tolist() == [3, 5, 6]
    y = run(one("AveragePool", ["x"], [x.shape], count_include_pad=1, **common), x=x)
    assert y.ravel().tolist() == [2, 4, 5.5]


def test_sides_of_padding_may_differ():
    weight = np.ones((1, 1, 3), "float32")
    x = np.arange(1, 6, dtype="float32").reshape(1, 1, 5)
    graph = graph_of(one("Conv", ["x", "w"], [x.shape], stored={"w": weight}, pads=[2, 0]))
    (node,) = graph.nodes.values()
    assert node.operator.padding == ((2, 0),)
    assert gn.Executor(graph).forward(x=x)["y0"].ravel().tolist() == [1, 3, 6, 9, 12]


# functions and control flow


def test_functions_are_written_out_with_their_attributes():
    body = helper.make_function(
        "mine",
        "Scaled",
        ["a"],
        ["b"],
        [helper.make_node("LeakyRelu", ["a"], ["b"])],
        [helper.make_opsetid("", 21)],
        ["slope"],
    )
    reference = body.node[0].attribute.add()
    reference.name, reference.ref_attr_name = "alpha", "slope"
    reference.type = onnx.AttributeProto.FLOAT
    nodes = [helper.make_node("Scaled", ["x"], ["y"], domain="mine", slope=0.5)]
    model = model_of(nodes, [info("x", ("N", 3))], [info("y", None)], functions=[body])
    (node,) = graph_of(model).nodes.values()
    assert node.operator == ops.LeakyReLU(0.5)


def test_an_operator_without_a_rule_is_read_as_the_function_by_which_the_standard_defines_it():
    y = run(one("MeanVarianceNormalization", ["x"], [(2, 3, 2, 2)], axes=[0, 2, 3]),
            x=X.reshape(2, 3, 2, 2))  # fmt: skip
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1, rtol=1e-4)


def loop(body_nodes, trips, **more):
    body = helper.make_graph(
        body_nodes,
        "body",
        [info("i", (), INT64), info("go", (), onnx.TensorProto.BOOL), info("h", None)],
        [info("go", (), onnx.TensorProto.BOOL), info("out", None)],
    )
    nodes = [helper.make_node("Loop", ["trips", "", "x"], ["y0"], body=body)]
    stored = {"trips": np.array(trips)} | more
    return model_of(nodes, [info("x", ("N", 3))], [info("y0", None)], stored)


def test_a_loop_whose_count_is_known_is_unrolled():
    model = loop([helper.make_node("Add", ["h", "one"], ["out"])], 3, one=np.float32(1))
    assert kinds(graph_of(model)) == ["Add"] * 3
    x = np.zeros((2, 3), "float32")
    assert run(model, x=x).tolist() == [[3] * 3] * 2


def test_a_loop_without_end_is_refused():
    model = loop([helper.make_node("Identity", ["h"], ["out"])], 2**40)
    with pytest.raises(gx.OnnxError, match="expected a loop of at most 10000 steps"):
        graph_of(model)


# attributes, operators and dtypes


def test_an_attribute_that_nobody_reads_is_refused_by_name():
    model = one("Relu", ["x"], [("N", 3)], softness=1.0)
    with pytest.raises(gx.OnnxError, match=r"'y0' \(Relu\): attribute softness of Relu-21"):
        graph_of(model)


def test_an_attribute_that_a_function_lacks_is_refused_by_name():
    model = one("MeanVarianceNormalization", ["x"], [("N", 3)], softness=1.0)
    with pytest.raises(gx.OnnxError, match="attribute softness of MeanVarianceNormalization"):
        graph_of(model)


def test_random_numbers_are_refused_with_the_reason():
    with pytest.raises(gx.OnnxError, match="draws new numbers at each run"):
        graph_of(one("RandomUniformLike", ["x"], [("N", 3)]))


def test_a_branch_that_only_the_run_decides_keeps_one_of_two_results():
    branches = [
        helper.make_graph([helper.make_node(kind, ["x"], ["r"])], kind, [], [info("r", None)])
        for kind in ("Relu", "Neg")
    ]
    node = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    flag = info("c", (), onnx.TensorProto.BOOL)
    graph = graph_of(model_of([node], [info("x", (2,)), flag], [info("y", None)]))
    x = np.array([-1, 2], "float32")
    net = gn.Executor(graph)
    assert net.forward(x=x, c=np.array(True))["y"].tolist() == [0, 2]
    assert net.forward(x=x, c=np.array(False))["y"].tolist() == [1, -2]


def test_an_input_that_is_left_out_is_missed_and_not_made_up():
    model = one("Conv", ["x"], [("N", 3, 8, 8)], kernel_shape=[3, 3])
    with pytest.raises(gx.OnnxError, match="node 'y0'"):
        graph_of(model)
    with pytest.raises(gx.OnnxError, match="input 1 is missing"):
        graph_of(one("Concat", ["x", ""], [("N", 3)], axis=0))
    with pytest.raises(gx.OnnxError, match="input 'gamma' is missing"):
        graph_of(one("InstanceNormalization", ["x"], [("N", 3, 8, 8)]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (one("MaxPool", ["x"], [(1, 1, 8)], kernel_shape=[2], strides=[0]), "at least 1"),
        (one("Split", ["x"], [(6,)], num_outputs=2**40), "expected num_outputs of 1"),
        (one("Split", ["x"], [(6,)], axis=5), r"expected an axis in -1\.\.0, received 5"),
        (one("SplitToSequence", ["x"], [(2**31,)]), "at most 10000 parts"),
        (one("Reshape", ["x", "s"], [(6,)], stored={"s": [6, 0]}), "a size of 0 stands for"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(model, message):
    with pytest.raises(gx.OnnxError, match=message):
        graph_of(model)


def test_operators_that_are_unknown_are_listed_at_once():
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Twist", ["b"], ["c"], domain="com.example"),
        helper.make_node("Frobnicate", ["c"], ["y"]),
    ]
    model = model_of(nodes, [info("x", ("N", 3))], [info("y", None)])
    listed = "ai.onnx.Frobnicate (2), com.example.Twist (1)"
    with pytest.raises(gx.OnnxError, match=re.escape(f"not supported: {listed}")):
        graph_of(model)


def test_operators_newer_than_the_opset_of_the_model_are_listed():
    nodes = [helper.make_node("Trilu", ["x"], ["a"]), helper.make_node("Gelu", ["a"], ["y"])]
    model = model_of(nodes, [info("x", ("N", 3))], [info("y", None)], opset=13)
    with pytest.raises(gx.OnnxError, match="newer than the model: Gelu in opset 13, Trilu in"):
        graph_of(model)


def test_inputs_that_a_rule_stumbles_over_are_shown():
    weights = {"w": np.ones((1, 20, 3), "float32"), "r": np.ones((1, 20, 5), "float32")}
    model = one("LSTM", ["x", "w", "r"], [()], stored=weights, hidden_size=5)
    text = "'y0' (LSTM): inputs (float32 (), float32 (1, 20, 3), float32 (1, 20, 5)) do not fit"
    with pytest.raises(gx.OnnxError, match=re.escape(text)):
        graph_of(model)


def test_an_opset_newer_than_the_installed_onnx_is_refused():
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(gx.OnnxError, match=f"expected opset {newest} or older"):
        graph_of(one("Relu", ["x"], [("N", 3)], opset=newest + 1))


def test_a_shape_that_does_not_fit_names_the_file_and_the_node():
    stored = {"w": np.ones((4, 2, 3, 3), "float32")}
    model = one("Conv", ["x", "w"], [("N", 3, 8, 8)], stored=stored)
    with pytest.raises(gx.OnnxError, match=r"model, node 'y0' \(Conv\).*expected 2 input channels"):
        graph_of(model)


def test_half_precision_can_be_read_as_float32():
    stored = {"w": np.ones((3, 2), "float16")}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Cast", ["h"], ["y"], to=onnx.TensorProto.FLOAT16),
    ]
    half = onnx.TensorProto.FLOAT16
    model = model_of(nodes, [info("x", ("N", 3), half)], [info("y", None, half)], stored)
    graph = graph_of(model, dtype="float32")
    assert {value.dtype for value in graph.values()} == {"float32"}
    assert gn.Executor(graph).forward(x=np.ones((2, 3), "float32"))["y"].tolist() == [[3, 3]] * 2


def test_a_constant_that_is_far_too_large_is_refused_before_it_is_made():
    model = one("ConstantOfShape", ["s"], [], stored={"s": np.array([2**40])})
    with pytest.raises(gx.OnnxError, match="expected constants of at most 1024 MiB"):
        graph_of(model)


# names, texts


def described():
    model = two_layers()
    model.doc_string, model.domain, model.model_version = "what it is", "org.example", 7
    model.graph.doc_string = "how it is"
    model.graph.node[1].doc_string = "the last layer"
    model.graph.input[0].doc_string = "pixels"
    model.graph.initializer[0].doc_string = "learned in 2020"
    helper.set_model_props(model, {"licence": "free", "classes": "cat,dog"})
    return model


def test_names_and_texts_survive_a_round_trip():
    first = graph_of(described())
    model = gx.to_model(first)
    second = gx.load(model.SerializeToString())
    assert second.metadata == first.metadata
    assert list(differences(first, second)) == []
    assert model.doc_string == "what it is"
    assert (model.domain, model.model_version) == ("org.example", 7)
    assert (model.graph.name, model.graph.doc_string) == ("net", "how it is")
    assert {p.key: p.value for p in model.metadata_props} == {
        "licence": "free",
        "classes": "cat,dog",
    }
    assert [n.doc_string for n in model.graph.node if n.name == "second"] == ["the last layer"]
    assert model.graph.input[0].doc_string == "pixels"
    assert {t.doc_string for t in model.graph.initializer} == {"", "learned in 2020"}
    assert model.producer_name == "graphnet"


def test_texts_stay_with_a_graph_that_is_rewritten():
    graph = graph_of(described())
    assert gn.passes.for_inference(graph).metadata == graph.metadata
    assert graph.select("y").metadata == graph.metadata


def test_names_that_are_taken_get_a_number():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "x"),
        helper.make_node("Relu", ["a"], ["y"], "x"),
    ]
    graph = graph_of(model_of(nodes, [info("x", ("N", 3))], [info("y", None)]))
    assert list(graph.nodes) == ["x_2", "x_3"]


def test_an_input_called_by_a_reserved_word_is_renamed():
    graph = graph_of(one("Relu", ["training"], [("N", 3)]))
    assert list(graph.inputs) == ["training_"]


def test_a_file_cannot_name_an_operator_that_is_not_ours():
    model = gx.to_model(gn.Graph(y=ops.NotEqual()(*(gn.Input(n, ("N",)) for n in "ab"))))
    (function,) = model.functions
    function.metadata_props[0].value = '{"name": "namespace", "fields": {}}'
    with pytest.raises(gx.OnnxError, match="does not say which operator it is"):
        gx.load(model.SerializeToString())


def test_without_the_package_an_import_says_what_to_install():
    code = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'onnx' else find(name, *a)\n"
        "import graphnet.onnx"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "graphnet.onnx needs the package onnx: pip install onnx protobuf ml_dtypes" in run.stderr
