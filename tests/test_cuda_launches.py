"""What a card refuses to launch, and what is wrong there alone, the emulated card refuses too."""

from __future__ import annotations

import numpy as np
import pytest

from graphnet.kernels import cuda
from graphnet.kernels.cuda import device
from ops import (
    BatchNorm,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm,
    Linear,
    Mean,
    ScaledDotProductAttention,
    Softmax,
    Spec,
)
from tests.emulator import expect_launchable

pytestmark = pytest.mark.usefixtures("on_numpy")


def test_threads_that_meet_different_barriers_are_reported(on_numpy):
    text = "typedef float T;\n#define KERNEL static void\nKERNEL torn(float* x) {\n" \
        "    if (threadIdx.x < 3) __syncthreads();\n    x[0] = 1;\n}\n"  # fmt: skip
    with pytest.raises(RuntimeError, match="torn met different barriers"):
        on_numpy.function(text, "torn")((1,), (8,), (np.zeros(1, "float32"),))


@pytest.mark.parametrize(
    ("grid", "block"),
    [((0,), (256,)), ((1, 65536), (32, 8)), ((1, 1, 65536), (1,)), ((1 << 31,), (1,)),
     ((1,), (1025,)), ((1,), (64, 32)), ((1,), (0,))],
)  # fmt: skip
def test_launches_that_a_card_refuses_are_refused(grid, block):
    with pytest.raises(RuntimeError, match="no card launches"):
        expect_launchable("kernel", grid, block)
    expect_launchable("kernel", ((1 << 31) - 1, 65535, 65535), (32, 32))


def test_an_array_whose_entries_are_not_aligned_is_refused(on_numpy):
    x = np.zeros(9, "uint8")[1:].view("float32")
    launch = on_numpy.function(device.source("cast.cu"), "widen")
    with pytest.raises(AssertionError, match="not aligned"):
        launch((1,), (256,), (x, np.zeros(2, "float32"), 2))


#: More examples than a grid has blocks along y, and what of them makes a grid.
MANY = 70000


@pytest.mark.parametrize(
    ("operator", "shapes"),
    [
        (GlobalAvgPool(), [(MANY, 33, 2)]),
        (BatchNorm(), [(MANY, 3), *[(3,)] * 4]),
        (LayerNorm(), [(MANY, 3), (3,), (3,)]),
        (GroupNorm(3), [(MANY, 3, 2), (3,), (3,)]),
        (Softmax(), [(MANY, 40)]),
        (Mean(axis=1), [(MANY, 40)]),
        (Linear(3), [(MANY, 2), (3, 2), (3,)]),
        (ScaledDotProductAttention(1), [(MANY, 1, 2)] * 3),
    ],
)
def test_grids_are_those_that_a_card_launches_however_many_examples_there_are(
    monkeypatch, on_numpy, operator, shapes
):
    launched = []

    def function(source, name, options=()):
        def launch(grid, block, arguments):
            expect_launchable(name, grid, block)
            launched.append(name)

        return launch

    monkeypatch.setattr(on_numpy, "function", function)
    kernel = cuda.prepare(operator, tuple(map(Spec, shapes)))
    y, saved = kernel.forward(*(np.ones(shape, "float32") for shape in shapes))
    dy = y if isinstance(y, np.ndarray) else (y[0], None, None)
    before = len(launched)
    kernel.backward(saved, dy, (True,) * len(shapes))
    assert 0 < before < len(launched)


def test_threads_of_a_warp_that_meet_different_shuffles_are_reported(on_numpy):
    text = "typedef float T;\n#define KERNEL static void\nKERNEL torn(float* x) {\n" \
        "    if (threadIdx.x < 32) __shfl_xor_sync(~0u, 1.0f, 1);\n" \
        "    if (threadIdx.x > LAST) __shfl_xor_sync(~0u, 1.0f, 1);\n" \
        "    __syncthreads();\n    x[0] = 1;\n}\n"  # fmt: skip
    whole, torn = (on_numpy.function(text, "torn", (f"-DLAST={last}",)) for last in (31, 40))
    whole((1,), (64,), (np.zeros(1, "float32"),))  # a warp waits for none but its own threads
    with pytest.raises(RuntimeError, match="torn met different barriers"):
        torn((1,), (64,), (np.zeros(1, "float32"),))
