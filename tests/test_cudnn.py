"""The kernels of cuDNN: the graphs they write, evaluated by a stand-in, are the operators.

What measures, keeps and refuses is tested here too; ``test_cudnn_frontend`` holds the graphs to the
real library where it is installed.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import types
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphnet.backends import get_backend
from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.kernels import cudnn
from graphnet.kernels.cuda import device
from graphnet.kernels.cudnn import choice, library
from graphnet.kernels.cudnn import provider as cudnn_provider
from graphnet.kernels.kept import VARIABLE
from graphnet.kernels.rehearsal import rehearsal
from graphnet.kernels.wide import Wide
from graphnet.testing import Case
from ops import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dropout,
    Linear,
    MatMul,
    ScaledDotProductAttention,
    Spec,
)
from ops.fused import BatchNormReLU, ConvReLU
from tests.cards import cupy_works
from tests.frontend import Frontend, install
from tests.test_cpu_kernels import compare, compare_every_record
from tests.test_cuda_kernels import CARD, OnCard, OnNumPy

#: Error beside the reference in float64, relative to the largest entry: sums of products in
#: float32, as everywhere.
TOLERANCE = 1e-4

same_library = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
#: What finds cuDNN where there is a card.
FOUND = library.find_library


@pytest.fixture(autouse=True)
def frontend(monkeypatch, tmp_path):
    """CuDNN's frontend on NumPy arrays."""
    emulated = OnNumPy()
    monkeypatch.setattr(device, "get_device", lambda: emulated)
    yield install(monkeypatch, emulated, tmp_path)
    choice.KEPT.forget()


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def placed(request, monkeypatch):
    """What makes of a kernel one for NumPy arrays, by the stand-in or by cuDNN on the card."""
    if request.param == "stand-in":
        return lambda kernel: kernel
    if not cupy_works():
        pytest.skip("no CUDA device")
    found, card = FOUND(), CARD()
    assert found is not None, "there is a card, and no cuDNN"
    monkeypatch.setattr(library, "find_library", lambda: found)
    monkeypatch.setattr(device, "get_device", lambda: card)
    return OnCard


# -- what is computed


@pytest.mark.parametrize("operator", [Conv, ConvReLU, ConvTranspose])
def test_kernels_agree_with_the_reference_on_every_record(placed, operator):
    compare_every_record(operator, cudnn, tolerance=TOLERANCE, placed=placed)


def test_every_operator_with_a_kernel_is_among_those_compared():
    named = test_kernels_agree_with_the_reference_on_every_record.pytestmark[0].args[1]
    products = test_products_in_tf32_agree_with_the_reference_on_every_record.pytestmark[0].args[1]
    # attention is in float16 alone; normalizations have strategies with channels that are served
    others = {BatchNorm, BatchNormReLU, ScaledDotProductAttention}
    assert set(cudnn_provider.kinds()) - {*named, *products} == others


#: Factors of TF32 have ten bits behind the point: on a card each is off by 2**-11, and so are two.
TF32 = 2.0**-9


@pytest.mark.parametrize("operator", [Linear, MatMul])
def test_products_in_tf32_agree_with_the_reference_on_every_record(placed, operator):
    rounded = types.SimpleNamespace(prepare=functools.partial(cudnn.prepare, tf32=True))
    compare_every_record(operator, rounded, tolerance=TF32, placed=placed)


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
def test_any_padding_stride_dilation_and_groups_are_those_of_the_reference(placed, case):
    kernel = cudnn.prepare(case.operator, case.specs)
    assert kernel is not None
    compare(placed(kernel), case, TOLERANCE)


#: The units of rounding of each dtype, for numbers around 1.
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


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


def expect_rounded(found, wanted, dtype, units=2):
    """A result in a narrow dtype is that in float64, up to some units of the largest entry."""
    assert found.dtype.name == dtype and found.shape == wanted.shape
    near = units * UNITS[dtype]
    largest = max(np.abs(wanted).max(), 2**-10)
    np.testing.assert_allclose(found.astype("float64"), wanted, rtol=near, atol=near * largest)


