"""The fast kernels of the CPU against the reference kernels, in float32."""

from __future__ import annotations

import ctypes.util
import io
import json
import os
import re
import subprocess
import sys
import warnings
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnet as gn
from graphnet.kernels import PROVIDERS, compiled, onednn
from graphnet.kernels.compiled import provider as compiled_provider
from graphnet.kernels.kept import VARIABLE
from graphnet.kernels.onednn import library as onednn_library
from graphnet.kernels.onednn.library import OneDNNError, find_library
from graphnet.kernels.placed import LAST, ROWS, allocate
from graphnet.testing import Case, prove
from graphnet.testing.records import RECORDS
from ops import (
    Add,
    AvgPool,
    BatchNorm,
    BatchNormInference,
    BatchNormInferenceReLU,
    BatchNormReLU,
    Conv,
    ConvMaxPoolReLU,
    ConvReLU,
    ConvTranspose,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm,
    Linear,
    LogSoftmax,
    MatMul,
    MaxPool,
    ReLU,
    Resize,
    Softmax,
    SoftmaxCrossEntropy,
    Spec,
    Sum,
)

ONEDNN = PROVIDERS["onednn"].status()[0]
COMPILED = PROVIDERS["compiled"].status()[0]
needs_onednn = pytest.mark.skipif(not ONEDNN, reason="oneDNN is not installed")
needs_compiled = pytest.mark.skipif(not COMPILED, reason="numba or oneDNN is not installed")

#: Error allowed beside the reference in float64, relative to the largest entry.  Sums of a few
#: hundred products: 1e-6; the transforms of Winograd magnify that up to ten times.
WINOGRAD = 5e-5
#: What is divided by the deviation of few and near values magnifies the rounding of those.
PLACED = 1e-4


def expect_close(found, wanted, tolerance):
    assert found.shape == wanted.shape and found.dtype == wanted.dtype == np.float32
    assert np.abs(found - wanted).max(initial=0) <= tolerance * max(1e-3, np.abs(wanted).max())


def compare(kernel, case, tolerance, inputs=None):
    """Outputs and gradients are those of the operator, and None where none is needed."""
    given = case.inputs if inputs is None else inputs
    before = [None if x is None else x.copy() for x in given]
    wide = case.cast("float64")
    outputs, saved = wide.forward()
    result, kept = kernel.forward(*given)
    results = result if isinstance(result, tuple) else (result,)
    for y, wanted in zip(results, outputs, strict=True):
        expect_close(y, wanted.astype("float32"), tolerance)
    if kernel.terms.differentiable:
        _, v = case.directions()
        # gradients arrive at the first output: the others are renewed states
        arriving = [v[0], *[None] * (len(outputs) - 1)]
        expected = wide.backward(
            saved, [None if d is None else d.astype("float64") for d in arriving]
        )
        count = range(len(case.needs))
        alone = [tuple(i == j for j in count) for i, need in enumerate(case.needs) if need]
        for needs in (case.needs, *alone):
            dy = tuple(arriving) if len(arriving) > 1 else arriving[0]
            gradients = kernel.backward(kept, dy, needs)
            for need, gradient, wanted in zip(needs, gradients, expected, strict=True):
                assert (gradient is not None) == need
                if need:
                    expect_close(gradient, wanted.astype("float32"), tolerance)
    for x, was in zip(given, before, strict=True):
        np.testing.assert_array_equal(x, was)


def compare_every_record(
    operator,
    *providers,
    tolerance,
    placed=lambda kernel: kernel,
    as_served=lambda case: case,
    settings=None,
):
    """Every case of an operator's records, by each provider that serves it in float32."""
    served = []

    def check(case):
        single = as_served(case).cast("float32")
        whole = tuple(None if x is None else np.asarray(x) for x in single.inputs)  # no scalars
        single = Case(single.operator, whole, single.seed)
        for provider in providers:
            kernel = provider.prepare(single.operator, single.specs)
            if kernel is not None:
                served.append(kernel)
                compare(placed(kernel), single, tolerance)

    for record in RECORDS:
        if record.operator is operator:
            prove(record.cases, check, settings=settings)
    assert served


def winograd_case(batch, height, width, channels, filters, bias, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, channels, height, width)).astype("float32")
    weight = (rng.normal(size=(filters, channels, 3, 3)) / 10).astype("float32")
    added = rng.normal(size=filters).astype("float32") if bias else None
    return Case(Conv(filters, 3, padding=1, bias=bias), (x, weight, added), seed)


