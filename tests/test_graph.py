"""Declaring graphs: shapes, names, sharing, and errors that name what is wrong and where."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest

import graphnet as gn
from ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Linear,
    MatMul,
    MaxPool,
    Operator,
    ReLU,
    ShapeError,
    SoftmaxCrossEntropy,
    Sum,
    Tanh,
)
from ops.initializers import Constant, Normal

THIS_FILE = Path(__file__).name


def image(channels: int = 3, size: int = 8) -> gn.Input:
    return gn.Input("image", ("N", channels, size, size))


def small_convnet() -> gn.Graph:
    x, label = image(), gn.Input("label", ("N",), "int64")
    y = ReLU()(BatchNorm()(Conv(4, 3, padding="same", bias=False)(x)))
    y = Dropout(0.5)(Flatten()(MaxPool(2)(y)))
    logits = Linear(10)(y)
    return gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def here(offset: int = 0) -> str:
    """``file:line`` of the caller's line, or of one ``offset`` lines away, as errors show it."""
    caller = inspect.currentframe().f_back
    return f"{THIS_FILE}:{caller.f_lineno + offset}"


# -- shapes


def test_shapes_are_inferred_while_declaring_and_keep_the_batch_symbolic():
    x = image()
    y = Conv(16, kernel_size=3, stride=2, padding=1)(x)
    assert y.shape == ("N", 16, 4, 4)
    assert Flatten()(y).shape == ("N", 256)
    assert Linear(10)(Flatten()(y)).shape == ("N", 10)
    assert Sum()(y).shape == ()
    assert y.dtype == "float32"


def test_joining_along_the_batch_gives_multiples_of_n():
    x = gn.Input("x", ("N", 3))
    both = Concat(axis=0)(x, x)
    assert str(both.shape) == "(2*N, 3)"
    net = gn.Executor(gn.Graph(y=both))
    assert net.forward(x=np.zeros((5, 3), "float32"))["y"].shape == (10, 3)


def test_an_operator_with_several_outputs_gives_a_tuple_of_values():
    x = gn.Input("x", ("N", 4))
    low, high = Halves()(x)
    assert low.shape == high.shape == ("N", 2)
    graph = gn.Graph(low=low, high=high)
    assert [graph.name_of(v) for v in (low, high)] == ["halves_1:0", "halves_1:1"]


