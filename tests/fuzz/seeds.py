"""The model files that are damaged: those of the corpus, and the cases of ONNX's own suite.

``python -m tests.fuzz.seeds`` writes the corpus anew: a small model for each operator, and some
with loops, branches, functions, sequences and arithmetic of shapes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
from hypothesis import HealthCheck, assume, settings
from onnx import TensorProto, helper

from graphnet import onnx as gx
from graphnet.testing import Case, prove
from graphnet.testing.records import RECORDS
from tests.onnx_cases import graph_of

__all__ = ["CORPUS", "corpus", "standard_cases"]

CORPUS = Path(__file__).parent / "corpus"

SETTINGS = settings(
    max_examples=20, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
)


def corpus() -> list[bytes]:
    """The files of the corpus, by their names."""
    return [path.read_bytes() for path in sorted(CORPUS.glob("*.onnx"))]


def standard_cases() -> list[bytes]:
    """The models of ONNX's own cases for single nodes, as the installed package makes them."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite casts out of range on purpose
        found = load_model_tests(kind="node")
    return [case.model.SerializeToString() for case in found if case.model is not None]


def operators() -> Iterator[tuple[str, bytes]]:
    """For each operator, the smallest of some models that hold it."""
    for record in RECORDS:
        found: list[bytes] = []

        def write(case: Case, found: list[bytes] = found) -> None:
            graph, _ = graph_of(case)
            try:
                model = gx.to_model(graph)
            except gx.OnnxError:
                assume(False)  # the standard has no such form
            found.append(model.SerializeToString())

        prove(record.cases, write, settings=SETTINGS)
        yield record.operator.__name__, min(found, key=len)


def structures() -> Iterator[tuple[str, bytes]]:
    """Models with what one operator of ours cannot show."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["sum", "x"], ["next"]),
            helper.make_node("Identity", ["going"], ["on"]),
        ],
        "body",
        [_value("turn", "INT64", ()), _value("going", "BOOL", ()), _value("sum", "FLOAT", (2,))],
        [_value("on", "BOOL", ()), _value("next", "FLOAT", (2,))],
    )
    yield "loop", _model([
        _number("count", 3), helper.make_node("Loop", ["count", "", "x"], ["y"], body=body),
    ])  # fmt: skip
    step = helper.make_graph(
        [
            helper.make_node("Add", ["sum", "entry"], ["next"]),
            helper.make_node("Neg", ["next"], ["out"]),
        ],
        "body",
        [_value("sum", "FLOAT", ()), _value("entry", "FLOAT", ())],
        [_value("next", "FLOAT", ()), _value("out", "FLOAT", ())],
    )
    zero = helper.make_node("Constant", [], ["zero"], value_float=0.0)
    scan = helper.make_node("Scan", ["zero", "x"], ["last", "y"], body=step, num_scan_inputs=1)
    yield "scan", _model([zero, scan])
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["x"], [name])], name, [], [_value(name, "FLOAT", (2,))]
        )
        for name, kind in (("then", "Abs"), ("else", "Neg"))
    }
    reached = helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)
    asked = helper.make_node("Greater", ["total", "zero"], ["is"])
    yield (
        "branch",
        _model([zero, reached, asked, helper.make_node("If", ["is"], ["y"], **branches)]),
    )
    yield "shapes", _model([
        helper.make_node("Shape", ["x"], ["shape"]), _number("first", 0), _number("one", [1]),
        helper.make_node("Gather", ["shape", "first"], ["length"], axis=0),
        helper.make_node("Unsqueeze", ["length", "one"], ["lengths"]),
        helper.make_node("Concat", ["one", "shape"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ])  # fmt: skip
    yield "sequence", _model([
        helper.make_node("SequenceConstruct", ["x", "x"], ["pair"]),
        helper.make_node("ConcatFromSequence", ["pair"], ["y"], axis=0, new_axis=1),
    ])  # fmt: skip
    function = helper.make_function(
        "mine", "Twice", ["a"], ["b"],
        [
            helper.make_node("LeakyRelu", ["a"], ["half"]),
            helper.make_node("Add", ["half", "half"], ["b"]),
        ],
        [helper.make_opsetid("", 17)], ["alpha"],
    )  # fmt: skip
    reference = function.node[0].attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "alpha"
    call = helper.make_node("Twice", ["x"], ["y"], domain="mine", alpha=0.1)
    yield "function", _model([call], [function])
    yield "quantized", _model([
        helper.make_node("Constant", [], ["scale"], value_float=0.1),
        helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["y"]),
    ])  # fmt: skip


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, getattr(TensorProto, dtype), shape)


def _number(name: str, value: int | list[int]) -> onnx.NodeProto:
    key = "value_int" if isinstance(value, int) else "value_ints"
    return helper.make_node("Constant", [], [name], **{key: value})


def _model(nodes: list[onnx.NodeProto], functions: list[onnx.FunctionProto] | None = None) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [_value("x", "FLOAT", (2,))], [helper.make_tensor_value_info("y", 1, None)]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)
    content: bytes = model.SerializeToString()
    return content


if __name__ == "__main__":
    CORPUS.mkdir(exist_ok=True)
    for old in CORPUS.glob("*.onnx"):
        old.unlink()
    for name, content in (*operators(), *structures()):
        gx.load(content)  # a seed is read before it is damaged
        (CORPUS / f"{name}.onnx").write_bytes(content)
