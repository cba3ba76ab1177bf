"""Compiled kernels of few tiles, few channels and few rows, as inference of one image has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

import graphnet as gn
from graphnet.kernels import compiled, onednn
from graphnet.kernels.onednn import library as onednn_library
from graphnet.kernels.onednn.library import find_library
from graphnet.kernels.placed import LAST, ROWS, Memory, allocate
from graphnet.testing import Case, prove
from ops import Conv, Flatten, Linear, ReLU
from ops.fused import ConvReLU
from ops.operator import Spec
from tests.test_cpu_kernels import (
    PLACED,
    WINOGRAD,
    compare,
    expect_close,
    narrow_case,
    needs_compiled,
    needs_onednn,
    winograd_case,
    winograd_cases,
)

threads_too_many = pytest.mark.parametrize("threads", [1, 2, 3])


@needs_compiled
@threads_too_many
def test_winograd_of_few_tiles_agrees_with_the_reference(threads, monkeypatch):
    from graphnet.kernels.compiled.convolution import WinogradConv

    # as many parts as that, whoever computes them
    monkeypatch.setattr(onednn_library.Library, "threads", threads)
    ways = set()

    def check(case):
        kernel = WinogradConv(find_library(), case.operator, case.specs)
        for few in filter(None, kernel._winograd._few.values()):
            ways.add((few._part < few._filters, few.block))
        compare(kernel, case, WINOGRAD)

    prove(winograd_cases, check)
    # by tiles and by filters, one vector of filters and two; one thread has all of both
    assert {by_filters for by_filters, _ in ways} == ({False} if threads == 1 else {False, True})


@needs_compiled
def test_winograd_of_many_tiles_is_left_to_products_of_onednn(monkeypatch):
    from graphnet.kernels.compiled import winograd_few
    from graphnet.kernels.compiled.convolution import WinogradConv

    monkeypatch.setattr(winograd_few, "TILES", 0)

    def check(case):
        kernel = WinogradConv(find_library(), case.operator, case.specs)
        assert not any(kernel._winograd._few.values())
        compare(kernel, case, WINOGRAD)

    prove(winograd_cases, check)


@needs_compiled
@threads_too_many
def test_winograd_of_a_deep_layer_agrees_with_the_reference(threads, monkeypatch):
    from graphnet.kernels.compiled.winograd_deep import DeepWinogradConv

    monkeypatch.setattr(onednn_library.Library, "threads", threads)

    def check(case):
        compare(DeepWinogradConv(find_library(), case.operator, case.specs), case, WINOGRAD)

    prove(winograd_cases, check)


@needs_compiled
def test_a_deep_layer_has_more_kernels_than_tiles():
    from graphnet.kernels.compiled.winograd_deep import is_deep

    def deep(batch, channels, size):
        return is_deep(Conv(channels, 3, padding=1), (Spec((batch, channels, size, size)),))

    assert deep(64, 512, 4) and not deep(64, 64, 32) and not deep(4096, 512, 4)


def kernel_of_few(deep, by_filters, monkeypatch):
    """A kernel of few tiles, which two threads share by filters or by rows of tiles."""
    from graphnet.kernels.compiled.convolution import WinogradConv
    from graphnet.kernels.compiled.winograd_deep import DeepWinogradConv

    monkeypatch.setattr(onednn_library.Library, "threads", 2)
    # 12 tiles; two threads take whole vectors of 32 or 64 channels, and not of 48
    channels, filters = (32, 64) if by_filters else (48, 48)
    case = winograd_case(2, 7, 9, channels, filters, True, 3)
    kernel = (DeepWinogradConv if deep else WinogradConv)(find_library(), case.operator, case.specs)
    for few in kernel._winograd._few.values():
        assert (few._part < few._filters) == by_filters
    return kernel, case


shared_both_ways = pytest.mark.parametrize("by_filters", [False, True])
deep_or_not = pytest.mark.parametrize("deep", [False, True])


@needs_compiled
@shared_both_ways
@deep_or_not
def test_winograd_of_few_adds_and_rectifies_by_itself(by_filters, deep, monkeypatch):
    kernel, case = kernel_of_few(deep, by_filters, monkeypatch)
    memory = memory_of(kernel, case.inputs)
    if kernel.terms.packed:
        kernel.bind_packed(memory)()
    added = allocate(kernel.results[0], LAST)
    added[...] = np.random.default_rng(0).normal(size=added.shape)
    assert not kernel.bind_finished(memory, added)()
    sums, _ = case.operator.forward(*(x.astype("float64") for x in case.inputs))
    expect_close(memory.outputs[0], np.maximum(sums + added, 0).astype("float32"), WINOGRAD)


@needs_compiled
@shared_both_ways
@deep_or_not
def test_winograd_of_few_adds_to_the_gradient_that_lies_there(by_filters, deep, monkeypatch):
    kernel, case = kernel_of_few(deep, by_filters, monkeypatch)
    memory = memory_of(kernel, case.inputs)
    memory.space = np.empty(kernel.terms.backward_space, "uint8")
    rng = np.random.default_rng(0)
    dy, dx = (allocate(s, LAST) for s in (kernel.results[0], case.specs[0]))
    dy[...], dx[...] = rng.normal(size=dy.shape), rng.normal(size=dx.shape)
    wide = case.cast("float64")
    _, saved = wide.forward()
    found, *_ = wide.operator.backward(saved, dy.astype("float64"), (True, False, False))
    wanted = (found + dx).astype("float32")
    memory.doutputs, memory.dinputs, memory.adds = [dy], [dx, None, None], frozenset({0})
    assert not kernel.bind_backward(memory)()
    expect_close(dx, wanted, WINOGRAD)


def memory_of(kernel, inputs):
    """A kernel's memory with these inputs."""
    terms = kernel.terms
    memory = Memory(
        [
            None if spec is None else allocate(spec, layout)
            for spec, layout in zip(kernel.specs, terms.inputs, strict=False)
        ],
        [allocate(kernel.results[0], LAST)],
        packed=np.empty(terms.packed, "uint8"),
        space=np.empty(terms.forward_space, "uint8"),
    )
    for array, given in zip(memory.inputs, inputs, strict=True):
        if array is not None:
            array[...] = given
    return memory


