"""Models of others: the light graphs that the onnx package holds, and gradients of what is read."""

from __future__ import annotations

import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import graphnet as gn
import ops
from graphnet import onnx as gx
from graphnet.onnx.importing import Importer
from tests.same_graphs import differences

onnx = pytest.importorskip("onnx")

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

#: How many nodes of some kinds a graph has that was read.
EXPECTED = {
    "bvlc_alexnet": {"Conv": 5, "LocalResponseNorm": 2, "MaxPool": 3, "Linear": 3},
    "densenet121": {"Conv": 121, "BatchNorm": 121, "Concat": 58},
    "inception_v1": {"Conv": 57, "Concat": 9, "Linear": 1},
    "inception_v2": {"Conv": 69, "BatchNorm": 69, "Concat": 10},
    "resnet50": {"Conv": 53, "BatchNorm": 53, "ReLU": 49, "Add": 16, "Linear": 1},
    "shufflenet": {"Conv": 49, "BatchNorm": 49, "Transpose": 16},
    "squeezenet": {"Conv": 26, "Concat": 8},
    "vgg19": {"Conv": 16, "MaxPool": 5, "Linear": 3},
    "zfnet512": {"Conv": 5, "LocalResponseNorm": 2, "Linear": 3},
}

#: Those with hundreds of megabytes of weights.
LARGE = {"bvlc_alexnet", "vgg19", "zfnet512"}