@given(
    rows=st.integers(1, 9), features=st.integers(1, 9), units=st.integers(1, 9),
    bias=st.booleans(), dtype=st.sampled_from(sorted(UNITS)), seed=st.integers(0, 100),
)  # fmt: skip
@same_library
def test_linear_layers_in_half_precision_are_rounded_once(
    placed, rows, features, units, bias, dtype, seed
):
    register_bfloat16()
    rng = np.random.default_rng(seed)
    operator = Linear(units, bias=bias, axis=-1)
    shapes = [(rows, 3, 2 * features), (units, 2 * features), (units,)][: 2 + bias]
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    kernel = cudnn.prepare(operator, tuple(Spec(a.shape, dtype) for a in arrays))
    assert kernel is not None
    assert "cublas" not in kernel.method or units % 2
    wanted, wide_saved = operator.forward(*(a.astype("float64") for a in arrays))
    y, saved = placed(kernel).forward(*arrays)
    expect_rounded(y, wanted, dtype)
    dy = rng.normal(size=y.shape).astype(dtype)
    expected = operator.backward(wide_saved, dy.astype("float64"), (True,) * 3)
    for needs in ((True, True, bias), (True, False, False), (False, True, False)):
        found = placed(kernel).backward(saved, dy, needs[: len(arrays)])
        for gradient, right, need in zip(found, expected, needs, strict=False):
            assert (gradient is not None) == need
            if need:
                expect_rounded(gradient, right, dtype)


@given(
    leading=st.sampled_from(((), (3,), (2, 3))), shared=st.booleans(), rows=st.integers(1, 5),
    inner=st.integers(1, 5), columns=st.integers(1, 5), dtype=st.sampled_from(sorted(UNITS)),
)  # fmt: skip
@same_library
def test_products_of_equally_many_matrices_in_half_precision(
    placed, leading, shared, rows, inner, columns, dtype
):
    register_bfloat16()
    rng = np.random.default_rng(rows)
    shapes = (*leading, rows, 2 * inner), (*(() if shared else leading), 2 * inner, 2 * columns)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    kernel = cudnn.prepare(MatMul(), tuple(Spec(a.shape, dtype) for a in arrays))
    assert kernel is not None and "cublas" not in kernel.method
    wanted, wide_saved = MatMul().forward(*(a.astype("float64") for a in arrays))
    y, saved = placed(kernel).forward(*arrays)
    expect_rounded(y, wanted, dtype)
    dy = rng.normal(size=y.shape).astype(dtype)
    expected = MatMul().backward(wide_saved, dy.astype("float64"), (True, True))
    for needs in ((True, True), (True, False), (False, True)):
        for gradient, right, need in zip(
            placed(kernel).backward(saved, dy, needs), expected, needs, strict=True
        ):
            assert (gradient is not None) == need
            if need:
                expect_rounded(gradient, right, dtype)


@st.composite
def normalizations(draw):
    """Batch normalizations of 0 to 3 spatial axes with what may be behind them."""
    shape = (
        # of two values each is as far from the mean, and gradients of x are differences that cancel
        draw(st.integers(4, 9)),
        8 * draw(st.integers(1, 5)),
        *draw(st.lists(st.integers(1, 4), max_size=3)),
    )
    kind = draw(st.sampled_from((BatchNorm, BatchNormReLU)))
    operator = kind(eps=draw(st.sampled_from((1e-5, 1e-2))), momentum=draw(st.floats(0.1, 0.9)))
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    shapes = [shape, *[shape[1:2]] * 4]
    if kind is BatchNormReLU and draw(st.booleans()):
        shapes.append(shape)
    arrays = [rng.normal(size=s).astype("float32") for s in shapes]
    arrays[0] = arrays[0] * 3 + 1
    arrays[4] = np.abs(arrays[4]) + 1
    absent = [None] * (kind is BatchNormReLU and len(arrays) == 5)
    return Case(operator, (*arrays, *absent), seed)