winograd_cases = st.builds(
    winograd_case,
    batch=st.integers(1, 5),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    channels=st.sampled_from((16, 32, 48)),
    filters=st.sampled_from((16, 32, 48)),
    bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


@needs_compiled
def test_winograd_agrees_with_the_reference_in_all_directions():
    from graphnet.kernels.compiled.convolution import WinogradConv

    def check(case):
        compare(WinogradConv(find_library(), case.operator, case.specs), case, WINOGRAD)

    prove(winograd_cases, check)


@needs_compiled
@pytest.mark.parametrize("threads", [2, 4])
def test_gradients_of_many_kernels_are_summed_by_all_threads_together(threads, monkeypatch):
    from graphnet.kernels.compiled import winograd
    from graphnet.kernels.compiled.convolution import WinogradConv

    # as many parts as that, whoever computes them; chunks of one row of tiles, the last one short
    monkeypatch.setattr(onednn_library.Library, "threads", threads)
    monkeypatch.setattr(winograd, "LARGE", 0)
    monkeypatch.setattr(winograd.Winograd, "_most", lambda self, name: 1)
    shared = []

    def check(case):
        kernel = WinogradConv(find_library(), case.operator, case.specs)
        shared.append(kernel._winograd._shared is not None)
        compare(kernel, case, WINOGRAD)

    prove(winograd_cases, check)
    assert any(shared)


def first_layer(batch, size, kernel, stride, padding, channels, filters, bias, seed):
    rng = np.random.default_rng(seed)
    # whole numbers, whose sums are exact: ties are met, and go to the first
    x = rng.integers(-2, 3, (batch, channels, *size)).astype("float32")
    weight = rng.integers(-2, 3, (filters, channels, *kernel)).astype("float32")
    added = rng.integers(-3, 4, filters).astype("float32") if bias else None
    operator = ConvMaxPoolReLU(filters, kernel, stride=stride, padding=padding, bias=bias)
    return Case(operator, (x, weight, added), seed)


first_layers = st.builds(
    first_layer,
    batch=st.integers(1, 5),
    size=st.tuples(st.integers(8, 13), st.integers(8, 13)),
    # few widths and channels: for each of their products a kernel is compiled
    kernel=st.tuples(st.integers(1, 7), st.sampled_from((1, 3, 7))),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.sampled_from(("same", 1, ((2, 1), (0, 3)), ((0, 3), (3, 0)))),
    channels=st.sampled_from((1, 3)),
    filters=st.sampled_from((16, 32, 48)),
    bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


any_filters = st.one_of(
    st.builds(
        first_layer,
        batch=st.integers(1, 4),
        size=st.tuples(st.integers(7, 12), st.integers(7, 12)),
        kernel=st.just(kernel),
        stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        padding=st.sampled_from(("same", 1, ((2, 1), (0, 3)), ((0, 3), (3, 0)))),
        channels=st.just(channels),
        filters=st.integers(1, 20),
        bias=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
    )
    # for each a kernel is compiled: one row, rows in one group, rows in two, two vectors
    for kernel, channels in (((1, 1), 1), ((3, 3), 3), ((7, 1), 2), ((5, 7), 3))
)


@needs_compiled
def test_a_first_layer_in_one_kernel_agrees_with_the_reference_exactly():
    served = []

    def check(case):
        kernel = compiled.prepare(case.operator, case.specs, exact=True)
        windows = case.operator.windows(case.specs[0])
        if min(windows.out) < 2:
            return  # nothing to pool
        assert kernel.method == "pooled"
        served.append(kernel)
        compare(kernel, case, 1e-6)

    prove(first_layers, check)
    assert served


@needs_compiled
def test_the_gradient_of_an_image_agrees_with_the_reference():
    from graphnet.kernels.compiled.scattered import ScatteredConv, is_scattered

    def check(case):
        layer = case.operator
        conv = Conv(
            layer.filters,
            layer.kernel_size,
            stride=layer.stride,
            padding=layer.padding,
            bias=layer.bias,
        )
        plain = Case(conv, case.inputs, case.seed)
        assert is_scattered(conv, plain.specs)
        compare(ScatteredConv(find_library(), conv, (*plain.specs, None)[:3]), plain, PLACED)

    prove(any_filters, check)


@needs_compiled
@given(
    batch=st.integers(1, 3),
    # few widths: for each number of pairs that are held a kernel is compiled
    size=st.sampled_from(((8, 8), (9, 13), (8, 75))),
    kernel=st.sampled_from(((1, 5), (3, 5), (7, 7), (2, 7))),
    padding=st.sampled_from((2, "same", ((2, 1), (0, 3)))),
    channels=st.sampled_from((1, 3)),
    filters=st.sampled_from((16, 32)),
    seed=st.integers(0, 2**32 - 1),
)
def test_pairs_of_columns_give_the_largest_sums(
    batch, size, kernel, padding, channels, filters, seed
):
    case = first_layer(batch, size, kernel, 1, padding, channels, filters, True, seed)
    if min(case.operator.windows(case.specs[0]).out) < 2:
        return
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=x.shape).astype("float32") for x in case.inputs]
    fast, exact = (compiled.prepare(case.operator, case.specs, exact=e) for e in (False, True))
    assert (fast.method, exact.method) == ("pooled winograd", "pooled")
    found, (*_, winner) = fast.forward(*inputs)
    convolution = Conv(filters, kernel, padding=padding)
    sums, _ = convolution.forward(*(x.astype("float64") for x in inputs))
    wanted = np.maximum(MaxPool(2).forward(sums)[0], 0)
    expect_close(found, wanted.astype("float32"), WINOGRAD)
    # what won is the largest, or as near to it as rounding
    rows, columns = np.indices(found.shape[2:])
    place = winner.reshape(np.moveaxis(found, 1, -1).shape).transpose(0, 3, 1, 2)
    chosen = np.take_along_axis(
        sums.reshape(*sums.shape[:2], -1),
        ((2 * rows + place // 2) * sums.shape[3] + 2 * columns + place % 2).reshape(
            *found.shape[:2], -1
        ),
        axis=2,
    ).reshape(found.shape)
    expect_close(np.maximum(chosen, 0).astype("float32"), wanted.astype("float32"), WINOGRAD)


@needs_compiled
@pytest.mark.parametrize("width", [3, 5, 7])
def test_the_matrices_of_pairs_are_those_of_two_sums_exactly(width):
    from graphnet.kernels.compiled.pairs import matrices

    at, g, bt = matrices(width)
    rng = np.random.default_rng(width)
    d, kernel = ([Fraction(int(n)) for n in rng.integers(-9, 10, k)] for k in (width + 1, width))

    def apply(matrix, vector):
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    products = [a * b for a, b in zip(apply(g, kernel), apply(bt, d), strict=True)]
    wanted = [sum(d[i + k] * kernel[k] for k in range(width)) for i in range(2)]
    assert apply(at, products) == wanted


@needs_compiled
@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_a_first_layer_keeps_a_nan_where_it_is_seen(entry):
    case = first_layer(2, (8, 8), (3, 3), 1, 1, 3, 16, True, 0)
    x = case.inputs[0].copy()
    x[1, 0, 0, 0] = entry
    kernel = compiled.prepare(case.operator, case.specs)
    found, _ = kernel.forward(x, *case.inputs[1:])
    with np.errstate(invalid="ignore"):
        wanted, _ = case.operator.forward(x, *case.inputs[1:])
    np.testing.assert_array_equal(found, wanted)


@needs_compiled
@pytest.mark.parametrize(
    ("channels", "operator"),
    [
        (5, ConvMaxPoolReLU(16, 3, dilation=2)),
        (4, ConvMaxPoolReLU(16, 3, groups=2)),
        (3, ConvMaxPoolReLU(20, 3)),
        (3, ConvMaxPoolReLU(16, 3, pool_size=3)),
        (3, ConvMaxPoolReLU(16, 3, pool_stride=1)),
    ],
)
def test_other_first_layers_are_left_to_the_reference(channels, operator):
    x = Spec((2, channels, 10, 10))
    learned = operator.parameters(x)
    specs = (x, *(Spec(p.shape, p.dtype) for p in learned.values()))
    assert compiled.prepare(operator, specs) is None


@needs_compiled
@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_chunks_of_any_size_give_the_same(monkeypatch, rows):
    from graphnet.kernels.compiled import winograd, winograd_few
    from graphnet.kernels.compiled.convolution import WinogradConv

    case = winograd_case(3, 9, 10, 32, 16, False, 1)
    monkeypatch.setattr(winograd_few, "TILES", 0)
    monkeypatch.setattr(winograd, "CHUNK", rows * 4 * 36 * 32 * 3)
    compare(WinogradConv(find_library(), case.operator, case.specs), case, WINOGRAD)


@needs_compiled
def test_winograd_takes_arrays_of_any_strides():
    from graphnet.kernels.compiled.convolution import WinogradConv

    case = winograd_case(2, 6, 5, 16, 16, True, 0)
    kernel = WinogradConv(find_library(), case.operator, case.specs)
    for order in ("F", "C"):
        compare(kernel, case, WINOGRAD, [np.asarray(x, order=order) for x in case.inputs])
    backwards = [x[..., ::-1].copy()[..., ::-1] for x in case.inputs]
    compare(kernel, case, WINOGRAD, backwards)


@needs_compiled
@given(seed=st.integers(0, 100))
def test_a_nan_stays_in_the_tiles_that_see_it(seed):
    from graphnet.kernels.compiled.convolution import WinogradConv

    case = winograd_case(4, 8, 8, 16, 16, False, seed)
    x = case.inputs[0].copy()
    x[1, 3, 0, 0] = np.nan
    kernel = WinogradConv(find_library(), case.operator, case.specs)
    y, _ = kernel.forward(x, case.inputs[1])
    assert np.isnan(y[1]).any()
    assert np.isfinite(y[[0, 2, 3]]).all() and np.isfinite(y[1, :, 4:, 4:]).all()


@needs_compiled
@pytest.mark.parametrize(
    "operator",
    [
        Conv(16, 3, padding=1, stride=2),
        Conv(16, 3, padding=1, groups=2),
        Conv(16, 3, padding=2, dilation=2),
        Conv(16, 3),
        Conv(16, 5, padding=1),
        Conv(20, 3, padding=1),
    ],
)
def test_other_convolutions_are_left_to_onednn(operator):
    x = Spec((8, 16, 8, 8))
    learned = operator.parameters(x)
    specs = (x, *(Spec(p.shape, p.dtype) for p in learned.values()))
    assert compiled.prepare(operator, specs) is None
    assert onednn.prepare(operator, specs) is not None


@needs_compiled
def test_neither_serves_float64_or_a_subclass():
    for dtype in ("float64", "float32"):
        specs = (Spec((8, 16, 8, 8), dtype), Spec((16, 16, 3, 3), dtype), Spec((16,), dtype))
        expected = dtype == "float32"
        for provider in (compiled, onednn):
            assert (provider.prepare(Conv(16, 3, padding=1), specs) is not None) == expected
            derived = type("Derived", (Conv,), {})(16, 3, padding=1)
            assert provider.prepare(derived, specs) is None


@needs_compiled
def test_a_network_gives_the_results_of_the_reference_kernels_at_every_batch_size():
    x = gn.Input("x", ("N", 3, 12, 12))
    y = x
    for filters, stride in ((16, 1), (32, 1), (16, 2)):
        y = ReLU()(Conv(filters, 3, padding=1, stride=stride)(y))
    graph = gn.Graph(y=Linear(5)(y))
    fast, slow = gn.Executor(graph), gn.Executor(graph, kernels="reference")
    table = fast.explain(8)
    assert "conv_1+relu_1" in table and "compiled" in table and "onednn" in table
    rng = np.random.default_rng(0)
    for batch in (2, 5, 1, 2, 0):
        image = rng.normal(size=(batch, 3, 12, 12)).astype("float32")
        dy = rng.normal(size=(batch, 5)).astype("float32")
        results = [net.forward(x=image, differentiate=True)["y"] for net in (fast, slow)]
        np.testing.assert_allclose(*results, rtol=1e-3, atol=1e-4)
        gradients = [net.backward("y", dy, wrt=[*net.trainable, "x"]) for net in (fast, slow)]
        for name in gradients[0]:
            scale = np.abs(gradients[1][name]).max(initial=1e-3)
            assert np.abs(gradients[0][name] - gradients[1][name]).max(initial=0) <= 1e-4 * scale


# what is missing or broken


@pytest.fixture
def fresh():
    """No library has been looked for yet."""
    find_library.cache_clear()
    compiled_provider.numba_works.cache_clear()
    yield
    find_library.cache_clear()
    compiled_provider.numba_works.cache_clear()


SPECS = (Spec((8, 16, 8, 8)), Spec((16, 16, 3, 3)), Spec((16,)))
CONV = Conv(16, 3, padding=1)


@pytest.mark.parametrize("kind", ["missing", "text", "other"])
def test_a_library_that_cannot_be_used_is_told_once_and_the_reference_serves(
    fresh, monkeypatch, tmp_path, kind
):
    path = tmp_path / "libdnnl.so"
    if kind == "text":
        path.write_text("no library")
    if kind == "other":
        path = ctypes.util.find_library("m")
    monkeypatch.setenv(onednn_library.VARIABLE, str(path))
    with pytest.warns(RuntimeWarning, match="oneDNN cannot be used, the reference kernels serve"):
        assert onednn.prepare(CONV, SPECS) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert onednn.prepare(CONV, SPECS) is None and compiled.prepare(CONV, SPECS) is None
        assert "reference" in gn.Executor(gn.Graph(y=CONV(gn.Input("x", ("N", 16, 8, 8))))).explain(
            8
        )
    works, text = onednn.status()
    assert not works and "pip install onednn-cpu-gomp" in text


@needs_onednn
def test_a_library_of_another_version_is_refused(fresh, monkeypatch):
    path = find_library().path
    monkeypatch.setattr(onednn_library, "MAJOR", 4)
    with pytest.raises(OneDNNError, match=r"expected oneDNN 4, .* is version 3\."):
        onednn_library.Library(path)


@needs_onednn
def test_an_error_of_the_library_names_its_function(fresh):
    with pytest.raises(OneDNNError, match="dnnl_memory_desc_create_with_strides: invalid"):
        find_library().descriptor((2, -3), (1, 1))


def test_a_missing_numba_is_told_once(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.warns(RuntimeWarning, match="numba cannot be used, slower kernels serve"):
        assert compiled.prepare(CONV, SPECS) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled.prepare(CONV, SPECS) is None
    assert compiled.status() == (False, "numba cannot be imported")


@needs_compiled
def test_without_a_folder_for_compiled_code_a_warning_says_so(monkeypatch):
    from graphnet.kernels.compiled import vector

    def refuse(*args, **kwargs):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(vector, "njit", refuse)
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR names one"):
        assert not vector._can_cache()


@needs_compiled
def test_a_terminal_shows_what_is_compiled_and_for_how_long():
    from rich.console import Console

    from graphnet.kernels.compiled.notice import CompileNotice

    def started(module, name):
        function = SimpleNamespace(__module__=module, __name__=name)
        return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)})

    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    notice = CompileNotice(console)
    notice.on_start(started("somebody.else", "theirs"))
    notice.on_end(None)
    assert not written.getvalue()
    notice.on_start(started("graphnet.kernels.compiled.pooling", "_forward_rows"))
    notice.on_start(started("numba.core", "helper"))
    notice.on_end(None)
    assert notice._status is not None
    notice.on_end(None)
    assert notice._status is None
    assert "compiling pooling.forward_rows, kept for the next time" in written.getvalue()


