"""Kernels that walk over rows: softmax, losses of labels, attention, and picking by indices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.kernels import cuda
from graphnet.kernels.placed import LAST, ROWS
from graphnet.testing import Case
from ops import (
    Embedding,
    Gather,
    GroupNorm,
    Huber,
    InstanceNorm,
    L1Loss,
    LayerNorm,
    LogSoftmax,
    MeanSquaredError,
    RMSNorm,
    ScaledDotProductAttention,
    Softmax,
    SoftmaxCrossEntropy,
    Spec,
)
from tests.emulator.on_numpy import same_device
from tests.test_cuda_layouts import UNITS, Placed, compare

pytestmark = pytest.mark.usefixtures("on_numpy")

#: Sizes that a thread, a warp and a warp more than once walks over.
SIZES = st.sampled_from((1, 2, 5, 31, 32, 33, 70))


@given(
    operator=st.sampled_from((Softmax, LogSoftmax)),
    size=SIZES,
    axis=st.integers(0, 2),
    dtype=st.sampled_from(tuple(UNITS)),
    layout=st.sampled_from((ROWS, LAST)),
    seed=st.integers(0, 1000),
)
@same_device
def test_softmax_along_any_axis_of_any_size(operator, size, axis, dtype, layout, seed):
    shape = [2, 3, 4]
    shape[axis] = size
    x = np.random.default_rng(seed).normal(size=shape).astype(dtype) * 3
    # sums in float32 of `size` numbers of up to 4, any of which costs a rounding
    tolerance = 20 * UNITS[dtype] + 4 * size * UNITS["float32"]
    assert compare(Case(operator(axis), (x,), seed), layout, dtype, tolerance)


@given(
    operator=st.sampled_from((LayerNorm(), RMSNorm(), GroupNorm(2), InstanceNorm())),
    size=st.sampled_from((9, 32, 33, 256, 257, 600)),
    dtype=st.sampled_from(tuple(UNITS)),
    layout=st.sampled_from((ROWS, LAST)),
    seed=st.integers(0, 1000),
)
@same_device
def test_normalizations_of_rows_of_more_entries_than_a_warp_and_a_block_have(
    operator, size, dtype, layout, seed
):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 4, size)).astype(dtype)
    learned = [rng.uniform(1, 2, p.shape).astype(dtype)
               for p in operator.parameters(Spec(x.shape, dtype)).values()]  # fmt: skip
    # few and near entries have a large 1 / sqrt(var + eps), which magnifies what is rounded
    assert compare(Case(operator, (x, *learned), seed), layout, dtype, 60 * UNITS[dtype])


@pytest.mark.parametrize("operator", [Softmax(), LogSoftmax()])
@pytest.mark.parametrize("length", [3, 40])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_softmax_makes_of_extremes_is_what_the_reference_makes(operator, length):
    rows = [[3e38, -3e38, 0], [-np.inf, 1, 2], [np.nan, 1, 2], [np.inf, 1, 2], [-np.inf] * 3]
    x = np.array([[*row, *[row[-1]] * (length - 3)] for row in rows], "float32")
    found, _ = cuda.prepare(operator, (Spec(x.shape),)).forward(x)
    np.testing.assert_allclose(found, operator.forward(x)[0], rtol=1e-5)


def dense(seed, classes, shape, dtype, ignored):
    """Logits and labels, some of which do not count."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(shape[0], classes, *shape[1:])) * 3).astype("float32")
    labels = rng.integers(0, classes, shape)
    if ignored is not None:
        labels = np.where(rng.integers(0, 2, shape) == 0, ignored, labels)
    return x, labels.astype(dtype)