@given(normalizations())
@same_library
def test_batch_normalizations_are_those_of_the_reference(placed, case):
    kernel = cudnn.prepare(case.operator, case.specs)
    assert kernel is not None and "cuda" not in kernel.method
    compare(placed(kernel), case, TOLERANCE)


@given(normalizations(), st.sampled_from(sorted(UNITS)))
@same_library
def test_batch_normalizations_of_narrow_images_keep_statistics_in_float32(placed, case, dtype):
    register_bfloat16()
    given_ = [x for x in case.inputs if x is not None]
    arrays = [x.astype(dtype) if i in (0, 5) else x for i, x in enumerate(given_)]
    specs = tuple(Spec(a.shape, a.dtype.name) for a in arrays)
    kernel = cudnn.prepare(Wide(case.operator, dtype), specs)
    assert kernel is not None and "cuda" not in kernel.method
    (wanted, *renewed), wide_saved = case.operator.forward(*(a.astype("float64") for a in arrays))
    (y, *states), saved = placed(kernel).forward(*arrays)
    # an addition behind the graph adds to what is rounded already
    expect_rounded(y, wanted, dtype)
    for state, right in zip(states, renewed, strict=True):
        np.testing.assert_allclose(state, right, rtol=1e-5, atol=1e-5)
    dy = np.random.default_rng(0).normal(size=y.shape).astype(dtype)
    # where the sum is 0 but for rounding, the ReLU may have rounded it either way
    dy[np.abs(wanted) < 4 * UNITS[dtype]] = 0
    arriving = (dy.astype("float64"), None, None)
    expected = case.operator.backward(wide_saved, arriving, (True,) * 3 + (False,) * 2 + (True,))
    found = placed(kernel).backward(
        saved, (dy, None, None), (True, True, True, False, False, True)[: len(arrays)]
    )
    for position, (gradient, right) in enumerate(zip(found, expected, strict=False)):
        if position in (0, 5):
            expect_rounded(gradient, right, dtype)
        elif position < 3:
            near = TOLERANCE * np.abs(right).max()
            np.testing.assert_allclose(gradient, right, rtol=TOLERANCE, atol=near)


@pytest.mark.parametrize("behind", ["nothing", "relu", "add"])
def test_nan_and_infinity_in_an_image_take_their_channel_and_no_other(placed, behind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 3, 3)).astype("float32")
    x[1, 2, 0, 1], x[0, 5, 2, 2] = np.nan, np.inf
    gamma, beta, mean, var = (np.full(8, value, "float32") for value in (1, 0, 0, 1))
    beta[7] = np.nan
    operator = BatchNorm() if behind == "nothing" else BatchNormReLU()
    added = rng.normal(size=x.shape).astype("float32")
    added[0, 3, 1, 1] = np.nan
    arrays = [x, gamma, beta, mean, var, *([added] if behind == "add" else [])]
    kernel = cudnn.prepare(operator, tuple(Spec(a.shape) for a in arrays))
    with np.errstate(all="ignore"):
        (wanted, *renewed), _ = operator.forward(*(a.astype("float64") for a in arrays))
        (y, *states), _ = placed(kernel).forward(*arrays)
    assert np.isnan(y[:, [2, 5, 7]]).all()
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    np.testing.assert_allclose(y, wanted, rtol=TOLERANCE, atol=TOLERANCE)
    for state, right in zip(states, renewed, strict=True):
        np.testing.assert_array_equal(np.isfinite(state), np.isfinite(right))


