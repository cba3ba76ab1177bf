"""The kernels of the card, run on the processor: they compute what the operators do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.kernels import cuda
from graphnet.kernels.chain import Chain, Fixed
from graphnet.kernels.cuda import provider as cuda_provider
from graphnet.kernels.cuda.elementwise import CudaElementwise
from graphnet.kernels.cuda.formulas import FORMULAS
from graphnet.testing import Case
from ops import (
    ELU,
    GELU,
    Abs,
    Add,
    AvgPool,
    BatchNorm,
    BatchNormInference,
    BatchNormInferenceReLU,
    BatchNormReLU,
    BinaryCrossEntropy,
    Cast,
    Clip,
    Concat,
    Divide,
    Dropout,
    Embedding,
    Erf,
    Exp,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Huber,
    Identity,
    InstanceNorm,
    L1Loss,
    L2Penalty,
    LayerNorm,
    LeakyReLU,
    Linear,
    Log,
    LogSoftmax,
    MatMul,
    Maximum,
    MaxPool,
    Mean,
    MeanSquaredError,
    Minimum,
    Mish,
    Multiply,
    Neg,
    Pad,
    Power,
    PReLU,
    Reciprocal,
    ReLU,
    Reshape,
    Resize,
    RMSNorm,
    ScaledDotProductAttention,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    SoftmaxCrossEntropy,
    Softplus,
    Softsign,
    Spec,
    Split,
    Sqrt,
    Squeeze,
    Stack,
    Subtract,
    Sum,
    Tanh,
    Tile,
    Transpose,
    Unsqueeze,
    Where,
)
from ops.operator import Operator
from tests.emulator.on_numpy import as_served, few, same_device
from tests.test_cpu_kernels import compare, compare_every_record

pytestmark = pytest.mark.usefixtures("on_numpy")

#: Error beside the reference in float64, relative to the largest entry; see ``PLACED`` of the
#: kernels of the processor.
TOLERANCE = 1e-4
#: Operators whose sources have numbers of theirs, or differ with the shapes that broadcast.
WRITTEN = {
    Add, Clip, Divide, ELU, HardSigmoid, Huber, LeakyReLU, Maximum, Minimum, Multiply, Power,
    Softplus, Subtract,
}  # fmt: skip


@pytest.mark.parametrize(
    "operator",
    [Abs, Add, AvgPool, BatchNorm, BatchNormInference, BatchNormInferenceReLU, BatchNormReLU,
     BinaryCrossEntropy, Clip, Concat, Divide, ELU, Embedding, Erf, Exp, Expand, Flatten, Gather,
     GELU, GlobalAvgPool, GroupNorm, HardSigmoid, HardSwish, Huber, Identity, InstanceNorm, L1Loss,
     L2Penalty, LayerNorm, LeakyReLU, Linear, Log, LogSoftmax, MatMul, Maximum, MaxPool, Mean,
     MeanSquaredError, Minimum, Mish, Multiply, Neg, Pad, Power, PReLU, Reciprocal, ReLU, Reshape,
     RMSNorm, ScaledDotProductAttention, Sigmoid, SiLU, Slice, Softmax, SoftmaxCrossEntropy,
     Softplus, Softsign, Split, Sqrt, Squeeze, Stack, Subtract, Sum, Tanh, Tile, Transpose,
     Unsqueeze, Where],
)  # fmt: skip
def test_kernels_agree_with_the_reference_on_every_record(placed, operator):
    written = few if operator in WRITTEN else None
    compare_every_record(
        operator, cuda, tolerance=TOLERANCE, placed=placed, as_served=as_served, settings=written
    )


def test_every_operator_with_a_kernel_is_among_those_compared():
    named = test_kernels_agree_with_the_reference_on_every_record.pytestmark[0].args[1]
    served = {*FORMULAS, *cuda_provider.KINDS}
    # those have tests of their own; each resizing is a source, and takes a while to compile
    assert served - set(named) == {Cast, Dropout, Resize}


#: The fields that the kernels take account of, or refuse where they are not the default.
FIELDS = {
    PReLU: {"shared", "init"},
    Resize: {
        "size",
        "scale",
        "mode",
        "coordinates",
        "nearest",
        "cubic_coefficient",
        "exclude_outside",
        "antialias",
    },
    GroupNorm: {"groups", "eps"},
    InstanceNorm: {"eps"},
    RMSNorm: {"axis", "eps"},
    Clip: {"low", "high"},
    ELU: {"alpha"},
    HardSigmoid: {"alpha", "beta"},
    BinaryCrossEntropy: {"from_logits", "reduction"},
    Huber: {"delta", "reduction"},
    L1Loss: {"reduction"},
    L2Penalty: {"strength"},
    MeanSquaredError: {"reduction"},
    Concat: {"axis"},
    Embedding: {"vocabulary", "features", "padding_index"},
    Expand: {"shape"},
    Gather: {"axis"},
    LogSoftmax: {"axis"},
    Mean: {"axis", "keepdims"},
    Pad: {"padding", "value", "mode"},
    ScaledDotProductAttention: {
        "heads",
        "causal",
        "scale",
        "key_value_heads",
        "past",
        "window",
        "softcap",
    },
    Slice: {"starts", "ends", "axes", "steps"},
    Softmax: {"axis"},
    Split: {"parts", "axis"},
    Stack: {"axis"},
    Sum: {"axis", "keepdims"},
    Tile: {"repeats"},
    Transpose: {"axes"},
    AvgPool: {"kernel_size", "stride", "padding", "dilation", "count_include_pad"},
    BatchNorm: {"eps", "momentum"},
    BatchNormInference: {"eps"},
    BatchNormInferenceReLU: {"eps"},
    BatchNormReLU: {"eps", "momentum"},
    Cast: {"dtype"},
    Dropout: {"probability"},
    Flatten: {"start_axis"},
    GELU: {"approximate"},
    LayerNorm: {"axis", "eps"},
    LeakyReLU: {"negative_slope"},
    Linear: {"units", "bias", "axis"},
    MaxPool: {"kernel_size", "stride", "padding", "dilation"},
    Reshape: {"shape"},
    SoftmaxCrossEntropy: {"label_smoothing", "reduction", "ignore_index"},
    Softplus: {"beta"},
    Squeeze: {"axes"},
    Unsqueeze: {"axes"},
}


def test_no_operator_has_a_field_that_its_kernel_does_not_know():
    for kind in {*FORMULAS, *cuda_provider.KINDS}:
        fields = {field.name for field in dataclasses.fields(kind)}
        assert fields == FIELDS.get(kind, set()), kind.__name__


@given(
    rows=st.integers(1, 40),
    channels=st.integers(1, 70),
    center=st.sampled_from((0.0, 1.0, 1e4)),
    seed=st.integers(0, 1000),
)
def test_statistics_of_any_number_of_rows_keep_their_digits_beside_a_large_mean(
    rows, channels, center, seed
):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(rows + 1, channels, 7)) + center).astype("float32")
    case = Case(BatchNorm(), (x, *rng.uniform(1, 2, (4, channels)).astype("float32")), seed)
    kernel = cuda.prepare(case.operator, case.specs)
    (_, mean, var), _ = kernel.forward(*case.inputs)
    (_, wide_mean, wide_var), _ = case.cast("float64").forward()
    np.testing.assert_allclose(mean, wide_mean, rtol=1e-6)
    np.testing.assert_allclose(var, wide_var, rtol=1e-4)


@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 20), st.integers(0, 1000))
@same_device
def test_means_of_more_channels_and_positions_than_a_block_has(
    placed, examples, channels, positions, seed
):
    x = np.random.default_rng(seed).normal(size=(examples, channels, positions)).astype("float32")
    kernel = cuda.prepare(GlobalAvgPool(), (Spec(x.shape),))
    compare(placed(kernel), Case(GlobalAvgPool(), (x,), seed), TOLERANCE)


@given(st.integers(1, 9), st.integers(1, 600), st.integers(0, 1000))
@same_device
def test_the_loss_over_rows_agrees_with_the_reference(placed, rows, classes, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, classes)).astype("float32") * 10
    case = Case(SoftmaxCrossEntropy(), (x, rng.integers(0, classes, rows)), seed)
    compare(placed(cuda.prepare(case.operator, case.specs)), case, TOLERANCE)


@given(
    shape=st.sampled_from(((5,), (3, 7), (2, 3, 4, 5), (1,))),
    probability=st.sampled_from((0.0, 0.2, 0.5)),
    key=st.integers(0, 2**64 - 1),
    counter=st.sampled_from((0, 5, 2**32 - 1, 2**40)),
)
@same_device
def test_dropout_drops_what_the_reference_drops_bit_for_bit(
    placed, shape, probability, key, counter
):
    rng = np.random.default_rng(0)
    operator = Dropout(probability)
    given_ = (rng.normal(size=shape).astype("float32"), np.array([key], "uint64"),
              np.array([counter], "uint64"))  # fmt: skip
    kernel = placed(cuda.prepare(operator, tuple(Spec(a.shape, a.dtype.name) for a in given_)))
    (y, new_key, new_counter), saved = kernel.forward(*given_)
    (wanted, wanted_key, wanted_counter), wanted_saved = operator.forward(*given_)
    np.testing.assert_allclose(y, wanted, rtol=1e-6)
    np.testing.assert_array_equal(y == 0, wanted == 0)
    assert new_key == wanted_key and new_counter == wanted_counter
    dy = rng.normal(size=shape).astype("float32")
    needs = (True, False, False)
    dx = kernel.backward(saved, (dy, None, None), needs)[0]
    np.testing.assert_allclose(dx, operator.backward(wanted_saved, (dy, None, None), needs)[0])


CHAINS = [
    (Add(), ReLU()),
    (Multiply(), Add(), Tanh()),
    (Sigmoid(), Multiply()),
    (GELU(), Subtract(), SiLU(), Multiply(), LeakyReLU(0.2)),
]


@pytest.mark.parametrize("parts", CHAINS)
@given(seed=st.integers(0, 1000), size=st.integers(1, 600))
@same_device
def test_a_chain_is_what_its_operators_make_one_after_the_other(placed, parts, seed, size):
    rng = np.random.default_rng(seed)
    chain = Chain(parts)
    given_ = tuple(rng.normal(size=(2, size)).astype("float32") for _ in range(chain.count))
    kernel = cuda.prepare(chain, tuple(Spec(x.shape) for x in given_))
    assert isinstance(kernel, CudaElementwise)
    compare(placed(kernel), Case(chain, given_, seed), TOLERANCE)


@pytest.mark.parametrize("operator", [Add, Divide, Maximum, Minimum, Multiply, Power, Subtract])
@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("value", [2.0, -3.0, 1e-05])
def test_a_number_that_is_always_the_same_stands_in_the_source(operator, position, value):
    x = np.random.default_rng(0).uniform(0.5, 2, (3, 5)).astype("float32")
    fixed = Fixed(operator(), value, position)
    if operator is Power and position == 0 and value < 0:
        return  # has no power
    assert cuda.serves_in_chains(fixed)
    kernel = cuda.prepare(Chain((fixed,)), (Spec(x.shape),))
    compare(kernel, Case(Chain((fixed,)), (x,), 0), TOLERANCE)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300])
def test_a_number_that_float32_does_not_hold_stands_in_no_source(value):
    assert not cuda.serves_in_chains(Fixed(Add(), value))


@pytest.mark.parametrize("operator", [MaxPool(3, stride=2, padding=1), ReLU(), LayerNorm()])
def test_in_float16_results_are_rounded_once(operator):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6, 7)).astype("float16")
    learned = tuple(np.full(p.shape, 1.25, p.dtype) for p in
                    operator.parameters(Spec(x.shape, "float16")).values())  # fmt: skip
    specs = tuple(Spec(a.shape, "float16") for a in (x, *learned))
    kernel = cuda.prepare(operator, specs)
    y, saved = kernel.forward(x, *learned)
    wide = [a.astype("float64") for a in (x, *learned)]
    wanted, wide_saved = operator.forward(*wide)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, wanted, rtol=2**-10, atol=1e-3)
    dy = rng.normal(size=y.shape).astype("float16")
    needs = (True,) * len(wide)
    expected = operator.backward(wide_saved, dy.astype("float64"), needs)
    for found, right in zip(kernel.backward(saved, dy, needs), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=2**-9, atol=4e-3)


def test_what_is_not_served_is_left_to_others():
    x = Spec((4, 3, 5, 5))
    assert cuda.prepare(ReLU(), (Spec(x.shape, "float64"),)) is None
    assert cuda.prepare(type("Derived", (ReLU,), {})(), (x,)) is None
    assert cuda.prepare(MaxPool(17), (Spec((1, 1, 20, 20)),)) is None  # no byte tells them apart
    assert cuda.prepare(MaxPool(2), (Spec((1, 1, 20)),)) is None
    assert cuda.prepare(Pad(((0, 0), (1, 1)), mode="edge"), (Spec((2, 3)),)) is None
    assert cuda.prepare(ReLU(), (Spec((0, 3)),)) is None
    assert cuda.prepare(Transpose(), (Spec((2, 3), "float64"),)) is None
    assert cuda.prepare(Operator(), (x,)) is None
