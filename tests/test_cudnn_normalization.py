"""Batch normalization by cuDNN: the graphs, evaluated by a stand-in, are the operator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.kernels import cudnn
from graphnet.kernels.rehearsal import rehearsal
from graphnet.kernels.wide import Wide
from graphnet.testing import Case
from ops import BatchNorm, BatchNormReLU, Spec
from tests.frontend.on_numpy import TOLERANCE, UNITS, expect_rounded, same_library
from tests.test_cpu_kernels import compare
from tests.test_cudnn_beside import BESIDE

pytestmark = pytest.mark.usefixtures("frontend")


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
def test_batch_normalizations_are_those_of_the_reference(executed, case):
    kernel = cudnn.prepare(case.operator, case.specs)
    assert kernel is not None and "cuda" not in kernel.method
    compare(executed(kernel), case, TOLERANCE)


@given(normalizations(), st.sampled_from(sorted(UNITS)))
@same_library
def test_batch_normalizations_of_narrow_images_keep_statistics_in_float32(executed, case, dtype):
    register_bfloat16()
    given_ = [x for x in case.inputs if x is not None]
    arrays = [x.astype(dtype) if i in (0, 5) else x for i, x in enumerate(given_)]
    specs = tuple(Spec(a.shape, a.dtype.name) for a in arrays)
    kernel = cudnn.prepare(Wide(case.operator, dtype), specs)
    assert kernel is not None and "cuda" not in kernel.method
    (wanted, *renewed), wide_saved = case.operator.forward(*(a.astype("float64") for a in arrays))
    (y, *states), saved = executed(kernel).forward(*arrays)
    # an addition behind the graph adds to what is rounded already
    expect_rounded(y, wanted, dtype)
    for state, right in zip(states, renewed, strict=True):
        np.testing.assert_allclose(state, right, rtol=1e-5, atol=1e-5)
    dy = np.random.default_rng(0).normal(size=y.shape).astype(dtype)
    # where the sum is 0 but for rounding, the ReLU may have rounded it either way
    dy[np.abs(wanted) < 4 * UNITS[dtype]] = 0
    arriving = (dy.astype("float64"), None, None)
    expected = case.operator.backward(wide_saved, arriving, (True,) * 3 + (False,) * 2 + (True,))
    found = executed(kernel).backward(
        saved, (dy, None, None), (True, True, True, False, False, True)[: len(arrays)]
    )
    for position, (gradient, right) in enumerate(zip(found, expected, strict=False)):
        if position in (0, 5):
            expect_rounded(gradient, right, dtype)
        elif position < 3:
            near = TOLERANCE * np.abs(right).max()
            np.testing.assert_allclose(gradient, right, rtol=TOLERANCE, atol=near)


@pytest.mark.parametrize("behind", ["nothing", "relu", "add"])
def test_nan_and_infinity_in_an_image_take_their_channel_and_no_other(executed, behind):
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
        (y, *states), _ = executed(kernel).forward(*arrays)
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