@pytest.mark.parametrize("spread", [0, 1e-4, 1e-2, 100])
def test_running_statistics_take_the_biased_variance_whatever_its_size(spread):
    rng = np.random.default_rng(0)
    x = (spread * rng.normal(size=(3, 4)) + 1).astype("float32")
    learned = [np.full(4, value, "float32") for value in (1, 0, 0.5, 0)]
    kernel = cudnn.prepare(BatchNorm(), tuple(Spec(a.shape) for a in (x, *learned)))
    (_, mean, var), _ = kernel.forward(x, *learned)
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, 0.45 + 0.1 * wide.mean(axis=0), rtol=1e-6)
    # float32 holds 1 / sqrt(var + eps), of which var is got back
    near = 4 * 2.0**-24 * 1e-5
    np.testing.assert_allclose(var, 0.1 * wide.var(axis=0), rtol=1e-6, atol=near)
    assert (var >= 0).all()


@given(
    batch=st.integers(1, 2), groups=st.integers(1, 2), shared=st.integers(1, 2),
    queries=st.integers(1, 6), keys=st.integers(1, 6), features=st.sampled_from((8, 16)),
    width=st.sampled_from((8, 24)), causal=st.booleans(), scale=st.sampled_from((None, 0.3)),
    seed=st.integers(0, 100),
)  # fmt: skip
@same_library
def test_attention_in_float16_is_that_of_the_reference(
    placed, batch, groups, shared, queries, keys, features, width, causal, scale, seed
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
    y, saved = placed(kernel).forward(*arrays)
    # probabilities are rounded to float16 ahead of the second product: 2**-11 of the largest value
    near = {"rtol": 2**-9, "atol": 2**-9 * max(np.abs(wanted).max(), 1)}
    np.testing.assert_allclose(y, wanted, **near)
    np.testing.assert_allclose(placed(alone).forward(*arrays)[0], wanted, **near)
    dy = rng.normal(size=y.shape).astype("float16")
    for needs in ((True, True, True), (False, True, False)):
        expected = operator.backward(wide_saved, dy.astype("float64"), (*needs, False))
        found = placed(kernel).backward(saved, dy, needs)
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


# -- the choice


def specs_of(channels=4, dtype="float32"):
    return tuple(Spec(shape, dtype) for shape in ((2, channels, 6, 6), (5, channels, 3, 3), (5,)))


@pytest.fixture
def measured(monkeypatch):
    """What every engine takes is told by its name; the names of those timed."""
    seconds = {"eng0_k1=0": 1, "eng1_k1=0": 2, "eng2_k1=0": 5, "eng4_k1=7": 3, "eng5_k1=1": 4}
    seconds["the layer below"] = 3.5
    names = []

    def fake(found, plan, bind):
        names.append("the layer below" if plan is None else plan.method)
        return seconds[names[-1]]

    monkeypatch.setattr(choice, "_seconds", fake)
    return names


def test_the_fastest_engine_is_measured_once_for_each_direction_and_kept(
    frontend, measured, tmp_path
):
    kernel = cudnn.prepare(Conv(5, 3), specs_of())
    assert kernel.method == "eng4_k1=7"
    assert len(measured) == 3 * 3
    kept = json.loads((tmp_path / "cudnn.json").read_text())
    assert len(kept) == 3 and set(kept.values()) == {"eng4_k1=7"}
    assert all("emulated, cuDNN 9.28.0, frontend 1.26.0" in key for key in kept)
    choice.KEPT.forget()
    frontend.built.clear()
    assert cudnn.prepare(Conv(5, 3), specs_of()).method == "eng4_k1=7"
    assert len(measured) == 9 and frontend.built == ["eng4_k1=7"] * 3
    # another shape, padding or dilation is measured by itself, and at inference forward alone
    for number, operator in enumerate((Conv(5, 3, padding=1), Conv(5, 3, stride=2)), 1):
        cudnn.prepare(operator, specs_of(), forward_alone=True)
        assert len(measured) == 9 + 3 * number


def test_engines_that_round_inputs_or_do_not_repeat_are_never_used(measured):
    assert cudnn.prepare(Conv(5, 3), specs_of()) is not None
    assert set(measured) == {"eng2_k1=0", "eng4_k1=7", "eng5_k1=1"}
    measured.clear()
    # the products of float16 are what tensor cores are for
    assert cudnn.prepare(Conv(5, 3), specs_of(dtype="float16")).method == "eng0_k1=0"
    assert "eng1_k1=0" not in measured


def test_tf32_is_used_where_it_is_asked_for_and_kept_apart(measured):
    assert cudnn.prepare(Conv(5, 3), specs_of(), tf32=True).method == "eng0_k1=0"
    assert cudnn.prepare(Conv(5, 3), specs_of()).method == "eng4_k1=7"


def test_exact_precision_rules_out_methods_that_magnify_rounding(measured):
    assert cudnn.prepare(Conv(5, 3), specs_of(), exact=True).method == "eng5_k1=1"
    # and is kept apart from the other choice
    assert cudnn.prepare(Conv(5, 3), specs_of()).method == "eng4_k1=7"


@pytest.mark.parametrize("text", ["no json", "[]", '{"a": 1}'])
def test_a_damaged_file_of_choices_is_as_good_as_none(text, tmp_path):
    (tmp_path / "cudnn.json").write_text(text)
    assert cudnn.prepare(Conv(5, 3), specs_of()) is not None
    assert json.loads((tmp_path / "cudnn.json").read_text())


def test_an_engine_that_is_no_longer_there_is_measured_anew(measured, tmp_path):
    cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True)
    (key,) = json.loads((tmp_path / "cudnn.json").read_text())
    (tmp_path / "cudnn.json").write_text(json.dumps({key: "eng99"}))
    choice.KEPT.forget()
    measured.clear()
    assert cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True).method == "eng4_k1=7"
    assert len(measured) == 3