# placed kernels of numba


@needs_compiled
@pytest.mark.parametrize(
    "operator",
    [Add, AvgPool, BatchNorm, BatchNormInference, BatchNormInferenceReLU, BatchNormReLU, Conv,
     ConvReLU, ConvTranspose, GlobalAvgPool, LayerNorm, Linear, LogSoftmax, MatMul, MaxPool, ReLU,
     Resize, Softmax],
)  # fmt: skip
def test_placed_kernels_agree_with_the_reference_on_every_record(operator):
    compare_every_record(operator, compiled, onednn, tolerance=PLACED)


@needs_compiled
@given(
    shape=st.tuples(*(st.integers(1, high) for high in (3, 4, 5, 70))),
    seed=st.integers(0, 2**32 - 1),
)
def test_planes_are_pooled_like_the_reference(shape, seed):
    # a whole vector of windows at a time, and the rest; ties and NaN in both
    n, c, height, width = shape
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (n, c, height + 1, width + 1)).astype("float32")
    x[rng.random(x.shape) < 0.1] = np.nan
    operator = MaxPool(2)
    kernel = compiled.prepare(operator, (Spec(x.shape),))
    (y, saved), (wanted, kept) = kernel.forward(x), operator.forward(x)
    np.testing.assert_array_equal(y, wanted)
    dy = rng.normal(size=y.shape).astype("float32")
    (dx,), (expected,) = kernel.backward(saved, dy, (True,)), operator.backward(kept, dy, (True,))
    np.testing.assert_array_equal(dx, expected)