def light_graph(name, seed=0):
    """A light graph with random weights: its own are one number over and over."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    graph = model.graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    readers = {}
    for node in graph.node:
        for place, value in enumerate(node.input):
            readers.setdefault(value, []).append((node.op_type, place))
    rng = np.random.default_rng(seed)
    kept = []
    for node in graph.node:
        if node.op_type == "Constant":
            stored[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(stored[node.input[0]])
        positive = ("BatchNormalization", 4) in readers[node.output[0]]
        weights = rng.standard_normal(shape, dtype="float32")
        weights *= np.float32(np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1)
        if positive:
            weights = np.abs(weights) + np.float32(0.5)
        graph.initializer.append(onnx.numpy_helper.from_array(weights, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return model


def read(model, **options):
    return Importer(model, "light", **options).graph()


@pytest.mark.parametrize("name", [*EXPECTED])
def test_a_light_graph_is_read_as_one_declared_by_hand_would_be(name):
    graph = read(light_graph(name)) if name not in LARGE else gx.load(LIGHT / f"light_{name}.onnx")
    kinds = Counter(node.kind for node in graph.nodes.values())
    for kind, count in EXPECTED[name].items():
        assert kinds[kind] + kinds[f"{kind}Inference"] == count
    assert not {"Gather", "Shape", "Cast", "Identity"} & set(kinds)


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in EXPECTED]
)
def test_a_light_graph_with_random_weights_agrees_with_onnxruntime(name):
    import onnxruntime

    model = light_graph(name)
    net = gn.Executor(read(model))
    ((key, value),) = net.graph.inputs.items()
    x = np.random.default_rng(1).normal(size=value.shape).astype("float32")
    (y,) = net.forward(**{key: x}).values()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (expected,) = session.run(None, {key: x})
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected) > 0  # the weights say something


def test_a_light_graph_gives_what_its_constant_weights_give():
    name = "squeezenet"
    net = gn.Executor(gx.load(LIGHT / f"light_{name}.onnx"))
    ((key, value),) = net.graph.inputs.items()
    size = np.prod(value.shape)
    x = (np.arange(size).reshape(value.shape) / size).astype("float32")
    (y,) = net.forward(**{key: x}).values()
    tensor = onnx.TensorProto.FromString((LIGHT / f"light_{name}_output_0.pb").read_bytes())
    np.testing.assert_allclose(y, onnx.numpy_helper.to_array(tensor), rtol=1e-3, atol=1e-6)


def test_resnet50_is_read_within_two_seconds(tmp_path):
    path = tmp_path / "resnet50.onnx"
    onnx.save(light_graph("resnet50"), path)
    start = time.process_time()
    graph = gx.load(path)
    assert time.process_time() - start < 2
    assert sum(leaf.spec.elements for leaf in graph.parameters.values()) > 25e6


def test_what_is_read_is_fused_and_planned_like_what_is_declared_by_hand():
    declared = gn.models.resnet(18)
    loaded = gx.load(gx.to_model(declared).SerializeToString())
    x = np.zeros((1, *declared.inputs["image"].shape[1:]), "float32")
    plans = []
    for graph in (declared, loaded):
        net = gn.Executor(graph)
        net.forward(image=x, outputs=["logits"])
        (planned,) = net._plans.kept.values()
        plans.append([(s.name, s.node.kind, s.provider) for s in planned.plan.steps])
    assert plans[0] == plans[1]


def test_a_light_resnet_is_fused_like_one_declared_by_hand():
    net = gn.Executor(read(light_graph("resnet50")))
    ((key, value),) = net.graph.inputs.items()
    net.forward(**{key: np.zeros(value.shape, "float32")})
    (planned,) = net._plans.kept.values()
    kinds = Counter(step.node.kind for step in planned.plan.steps)
    if net._plans.fuses:
        # the first ReLU has the max pool behind it ahead of it
        assert (kinds["ConvReLU"], kinds["ReLU"]) == (48, 1)
        assert not kinds["BatchNormInference"] and not kinds["Add"]


def exported_network():
    """A small network of many kinds of operators, as another exporter would write it."""
    node, rng = onnx.helper.make_node, np.random.default_rng(0)
    weights = {
        "conv.w": rng.normal(size=(4, 2, 3, 3)) / 4,
        "conv.b": rng.normal(size=4),
        "scale": rng.uniform(0.5, 1.5, 4),
        "shift": rng.normal(size=4),
        "mean": rng.normal(size=4),
        "var": rng.uniform(0.5, 1.5, 4),
        "fc.w": rng.normal(size=(16, 5)) / 4,
        "fc.b": rng.normal(size=5),
        "table": rng.normal(size=(5, 3)),
    }
    nodes = [
        node("Conv", ["x", "conv.w", "conv.b"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"]),
        node("Elu", ["n"], ["e"], alpha=0.5),
        node("AveragePool", ["e"], ["p"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Shape", ["p"], ["s"]),
        node("Gather", ["s", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "first"], ["rows"]),
        node("Concat", ["rows", "rest"], ["shape"], axis=0),
        node("Reshape", ["p", "shape"], ["f"]),
        node("Gemm", ["f", "fc.w", "fc.b"], ["g"]),
        node("Softmax", ["g"], ["q"], axis=1),
        node("MatMul", ["q", "table"], ["y"]),
    ]
    tensors = [onnx.numpy_helper.from_array(a.astype("float32"), k) for k, a in weights.items()]
    integers = {"zero": np.array(0), "first": np.array([0]), "rest": np.array([-1])}
    tensors += [onnx.numpy_helper.from_array(a, k) for k, a in integers.items()]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ("batch", 2, 4, 4))
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ("batch", 3))
    graph = onnx.helper.make_graph(nodes, "small", [x], [y], tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


def test_the_gradients_of_what_is_read_are_the_numerical_ones():
    graph = read(exported_network())
    assert [node.kind for node in graph.nodes.values()] == [
        "Conv", "BatchNorm", "ELU", "AvgPool", "Reshape", "Linear", "Softmax", "MatMul",
    ]  # fmt: skip
    net = gn.Executor(graph, dtype="float64")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 2, 4, 4))
    (y,) = net.forward(x=x, differentiate=True).values()
    seed = rng.normal(size=y.shape)
    names = [*net.trainable, "x"]
    found = net.backward("y", seed, wrt=names)
    base = net.snapshot()

    def value(name, change):
        fed = x + change if name == "x" else x
        net.assign(base if name == "x" else {name: base[name] + change})
        result = net.forward(x=fed)["y"]
        net.assign(base)
        return float((result * seed).sum())

    for name in names:
        direction = rng.normal(size=x.shape if name == "x" else base[name].shape)
        step = 1e-5 * direction
        numerical = (value(name, step) - value(name, -step)) / 2e-5
        exact = float((found[name] * direction).sum())
        assert numerical == pytest.approx(exact, rel=1e-6, abs=1e-9), name


def test_what_is_read_can_be_trained_and_handed_back(tmp_path):
    graph = read(exported_network())
    label = gn.Input("label", ("N",), "int64")
    loss = ops.SoftmaxCrossEntropy()(graph.outputs["y"], label)
    net = gn.Executor(gn.Graph(y=graph.outputs["y"], loss=loss))
    step = net.training_step(gn.optim.Adam(0.01))
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(12, 2, 4, 4)).astype("float32"), "label": np.arange(12) % 3}
    losses = [float(step(**feeds)["loss"]) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]
    gx.save(net, tmp_path / "tuned.onnx")
    again = gn.Executor(gx.load(tmp_path / "tuned.onnx"))
    np.testing.assert_allclose(
        again.forward(**feeds)["y"], net.forward(**feeds)["y"], rtol=1e-5, atol=1e-6
    )
    assert list(differences(net.graph, again.graph)) == []