@given(
    classes=SIZES,
    shape=st.sampled_from(((4,), (2, 3), (2, 2, 3), (1, 30, 20))),
    labels=st.sampled_from(("int64", "int32", "uint8", "int8")),
    reduction=st.sampled_from(("mean", "sum", "none")),
    smoothing=st.sampled_from((0.0, 0.1, 1.0)),
    ignored=st.sampled_from((None, 0, 100)),
    dtype=st.sampled_from(tuple(UNITS)),
    layout=st.sampled_from((ROWS, LAST)),
    seed=st.integers(0, 1000),
)
@same_device
def test_losses_of_labels_for_each_position_in_all_their_forms(
    classes, shape, labels, reduction, smoothing, ignored, dtype, layout, seed
):
    operator = SoftmaxCrossEntropy(smoothing, reduction, ignored)
    given_ = dense(seed, classes, shape, labels, ignored)
    # a sum of many losses, each off by some units of what is around 1 to 10
    assert compare(Case(operator, given_, seed), layout, dtype, 40 * UNITS[dtype])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignored", [None, -1, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize(
    ("x", "labels"),
    [
        ([[3e38, -3e38, 0], [1, 2, 3]], [1, 0]),  # the first loss is the largest finite number
        ([[3e38, -3e38, 0], [3e38, -3e38, 0]], [1, 1]),  # and so is their sum
        ([[-np.inf, 0, 1], [1, 2, 3]], [0, 1]),
        ([[np.nan, 1, 2], [1, 2, 3]], [1, 0]),
        ([[np.inf, 1, 2], [1, 2, 3]], [1, 0]),
        ([[1, 2, 3], [1, 2, 3]], [1, 7]),  # no class
        ([[1, 2, 3], [1, 2, 3]], [-1, 0]),
        ([[1, 2, 3], [1, 2, 3]], [-1, -1]),
        ([[1, 2, 3], [1, 2, 3]], [1, 1]),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_losses_make_of_extremes_is_what_the_reference_makes(
    x, labels, reduction, ignored, smoothing
):
    x, labels = np.array(x, "float32"), np.array(labels)
    operator = SoftmaxCrossEntropy(smoothing, reduction, ignored)
    kernel = cuda.prepare(operator, (Spec(x.shape), Spec(labels.shape, "int64")))
    results = []
    for owner in (operator, kernel):
        loss, saved = owner.forward(x, labels)
        dy = np.ones(loss.shape, "float32")
        results.append((loss, owner.backward(saved, dy, (True, False))[0]))
    for found, wanted in zip(*reversed(results), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@given(
    count=st.sampled_from((1, 7, 511, 512, 513, 1500, 4097)),
    size=st.sampled_from((1, 3, 100)),
    inner=st.integers(1, 3),
    dtype=st.sampled_from(tuple(UNITS)),
    seed=st.integers(0, 1000),
)
@same_device
def test_slices_of_many_indices_are_added_up_in_their_order(count, size, inner, dtype, seed):
    rng = np.random.default_rng(seed)
    indices = rng.integers(-size, size, count)
    x = rng.normal(size=(size, inner)).astype(dtype)
    kernel = cuda.prepare(Gather(), (Spec(x.shape, dtype), Spec(indices.shape, "int64")))
    placed = Placed(kernel, ROWS)
    np.testing.assert_array_equal(placed.forward(x, indices)[0], x[indices])
    dy = rng.normal(size=(count, inner)).astype(dtype)
    wanted = np.zeros((size, inner))
    np.add.at(wanted, indices, dy)
    for _ in range(2):
        (dx, _), _ = placed.backward((dy,), (True, False))
        np.testing.assert_array_equal(dx, wanted.astype(dtype))  # which is exact, but for its end


def test_indices_out_of_range_wrap_around_as_they_do_on_a_card():
    weight = np.arange(6, dtype="float32").reshape(3, 2)
    kernel = cuda.prepare(Embedding(3, 2, padding_index=1), (Spec((4,), "int64"), Spec((3, 2))))
    placed = Placed(kernel, ROWS)
    y = placed.forward(np.array([3, -1, 7, -4]), weight)[0]
    np.testing.assert_array_equal(y, weight[[0, 2, 1, 2]])
    (_, dweight), _ = placed.backward((np.ones((4, 2), "float32"),), (False, True))
    np.testing.assert_array_equal(dweight, [[1, 1], [0, 0], [2, 2]])  # padding has no gradient


MASKS = {
    "none": None,
    "boolean": ((2, 1, 7, 40), "bool"),
    "keys": ((40,), "bool"),
    "added": ((2, 4, 7, 40), "float32"),
    "queries": ((7, 1), "float32"),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"causal": True, "past": 3, "key_value_heads": 2},
        {"window": (4, 2), "softcap": 2.0, "scale": 0.7},
        {"window": (2, None), "key_value_heads": 1},
    ],
)
def test_attention_with_any_mask_window_and_heads(mask, dtype, fields):
    rng = np.random.default_rng(0)
    operator = ScaledDotProductAttention(4, **fields)
    groups = operator.key_value_heads or 4
    inputs = [rng.normal(size=(2, *size)) for size in ((7, 12), (40, 3 * groups), (40, 5 * groups))]
    if MASKS[mask] is not None:
        shape, kind = MASKS[mask]
        drawn = rng.normal(size=shape)
        inputs.append(drawn > 0 if kind == "bool" else drawn)
    else:
        inputs.append(None)
    # factors are rounded to the digits of float16, and sums of 40 weights to it again
    assert compare(Case(operator, tuple(inputs), 1), ROWS, dtype, 60 * UNITS[dtype])


