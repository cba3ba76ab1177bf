"""Activations, arithmetic, reductions, shapes and losses against SciPy, loops and differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special as scipy_special

from ops.activation import GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from ops.dimension import Dim
from ops.elementwise import Add, Divide, Identity, Multiply, Subtract
from ops.loss import Hinge, L2Penalty, MeanSquaredError, SoftmaxCrossEntropy
from ops.operator import Interval, Operator, ShapeError, Spec
from ops.reduction import Mean, Sum
from ops.shape import Concat, Flatten, Pad, Reshape, Transpose
from ops.special import erf, erfc

Draw = Callable[[Any], Any]

few = settings(max_examples=20, deadline=None)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)
LARGEST = float(np.finfo(np.float32).max)


def spread(seed: int, shape: Sequence[int]) -> np.ndarray:
    """Up to 256 random values in -3..3, at least 0.01 away from 0 and 0.02 from each other."""
    steps = np.random.default_rng(seed).permutation(256)[: math.prod(shape)]
    return ((steps + 0.5) / 256 * 6 - 3).reshape(shape)


def spec(array: np.ndarray) -> Spec:
    return Spec(array.shape, array.dtype.name)


def is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f"


def prove(operator: Operator, inputs: Sequence[np.ndarray], oracle: np.ndarray | float) -> None:
    """Forward against the oracle in both precisions, gradients against central differences."""
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        arrays = [x.astype(dtype) if is_float(x) else x for x in inputs]
        before = [x.copy() for x in arrays]
        y, saved = operator.forward(*arrays)
        inferred = operator.infer(*map(spec, arrays))
        assert (y.shape, y.dtype.name) == (inferred.shape, inferred.dtype)
        np.testing.assert_allclose(y, oracle, rtol=tolerance, atol=tolerance)

        dy = np.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype)
        kept = dy.copy()
        needs = tuple(map(is_float, arrays))
        gradients = operator.backward(saved, dy, needs)
        assert operator.backward(saved, dy, (False,) * len(arrays)) == (None,) * len(arrays)
        for x, original, gradient in zip(arrays, before, gradients, strict=True):
            np.testing.assert_array_equal(x, original)
            if is_float(x):
                assert (gradient.shape, gradient.dtype) == (x.shape, x.dtype)
            else:
                assert gradient is None
        np.testing.assert_array_equal(dy, kept)
        real = [g for g in gradients if g is not None]
        others = [dy, *arrays, *(s for s in saved if isinstance(s, np.ndarray))]
        for a, b in (*itertools.combinations(real, 2), *itertools.product(real, others)):
            assert not np.shares_memory(a, b)
        if dtype == "float64":
            compare_with_differences(operator, arrays, dy, gradients)


def compare_with_differences(
    operator: Operator,
    arrays: Sequence[np.ndarray],
    dy: np.ndarray,
    gradients: Sequence[np.ndarray | None],
    step: float = 1e-5,
) -> None:
    """One random direction per input: ``<dy, J u>`` equals ``<J^T dy, u>``."""
    rng = np.random.default_rng(2)
    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        direction = rng.uniform(0.5, 1.0, arrays[index].shape)
        direction *= rng.choice([-1.0, 1.0], arrays[index].shape)

        def along(t: float, index: int = index, direction: np.ndarray = direction) -> np.ndarray:
            moved = [x + t * direction if i == index else x for i, x in enumerate(arrays)]
            return operator.forward(*moved)[0]

        numerical = (dy * (along(step) - along(-step)) / (2 * step)).sum()
        scale = np.abs(gradient * direction).sum() + 1e-3
        assert abs(numerical - (gradient * direction).sum()) < 1e-6 * scale


# Activations

ACTIVATIONS: list[tuple[Operator, Callable[[np.ndarray], np.ndarray]]] = [
    (ReLU(), lambda x: np.where(x > 0, x, 0)),
    (LeakyReLU(), lambda x: np.where(x > 0, x, 0.01 * x)),
    (LeakyReLU(0.0), lambda x: np.where(x > 0, x, 0)),
    (LeakyReLU(1.5), lambda x: np.where(x > 0, x, 1.5 * x)),
    (Sigmoid(), scipy_special.expit),
    (Tanh(), lambda x: np.vectorize(math.tanh)(x)),
    (GELU(), lambda x: x * scipy_special.ndtr(x)),
    (
        GELU("tanh"),
        lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    ),
    (SiLU(), lambda x: x * scipy_special.expit(x)),
    (Identity(), lambda x: x),
]

EXTREMES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    88.0,
    -104.0,
    1e4,
    -1e4,
    1e20,
    -1e20,
    1e38,
    -1e38,
    LARGEST,
    -LARGEST,
]


@pytest.mark.parametrize(("operator", "oracle"), ACTIVATIONS, ids=lambda v: repr(v)[:30])
@few
@given(shape=shapes, seed=seeds)
def test_an_activation_agrees_with_its_oracle(operator, oracle, shape, seed):
    x = spread(seed, shape)
    prove(operator, [x], oracle(x))


@pytest.mark.parametrize("operator", [o for o, _ in ACTIVATIONS if o != LeakyReLU(1.5)], ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_an_activation_and_its_gradient_are_finite_for_every_finite_input(operator, dtype):
    limit = float(np.finfo(dtype).max)
    x = np.clip(np.array([*EXTREMES, limit, -limit]), -limit, limit).astype(dtype)
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == x.dtype


@pytest.mark.parametrize("operator", [GELU(), GELU("tanh"), SiLU(), Sigmoid()], ids=repr)
def test_small_results_keep_their_relative_accuracy_in_float32(operator):
    x = np.linspace(-6, -1, 101, dtype=np.float32)
    exact = operator.forward(x.astype(np.float64))[0]
    np.testing.assert_allclose(operator.forward(x)[0], exact, rtol=2e-5)


@few
@given(
    shape=shapes,
    seed=seeds,
    data=st.data(),
    operator=st.sampled_from([Softmax, LogSoftmax]),
)
def test_softmax_and_its_logarithm_agree_with_scipy(shape, seed, data, operator):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = spread(seed, shape)
    oracle = scipy_special.softmax if operator is Softmax else scipy_special.log_softmax
    prove(operator(axis=axis), [x], oracle(x, axis=axis))


@few
@given(
    st.lists(st.lists(st.sampled_from(EXTREMES), min_size=3, max_size=3), min_size=1, max_size=3)
)
def test_softmax_log_softmax_and_cross_entropy_are_finite_for_extreme_logits(rows):
    x = np.array(rows, np.float32)
    for operator in (Softmax(), LogSoftmax()):
        y, saved = operator.forward(x)
        (dx,) = operator.backward(saved, np.ones_like(y), (True,))
        assert np.isfinite(y).all() and np.isfinite(dx).all()
        assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(Softmax().forward(x)[0].sum(axis=-1), 1, rtol=1e-6)
    for label in range(3):
        loss, saved = SoftmaxCrossEntropy().forward(x, np.full(len(rows), label))
        dx, _ = SoftmaxCrossEntropy().backward(saved, np.ones_like(loss), (True, False))
        assert np.isfinite(loss) and loss >= 0 and np.isfinite(dx).all()


def test_a_logit_far_below_a_large_one_gets_no_probability():
    x = np.array([1e38, -1e38, -LARGEST], np.float32)
    np.testing.assert_array_equal(Softmax().forward(x)[0], [1, 0, 0])
    np.testing.assert_allclose(LogSoftmax().forward(x)[0], [0, -2e38, -LARGEST], rtol=1e-6)
    np.testing.assert_array_equal(Softmax().forward(-x[:2])[0], [0, 1])


@settings(max_examples=200, deadline=None)
@given(st.floats(-30, 30))
def test_the_error_functions_agree_with_the_c_library(value):
    x = np.array([value])
    assert erf(x)[0] == pytest.approx(math.erf(value), rel=1e-15, abs=1e-300)
    assert erfc(x)[0] == pytest.approx(math.erfc(value), rel=2e-15, abs=1e-300)


def test_the_error_functions_agree_with_scipy_everywhere():
    x = np.concatenate(
        [np.linspace(-7, 7, 20001), [np.inf, -np.inf, np.nan, 1e308, -1e308, 1e-300]]
    )
    np.testing.assert_allclose(erf(x), scipy_special.erf(x), rtol=1e-15)
    np.testing.assert_allclose(erfc(x), scipy_special.erfc(x), rtol=2e-14)
    assert erf(x[:9].astype(np.float16)).dtype == np.float16


# Elementwise


@st.composite
def broadcastable(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    out = draw(shapes)

    def narrowed() -> tuple[int, ...]:
        shape = tuple(draw(st.sampled_from((n, 1))) for n in out)
        return shape[draw(st.integers(0, len(shape))) :]

    narrow = narrowed()
    return draw(st.sampled_from([(out, narrow), (narrow, out), (narrowed(), narrow)]))


@pytest.mark.parametrize(
    ("operator", "scalar"),
    [
        (Add(), lambda a, b: a + b),
        (Subtract(), lambda a, b: a - b),
        (Multiply(), lambda a, b: a * b),
        (Divide(), lambda a, b: a / b),
    ],
    ids=["add", "subtract", "multiply", "divide"],
)
@few
@given(pair=broadcastable(), seed=seeds)
def test_arithmetic_broadcasts_as_a_loop_over_entries_does(operator, scalar, pair, seed):
    a = spread(seed, pair[0])
    b = np.copysign(np.abs(spread(seed + 1, pair[1])) + 0.5, spread(seed + 2, pair[1]))
    wide_a, wide_b = np.broadcast_arrays(a, b)
    oracle = np.array([scalar(p, q) for p, q in zip(wide_a.flat, wide_b.flat, strict=True)])
    prove(operator, [a, b], oracle.reshape(wide_a.shape))


def test_arithmetic_keeps_the_symbolic_batch():
    assert Add().infer(Spec(("N", 3)), Spec((3,))).shape == ("N", 3)
    assert Multiply().infer(Spec(("N", 1)), Spec((1, 4))).shape == ("N", 4)


def test_arithmetic_on_one_value_with_itself_gives_two_separate_gradients():
    y, saved = Add().forward(np.ones(3), np.ones(3))
    da, db = Add().backward(saved, np.ones_like(y), (True, True))
    da += 1
    np.testing.assert_array_equal(db, np.ones(3))


# Reductions


@st.composite
def reductions(draw: Draw) -> tuple[tuple[int, ...], Any, bool]:
    shape = draw(shapes)
    axes = st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True).map(tuple)
    axis = draw(st.one_of(st.none(), axes, st.integers(-len(shape), len(shape) - 1)))
    if isinstance(axis, tuple) and draw(st.booleans()):
        axis = (axis[0] - len(shape), *axis[1:])
    return shape, axis, draw(st.booleans())


def reduce_by_loop(x: np.ndarray, axis: Any, keepdims: bool, mean: bool) -> np.ndarray:
    entries = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {a % x.ndim for a in entries}
    groups: dict[tuple[int, ...], list[float]] = {}
    for index in np.ndindex(x.shape):
        key = tuple(0 if a in axes else i for a, i in enumerate(index))
        groups.setdefault(key, []).append(x[index])
    out = np.empty([1 if a in axes else n for a, n in enumerate(x.shape)])
    for key, group in groups.items():
        out[key] = math.fsum(group) / (len(group) if mean else 1)
    return out if keepdims else out.reshape([n for a, n in enumerate(x.shape) if a not in axes])


@pytest.mark.parametrize("operator", [Sum, Mean])
@few
@given(case=reductions(), seed=seeds)
def test_a_reduction_agrees_with_a_loop(operator, case, seed):
    shape, axis, keepdims = case
    x = spread(seed, shape)
    oracle = reduce_by_loop(x, axis, keepdims, operator is Mean)
    prove(operator(axis=axis, keepdims=keepdims), [x], oracle)


def test_a_full_reduction_gives_an_array_of_shape_zero():
    assert isinstance(Sum().forward(np.ones((2, 3)))[0], np.ndarray)


@pytest.mark.parametrize("operator", [Sum, Mean])
def test_a_reduction_may_drop_or_keep_the_symbolic_batch(operator):
    x = Spec(("N", 3, 4))
    assert operator().infer(x).shape == ()
    assert operator(axis=0).infer(x).shape == (3, 4)
    assert operator(axis=(0, -1), keepdims=True).infer(x).shape == (1, 3, 1)
    assert operator(axis=[1, 2]).infer(x).shape == ("N",)
    assert operator().flops(x.bind(2)) == 24


# Shapes


@few
@given(shape=shapes, seed=seeds, data=st.data())
def test_flatten_joins_the_axes_from_its_start(shape, seed, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    x = spread(seed, shape)
    oracle = [x[i].ravel() for i in np.ndindex(shape[:start])]
    y = np.array(oracle).reshape(*shape[:start], -1)
    prove(Flatten(start), [x], y)
    prove(Flatten(start - len(shape)), [x], y)


@few
@given(shape=shapes, seed=seeds, data=st.data())
def test_reshape_keeps_raster_order_with_each_wildcard(shape, seed, data):
    target = list(data.draw(st.permutations(shape)))
    x = spread(seed, shape)
    oracle = np.array(list(x.flat)).reshape(target)
    prove(Reshape(tuple(target)), [x], oracle)
    for wildcard in (-1, "N"):
        position = data.draw(st.integers(0, len(target) - 1))
        prove(Reshape((*target[:position], wildcard, *target[position + 1 :])), [x], oracle)
    prove(Reshape(("N", *shape[1:-1], -1)), [x], x if len(shape) > 1 else x[:, None])


@few
@given(shape=shapes, seed=seeds, data=st.data())
def test_transpose_permutes_axes_as_indices(shape, seed, data):
    axes = data.draw(st.permutations(range(len(shape))))
    x = spread(seed, shape)
    oracle = np.empty([shape[a] for a in axes])
    for index in np.ndindex(x.shape):
        oracle[tuple(index[a] for a in axes)] = x[index]
    prove(Transpose(tuple(axes)), [x], oracle)
    prove(Transpose(tuple(a - len(shape) for a in axes)), [x], oracle)
    prove(Transpose(), [x], x.T)


@few
@given(shape=shapes, seed=seeds, data=st.data())
def test_concat_places_its_inputs_one_after_the_other(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    front = axis % len(shape)
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    xs = [spread(seed + n, (*shape[:front], n, *shape[front + 1 :])) for n in sizes]
    oracle = np.empty((*shape[:front], sum(sizes), *shape[front + 1 :]))
    for number, x in enumerate(xs):
        for index in np.ndindex(x.shape):
            moved = list(index)
            moved[front] += sum(sizes[:number])
            oracle[tuple(moved)] = x[index]
    prove(Concat(axis), xs, oracle)


@few
@given(shape=shapes, seed=seeds, data=st.data(), value=st.sampled_from([0.0, -2.5]))
def test_pad_surrounds_the_input_with_its_value(shape, seed, data, value):
    amount = st.integers(0, 2)
    padding = tuple(data.draw(st.tuples(amount, amount)) for _ in shape)
    x = spread(seed, shape)
    oracle = np.full([n + b + e for n, (b, e) in zip(shape, padding, strict=True)], value)
    for index in np.ndindex(x.shape):
        oracle[tuple(i + b for i, (b, _) in zip(index, padding, strict=True))] = x[index]
    prove(Pad(padding, value), [x], oracle)


def test_shape_operators_carry_the_symbolic_batch():
    x = Spec(("N", 3, 4))
    assert Flatten().infer(x).shape == ("N", 12)
    assert Flatten(0).infer(x).shape == (Dim(12),)
    assert Reshape((-1, 4)).infer(x).shape == (Dim(3), 4)
    assert Reshape(("N", 12)).infer(x).shape == ("N", 12)
    assert Reshape(("N", 2, -1)).infer(x).shape == ("N", 2, 6)
    assert Reshape((2, "N", 2)).infer(Spec((Dim(4),))).shape == (2, "N", 2)
    assert Reshape((Dim(), 12)) == Reshape(("N", 12))
    assert Transpose((1, 0, 2)).infer(x).shape == (3, "N", 4)
    assert Concat().infer(x, x).shape == ("N", 6, 4)
    assert Concat(0).infer(x, x, Spec((5, 3, 4))).shape == (Dim(2, 5), 3, 4)
    assert Pad(((0, 0), (1, 0), (2, 2))).infer(x).shape == ("N", 4, 8)
    assert Pad(((1, 0),)).infer(Spec(("N",))).shape == (Dim(1, 1),)
    assert Flatten().flops(x) == 0


def test_shape_operators_serve_an_empty_batch_and_integers():
    x = np.zeros((0, 6), np.int64)
    assert Reshape(("N", 2, -1)).forward(x)[0].shape == (0, 2, 3)
    assert Reshape(("N", 2, 3)).forward(x)[0].shape == (0, 2, 3)
    assert Flatten(0).forward(x)[0].dtype == np.int64


# Losses


@few
@given(
    batch=st.integers(1, 4),
    classes=st.integers(1, 5),
    positions=st.lists(st.integers(1, 3), max_size=2),
    seed=seeds,
    dtype=st.sampled_from(["int8", "uint8", "int32", "uint64", "int64"]),
)
def test_cross_entropy_is_the_mean_negative_log_probability(batch, classes, positions, seed, dtype):
    x = spread(seed, (batch, classes, *positions))
    labels = np.random.default_rng(seed).integers(0, classes, (batch, *positions)).astype(dtype)
    logs = scipy_special.log_softmax(x, axis=1)
    terms = [-logs[(i[0], int(labels[i]), *i[1:])] for i in np.ndindex(labels.shape)]
    prove(SoftmaxCrossEntropy(), [x, labels], math.fsum(terms) / len(terms))
    wanted = {"labels": Interval(0, classes)}
    assert SoftmaxCrossEntropy().domains(spec(x), spec(labels)) == wanted


@few
@given(
    batch=st.integers(1, 4),
    classes=st.integers(1, 5),
    seed=seeds,
    margin=st.sampled_from([0.0, 0.5, 1]),
)
def test_hinge_is_the_sum_of_what_exceeds_the_margin(batch, classes, seed, margin):
    # whole steps plus a class's own fraction: no difference comes near the margin
    steps = np.random.default_rng(seed).integers(-2, 3, (batch, classes))
    x = steps + np.linspace(0, 0.4, classes)
    labels = np.random.default_rng(seed).integers(0, classes, batch)
    total = 0.0
    for row, label in zip(x, labels, strict=True):
        for j, score in enumerate(row):
            if j != label:
                total += max(0.0, score - row[label] + margin)
    prove(Hinge(margin), [x, labels], total / batch)
    assert Hinge().domains(spec(x), spec(labels)) == {"labels": Interval(0, classes)}


@few
@given(shape=shapes, seed=seeds)
def test_mean_squared_error_agrees_with_a_loop(shape, seed):
    x, labels = spread(seed, shape), spread(seed + 1, shape)
    squares = [(p - q) ** 2 for p, q in zip(x.flat, labels.flat, strict=True)]
    prove(MeanSquaredError(), [x, labels], math.fsum(squares) / len(squares))


@few
@given(all_shapes=st.lists(shapes, min_size=1, max_size=3), seed=seeds)
def test_l2_penalty_adds_the_squares_of_all_weights(all_shapes, seed):
    weights = [spread(seed + i, shape) for i, shape in enumerate(all_shapes)]
    total = 0.3 * math.fsum(v * v for w in weights for v in w.flat)
    prove(L2Penalty(0.3), [np.array(2.0), *weights], 2.0 + total)


@pytest.mark.parametrize("operator", [SoftmaxCrossEntropy(), Hinge()], ids=repr)
@pytest.mark.parametrize("wrong", [-1, 3, 2**40])
def test_a_label_outside_the_classes_gives_nan(operator, wrong):
    labels = np.array([0, wrong])
    loss, saved = operator.forward(np.ones((2, 3), np.float32), labels)
    dx, _ = operator.backward(saved, np.ones_like(loss), (True, False))
    assert np.isnan(loss)
    assert np.isnan(dx[1]).any() and np.isfinite(dx[0]).all()


def test_a_narrow_label_dtype_does_not_wrap_around_the_classes():
    loss, _ = SoftmaxCrossEntropy().forward(np.zeros((1, 300)), np.array([44], np.uint8))
    assert loss == pytest.approx(math.log(300))


@pytest.mark.parametrize("operator", [SoftmaxCrossEntropy(), Hinge(), MeanSquaredError()], ids=repr)
def test_a_loss_is_a_scalar_array_for_a_symbolic_batch(operator):
    floating = isinstance(operator, MeanSquaredError)
    labels = Spec(("N", 3)) if floating else Spec(("N",), "int64")
    assert operator.infer(Spec(("N", 3)), labels) == Spec(())
    data = np.ones((2, 3), np.float32)
    y, _ = operator.forward(data, data if floating else np.zeros(2, np.int64))
    assert isinstance(y, np.ndarray) and y.shape == ()


# Errors

X = Spec(("N", 3, 4))
INTS = Spec(("N",), "int64")


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Sigmoid(), [INTS], "floating dtype, received int64"),
        (Softmax(axis=3), [X], "axis in -3..2, received 3"),
        (LogSoftmax(), [Spec(("N", 0))], "entries along axis 1, received float32 \\(N, 0\\)"),
        (Add(), [X, Spec((5,))], "shapes that broadcast, received \\(N, 3, 4\\) and \\(5,\\)"),
        (Add(), [X, Spec((4,), "float64")], "equal dtypes"),
        (Multiply(), [X, Spec((), "int64")], "b of a floating dtype"),
        (Sum(axis=-4), [X], "axis in -3..2, received -4"),
        (Sum(axis=(1, -2)), [X], "distinct axes"),
        (Mean(axis=1), [Spec(("N", 0))], "mean of, received float32 \\(N, 0\\)"),
        (Mean(), [Spec((0, 3))], "mean of, received float32 \\(0, 3\\)"),
        (Flatten(1), [INTS], "axis in -1..0, received 1"),
        (Reshape((5, 2)), [Spec((3, 4))], "fit \\(5, 2\\), received float32 \\(3, 4\\)"),
        (Reshape((12,)), [X], "fit \\(12,\\), received float32 \\(N, 3, 4\\)"),
        (Reshape((-1, 5)), [X], "fit \\(-1, 5\\)"),
        (Reshape((-1, 0)), [Spec((0, 3))], "fit \\(-1, 0\\)"),
        (Reshape(("N", 6)), [X], "fit \\(N, 6\\)"),
        (Reshape(("N", -1)), [Spec((4, "N"))], "fit \\(N, -1\\)"),
        (Reshape(("N", -1)), [Spec(())], "fit \\(N, -1\\)"),
        (Transpose((0, 1)), [X], "each of 3 axes once, received \\(0, 1\\)"),
        (Transpose((0, 1, -2)), [X], "each of 3 axes once"),
        (Concat(), [], "at least one input, received none"),
        (Concat(), [X, Spec(("N", 3, 5))], "but for axis 1, received float32 \\(N, 3, 4\\) and"),
        (Concat(), [X, Spec(("N", 3))], "but for axis 1"),
        (Concat(), [X, Spec(("N", 3, 4), "float64")], "but for axis 1"),
        (Pad(((1, 1),)), [X], "of 1 axes, one for each .* received float32 \\(N, 3, 4\\)"),
        (SoftmaxCrossEntropy(), [Spec(("N", 3)), Spec(("N",))], "integer labels, received float32"),
        (SoftmaxCrossEntropy(), [X, INTS], "labels \\(N, 4\\) for .* received int64 \\(N,\\)"),
        (SoftmaxCrossEntropy(), [Spec((3, "N")), Spec((3,), "int64")], "known number of classes"),
        (SoftmaxCrossEntropy(), [Spec((0, 3)), Spec((0,), "int64")], "at least one label"),
        (SoftmaxCrossEntropy(), [Spec(("N", 3, 0)), Spec(("N", 0), "int8")], "at least one label"),
        (SoftmaxCrossEntropy(), [Spec(("N",)), INTS], "2 or more axes"),
        (Hinge(), [X, Spec(("N", 4), "int64")], "an input of 2 axes"),
        (Hinge(), [Spec((0, 3)), Spec((0,), "int64")], "at least one label"),
        (MeanSquaredError(), [X, Spec(("N", 3))], "labels float32 \\(N, 3, 4\\), received"),
        (MeanSquaredError(), [X, Spec(("N", 3, 4), "float64")], "labels float32"),
        (MeanSquaredError(), [Spec((0,)), Spec((0,))], "at least one label"),
        (
            L2Penalty(1.0),
            [Spec((2,)), Spec((2,))],
            "loss float32 \\(\\), received float32 \\(2,\\)",
        ),
        (L2Penalty(1.0), [Spec(())], "at least one weight"),
        (L2Penalty(1.0), [Spec(()), Spec((2,), "float64")], "weight float32 \\(2,\\), received"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: LeakyReLU(-1.0), ValueError, "LeakyReLU: expected a finite negative_slope"),
        (lambda: LeakyReLU("1"), TypeError, "LeakyReLU: expected a number"),
        (lambda: GELU("erf"), ValueError, 'GELU: expected approximate "none" or "tanh"'),
        (lambda: Softmax(axis=1.0), TypeError, "Softmax: expected an integer axis"),
        (lambda: Sum(axis=1.5), TypeError, "Sum: expected None, an integer or several"),
        (lambda: Mean(axis=()), ValueError, "Mean: expected at least one axis"),
        (lambda: Sum(keepdims=1), TypeError, "Sum: expected True or False"),
        (lambda: Flatten(None), TypeError, "Flatten: expected an integer for start_axis"),
        (lambda: Reshape(5), TypeError, "Reshape: expected a tuple"),
        (lambda: Reshape((2.0,)), TypeError, "Reshape: expected integers"),
        (lambda: Reshape((-2,)), ValueError, "Reshape: expected sizes of at least -1"),
        (lambda: Reshape((-1, -1)), ValueError, "Reshape: expected -1"),
        (lambda: Reshape(("N", "N")), ValueError, 'and "N" at most once'),
        (lambda: Transpose((0, 1.0)), TypeError, "Transpose: expected integers"),
        (lambda: Concat("1"), TypeError, "Concat: expected an integer for axis"),
        (lambda: Pad((1, 1)), TypeError, "Pad: expected a \\(begin, end\\) pair"),
        (lambda: Pad(((0.5, 1),)), TypeError, "Pad: expected integers"),
        (lambda: Pad(((-1, 1),)), ValueError, "Pad: expected padding of at least 0"),
        (lambda: Pad(((1, 1),), "x"), TypeError, "Pad: expected a number"),
        (lambda: Hinge(math.nan), ValueError, "Hinge: expected a finite margin"),
        (lambda: L2Penalty(math.inf), ValueError, "L2Penalty: expected a finite strength"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize(
    "operator",
    [
        LeakyReLU(np.float64(0.1)),
        Hinge(np.float64(1.0)),
        L2Penalty(np.float64(0.1)),
        Pad([[0, 0]], np.float64(1.0)),
        Transpose([1, 0]),
        Reshape([2, -1]),
        Sum(axis=np.int64(1)),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_fields_are_kept_as_plain_python_values(operator):
    for value in vars(operator).values():
        assert type(value) in (int, float, tuple, bool)
    assert hash(operator) == hash(type(operator)(**vars(operator)))


def test_every_operator_names_its_inputs():
    assert Concat.signature().variadic == "xs"
    assert L2Penalty.signature().names == ("loss",) and L2Penalty.signature().variadic == "weights"
    assert SoftmaxCrossEntropy.signature().names == ("x", "labels")
    assert Divide.signature().names == ("a", "b")
    assert Mean.signature().names == Softmax.signature().names == ("x",)