@needs_compiled
@given(st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_exponentials_are_those_of_float64(values):
    from graphnet.kernels.compiled.exponential import exp

    x = np.array(values, "float32")
    found = np.array([exp(entry) for entry in x])
    with np.errstate(over="ignore"):
        wanted = np.exp(x.astype("float64")).astype("float32")
    np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=1e-44)


@needs_compiled
@pytest.mark.parametrize("operator", [Softmax(), LogSoftmax()])
@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_a_softmax_of_any_logits_is_as_the_reference(operator, values):
    x = np.array([values], "float32")
    found, _ = compiled.prepare(operator, (Spec(x.shape),)).forward(x)
    with np.errstate(all="ignore"):
        wanted, _ = operator.forward(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def narrow_case(batch, height, width, channels, kernel, stride, padding, filters, bias, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, channels, height, width)).astype("float32")
    weight = rng.normal(size=(filters, channels, *kernel)).astype("float32")
    added = rng.normal(size=filters).astype("float32") if bias else None
    operator = Conv(filters, kernel, stride=stride, padding=padding, bias=bias)
    return Case(operator, (x, weight, added), seed)


sides = st.integers(4, 9)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
narrow_cases = st.one_of(
    st.builds(
        narrow_case,
        batch=st.integers(1, 3),
        height=sides,
        width=st.just(12) if across > 4 else sides,
        channels=st.just(channels),
        kernel=st.tuples(st.integers(1, 4), st.just(across)),
        stride=pairs,
        padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
        filters=st.sampled_from(filters),
        bias=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
    )
    # for each a kernel is compiled: one tap, many filters, no whole vector of them, taps in groups
    for channels, across, filters in (
        (1, 1, (16,)),
        (2, 3, (64,)),
        (3, 3, (25, 5)),
        (3, 11, (16, 20)),
    )
)


