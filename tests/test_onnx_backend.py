"""ONNX's backend suite, run by its own runner: every case passes, or is listed with the reason."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", minversion="1.23")

from onnx.backend.test.loader import load_model_tests  # noqa: E402
from onnx.backend.test.runner import Runner  # noqa: E402

import graphnet as gn  # noqa: E402
from graphnet import onnx_backend  # noqa: E402
from graphnet.onnx import OnnxError, to_model  # noqa: E402
from ops import ReLU  # noqa: E402
from tests.onnx_left_out import LEFT_OUT  # noqa: E402

#: Of all node cases of the standard domain that concern tensors, how many pass at least.
SHARE = 0.95

#: Operators no case of which may be left out.
COMMON = """
    Conv ConvTranspose MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool
    BatchNormalization LayerNormalization InstanceNormalization GroupNormalization LRN Gemm MatMul
    Relu Sigmoid Softmax Gelu Add Where ReduceSum Reshape Transpose Slice Pad Concat
    SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss Dropout
"""

LISTED = [name for names in LEFT_OUT.values() for name in names]


def suite():
    """The test classes of the suite, for the processor; cases that are listed must fail."""
    with warnings.catch_warnings(action="ignore"):  # it computes what it expects, NaN and all
        runner = Runner(onnx_backend.Backend, __name__)
    for name in LISTED:
        runner.xfail(f"^{name}_cpu$")
    for title, case in runner.test_cases.items():
        if "Real" in title:
            continue  # the light graphs have a file of their own
        for name in list(vars(case)):
            if name.endswith("_cuda"):
                delattr(case, name)
        yield title, case


globals().update(suite())


# what NaN and infinity become is part of what is compared
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def node_cases():
    with warnings.catch_warnings(action="ignore"):
        return load_model_tests(kind="node")


def is_standard(case):
    """Whether a case is of the standard's own domain, and about tensors of numbers."""
    values = (*case.model.graph.input, *case.model.graph.output)
    kinds = {value.type.WhichOneof("value") for value in values}
    texts = any(value.type.tensor_type.elem_type == onnx.TensorProto.STRING for value in values)
    domains = {node.domain for node in case.model.graph.node}
    return kinds == {"tensor_type"} and not texts and domains <= {"", "ai.onnx"}


def test_as_many_cases_pass_as_are_promised():
    counted = [case.name for case in node_cases() if is_standard(case)]
    failing = set(LISTED) & set(counted)
    assert len(counted) > 1500
    assert len(failing) <= (1 - SHARE) * len(counted)


def test_what_is_listed_is_there_and_listed_once():
    names = {case.name for case in node_cases()}
    names |= {case.name for case in load_model_tests(kind="simple")}
    assert set(LISTED) <= names
    assert len(LISTED) == len(set(LISTED))


@pytest.mark.parametrize("operator", COMMON.split())
def test_no_case_of_a_common_operator_is_left_out(operator):
    cases = [
        case
        for case in node_cases()
        if any(node.op_type == operator for node in case.model.graph.node)
        and "expanded" not in case.name
        and "bernoulli" not in case.name
    ]
    assert cases
    assert not {case.name for case in cases} & set(LISTED)


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_onnxruntime_takes_the_rounded_length_too(mode):
    import onnxruntime

    name = f"test_resize_downsample_scales_{mode}_align_corners"
    (case,) = (case for case in node_cases() if case.name == name)
    ((inputs, _),) = case.data_sets
    session = onnxruntime.InferenceSession(case.model.SerializeToString())
    feeds = {part.name: x for part, x in zip(session.get_inputs(), inputs, strict=True)}
    ours = onnx_backend.prepare(case.model).run(inputs)
    np.testing.assert_allclose(ours[0], session.run(None, feeds)[0], rtol=1e-4)


def relu_model(*shape):
    x = gn.Input("x", shape)
    return to_model(gn.Graph(y=ReLU()(x)))


def test_a_model_is_prepared_once_and_runs_for_any_batch():
    rep = onnx_backend.prepare(relu_model("N", 3))
    for batch in (1, 4):
        x = np.linspace(-1, 1, 3 * batch, dtype="float32").reshape(batch, 3)
        (y,) = rep.run([x])
        np.testing.assert_array_equal(y, np.maximum(x, 0))
    (y,) = rep.run({"x": x})
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_one_node_runs_by_itself():
    node = onnx.helper.make_node("Add", ["a", "b"], ["c"])
    a = np.ones((2, 3), "float32")
    assert onnx_backend.Backend.run_node(node, [a, a])[0].tolist() == (a + a).tolist()


def test_options_and_devices_that_are_unknown_are_refused():
    with pytest.raises(OnnxError, match=r"expected no options, received \[.fast.\]"):
        onnx_backend.prepare(relu_model("N", 3), fast=True)
    with pytest.raises(OnnxError, match="expected a device that works here, received 'TPU'"):
        onnx_backend.prepare(relu_model("N", 3), "TPU")
    with pytest.raises(OnnxError, match="received 2"):
        onnx_backend.prepare(relu_model("N", 3)).run([np.ones((1, 3), "float32")] * 2)


def test_entries_that_decide_a_shape_may_change_from_run_to_run():
    node = onnx.helper.make_node("Range", ["start", "limit", "delta"], ["y"])
    rep_inputs = [np.float32(0), np.float32(3), np.float32(1)]
    declared = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ())
        for name in ("start", "limit", "delta")
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ("k",))
    graph = onnx.helper.make_graph([node], "range", declared, [output])
    rep = onnx_backend.prepare(onnx.helper.make_model(graph))
    assert rep.run(rep_inputs)[0].tolist() == [0, 1, 2]
    assert rep.run([np.float32(0), np.float32(5), np.float32(2)])[0].tolist() == [0, 2, 4]