def test_without_a_folder_for_choices_a_warning_says_so_once(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="which engine of cuDNN is fastest is measured anew"):
        assert cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cudnn.prepare(Conv(5, 3), specs_of(3), forward_alone=True) is not None


#: The names of those whose every direction is measured beside the layer below, and specs of each.
BESIDE = {
    "linear": (Linear(6), (Spec((5, 8)), Spec((6, 8)), Spec((6,))), {"tf32": True}),
    "matmul": (MatMul(), (Spec((2, 3, 4)), Spec((2, 4, 6))), {"tf32": True}),
    "normalization": (BatchNormReLU(), (Spec((5, 8, 2, 3)), *[Spec((8,))] * 4, None), {}),
    "residual": (
        BatchNormReLU(), (Spec((5, 8, 2, 3)), *[Spec((8,))] * 4, Spec((5, 8, 2, 3))), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (name, wanted)
        for name, (_, _, options) in BESIDE.items()
        for wanted in itertools.product(("cudnn", "below"), repeat=3 if options else 2)
    ],
)
def test_each_direction_is_by_whoever_is_faster(monkeypatch, tmp_path, name, wanted):
    operator, specs, options = BESIDE[name]
    wanted = list(wanted)
    left = []
    monkeypatch.setattr(
        choice, "_seconds",
        lambda found, plan, bind: 1 if plan else 0 if left.pop(0) == "below" else 2,
    )  # fmt: skip

    def prepared():
        left[:] = wanted
        return cudnn.prepare(operator, specs, **options)

    kernel = prepared()
    kept = json.loads((tmp_path / "cudnn.json").read_text())
    assert not left and len(kept) == len(wanted)
    below = "cublas" if options else "cuda"
    assert [value == below for value in kept.values()] == [who == "below" for who in wanted]
    choice.KEPT.forget()
    if "cudnn" not in wanted:
        assert kernel is None and prepared() is None and left == wanted
        return
    methods = kernel.method.split("/")
    assert [method == below for method in methods] == [who == "below" for who in wanted]
    # what was kept is not measured again
    assert prepared().method == kernel.method and left == wanted
    rng = np.random.default_rng(0)
    arrays = [s and rng.normal(size=s.shape).astype("float32") for s in specs]
    if not options:
        arrays[4] = np.abs(arrays[4])
    compare(kernel, Case(operator, tuple(arrays), 0), TF32 if options else TOLERANCE)