@needs_compiled
def test_a_convolution_with_few_channels_agrees_with_the_reference():
    from graphnet.kernels.compiled.narrow import NarrowConv, is_narrow

    def check(case):
        assert is_narrow(case.operator, case.specs)
        compare(NarrowConv(find_library(), case.operator, case.specs), case, PLACED)

    prove(narrow_cases, check)


@needs_onednn
@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 9, 16, 24])
@pytest.mark.parametrize("transposed", [False, True])
def test_pixels_that_a_strided_kernel_of_one_sees_are_all_of_the_gradient(transposed, channels):
    # whole strides and no padding: oneDNN gathers the pixels first, by blocks of channels
    if transposed:
        operator = ConvTranspose(channels, 1, stride=2, output_padding=1, bias=False)
        shapes = (2, 5, 3, 4), (5, channels, 1, 1)
    else:
        operator = Conv(5, 1, stride=2, bias=False)
        shapes = (2, channels, 6, 8), (5, channels, 1, 1)
    rng = np.random.default_rng(0)
    case = Case(operator, (*(rng.normal(size=s).astype("float32") for s in shapes), None), 0)
    kernel = onednn.prepare(operator, case.specs)
    if transposed and channels < 16:
        assert kernel is None  # there is no right one
    else:
        compare(kernel, case, PLACED)


