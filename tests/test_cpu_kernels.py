"""The fast kernels of the CPU against the reference kernels, in float32."""

from __future__ import annotations

import ctypes.util
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnet as gn
from graphnet.kernels import PROVIDERS, compiled, onednn
from graphnet.kernels.compiled import provider as compiled_provider
from graphnet.kernels.onednn import library as onednn_library
from graphnet.kernels.onednn.library import OneDNNError, find_library
from graphnet.testing import Case, prove
from graphnet.testing.records import RECORDS
from ops import Conv, Linear, ReLU, Spec

ONEDNN = PROVIDERS["onednn"].status()[0]
COMPILED = PROVIDERS["compiled"].status()[0]
needs_onednn = pytest.mark.skipif(not ONEDNN, reason="oneDNN is not installed")
needs_compiled = pytest.mark.skipif(not COMPILED, reason="numba or oneDNN is not installed")

#: Error allowed beside the reference kernel, relative to the largest entry.  Sums of a few hundred
#: products in another order: 1e-6 each; the transforms of Winograd magnify that up to ten times.
DIRECT, WINOGRAD = 1e-5, 5e-5


def expect_close(found, wanted, tolerance):
    assert found.shape == wanted.shape and found.dtype == wanted.dtype == np.float32
    assert np.abs(found - wanted).max(initial=0) <= tolerance * max(1e-3, np.abs(wanted).max())


def compare(kernel, case, tolerance, inputs=None):
    """Outputs and gradients are those of the operator, and None where none is needed."""
    given = case.inputs if inputs is None else inputs
    before = [None if x is None else x.copy() for x in given]
    wide = case.cast("float64")
    outputs, saved = wide.forward()
    y, kept = kernel.forward(*given)
    expect_close(y, outputs[0].astype("float32"), tolerance)
    _, v = case.directions()
    expected = wide.backward(saved, [v[0].astype("float64")])
    alone = [tuple(i == j for j in range(len(case.needs))) for i, n in enumerate(case.needs) if n]
    for needs in (case.needs, *alone):
        gradients = kernel.backward(kept, v[0], needs)
        for need, gradient, wanted in zip(needs, gradients, expected, strict=True):
            assert (gradient is not None) == need
            if need:
                expect_close(gradient, wanted.astype("float32"), tolerance)
    for x, was in zip(given, before, strict=True):
        np.testing.assert_array_equal(x, was)


@needs_onednn
@pytest.mark.parametrize("operator", [Conv, Linear])
def test_kernels_of_onednn_agree_with_the_reference_on_every_record(operator):
    record = next(record for record in RECORDS if record.operator is operator)
    served = []

    def check(case):
        single = case.cast("float32")
        kernel = onednn.prepare(single.operator, single.specs)
        served.append(kernel is not None)
        if kernel is not None:
            compare(kernel, single, DIRECT)

    prove(record.cases, check)
    assert sum(served) > len(served) / 2


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
@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_chunks_of_any_size_give_the_same(monkeypatch, rows):
    from graphnet.kernels.compiled import winograd
    from graphnet.kernels.compiled.convolution import WinogradConv

    case = winograd_case(3, 9, 10, 32, 16, False, 1)
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
    assert {step.split()[2] for step in fast.explain(2).splitlines() if "conv_" in step} == {
        "onednn", "compiled"
    }  # fmt: skip
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
