"""Model files that are whole as files, and ask for what no honest model does: refused at once.

What is wrong with the bytes, names and stored values of a file is in ``hostile_models``.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from graphnet import onnx as gx  # noqa: E402
from tests.hostile_models import HUGE  # noqa: E402
from tests.memory import peak_memory  # noqa: E402

#: What a hostile file may cost: a second and 200 MB.
SECONDS, BYTES = 1.0, 200e6


def model(*nodes, shape=(1, 4, 8, 8), opset=17, **stored):
    """A model of x and some constants."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("theirs", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def one(kind, *inputs, shape=(1, 4, 8, 8), opset=17, stored=None, **attributes):
    """A model of one node of x and some constants."""
    node = helper.make_node(kind, ["x", *inputs], ["y"], **attributes)
    return model(node, shape=shape, opset=opset, **(stored or {}))


def body(*nodes, inputs=(), outputs=()):
    values = [
        [
            helper.make_tensor_value_info(name, getattr(TensorProto, dtype), None)
            for name, dtype in some
        ]
        for some in (inputs, outputs)
    ]
    return helper.make_graph(list(nodes), "body", *values)


def constant(name, value):
    return helper.make_node(
        "Constant", [], [name], value=numpy_helper.from_array(np.asarray(value))
    )


def loop(count):
    """A loop of so many turns."""
    inner = body(
        helper.make_node("Identity", ["on"], ["still"]),
        helper.make_node("Neg", ["v"], ["w"]),
        inputs=[("turn", "INT64"), ("on", "BOOL"), ("v", "FLOAT")],
        outputs=[("still", "BOOL"), ("w", "FLOAT")],
    )
    turns = constant("turns", np.array(count))
    return model(turns, helper.make_node("Loop", ["turns", "", "x"], ["y"], body=inner))


def scan(count):
    """A scan over so many entries."""
    inner = body(
        helper.make_node("Neg", ["v"], ["w"]), inputs=[("v", "FLOAT")], outputs=[("w", "FLOAT")]
    )
    node = helper.make_node("Scan", ["x"], ["y"], body=inner, num_scan_inputs=1)
    return model(node, shape=(count, 1))


def loops(depth):
    """A loop of a hundred turns in each turn of another, so many deep."""
    node = helper.make_node("Neg", [f"v{depth}"], [f"w{depth}"])
    for level in range(depth, 0, -1):
        inner = body(
            helper.make_node("Identity", [f"on{level}"], [f"still{level}"]),
            node,
            inputs=[(f"turn{level}", "INT64"), (f"on{level}", "BOOL"), (f"v{level}", "FLOAT")],
            outputs=[(f"still{level}", "BOOL"), (f"w{level}", "FLOAT")],
        )
        ends = (f"v{level - 1}", f"w{level - 1}") if level > 1 else ("x", "y")
        node = helper.make_node("Loop", ["turns", "", ends[0]], [ends[1]], body=inner)
    return model(constant("turns", np.array(100)), node)


WEIGHT = np.ones((4, 4, 3, 3), "float32")

#: By name: the model, and what the error says.
MODELS = {
    "unknown operators and domains": (
        model(
            helper.make_node("Nothing", ["x"], ["a"]),
            helper.make_node("Evil", ["a"], ["y"], domain="theirs"),
        ),
        "not supported: ai.onnx.Nothing (1), theirs.Evil (1)",
    ),
    "no group": (one("Conv", "w", stored={"w": WEIGHT}, group=0), "group"),
    "groups beyond number": (one("Conv", "w", stored={"w": WEIGHT}, group=HUGE), "group"),
    "pads of 2^40": (one("Conv", "w", stored={"w": WEIGHT}, pads=[HUGE] * 4), "for an example"),
    "dilations of 2^40": (one("Conv", "w", stored={"w": WEIGHT}, dilations=[HUGE] * 2), ""),
    "strides of 0": (one("Conv", "w", stored={"w": WEIGHT}, strides=[0, 0]), "at least 1"),
    "windows of 2^40": (one("MaxPool", kernel_shape=[HUGE, HUGE]), "kernel"),
    "an input of 2^40 by 2^20": (one("Relu", shape=(HUGE, 2**20)), "more than a computer"),
    "repeats of 2^40": (
        one("Tile", "r", stored={"r": np.array([1, HUGE, HUGE, HUGE])}), ""),
    "a shape that overflows": (
        one("Expand", "s", stored={"s": np.array([HUGE, 4, 8, 8 * HUGE])}, shape=(1, 4, 8, 1)), ""),
    "a reshape that wraps": (
        one("Reshape", "s", stored={"s": np.array([2**32, 2**32, 256])}), ""),
    "a constant of 2^40": (
        model(
            helper.make_node("ConstantOfShape", ["s"], ["c"]),
            helper.make_node("Add", ["x", "c"], ["y"]),
            s=np.array([HUGE]),
        ),
        "",
    ),
    "a range of 2^40": (
        model(
            helper.make_node("Range", ["a", "b", "c"], ["r"]),
            helper.make_node("Add", ["x", "r"], ["y"]),
            a=np.array(0.0, "float32"), b=np.array(1e12, "float32"), c=np.array(1.0, "float32"),
        ),
        "",
    ),
    "classes of 2^40": (
        model(
            helper.make_node("ArgMax", ["x"], ["i"], axis=1),
            helper.make_node("OneHot", ["i", "d", "v"], ["y"]),
            d=np.array(HUGE), v=np.array([0.0, 1.0], "float32"),
        ),
        "",
    ),
    "padding of 2^40": (
        one("Pad", "p", stored={"p": np.array([0, 0, 0, 0, 0, HUGE, HUGE, HUGE])}), ""),
    "a size of 2^40": (
        one("Resize", "", "", "s", stored={"s": np.array([1, 4, HUGE, HUGE])}), ""),
    "a loop of 2^62 turns": (loop(2**62), "at most 10000 steps"),
    "loops in loops": (loops(8), "at most 500,000 nodes"),
    "a scan over 2^31 entries": (scan(2**31), "at most"),
    "parts beyond number": (
        model(
            helper.make_node("SplitToSequence", ["x"], ["s"], axis=0),
            helper.make_node("SequenceAt", ["s", "i"], ["y"]),
            shape=(2**31, 1), i=np.array(0),
        ),
        "at most",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_what_no_honest_model_asks_for_is_refused_in_no_time_and_memory(name):
    proto, text = MODELS[name]
    data = proto.SerializeToString()
    with peak_memory() as peak:
        start = time.process_time()
        with pytest.raises(gx.OnnxError) as caught:
            gx.load(data)
        seconds = time.process_time() - start
    assert text in str(caught.value)
    assert seconds < SECONDS
    assert peak.nbytes < BYTES
