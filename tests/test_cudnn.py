"""The kernels of cuDNN: the graphs they write, evaluated by a stand-in, are the operators.

What measures, keeps and refuses is tested here too; ``test_cudnn_frontend`` holds the graphs to the
real library where it is installed.
"""

from __future__ import annotations

import dataclasses
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
from graphnet.kernels.wide import Wide
from graphnet.testing import Case
from ops import Conv, ConvTranspose, Dropout, ScaledDotProductAttention, Spec
from ops.fused import ConvReLU
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
    # attention is in float16 alone
    assert set(cudnn_provider.kinds()) - set(named) == {ScaledDotProductAttention}


#: The fields that the kernels take account of.
FIELDS = {
    Conv: {"filters", "kernel_size", "stride", "padding", "dilation", "groups", "bias"},
    ConvReLU: {"filters", "kernel_size", "stride", "padding", "dilation", "groups", "bias"},
    ConvTranspose: {
        "filters", "kernel_size", "stride", "padding", "output_padding", "dilation", "groups",
        "bias",
    },
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
    names = []

    def fake(plan):
        names.append(plan.method)
        return seconds[plan.method]

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


# -- what is left to others


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