@dataclass(frozen=True)
class Halves(Operator):
    """The two halves of the last axis."""

    def infer(self, x):
        half = x.with_shape((*x.shape[:-1], x.shape[-1] // 2))
        return half, half

    def forward(self, x):
        half = x.shape[-1] // 2
        return (x[..., :half].copy(), x[..., half:].copy()), (x.shape,)

    def backward(self, saved, dy, needs):
        raise NotImplementedError


# -- names


def test_nodes_are_numbered_by_operator_and_parameters_named_by_use():
    graph = small_convnet()
    assert list(graph.nodes) == [
        "conv_1", "batch_norm_1", "relu_1", "max_pool_1", "flatten_1", "dropout_1", "linear_1",
        "softmax_cross_entropy_1",
    ]  # fmt: skip
    assert list(graph.parameters) == [
        "conv_1.weight", "batch_norm_1.gamma", "batch_norm_1.beta",
        "linear_1.weight", "linear_1.bias",
    ]  # fmt: skip
    assert list(graph.states) == [
        "batch_norm_1.running_mean", "batch_norm_1.running_var",
        "dropout_1.key", "dropout_1.counter",
    ]  # fmt: skip


def test_names_do_not_depend_on_graphs_built_before():
    first, second = small_convnet(), small_convnet()
    assert list(first.nodes) == list(second.nodes)
    assert list(first.parameters) == list(second.parameters)
    # nor on nodes that lead to no output
    x = gn.Input("x", ("N", 4))
    Linear(2)(x)
    assert list(gn.Graph(y=Linear(3)(x)).nodes) == ["linear_1"]


def test_a_users_name_stays_and_numbering_steps_around_it():
    x = gn.Input("x", ("N", 4))
    stem = Linear(4)(x, name="stem")
    middle = Linear(4)(stem)
    last = Linear(4)(middle, name="linear_1")
    graph = gn.Graph(y=last)
    assert list(graph.nodes) == ["stem", "linear_2", "linear_1"]
    assert "stem.weight" in graph.parameters


def test_declared_order_names_the_branches_whatever_the_outputs_order():
    def branches():
        x = gn.Input("x", ("N", 4))
        return Linear(2)(x), Linear(3)(x)

    two, three = branches()
    one = gn.Graph(two=two, three=three)
    two, three = branches()
    other = gn.Graph(three=three, two=two)
    for graph in (one, other):
        assert graph.parameters["linear_1.weight"].shape == (2, 4)
        assert graph.parameters["linear_2.weight"].shape == (3, 4)


@pytest.mark.parametrize("reserved", ["training", "differentiate", "outputs", "self", ""])
def test_an_input_cannot_take_the_name_of_an_argument_of_forward(reserved):
    with pytest.raises(gn.GraphError, match=re.escape(f"received {reserved!r}")):
        gn.Input(reserved, ("N", 4))


# -- parameters


def test_a_shared_parameter_is_one_parameter():
    x = gn.Input("x", ("N", 4))
    weight = gn.Parameter("projection", (4, 4))
    graph = gn.Graph(y=MatMul()(MatMul()(x, weight), weight))
    assert list(graph.parameters) == ["projection"]
    assert graph.parameters["projection"] is weight


def test_the_weight_of_one_node_can_be_given_to_another():
    x = gn.Input("x", ("N", 4))
    first = Linear(4)(x)
    weight = first.producer.inputs[1]
    graph = gn.Graph(y=Linear(4, bias=False)(first, weight))
    assert list(graph.parameters) == ["linear_1.weight", "linear_1.bias"]


def test_an_initializer_in_place_of_a_weight_sets_its_first_value():
    x = gn.Input("x", ("N", 4))
    graph = gn.Graph(y=Linear(2)(x, weight=Constant(7.0), bias=Normal(1.0)))
    net = gn.Executor(graph)
    np.testing.assert_array_equal(net.parameters["linear_1.weight"], np.full((2, 4), 7.0))
    assert abs(net.parameters["linear_1.bias"]).max() > 0


def test_none_in_place_of_a_bias_is_taken_only_where_the_operator_has_none():
    x = gn.Input("x", ("N", 4))
    graph = gn.Graph(y=Linear(2, bias=False)(x, bias=None))
    assert list(graph.parameters) == ["linear_1.weight"]
    with pytest.raises(ShapeError, match=r"linear_1 \(Linear.* expected a bias"):
        Linear(2)(x, bias=None)


def test_weights_decay_and_biases_do_not():
    parameters = small_convnet().parameters
    assert {name for name, leaf in parameters.items() if leaf.decay} == {
        "conv_1.weight",
        "linear_1.weight",
    }


def test_a_constant_is_a_copy_that_cannot_change():
    array = np.ones(3, "float32")
    constant = gn.Constant(array)
    array[:] = 5
    x = gn.Input("x", ("N", 3))
    graph = gn.Graph(y=Add()(x, constant))
    assert list(graph.constants) == ["add_1.b"]
    assert not graph.parameters
    y = gn.Executor(graph).forward(x=np.zeros((1, 3), "float32"))["y"]
    np.testing.assert_array_equal(y, [[1, 1, 1]])
    with pytest.raises(ValueError, match="read-only"):
        constant.array[0] = 2


@pytest.mark.parametrize("make", [gn.Parameter, lambda *a: gn.State(*a, Constant(0.0), "float32")])
def test_a_parameter_or_state_has_known_sizes(make):
    with pytest.raises(ShapeError, match=r"w: expected known sizes, received \(N, 3\)"):
        make("w", ("N", 3))


# -- arithmetic


ARITHMETIC: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "x + x": (lambda x: x + x, lambda x: x + x),
    "x + 2": (lambda x: x + 2, lambda x: x + 2),
    "2 + x": (lambda x: 2 + x, lambda x: 2 + x),
    "x - 0.5": (lambda x: x - 0.5, lambda x: x - 0.5),
    "1 - x": (lambda x: 1 - x, lambda x: 1 - x),
    "x * x": (lambda x: x * x, lambda x: x * x),
    "3 * x": (lambda x: 3 * x, lambda x: 3 * x),
    "x / 4": (lambda x: x / 4, lambda x: x / 4),
    "1 / x": (lambda x: 1 / x, lambda x: 1 / x),
    "-x": (lambda x: -x, lambda x: -x),
    "x + list": (lambda x: x + list(range(3)), lambda x: x + np.arange(3)),
    "array - x": (lambda x: np.ones(3) - x, lambda x: np.ones(3) - x),
    "x @ array": (lambda x: x @ np.eye(3)[:, :2], lambda x: x @ np.eye(3)[:, :2]),
    "array @ x": (lambda x: np.ones((4, 2)) @ x, lambda x: np.ones((4, 2)) @ x),
}


@pytest.mark.parametrize("case", ARITHMETIC)
def test_value_arithmetic_is_the_arithmetic_of_arrays(case):
    on_values, on_arrays = ARITHMETIC[case]
    array = np.array([[1.0, 2.0, 4.0], [0.5, -1.0, 8.0]], "float32")
    y = on_values(gn.Input("x", (2, 3)))
    computed = gn.Executor(gn.Graph(y=y)).forward(x=array)["y"]
    assert computed.dtype == "float32"
    np.testing.assert_allclose(computed, on_arrays(array), rtol=1e-6)
    assert y.shape == computed.shape


@pytest.mark.parametrize("other", [None, "3", 1j, object()])
def test_arithmetic_with_what_is_no_number_is_refused(other):
    with pytest.raises(TypeError, match=f"received {type(other).__name__}"):
        gn.Input("x", ("N", 3)) * other


# -- graphs from graphs


def test_select_keeps_names_and_drops_what_the_outputs_do_not_need():
    graph = small_convnet()
    part = graph.select("logits")
    assert list(part.outputs) == ["logits"]
    assert list(part.inputs) == ["image"]
    assert list(part.nodes) == list(graph.nodes)[:-1]
    assert part.parameters == graph.parameters
    with pytest.raises(gn.GraphError, match=r"\['logits', 'loss'\], received 'scores'"):
        graph.select("scores")


def test_select_keeps_numbers_even_where_the_first_of_a_kind_is_gone():
    x = gn.Input("x", ("N", 4))
    graph = gn.Graph(a=Linear(2)(x), b=Linear(3)(x))
    assert list(graph.select("b").parameters) == ["linear_2.weight", "linear_2.bias"]


def test_for_inference_keeps_names_and_parameters_and_drops_identities():
    graph = small_convnet()
    inference = gn.passes.for_inference(graph)
    assert list(inference.nodes) == [name for name in graph.nodes if name != "dropout_1"]
    assert inference.nodes["batch_norm_1"].kind == "BatchNormInference"
    assert inference.parameters == graph.parameters  # the same objects under the same names
    assert list(inference.states) == ["batch_norm_1.running_mean", "batch_norm_1.running_var"]
    assert list(inference.outputs) == list(graph.outputs)
    assert inference.nodes["batch_norm_1"].declared_at == graph.nodes["batch_norm_1"].declared_at
    # the graph it came from is as before
    assert graph.nodes["batch_norm_1"].kind == "BatchNorm"


def test_for_inference_of_what_is_its_own_inference_form_is_the_graph_itself():
    graph = gn.Graph(y=Linear(2)(ReLU()(gn.Input("x", ("N", 4)))))
    assert gn.passes.for_inference(graph) is graph


def test_dropout_as_the_only_node_leaves_the_input_as_output():
    x = gn.Input("x", ("N", 4))
    inference = gn.passes.for_inference(gn.Graph(y=Dropout(0.5)(x)))
    assert not inference.nodes
    assert inference.outputs["y"] is x


# -- pictures and tables


def test_to_networkx_has_a_node_for_each_part_and_an_edge_for_each_input():
    x = gn.Input("x", ("N", 4))
    graph = gn.Graph(y=Add()(x, Linear(4)(x)))
    dag = graph.to_networkx()
    assert isinstance(dag, nx.MultiDiGraph)
    assert set(dag) == {"x", "linear_1", "linear_1.weight", "linear_1.bias", "add_1"}
    assert nx.is_directed_acyclic_graph(dag)
    assert dag.nodes["linear_1"]["part"] is graph.nodes["linear_1"]
    edges = {(a, b): data for a, b, data in dag.edges(data=True)}
    assert edges["x", "add_1"] == {"input": "a", "index": 0}
    assert edges["linear_1", "add_1"] == {"input": "b", "index": 0}


def test_an_operator_that_reads_a_value_twice_has_two_edges():
    x = gn.Input("x", ("N", 4))
    dag = gn.Graph(y=Add()(x, x)).to_networkx()
    assert dag.number_of_edges("x", "add_1") == 2


def test_to_dot_shows_every_node_every_edge_and_the_shapes():
    graph = small_convnet()
    dot = graph.to_dot()
    assert dot.startswith("digraph")
    for name in (*graph.inputs, *graph.nodes, *graph.outputs):
        assert name in dot
    assert "(N, 4, 8, 8)" in dot
    # image and label enter, logits and loss leave, and 8 nodes stand in a row
    assert dot.count("->") == 2 + 7 + 2


def test_to_svg_is_one_document_with_every_name_and_the_title():
    graph = small_convnet()
    svg = graph.to_svg("a title & more")
    text = " ".join(ElementTree.fromstring(svg).itertext())
    for name in ("a title & more", *graph.inputs, *graph.nodes, *graph.outputs):
        assert name in text
    assert graph._repr_svg_() == graph.to_svg()


def test_summary_counts_parameters_flops_and_bytes():
    x = gn.Input("x", ("N", 100))
    text = gn.Graph(y=Linear(50)(x)).summary(batch=2)
    assert "linear_1" in text
    assert "Linear" in text
    assert "(N, 50)" in text
    assert "5,050" in text  # 100 * 50 weights and 50 biases
    assert "20.1 k" in text  # 2 examples, 50 units, 2 * 100 products and sums, one bias
    assert "400 B" in text  # 2 examples, 50 units, 4 bytes
    assert "batch 2" in text


def test_summary_counts_a_shared_parameter_once():
    x, weight = gn.Input("x", ("N", 10)), gn.Parameter("w", (10, 10))
    total = gn.Graph(y=MatMul()(MatMul()(x, weight), weight)).summary().splitlines()[-1]
    assert "100" in total
    assert "200" not in total


# -- errors: the node, the operator, what was expected, what received, and the user's line


def shape_errors() -> dict[str, tuple[Callable[[], Any], tuple[str, ...]]]:
    x, flat = image, lambda: gn.Input("x", ("N", 4))
    return {
        "wrong rank": (
            lambda: Linear(3)(gn.Input("x", (4,))),
            ("linear_1 (Linear", "2 or more axes", "float32 (4,)"),
        ),
        "rank of a convolution": (
            lambda: Conv(3, 3)(flat()),
            ("conv_1 (Conv", "expected an input (N, C, L)", "float32 (N, 4)"),
        ),
        "channels that do not match": (
            lambda: Conv(8, 3)(x(), gn.Parameter("w", (8, 5, 3, 3))),
            ("conv_1 (Conv", "expected 5 input channels", "received 3 in float32 (N, 3, 8, 8)"),
        ),
        "weight of another layer": (
            lambda: Linear(3)(flat(), gn.Parameter("w", (3, 5))),
            ("linear_1 (Linear", "a weight float32 (3, 4)", "received float32 (3, 5)"),
        ),
        "kernel larger than the padded input": (
            lambda: Conv(8, 11, padding=1)(x()),
            ("conv_1 (Conv", "no larger than the padded input", "11 for size 8 padded to 10"),
        ),
        "groups that do not divide the channels": (
            lambda: Conv(8, 3, groups=2)(x()),
            ("conv_1 (Conv", "divisible by 2 groups", "received float32 (N, 3, 8, 8)"),
        ),
        "shapes that do not broadcast": (
            lambda: Add()(flat(), gn.Input("z", ("N", 5))),
            ("add_1 (Add", "that broadcast", "(N, 4) and (N, 5)"),
        ),
        "dtypes that differ": (
            lambda: Add()(flat(), gn.Input("z", ("N", 4), "float64")),
            ("add_1 (Add", "equal dtypes", "float64 (N, 4)"),
        ),
        "labels of a floating dtype": (
            lambda: SoftmaxCrossEntropy()(flat(), gn.Input("label", ("N",))),
            ("softmax_cross_entropy_1 (Soft", "integer labels", "received float32"),
        ),
        "an image of unknown size": (
            lambda: Conv(8, 3)(gn.Input("image", (1, 3, "N", 8))),
            ("conv_1 (Conv", "expected known sizes", "(N, 8)"),
        ),
    }


@pytest.mark.parametrize("case", shape_errors())
def test_shape_error_names_the_node_the_operator_the_shapes_and_the_line(case):
    declare, parts = shape_errors()[case]
    with pytest.raises(ShapeError) as caught:
        declare()
    message = str(caught.value)
    line = declare.__code__.co_firstlineno
    assert f"declared at {THIS_FILE}:{line})" in message
    for part in parts:
        assert part in message


def test_the_node_in_an_error_has_the_number_it_would_get():
    x = image()
    y = Conv(4, 3)(Conv(4, 3)(x))
    with pytest.raises(ShapeError) as caught:
        Conv(4, 9)(y)
    assert str(caught.value).startswith(f"conv_3 (Conv, declared at {here(-1)})")


def test_the_line_is_the_users_even_below_a_function_of_graphnet():
    with pytest.raises(ShapeError) as caught:
        gn.blocks.conv_relu(gn.Input("x", ("N", 4)), 8)
    assert here(-1) in str(caught.value)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Conv(8, 3, stride=0), ValueError, "expected stride of at least 1, received 0"),
        (lambda: Conv(8, 3, stride=(1, -2)), ValueError, "stride of at least 1, received -2"),
        (lambda: Conv(8, 3, padding=-1), ValueError, "expected padding of at least 0, received -1"),
        (lambda: Conv(8, 3, padding="some"), ValueError, "received padding 'some'"),
        (lambda: Conv(8, 3, dilation=0), ValueError, "dilation of at least 1"),
        (lambda: Conv(0, 3), ValueError, "filters of at least 1"),
        (lambda: Conv(8, 3, groups=3), ValueError, "8 filters in 3 groups"),
        (lambda: Conv(8, 2.5), TypeError, "an integer for kernel_size, received 2.5"),
        (lambda: Conv(8.0, 3), TypeError, "an integer for filters, received 8.0"),
        (lambda: Conv(8, 3, stride=1.0), TypeError, "an integer for stride, received 1.0"),
        (lambda: Conv(8, True), TypeError, "an integer for kernel_size, received True"),
        (lambda: Conv(8, "3"), TypeError, "an integer for kernel_size, received '3'"),
        (lambda: Conv(8, 3, padding=0.5), TypeError, "expected integers for padding"),
        (lambda: Conv(8, 3, padding=True), TypeError, "expected integers for padding"),
        (lambda: MaxPool(2, stride=0), ValueError, "stride of at least 1"),
        (lambda: MaxPool(2.0), TypeError, "an integer for kernel_size"),
        (lambda: Linear(0), ValueError, "units of at least 1"),
        (lambda: Linear("ten"), TypeError, "an integer for units, received 'ten'"),
        (lambda: Dropout(1.0), ValueError, "received 1.0"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused_at_once(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
    assert re.match(r"(Conv|MaxPool|Linear|Dropout): expected", str(caught.value))


@pytest.mark.parametrize(
    ("shape", "error", "text"),
    [
        (("N", 3.0), TypeError, "expected an integer size, received 3.0"),
        (("N", True), TypeError, "expected an integer size, received True"),
        (("N", "3"), ValueError, "received '3'"),
        (("M", 3), ValueError, "the one symbolic dimension is \"N\", received 'M'"),
        (("N", -3), ValueError, "expected a size of at least 0, received -3"),
        (("N", None), TypeError, "received None"),
        (7, TypeError, "not iterable"),
    ],
)
def test_an_input_of_an_impossible_shape_is_named_with_its_line(shape, error, text):
    with pytest.raises(error) as caught:
        gn.Input("image", shape)
    assert text in str(caught.value)
    assert f"input 'image' (declared at {here(-2)})" in str(caught.value)


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match=r"input 'x' .*'float31'"):
        gn.Input("x", ("N", 3), "float31")


def test_two_nodes_of_one_name_are_refused_with_both_lines():
    x = gn.Input("x", ("N", 4))
    y = ReLU()(Tanh()(x, name="twin"), name="twin")
    with pytest.raises(gn.GraphError, match="name 'twin' is used twice") as caught:
        gn.Graph(y=y)
    assert str(caught.value).count(here(-3)) == 2


def test_two_inputs_of_one_name_are_refused():
    both = Add()(gn.Input("x", ("N", 4)), gn.Input("x", ("N", 4)))
    with pytest.raises(gn.GraphError, match="name 'x' is used twice"):
        gn.Graph(y=both)


def test_a_cycle_is_refused_with_the_nodes_on_it():
    first = ReLU()(gn.Input("x", ("N", 4)))
    second = Tanh()(first)
    first.producer.inputs = (second,)
    with pytest.raises(gn.GraphError, match="without cycles") as caught:
        gn.Graph(y=second)
    message = str(caught.value)
    assert f"relu_1 (ReLU, declared at {here(-6)})" in message
    assert f"tanh_1 (Tanh, declared at {here(-6)})" in message


def test_what_is_declared_comes_after_all_it_reads_so_that_no_sort_is_needed():
    for graph in (small_convnet(), gn.passes.for_inference(small_convnet())):
        for node in graph.nodes.values():
            for value in filter(None, node.inputs):
                assert (value.producer or value).order < node.order


def test_inputs_rewired_without_a_cycle_are_put_in_order():
    x = gn.Input("x", ("N", 4))
    first = ReLU()(x)
    second = Tanh()(x)
    first.producer.inputs = (second,)
    graph = gn.Graph(y=first)
    assert list(graph.nodes) == ["tanh_1", "relu_1"]
    y = gn.Executor(graph).forward(x=np.array([[-1, 0, 1, 2]], "float32"))["y"]
    np.testing.assert_allclose(y, np.tanh([[0, 0, 1, 2]]), rtol=1e-6)


def test_an_input_that_reaches_no_output_is_refused():
    x, unused = image(), gn.Input("mask", ("N",))
    logits = Linear(10)(Flatten()(x))
    with pytest.raises(gn.GraphError, match=r"input 'mask'.*reached by no output") as caught:
        gn.Graph(x, unused, logits=logits)
    assert here(-4) in str(caught.value)
    assert "['logits']" in str(caught.value)


def test_an_input_that_is_used_but_not_listed_is_refused():
    x, label = gn.Input("x", ("N", 4)), gn.Input("label", ("N",), "int64")
    loss = SoftmaxCrossEntropy()(x, label)
    with pytest.raises(gn.GraphError, match=r"input 'label'.*is used but not listed") as caught:
        gn.Graph(x, loss=loss)
    assert here(-4) in str(caught.value)


def test_what_is_listed_as_input_must_be_one():
    x = gn.Input("x", ("N", 4))
    y = ReLU()(x)
    with pytest.raises(gn.GraphError, match=r"expected graphnet\.Input"):
        gn.Graph(x, y, y=y)


def test_a_graph_without_outputs_is_refused():
    with pytest.raises(gn.GraphError, match="at least one output"):
        gn.Graph(gn.Input("x", ("N", 4)))


@pytest.mark.parametrize("output", [None, 3, np.ones(3), ReLU(), "y"])
def test_an_output_that_is_no_value_is_refused(output):
    kind = type(output).__name__
    with pytest.raises(gn.GraphError, match=f"output 'y': expected a graph value, received {kind}"):
        gn.Graph(y=output)


def test_a_part_of_another_graph_has_no_name_in_this_one():
    graph = gn.Graph(y=ReLU()(gn.Input("x", ("N", 4))))
    with pytest.raises(gn.GraphError, match="belongs to another graph"):
        graph.name_of(gn.Input("x", ("N", 4)))


def test_a_state_that_two_nodes_would_renew_is_refused():
    x = gn.Input("x", ("N", 4))
    first = BatchNorm()(x)
    mean, var = first.producer.renews
    second = BatchNorm()(first, running_mean=mean, running_var=var)
    with pytest.raises(gn.GraphError, match=r"renewed by both batch_norm_1 .* and batch_norm_2"):
        gn.Graph(y=second)


def test_a_state_cannot_be_replaced_by_what_nobody_can_renew():
    x, mean = gn.Input("x", ("N", 4)), gn.Input("mean", (4,))
    with pytest.raises(TypeError, match=r"graphnet\.State for 'running_mean'.* received Input"):
        BatchNorm()(x, running_mean=mean)


class NotADataclass(Operator):
    def infer(self, x):
        return x

    def forward(self, x):
        return x, ()

    def backward(self, saved, dy, needs):
        return (dy,)


@dataclass
class NotFrozen(NotADataclass):
    factor: float = 1.0

    __hash__ = object.__hash__


class DerivedWithoutDecorator(ReLU):
    pass


@dataclass(frozen=True)
class WithoutInfer(Operator):
    def forward(self, x):
        return x, ()

    def backward(self, saved, dy, needs):
        return (dy,)


@dataclass(frozen=True)
class WithoutForward(Operator):
    def infer(self, x):
        return x

    def backward(self, saved, dy, needs):
        return (dy,)


@dataclass(frozen=True)
class WithoutBackward(Operator):
    def infer(self, x):
        return x

    def forward(self, x):
        return x, ()


@dataclass(frozen=True)
class InfersNothing(ReLU):
    def infer(self, x):
        return x.shape


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (NotADataclass, "NotADataclass must be decorated with @dataclass(frozen=True)"),
        (NotFrozen, "NotFrozen must be decorated with @dataclass(frozen=True)"),
        (DerivedWithoutDecorator, "must be decorated with @dataclass(frozen=True)"),
        (WithoutInfer, "WithoutInfer must define the method 'infer'"),
        (WithoutForward, "WithoutForward must define the method 'forward'"),
        (WithoutBackward, "WithoutBackward must define the method 'backward'"),
        (InfersNothing, "infer must return a Spec or a tuple of them, received (N, 4)"),
    ],
)
def test_an_operator_that_breaks_the_contract_is_refused_where_it_is_used(operator, text):
    x = gn.Input("x", ("N", 4))
    with pytest.raises(TypeError) as caught:
        operator()(x)
    assert text in str(caught.value)
    assert f"({operator.__name__}, declared at {here(-2)})" in str(caught.value)


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda x: Add()(x), "add_1 (Add|input 'b' is missing"),
        (lambda x: Add()(x, x, x), "add_1 (Add|at most 2 inputs ('a', 'b'), received 3"),
        (lambda x: Add()(x, x, b=x), "add_1 (Add|input 'b' received twice"),
        (lambda x: Add()(x, c=x), "add_1 (Add|input 'c' is none of ('a', 'b')"),
        (lambda x: Linear(3)(weight=x), "linear_1 (Linear|input 'x' is missing"),
        (lambda x: Linear(3)(x, weight=None), "linear_1 (Linear|input 'weight' is missing"),
        (lambda x: Add()(x, np.ones(4)), "add_1 (Add|a graph value for 'b', received ndarray"),
        (lambda x: Add()(x, 1.0), "add_1 (Add|a graph value for 'b', received float"),
        (lambda x: Concat()(x, np.ones((1, 4))), "concat_1 (Concat|'xs1', received ndarray"),
        (lambda x: Concat()(x, axis=x), "concat_1 (Concat|input 'axis' is none of ('xs0',)"),
        (lambda x: Add()(x, Constant(1.0)), "add_1 (Add|input 'b' is not learned"),
    ],
)
def test_inputs_that_do_not_fit_the_operator_are_named_with_the_line(declare, text):
    with pytest.raises(TypeError) as caught:
        declare(gn.Input("x", ("N", 4)))
    message = str(caught.value)
    for part in text.split("|"):
        assert part in message
    assert f"declared at {THIS_FILE}:{declare.__code__.co_firstlineno})" in message


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (lambda: ReLU()(np.ones(3)), "ndarray"),
        (lambda: ReLU()(), "nothing"),
        (lambda: Concat()([gn.Input("x", ("N", 4))]), "list"),
        (lambda: Add()(1, 2), "int, int"),
    ],
)
def test_an_operator_on_no_value_at_all_says_what_it_takes(call, received):
    with pytest.raises(TypeError, match=rf"graph values such as .*, received {received}$"):
        call()


def test_an_operator_is_a_value_and_cannot_change():
    assert Conv(8, [3, 3]) == Conv(8, (3, 3))
    assert hash(Conv(8, [3, 3])) == hash(Conv(8, (3, 3)))
    with pytest.raises(AttributeError):
        ReLU().slope = 1