drawn = {"bias": st.booleans(), "seed": st.integers(0, 2**32 - 1)}
#: Few widths, numbers of filters, positions and strides: for many of them a kernel is compiled.
few_cases = {
    "channels": st.builds(
        narrow_case,
        batch=st.integers(1, 3),
        height=st.integers(4, 9),
        width=st.sampled_from((4, 9, 33)),
        channels=st.integers(1, 4),
        kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
        stride=st.sampled_from(((1, 1), (2, 1), (1, 3), (4, 4))),
        padding=st.tuples(st.integers(0, 5), st.sampled_from((0, 1, 5))),
        filters=st.sampled_from((16, 64)),
        **drawn,
    ),
    # at most eight positions of an image
    "positions": st.builds(
        narrow_case,
        batch=st.integers(1, 2),
        height=st.integers(1, 4),
        width=st.sampled_from((1, 2)),
        channels=st.integers(1, 40),
        kernel=st.sampled_from(((1, 1), (3, 3), (2, 3))),
        stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        padding=st.just("same"),
        filters=st.sampled_from((16, 48)),
        **drawn,
    ),
}


@needs_compiled
@threads_too_many
@pytest.mark.parametrize("of", few_cases)
def test_a_convolution_of_few_agrees_with_the_reference(of, threads, monkeypatch):
    kind, applies = kinds_with_few()[of]
    monkeypatch.setattr(onednn_library.Library, "threads", threads)

    def check(case):
        assert applies(case.operator, case.specs)
        compare(kind(find_library(), case.operator, case.specs), case, PLACED)

    prove(few_cases[of], check)


@needs_compiled
def test_a_convolution_to_few_positions_may_be_dilated():
    from graphnet.kernels.compiled.few_positions import FewPositionsConv

    case = narrow_case(2, 7, 6, 5, (3, 2), 2, 1, 32, True, 0)
    operator = Conv(32, (3, 2), stride=2, padding=((1, 2), (3, 0)), dilation=(2, 3))
    case = Case(operator, case.inputs, 0)
    compare(FewPositionsConv(find_library(), operator, case.specs), case, PLACED)


def kinds_with_few():
    """The kernels of few channels and of few positions, and when they apply."""
    from graphnet.kernels.compiled.few_channels import FewChannelsConv, has_few_channels
    from graphnet.kernels.compiled.few_positions import FewPositionsConv, has_few_positions

    return {
        "channels": (FewChannelsConv, has_few_channels),
        "positions": (FewPositionsConv, has_few_positions),
    }


@needs_compiled
@pytest.mark.parametrize("of", few_cases)
@pytest.mark.parametrize("adds", [False, True])
def test_convolutions_of_few_add_and_rectify_by_themselves_and_keep_nan(of, adds):
    case = narrow_case(2, 6, 7, 3, (3, 3), 1, 1, 16, True, 0)
    case.inputs[0][1, 2, 3, 3] = np.nan
    kernel = kinds_with_few()[of][0](find_library(), case.operator, case.specs)
    memory = memory_of(kernel, case.inputs)
    kernel.bind_packed(memory)()
    wanted, _ = case.operator.forward(*case.inputs)
    added = None
    if adds:
        added = allocate(kernel.results[0], LAST)
        added[...] = np.random.default_rng(1).normal(size=added.shape)
        wanted = wanted + added
    assert not kernel.bind_finished(memory, added)()
    found = memory.outputs[0]
    np.testing.assert_allclose(found, np.maximum(wanted, 0), rtol=1e-5, atol=1e-5)
    assert np.isnan(found[1, :, 2:5, 2:5]).all() and np.isfinite(found[0]).all()


