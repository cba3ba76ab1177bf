"""Integers inside a graph: the operators that compute with them give what Python's own give."""

from __future__ import annotations

import math
import operator as python

import numpy as np
import pytest
from hypothesis import strategies as st

import graphnet as gn
import ops
from graphnet.testing import Case, promises, prove
from graphnet.testing.batches import batched, broadcastable
from graphnet.testing.records.elementwise import loop
from graphnet.testing.records.linear import product
from graphnet.testing.records.reduction import cases, each_group
from graphnet.testing.records.slicing import pad
from graphnet.testing.strategies import seeds
from ops import ShapeError, Spec

#: Entries are small, so that no result wraps around.
DTYPES = st.sampled_from(("int64", "int32", "int8"))


def integers(shape, seed, dtype="int64", low=-4, high=5):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


@st.composite
def pairs(draw, operator, low=-4):
    shape_a, shape_b = draw(broadcastable())
    seed, dtype = draw(seeds), draw(DTYPES)
    a, b = integers(shape_a, seed, dtype), integers(shape_b, seed + 1, dtype, low)
    if isinstance(operator, ops.Power):
        b = b % 3
    if isinstance(operator, ops.Divide):
        b += b == 0
    return Case(operator, (a, b), seed)


@st.composite
def single(draw, operator):
    seed, dtype = draw(seeds), draw(DTYPES)
    return Case(operator, (integers(draw(batched(min_rank=0)), seed, dtype),), seed)


@st.composite
def products(draw):
    leading_a, leading_b = draw(broadcastable(max_rank=2))
    seed, dtype = draw(seeds), draw(DTYPES)
    a, b = integers((*leading_a, 2, 3), seed, dtype), integers((*leading_b, 3, 4), seed + 1, dtype)
    return Case(ops.MatMul(), (a, b), seed)


BINARY = [
    (ops.Add(), python.add),
    (ops.Subtract(), python.sub),
    (ops.Multiply(), python.mul),
    (ops.Divide(), lambda p, q: math.trunc(p / q)),
    (ops.Power(), pow),
    (ops.Maximum(), max),
    (ops.Minimum(), min),
]

UNARY = [
    (ops.Abs(), abs),
    (ops.Neg(), python.neg),
    (ops.Sign(), lambda v: (v > 0) - (v < 0)),
    (ops.ReLU(), lambda v: max(v, 0)),
    (ops.Clip(-1, 2), lambda v: min(max(v, -1), 2)),
    (ops.Clip(0), lambda v: max(v, 0)),
    (ops.Clip(high=1), lambda v: min(v, 1)),
]

REDUCTIONS = [
    (ops.Sum, sum, True),
    (ops.ReduceL1, lambda group: sum(map(abs, group)), True),
    (ops.ReduceProd, math.prod, True),
    (ops.ReduceMax, max, False),
    (ops.ReduceMin, min, False),
]


def named(value):
    return repr(value) if isinstance(value, ops.Operator) else ""


@pytest.mark.parametrize(("operator", "function"), BINARY, ids=named)
def test_arithmetic_of_two_integers_is_pythons(operator, function):
    prove(pairs(operator), *promises(loop(function)))


@pytest.mark.parametrize(("operator", "function"), UNARY, ids=named)
def test_a_function_of_one_integer_is_pythons(operator, function):
    prove(single(operator), *promises(loop(function)))


@pytest.mark.parametrize(("operator", "combine", "empty"), REDUCTIONS)
def test_a_reduction_of_integers_is_pythons_and_keeps_the_dtype(operator, combine, empty):
    def factors(shape, seed):
        return integers(shape, seed, low=-2, high=3).astype("int32")

    prove(cases(operator, factors, empty), *promises(each_group(combine)))


def test_the_extremes_of_truth_values_are_any_and_all():
    x = np.array([[True, False], [True, True], [False, False]])
    assert ops.ReduceMax(1).infer(Spec((3, 2), "bool")) == Spec((3,), "bool")
    assert ops.ReduceMax(1).forward(x)[0].tolist() == [True, True, False]
    assert ops.ReduceMin(1).forward(x)[0].tolist() == [False, True, False]


def test_a_product_of_integer_matrices_is_pythons():
    prove(products(), *promises(product))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_a_border_of_integers_keeps_their_dtype(mode, dtype):
    operator = ops.Pad(((1, 2), (0, 1)), 1.0, mode)
    x = integers((3, 2), 7, dtype, low=0)
    y, _ = operator.forward(x)
    assert y.dtype == dtype and operator.infer(Spec((3, 2), dtype)).dtype == dtype
    np.testing.assert_array_equal(y, pad(operator, x).astype(dtype))


def test_a_quotient_of_the_largest_integers_is_exact():
    a, b = np.array([2**63 - 1, -(2**63) + 1, 2**53 + 1]), np.array([-2, 2, 1])
    assert ops.Divide().forward(a, b)[0].tolist() == [-(2**62) + 1, -(2**62) + 1, 2**53 + 1]


def test_unsigned_quotients_are_cut_off_as_well():
    y, _ = ops.Divide().forward(np.array([7, 255], "uint8"), np.array([2, 16], "uint8"))
    assert y.tolist() == [3, 15] and y.dtype == "uint8"


def test_a_power_of_integers_says_which_exponents_it_takes():
    spec = Spec((2,), "int64")
    assert ops.Power().domains(spec, spec)["b"].low == 0
    assert ops.Power().domains(Spec((2,)), Spec((2,))) == {}


def test_a_bound_that_the_dtype_does_not_hold_is_refused():
    for operator in (ops.Clip(0.5), ops.Clip(high=300), ops.Clip(-1)):
        with pytest.raises(ShapeError, match="an input whose dtype holds"):
            operator.infer(Spec(("N",), "uint8"))


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_integers_and_truth_values_run_through_a_graph_beside_floating_numbers(backend):
    i, x = gn.Input("i", ("N", 3), "int64"), gn.Input("x", ("N", 4))
    total = ops.Abs()(ops.Sum(axis=1, keepdims=True)(i))
    share = ops.Divide()(ops.Multiply()(i, i), total)
    y = ops.Multiply()(ops.Linear(3)(x), ops.Cast("float32")(share))
    odd = ops.Cast("bool")(ops.BitwiseAnd()(i, ops.Sign()(i)))
    graph = gn.Graph(loss=ops.Mean()(y), share=share, odd=odd)
    net = gn.Executor(graph, backend=backend, seed=0)
    fed = {"i": np.array([[1, 2, 3], [4, 5, 6]]), "x": np.ones((2, 4), "float32")}
    out = {k: net.to_host(v) for k, v in net.forward(**fed, training=True).items()}
    assert out["share"].tolist() == [[0, 0, 1], [1, 1, 2]] and out["share"].dtype == "int64"
    assert out["odd"].tolist() == [[True, False, True], [False, True, False]]
    gradient = net.to_host(net.backward("loss")["linear_1.bias"])
    np.testing.assert_allclose(gradient, np.array([1, 1, 3]) / 6, rtol=1e-6)