@pytest.mark.parametrize("name", BESIDE)
def test_at_inference_forward_alone_is_measured(monkeypatch, tmp_path, name):
    operator, specs, options = BESIDE[name]
    kernel = cudnn.prepare(operator, specs, forward_alone=True, **options)
    assert not kernel.terms.differentiable
    assert len(json.loads((tmp_path / "cudnn.json").read_text())) == 1


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_what_is_normalized_again_is_the_same_to_the_last_bit(added, relu):
    operator, specs, _ = BESIDE["residual" if added else "normalization"]
    if not relu:
        operator, specs = BatchNorm(), specs[:5]
    kernel = cudnn.prepare(operator, specs)
    memory = rehearsal(kernel)
    rng = np.random.default_rng(0)
    for x in (*memory.inputs[:3], *memory.inputs[5:]):
        if x is not None:
            x[...] = rng.normal(size=x.shape)
    kernel.bind_forward(memory)()
    y, *states = (array.copy() for array in memory.outputs)
    kept = [array.copy() for array in memory.extras]
    assert kernel.terms.again == (0,) and kernel.terms.again_space
    memory.outputs[0][...] = np.nan
    alone = [memory.outputs[0], None, None]
    read = [*memory.inputs[:3], None, None, *memory.inputs[5:]]
    space = np.empty(kernel.terms.again_space, "uint8")
    again = dataclasses.replace(memory, inputs=read, outputs=alone, space=space)
    kernel.bind_again(again)()
    np.testing.assert_array_equal(memory.outputs[0], y)
    for now, was in zip((*memory.outputs[1:], *memory.extras), (*states, *kept), strict=True):
        np.testing.assert_array_equal(now, was)


# -- what is left to others


@pytest.mark.parametrize("operation", ["matmul", "batchnorm", "batchnorm_backward"])
def test_a_direction_that_cudnn_refuses_is_left_to_the_layer_below(frontend, operation):
    frontend.refuses = lambda kinds: operation in kinds
    product = cudnn.prepare(Linear(6), BESIDE["linear"][1], tf32=True)
    assert (product is None) == (operation == "matmul")
    normalization = cudnn.prepare(BatchNormReLU(), BESIDE["normalization"][1])
    if operation == "matmul":
        assert "cuda" not in normalization.method
    else:
        own = normalization.method.split("/").index("cuda")
        assert own == (operation == "batchnorm_backward")


def test_products_and_normalizations_that_are_not_served_are_left_to_others():
    linear, wide = BESIDE["linear"][1], BESIDE["normalization"][1]
    # float32 is not rounded unless that is asked for
    assert cudnn.prepare(Linear(6), linear) is None
    assert cudnn.prepare(MatMul(), BESIDE["matmul"][1]) is None
    half = tuple(Spec(spec.shape, "float16") for spec in linear)
    assert cudnn.prepare(Wide(Linear(6), "float16"), half) is None
    # matrices that are repeated
    assert cudnn.prepare(MatMul(), (Spec((2, 3, 4)), Spec((1, 4, 6))), tf32=True) is None
    # parts of sums may be rounded in ways that are not told
    assert cudnn.prepare(BatchNormReLU(), wide, exact=True) is None
    # statistics in half precision
    assert cudnn.prepare(BatchNorm(), tuple(Spec(s.shape, "float16") for s in wide[:5])) is None
    # channels that are read four at once, or eight
    narrow = (Spec((5, 6, 2, 3)), *[Spec((6,))] * 4)
    assert cudnn.prepare(BatchNorm(), narrow) is None
    narrow = (Spec((5, 12, 2, 3), "float16"), *[Spec((12,))] * 4)
    assert cudnn.prepare(Wide(BatchNorm(), "float16"), narrow) is None


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