@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_a_query_that_may_attend_to_nothing_gives_zeros_and_has_no_gradient(kind):
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(1, n, 4)).astype("float32") for n in (3, 5, 5))
    allowed = rng.normal(size=(3, 5)) > 0
    allowed[1] = False
    mask = allowed if kind == "bool" else np.where(allowed, 0, -np.inf).astype("float32")
    specs = tuple(Spec(x.shape, x.dtype.name) for x in (query, key, value, mask))
    operator = ScaledDotProductAttention(2)
    placed = Placed(cuda.prepare(operator, specs), ROWS)
    (y,) = placed.forward(query, key, value, mask)
    wanted, saved = operator.forward(query, key, value, mask)
    assert not y[0, 1].any() and y[0, [0, 2]].all()
    np.testing.assert_allclose(y, wanted, atol=1e-6)
    dy = rng.normal(size=y.shape).astype("float32")
    needs = (True, True, True, kind == "float32")
    found, _ = placed.backward((dy,), needs)
    assert not found[0][0, 1].any()
    for dx, right in zip(found, operator.backward(saved, dy, needs), strict=True):
        assert (dx is None) == (right is None)
        if dx is not None:
            np.testing.assert_allclose(dx, right, atol=2e-6)


def test_products_of_attention_are_rounded_to_tf32_only_where_that_is_asked_for(on_numpy):
    spec = Spec((2, 5, 8))
    for tf32, kinds in ((False, {68}), (True, {77})):
        kernel = cuda.prepare(ScaledDotProductAttention(2), (spec,) * 3, tf32=tf32)
        on_numpy.library.products.clear()
        x = np.ones(spec.shape, "float32")
        _, saved = kernel.forward(x, x, x)
        kernel.backward(saved, x, (True,) * 3)
        assert set(on_numpy.library.products) == kinds


@pytest.mark.parametrize("operator", [MeanSquaredError("sum"), L1Loss("sum"), Huber(2e38, "sum")])
@pytest.mark.parametrize("x", [[1.5e19, 1.5e19], [3e38, 3e38], [np.inf, 1], [np.nan, 1]])
@pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")
def test_a_sum_of_finite_losses_is_finite(operator, x):
    x, labels = np.array(x, "float32"), np.zeros(2, "float32")
    found, _ = cuda.prepare(operator, (Spec(x.shape),) * 2).forward(x, labels)
    np.testing.assert_allclose(found, operator.forward(x, labels)[0], rtol=1e-6)


def test_the_slope_of_a_square_does_not_overflow_where_the_gradient_is_finite():
    operator, dy = MeanSquaredError("none"), np.array([0.25], "float32")
    x, labels = np.array([3e38], "float32"), np.zeros(1, "float32")
    kernel = cuda.prepare(operator, (Spec(x.shape),) * 2)
    _, saved = kernel.forward(x, labels)
    dx, dlabels = kernel.backward(saved, dy, (True, True))
    np.testing.assert_allclose([dx[0], dlabels[0]], [1.5e38, -1.5e38], rtol=1e-6)
