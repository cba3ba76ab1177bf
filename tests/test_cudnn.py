"""Convolutions and attention by cuDNN: the graphs, evaluated by a stand-in, are the operators.

``test_cudnn_frontend`` holds the graphs to the real library where it is installed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.kernels import cudnn
from graphnet.kernels.cudnn import provider as cudnn_provider
from graphnet.kernels.wide import Wide
from graphnet.testing import Case
from ops import (
    BatchNorm,
    BatchNormReLU,
    Conv,
    ConvTranspose,
    Dropout,
    Linear,
    MatMul,
    ScaledDotProductAttention,
    Spec,
)
from ops.fused import ConvReLU
from tests.frontend.on_numpy import TOLERANCE, UNITS, same_library, specs_of
from tests.test_cpu_kernels import compare, compare_every_record
from tests.test_cudnn_products import PRODUCTS

pytestmark = pytest.mark.usefixtures("frontend")


@pytest.mark.parametrize("operator", [Conv, ConvReLU, ConvTranspose])
def test_kernels_agree_with_the_reference_on_every_record(executed, operator):
    compare_every_record(operator, cudnn, tolerance=TOLERANCE, placed=executed)


def test_every_operator_with_a_kernel_is_among_those_compared():
    named = test_kernels_agree_with_the_reference_on_every_record.pytestmark[0].args[1]
    # attention is in float16 alone; normalizations have strategies with channels that are served
    others = {BatchNorm, BatchNormReLU, ScaledDotProductAttention}
    assert set(cudnn_provider.kinds()) - {*named, *PRODUCTS} == others


#: The fields that the kernels take account of.
FIELDS = {
    BatchNorm: {"eps", "momentum"},
    BatchNormReLU: {"eps", "momentum"},
    Conv: {"filters", "kernel_size", "stride", "padding", "dilation", "groups", "bias"},
    ConvReLU: {"filters", "kernel_size", "stride", "padding", "dilation", "groups", "bias"},
    ConvTranspose: {
        "filters", "kernel_size", "stride", "padding", "output_padding", "dilation", "groups",
        "bias",
    },
    Linear: {"units", "bias", "axis"},
    MatMul: set(),
    ScaledDotProductAttention: {
        "heads", "causal", "scale", "key_value_heads", "past", "window", "softcap",
    },
}  # fmt: skip


def test_no_operator_has_a_field_that_its_kernel_does_not_know():
    for kind in cudnn_provider.kinds():
        fields = {field.name for field in dataclasses.fields(kind)}
        assert fields == FIELDS[kind], kind.__name__


@st.composite
def convolutions(draw):
    """Convolutions of 1 to 3 axes with any padding, whose sizes follow from their results."""
    rank = draw(st.integers(1, 3))
    kind = draw(st.sampled_from((Conv, ConvReLU, ConvTranspose)))
    several = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    kernel, stride, dilation = draw(several), draw(several), draw(several)
    padding = tuple(
        (draw(st.integers(0, d * (k - 1))), draw(st.integers(0, d * (k - 1))))
        for k, d in zip(kernel, dilation, strict=True)
    )
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels, filters = (groups * draw(st.integers(1, 3)) for _ in range(2))
    out = draw(several)
    sizes = tuple(
        (o - 1) * s + d * (k - 1) + 1 - b - e + draw(st.integers(0, s - 1))
        for o, s, d, k, (b, e) in zip(out, stride, dilation, kernel, padding, strict=True)
    )
    if kind is ConvTranspose or min(sizes) < 1:
        kind, sizes = ConvTranspose, tuple(n + 1 for n in out)
        # what is cut off leaves something
        padding = tuple((b // 2, e // 2) for b, e in padding)
    bias = draw(st.booleans())
    operator = kind(
        filters, kernel, stride=stride, dilation=dilation, padding=padding, groups=groups, bias=bias
    )
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.normal(size=(draw(st.integers(1, 2)), channels, *sizes)).astype("float32")
    shapes = [p.shape for p in operator.parameters(Spec(x.shape)).values()]
    given_ = [x, *(rng.normal(size=shape).astype("float32") for shape in shapes)]
    given_ += [None] * (3 - len(given_))
    if kind is ConvReLU:
        y = operator.infer(*(None if a is None else Spec(a.shape) for a in given_))
        added = rng.normal(size=y.shape).astype("float32")
        given_.append(added if draw(st.booleans()) else None)
    return Case(operator, tuple(given_), draw(st.integers(0, 1000)))


@given(convolutions())
@same_library
def test_any_padding_stride_dilation_and_groups_are_those_of_the_reference(executed, case):
    kernel = cudnn.prepare(case.operator, case.specs)
    assert kernel is not None
    compare(executed(kernel), case, TOLERANCE)


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("operator", [Conv(8, 3, padding=1), ConvReLU(8, 3), ConvTranspose(8, 2)])
def test_in_half_precision_results_are_rounded_once(operator, dtype):
    register_bfloat16()
    rng = np.random.default_rng(0)
    shape = (2, 8, 6, 7)
    learned = operator.parameters(Spec(shape, dtype)).values()
    arrays = [rng.normal(size=s).astype(dtype) for s in (shape, *(p.shape for p in learned))]
    if isinstance(operator, ConvReLU):
        y = operator.infer(*(Spec(a.shape, dtype) for a in arrays))
        arrays.append(rng.normal(size=y.shape).astype(dtype))
    kernel = cudnn.prepare(operator, tuple(Spec(a.shape, dtype) for a in arrays))
    y, saved = kernel.forward(*arrays)
    wide = [a.astype("float64") for a in arrays]
    wanted, wide_saved = operator.forward(*wide)
    assert y.dtype.name == dtype
    # a bias that is a kernel of its own adds to what is rounded already
    near = {"rtol": 2 * UNITS[dtype], "atol": 2 * UNITS[dtype]}
    np.testing.assert_allclose(y.astype("float64"), wanted, **near)
    dy = rng.normal(size=y.shape).astype(dtype)
    needs = (True,) * len(arrays)
    expected = operator.backward(wide_saved, dy.astype("float64"), needs)
    for found, right in zip(kernel.backward(saved, dy, needs), expected, strict=True):
        largest = np.abs(right).max()
        near = {"rtol": 2 * UNITS[dtype], "atol": UNITS[dtype] * largest}
        np.testing.assert_allclose(found.astype("float64"), right, **near)


@given(
    batch=st.integers(1, 2), groups=st.integers(1, 2), shared=st.integers(1, 2),
    queries=st.integers(1, 6), keys=st.integers(1, 6), features=st.sampled_from((8, 16)),
    width=st.sampled_from((8, 24)), causal=st.booleans(), scale=st.sampled_from((None, 0.3)),
    seed=st.integers(0, 100),
)  # fmt: skip
@same_library
def test_attention_in_float16_is_that_of_the_reference(
    executed, batch, groups, shared, queries, keys, features, width, causal, scale, seed
):
    heads = groups * shared
    operator = ScaledDotProductAttention(heads, causal, scale, key_value_heads=groups)
    rng = np.random.default_rng(seed)
    shapes = (batch, queries, heads * features), (batch, keys, groups * features)
    arrays = [
        rng.normal(size=s).astype("float16") for s in (*shapes, (batch, keys, groups * width))
    ]
    specs = tuple(Spec(a.shape, "float16") for a in arrays)
    alone = cudnn.prepare(operator, specs, forward_alone=True)
    # as the pass to half precision makes it
    kernel = cudnn.prepare(Wide(operator, "float16"), specs)
    assert kernel is not None and alone is not None
    wide = [a.astype("float64") for a in arrays]
    wanted, wide_saved = operator.forward(*wide)
    y, saved = executed(kernel).forward(*arrays)
    # probabilities are rounded to float16 ahead of the second product: 2**-11 of the largest value
    near = {"rtol": 2**-9, "atol": 2**-9 * max(np.abs(wanted).max(), 1)}
    np.testing.assert_allclose(y, wanted, **near)
    np.testing.assert_allclose(executed(alone).forward(*arrays)[0], wanted, **near)
    dy = rng.normal(size=y.shape).astype("float16")
    for needs in ((True, True, True), (False, True, False)):
        expected = operator.backward(wide_saved, dy.astype("float64"), (*needs, False))
        found = executed(kernel).backward(saved, dy, needs)
        for g, right, need in zip(found, expected, needs, strict=False):
            assert (g is not None) == need
            if need:
                largest = max(np.abs(right).max(), 1)
                np.testing.assert_allclose(g, right, rtol=2**-8, atol=2**-8 * largest)


@pytest.mark.parametrize(
    ("options", "dtype", "features", "mask"),
    [
        ({}, "float32", 8, False), ({}, "float16", 12, False), ({}, "float16", 8, True),
        ({"past": 1}, "float16", 8, False), ({"softcap": 5.0}, "float16", 8, False),
        ({"window": (2, None)}, "float16", 8, False),
    ],
)  # fmt: skip
def test_attention_that_is_not_served_is_left_to_others(options, dtype, features, mask):
    x = Spec((2, 4, features), dtype)
    specs = (x, x, x, Spec((4, 4), "bool") if mask else None)
    assert cudnn.prepare(ScaledDotProductAttention(**options), specs) is None


@pytest.mark.parametrize("refused", ["binary_select", "nothing"])
def test_nan_and_infinity_come_through_a_relu_behind_a_convolution(frontend, refused):
    frontend.refuses = lambda kinds: refused in kinds
    x = np.zeros((1, 1, 2, 2), "float32")
    x[0, 0] = [[np.nan, np.inf], [-np.inf, 3]]
    weight, bias = np.ones((1, 1, 1, 1), "float32"), np.zeros(1, "float32")
    kernel = cudnn.prepare(ConvReLU(1, 1), tuple(Spec(a.shape) for a in (x, weight, bias)))
    y, _ = kernel.forward(x, weight, bias)
    np.testing.assert_array_equal(y, [[[[np.nan, np.inf], [0, 3]]]])
    assert ("binary_select" in frontend.executed[-1]) == (refused == "nothing")


@pytest.mark.parametrize("direction", ["conv_fprop", "conv_dgrad", "conv_wgrad"])
def test_a_direction_that_cudnn_refuses_leaves_the_operator_to_others(frontend, direction):
    frontend.refuses = lambda kinds: direction in kinds
    assert cudnn.prepare(Conv(5, 3), specs_of()) is None
    # but forward alone asks for no other
    alone = cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True)
    assert (alone is None) == (direction == "conv_fprop")


def test_what_is_not_served_is_left_to_others():
    assert cudnn.prepare(Dropout(0.5), (Spec((2, 3)),)) is None
    assert cudnn.prepare(Conv(5, 3), specs_of(dtype="float64")) is None
    assert cudnn.prepare(Wide(Conv(5, 3), "float16"), specs_of(dtype="float16")) is None
    assert cudnn.prepare(type("Derived", (Conv,), {})(5, 3), specs_of()) is None
    assert cudnn.prepare(Conv(5, 3), (Spec((0, 4, 6, 6)), *specs_of()[1:])) is None
    # the output padding leaves room for a window that x has no entry for
    wide = ConvTranspose(1, 1, output_padding=1, dilation=2, bias=False)
    assert cudnn.prepare(wide, (Spec((1, 1, 3)), Spec((1, 1, 1)))) is None