@needs_compiled
@given(
    st.integers(1, 3),
    st.integers(1, 70),
    st.integers(1, 70),
    st.booleans(),
    st.sampled_from(("float32", "float64")),
)
def test_what_lies_otherwise_is_copied_whole(batch, channels, positions, from_rows, dtype):
    spec = Spec((batch, channels, positions), dtype)
    layouts = (ROWS, LAST) if from_rows else (LAST, ROWS)
    source, target = (allocate(spec, layout) for layout in layouts)
    source[...] = np.arange(source.size).reshape(source.shape)
    target[...] = -1
    compiled.rearranged(source, target)()
    np.testing.assert_array_equal(target, source)
    compiled.added(source, source)()
    np.testing.assert_array_equal(source, 2 * target)


@needs_compiled
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 1000))
def test_the_loss_over_rows_agrees_with_the_reference(rows, classes, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, classes)).astype("float32") * 10
    case = Case(SoftmaxCrossEntropy(), (x, rng.integers(0, classes, rows)), seed)
    kernel = compiled.prepare(case.operator, case.specs)
    compare(kernel, case, PLACED)


@needs_compiled
@pytest.mark.parametrize(
    ("x", "labels"),
    [
        ([[3e38, -3e38, 0], [1, 2, 3]], [1, 0]),  # the first loss is the largest finite number
        ([[-3e38, 3e38, 0], [-3e38, 3e38, 0]], [0, 0]),  # and so is the mean of two
        ([[np.nan, 1, 2], [1, 2, 3]], [1, 0]),
        ([[1, np.nan, 2], [1, 2, 3]], [1, 0]),
        ([[np.inf, 1, 2], [1, 2, 3]], [1, 0]),
        ([[1, 2, 3], [1, 2, 3]], [1, 7]),  # no class
        ([[1, 2, 3], [1, 2, 3]], [-1, 0]),
        ([[1e-30, 0, 0], [-200, 0, 0]], [0, 0]),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_extreme_logits_give_what_the_reference_gives(x, labels):
    operator, x, labels = SoftmaxCrossEntropy(), np.array(x, "float32"), np.array(labels)
    kernel = compiled.prepare(operator, (Spec(x.shape), Spec(labels.shape, "int64")))
    found, kept = kernel.forward(x, labels)
    wanted, saved = operator.forward(x, labels)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    dy = np.ones((), "float32")
    (dx, _), (expected, _) = (
        k.backward(s, dy, (True, False)) for k, s in ((kernel, kept), (operator, saved))
    )
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-30)


@needs_compiled
@pytest.mark.parametrize(
    "operator",
    [
        SoftmaxCrossEntropy(label_smoothing=0.1),
        SoftmaxCrossEntropy(reduction="sum"),
        SoftmaxCrossEntropy(ignore_index=0),
    ],
)
def test_other_losses_are_left_to_the_reference(operator):
    assert compiled.prepare(operator, (Spec((2, 3)), Spec((2,), "int64"))) is None


@needs_compiled
@pytest.mark.parametrize(
    "optimizer",
    [
        gn.optim.SGD(0.1),
        gn.optim.SGD(0.1, weight_decay=0.1),
        gn.optim.SGD(0.1, momentum=0.9, weight_decay=0.1),
        gn.optim.SGD(0.1, momentum=0.9, nesterov=True),
        gn.optim.RMSProp(0.1, weight_decay=0.1),
        gn.optim.Adam(0.1, weight_decay=0.1),
        gn.optim.AdamW(0.1, weight_decay=0.1),
    ],
    ids=repr,
)
def test_a_compiled_update_is_that_of_the_optimizer_to_the_last_bit(optimizer):
    rng = np.random.default_rng(0)
    advance = compiled.find_advance(optimizer)
    own, other = (rng.normal(size=1003).astype("float32") for _ in range(2))
    other[:] = own
    slots = [optimizer.slots({"p": own}) for _ in range(2)]
    flat = {name.removeprefix("p."): array for name, array in slots[0].items()}
    for step in range(1, 5):
        gradient = rng.normal(size=own.size).astype("float32")
        advance(own, gradient, flat, optimizer.rate(step), step, optimizer.weight_decay)
        optimizer.update({"p": other}, {"p": gradient}, slots[1], step, frozenset("p"))
        np.testing.assert_array_equal(own, other)
        for name, array in slots[0].items():
            np.testing.assert_array_equal(array, slots[1][name])


@needs_compiled
def test_an_optimizer_of_ones_own_is_not_compiled():
    class Mine(gn.optim.SGD):
        pass

    assert compiled.find_advance(Mine(0.1)) is None


# the choice among methods


@pytest.fixture
def choices(monkeypatch, tmp_path):
    """A folder of its own for what is measured."""
    from graphnet.kernels.compiled import choice

    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    choice.KEPT.forget()
    yield choice
    choice.KEPT.forget()


def winograd_specs(batch=8, size=8):
    return Spec((batch, 16, size, size)), Spec((16, 16, 3, 3)), Spec((16,))


@needs_compiled
def test_the_fastest_method_is_measured_once_and_kept(choices, monkeypatch):
    seconds = {"forward": 1, "data": 2, "weights": 3}
    measured = []

    def fake(kernel, direction, *others):
        measured.append(direction)
        fast = direction == "data"
        return seconds[direction] * (1 if (type(kernel).__name__ == "DirectConv") == fast else 2)

    monkeypatch.setattr(choices, "_seconds", fake)
    kernel = compiled.prepare(CONV, winograd_specs())
    assert sorted(measured) == ["data", "data", "forward", "forward", "weights", "weights"]
    names = [type(k).__name__ for k in (kernel._forward, kernel._data, kernel._weights)]
    assert names == ["WinogradConv", "DirectConv", "WinogradConv"]
    (choice,) = json.loads(choices.KEPT.path.read_text()).values()
    assert choice == ["winograd", "direct", "winograd"]
    choices.KEPT.forget()
    compiled.prepare(CONV, winograd_specs())
    assert len(measured) == 6
    # another shape is measured by itself, and at inference forward alone
    compiled.prepare(CONV, winograd_specs(size=4), forward_alone=True)
    assert measured[6:] == ["forward", "forward"]


@needs_compiled
def test_a_choice_holds_only_among_the_same_methods_and_for_the_same_dilation(choices, monkeypatch):
    measured = []

    def count(operator, specs, exact=False):
        before = len(measured)
        compiled.prepare(operator, specs, exact=exact, forward_alone=True)
        return len(measured) - before

    monkeypatch.setattr(choices, "_seconds", lambda *a: measured.append(a) or len(measured))
    # direct and few positions
    specs = Spec((1, 32, 6, 6)), Spec((16, 32, 3, 3)), Spec((16,))
    for dilation in (1, 2):
        operator = Conv(16, 3, stride=3, padding=((0, 0), (0, 0)), dilation=dilation)
        assert count(operator, specs) == 2 and count(operator, specs) == 0
    # direct, few positions and, unless precision is exact, winograd
    for exact, number in ((True, 2), (False, 3), (True, 0), (False, 0)):
        assert count(Conv(16, 3, padding=1), winograd_specs(1, 4), exact) == number


@needs_compiled
@pytest.mark.parametrize(
    "mixed", [["winograd", "direct", "direct"], ["direct", "winograd", "winograd"]]
)
def test_directions_by_different_methods_agree_with_the_reference(choices, monkeypatch, mixed):
    monkeypatch.setattr(choices, "known_choices", lambda: Every(mixed))

    def check(case):
        compare(compiled.prepare(case.operator, case.specs), case, WINOGRAD)

    prove(winograd_cases, check)


class Every(dict):
    """The same answer to every question."""

    def __init__(self, answer):
        self.answer = answer

    def get(self, key, default=None):
        return self.answer


@needs_compiled
@pytest.mark.parametrize("text", ["no json", "[]", '{"a": 1}'])
def test_a_damaged_file_of_choices_is_as_good_as_none(choices, text):
    path = choices.KEPT.path
    path.parent.mkdir()
    path.write_text(text)
    compiled.prepare(CONV, winograd_specs())
    assert [len(c) for c in json.loads(path.read_text()).values() if isinstance(c, list)] == [3]


@needs_compiled
@pytest.mark.parametrize(
    "found",
    [
        "direct",
        [],
        ["direct"],
        ["direct", "winograd", "direct", "direct"],
        ["direct", "few channels", "direct"],
        ["direct", ["winograd"], "direct"],
        ["direct", {}, None],
    ],
)
def test_a_choice_that_names_no_methods_is_measured_again(choices, found):
    path = choices.KEPT.path
    compiled.prepare(CONV, winograd_specs())
    (key,) = json.loads(path.read_text())
    path.write_text(json.dumps({key: found}))
    choices.KEPT.forget()
    compiled.prepare(CONV, winograd_specs())
    (names,) = json.loads(path.read_text()).values()
    assert len(names) == 3 and set(names) <= {"direct", "winograd"}


@needs_compiled
def test_without_a_folder_for_choices_a_warning_says_so_once(choices, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="GRAPHNET_CACHE names a folder"):
        assert compiled.prepare(CONV, winograd_specs()) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled.prepare(CONV, winograd_specs(4)) is not None


@needs_compiled
def test_exact_precision_rules_winograd_out(choices):
    assert compiled.prepare(CONV, winograd_specs(), exact=True) is None
    x = gn.Input("x", ("N", 16, 8, 8))
    graph = gn.Graph(y=ReLU()(CONV(x)))
    image = np.random.default_rng(0).normal(size=(8, 16, 8, 8)).astype("float32")
    exact = gn.Executor(graph, precision="exact").forward(x=image)["y"]
    wide = gn.Executor(graph, dtype="float64").forward(x=image.astype("float64"))["y"]
    assert np.abs(exact - wide).max() < 3e-6 * np.abs(wide).max()
    with pytest.raises(ValueError, match=r"expected a precision of 'fast', .*, received 1"):
        gn.Executor(graph, precision=1)


@needs_compiled
def test_feeds_of_any_strides_are_taken():
    graph = gn.models.deep_convnet((3, 8, 8), filters=(16, 16), pools=(1,))
    rng = np.random.default_rng(0)
    image = rng.normal(size=(6, 3, 8, 8)).astype("float32")
    label = rng.integers(0, 10, 6)
    expected = gn.Executor(graph).forward(image=image, label=label)["logits"]
    views = (
        np.asfortranarray(image),
        np.ascontiguousarray(image[..., ::-1])[..., ::-1],
        np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 1, -1)), -1, 1),
        np.repeat(image, 2, axis=0)[::2],
    )
    for view in views:
        found = gn.Executor(graph).forward(image=view, label=label)["logits"]
        np.testing.assert_array_equal(found, expected)