def test_a_call_follows_the_current_stream_and_allocates_nothing(frontend, monkeypatch):
    kernel = cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True)
    found = library.find_library()
    plan = kernel._forward
    arrays = {
        name: np.zeros(operand.nbytes + 16, "uint8")
        for name, operand in plan.computation.operands.items()
    }
    lined = {n: a[-a.ctypes.data % 16 :] for n, a in arrays.items()}
    call = plan.bind(lined, np.zeros(plan.nbytes, "uint8"))
    for stream in (5, 9):
        with found.device.on_stream(stream):
            call()
        assert frontend.stream == stream


# -- finding it


@pytest.fixture
def finding(monkeypatch):
    """The search as it is, with a card; what is found is forgotten afterwards."""
    monkeypatch.setattr(library, "find_library", FOUND)
    monkeypatch.setattr(library, "_describe", lambda xp: ("emulated", lambda: None))
    monkeypatch.setattr(library, "get_device", OnNumPy)
    FOUND.cache_clear()
    yield
    FOUND.cache_clear()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "nvidia-cudnn-frontend is not installed: pip install"),
        (types.SimpleNamespace(), "not NVIDIA's frontend"),
        (Frontend(version=80907), "expected cuDNN 9 or newer, received 8.9.7"),
        (OSError("libcudnn.so.9: no such file"), "OSError: libcudnn.so.9: no such file"),
    ],
)
def test_where_cudnn_cannot_be_used_one_warning_says_why_and_others_serve(
    finding, monkeypatch, module, message
):
    def load():
        if module is None:
            raise library.CudnnError(f"nvidia-cudnn-frontend is not installed: {library._INSTALL}")
        if isinstance(module, OSError):
            raise module
        return module

    monkeypatch.setattr(library, "load_frontend", load)
    with pytest.warns(RuntimeWarning, match=message):
        assert cudnn.prepare(Conv(5, 3), specs_of()) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cudnn.prepare(Conv(5, 3), specs_of()) is None


def test_without_cupy_nothing_is_said_of_cudnn(monkeypatch):
    monkeypatch.setattr(library, "find_library", FOUND)
    if cupy_works():
        pytest.skip("there is a card")
    FOUND.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cudnn.prepare(Conv(5, 3), specs_of()) is None
        works, text = cudnn.status()
    assert not works and text
    FOUND.cache_clear()


@pytest.mark.gpu
def test_cudnn_is_found_where_there_is_a_card(monkeypatch):
    if not cupy_works():
        pytest.skip("no CUDA device")
    monkeypatch.setattr(library, "find_library", FOUND)
    works, text = cudnn.status()
    assert works and text.startswith("cuDNN 9.")
    assert get_backend("cupy").providers[0] == "cudnn"


def test_what_devices_shows_is_the_version_of_both(monkeypatch):
    monkeypatch.setattr(cudnn_provider, "import_cupy", lambda: None)
    assert cudnn.status() == (True, "cuDNN 9.28.0, frontend 1.26.0")


# -- the kernels for biases


@given(rows=st.integers(1, 60), channels=st.integers(1, 70), half=st.booleans())
@same_library
def test_sums_of_columns_end_in_double(rows, channels, half):
    from graphnet.kernels.cuda.columns import Columns

    rng = np.random.default_rng(rows)
    dtype = "float16" if half else "float32"
    x = rng.normal(size=(rows, channels)).astype(dtype)
    columns = Columns(device.get_device(), Spec(x.shape, dtype))
    sums, space = np.zeros(channels, dtype), np.zeros(columns.nbytes, "uint8")
    columns.summed(x, sums, space)()
    wanted = x.astype("float64").sum(axis=0).astype(dtype)
    np.testing.assert_allclose(sums, wanted, rtol=1e-3 if half else 1e-5, atol=1e-5)
    bias = rng.normal(size=channels).astype(dtype)
    y = x.copy()
    columns.shifted(y, bias)()
    np.testing.assert_array_equal(y, (x.astype("float32") + bias.astype("float32")).astype(dtype))