@needs_compiled
def test_what_follows_a_convolution_is_part_of_the_measurement(monkeypatch):
    from graphnet.kernels.compiled import choice
    from graphnet.kernels.compiled.few_channels import FewChannelsConv

    bound = []
    plain, whole = FewChannelsConv.bind_forward, FewChannelsConv.bind_finished
    monkeypatch.setattr(
        FewChannelsConv, "bind_forward", lambda *a: bound.append("plain") or plain(*a)
    )
    monkeypatch.setattr(
        FewChannelsConv, "bind_finished", lambda *a: bound.append("whole") or whole(*a)
    )
    specs = (Spec((1, 3, 8, 8)), Spec((16, 3, 3, 3)), Spec((16,)))
    for operator, last in ((Conv(16, 3), "plain"), (ConvReLU(16, 3), "whole")):
        kernel = FewChannelsConv(find_library(), operator, specs)
        rectified = isinstance(operator, ConvReLU)
        assert choice._seconds(kernel, "forward", True, rectified, 1) > 0
        assert bound[-1] == last


def linear_case(shape, axis, units, bias, seed):
    rng = np.random.default_rng(seed)
    features = int(np.prod(shape[axis:]))
    arrays = (shape, (units, features), (units,) if bias else None)
    # small whole numbers, whose sums are exact: those of others can cancel, and then rounding is
    # more than any share of what is left
    x, weight, added = (
        None if a is None else rng.integers(-9, 10, a).astype("float32") for a in arrays
    )
    return Case(Linear(units, axis=axis, bias=bias), (x, weight, added), seed)


linear_cases = st.builds(
    linear_case,
    shape=st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5)),
    axis=st.just(1),
    units=st.integers(1, 13),
    bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
) | st.builds(
    linear_case,
    shape=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 70)),
    axis=st.integers(1, 2),
    units=st.integers(1, 13),
    bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


@pytest.mark.parametrize("provider", [compiled, onednn], ids=["compiled", "onednn"])
@pytest.mark.parametrize("layout", [ROWS, LAST])
@needs_compiled
@needs_onednn
def test_a_linear_layer_at_inference_takes_images_as_they_lie(provider, layout):
    def check(case):
        kernel = provider.prepare(case.operator, case.specs, forward_alone=True)
        terms = kernel.terms.settled(layout)
        memory = Memory(
            [
                None if s is None else allocate(s, way)
                for s, way in zip(kernel.specs, terms.inputs, strict=False)
            ],
            [allocate(kernel.results[0])],
            packed=np.empty(terms.packed, "uint8"),
        )
        for array, given in zip(memory.inputs, case.inputs, strict=True):
            if array is not None:
                array[...] = given
        if terms.packed:
            kernel.bind_packed(memory)()
        kernel.bind_forward(memory)()
        wanted, _ = case.operator.forward(
            *(None if x is None else x.astype("float64") for x in case.inputs)
        )
        expect_close(memory.outputs[0], wanted.astype("float32"), 1e-5)

    prove(linear_cases, check)


@needs_compiled
@threads_too_many
def test_a_linear_layer_of_few_rows_is_shared_by_all_threads(threads):
    from graphnet.kernels.compiled.few_rows import FewRowsLinear

    def check(case):
        compare(FewRowsLinear(case.operator, case.specs, threads), case, 1e-5)

    prove(linear_cases, check)


@needs_compiled
@pytest.mark.parametrize("batch", [1, 5])
def test_new_weights_are_packed_anew_whatever_lies_ahead(batch):
    image = gn.Input("image", ("N", 3, 8, 8))
    x = ReLU()(Conv(16, 3, padding=1)(image))
    graph = gn.Graph(last=Linear(5)(x), flat=Linear(4)(Flatten()(x)), plain=Linear(3)(image))
    net, plain = gn.Executor(graph), gn.Executor(graph, kernels="reference")
    rng = np.random.default_rng(0)
    for _ in range(2):
        weights = {k: rng.normal(size=a.shape).astype("f") for k, a in net.snapshot().items()}
        net.assign(weights)
        plain.assign(weights)
        feed = rng.normal(size=(batch, 3, 8, 8)).astype("float32")
        found, wanted = net.forward(image=feed), plain.forward(image=feed)
        for name in wanted:
            expect_close(found[name], wanted[name], PLACED)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are protected by mprotect")
@needs_compiled
@needs_onednn
def test_no_kernel_reads_beyond_its_arrays():
    # by a process of its own, which dies of it
    found = subprocess.run(
        [sys.executable, "-m", "tests.guarded"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, (found.returncode, found.stderr)
    assert found.stdout == "no kernel read beyond its arrays\n"