@needs_compiled
def test_a_limit_counts_what_lies_outside_the_block_too():
    # GroupNorm has no kernel here that works where it is told
    x = gn.Input("x", ("N", 8, 6, 6))
    y = x
    for _ in range(4):
        y = ReLU()(GroupNorm(2)(y))
    graph = gn.Graph(loss=Sum()(y))
    whole = gn.Executor(graph).planned_bytes(4, training=True)
    with pytest.raises(gn.ExecutorError, match="the least it takes is") as caught:
        gn.Executor(graph, memory_limit=whole // 8).planned_bytes(4, training=True)
    least = int(re.search(r"least it takes is ([\d,]+)", str(caught.value))[1].replace(",", ""))
    for limit in (least, (least + whole) // 2, whole):
        net = gn.Executor(graph, memory_limit=limit)
        assert net.planned_bytes(4, training=True) <= limit
    for wrong in ("a", -1, 2.0, True):
        with pytest.raises(ValueError, match="expected a batch size"):
            gn.Executor(graph).planned_bytes(wrong)


@needs_compiled
def test_a_gradient_that_cannot_be_written_is_taken_in_debug_mode_too():
    net = gn.Executor(gn.Graph(y=BatchNorm()(gn.Input("x", ("N", 5)))), debug=True)
    net.forward(training=True, x=np.arange(20, dtype="float32").reshape(4, 5))
    dy = np.ones((4, 5), "float32")
    dy.flags.writeable = False
    assert np.isfinite(net.backward("y", dy)["batch_norm_1.beta"]).all()


@needs_compiled
def test_without_compilation_a_warning_says_so_and_slower_kernels_serve():
    code = (
        "import warnings, numpy as np, graphnet as gn; from ops import Tanh, Softmax\n"
        "net = gn.Executor(gn.Graph(y=Softmax()(Tanh()(gn.Input('x', ('N', 5))))))\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    net.forward(x=np.ones((2, 5), 'float32'))\n"
        "print(*{str(w.message) for w in caught if 'numba' in str(w.message)}, sep='\\n')\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.count("NUMBA_DISABLE_JIT is set") == 1


@needs_onednn
def test_a_size_that_onednn_does_not_count_is_left_to_the_reference():
    specs = (Spec((1 << 33, 16, 9, 9)), Spec((16, 16, 3, 3)), None)
    assert onednn.prepare(Conv(16, 3, bias=False), specs) is None


THREADS = """
import numba, numpy as np
import graphnet as gn
from graphnet.kernels.onednn.library import find_library
from ops import Conv, Sum

net = gn.Executor(gn.Graph(loss=Sum()(Conv(16, 3, padding=1)(gn.Input("x", ("N", 16, 8, 8))))))
net.forward(training=True, x=np.ones((2, 16, 8, 8), "float32"))
net.backward()
print(find_library().threads, numba.get_num_threads())
"""


@needs_compiled
def test_one_setting_tells_all_kernels_how_many_threads_they_use(tmp_path):
    # numba sets OpenMP's number of threads when it starts its own, be it to measure methods
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRAPHNET_CACHE": str(tmp_path)}
    run = [sys.executable, "-c", THREADS]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "1"]
