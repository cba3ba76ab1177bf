"""Naive kernels against the operators' own arithmetic, alone and in a whole network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import settings

import graphnet as gn
from graphnet.kernels import get_providers, naive, reference
from graphnet.models import deep_convnet
from graphnet.testing import prove
from graphnet.testing.records import RECORDS
from ops import AvgPool, BatchNorm, Conv, Linear, MaxPool, Spec

SERVED = (Conv, MaxPool, AvgPool, BatchNorm, Linear)
NAIVE = [record for record in RECORDS if record.operator in SERVED]
OTHERS = [record for record in RECORDS if record.operator not in SERVED]
MAX_POOL = next(record for record in RECORDS if record.operator is MaxPool)


def name(record):
    return record.operator.__name__


def compare(case):
    """The kernel's outputs and gradients equal the operator's, and None where none is needed."""
    kernel = naive.prepare(case.operator, case.specs)
    outputs, saved = case.forward()
    naive_outputs, naive_saved = kernel.forward(*case.inputs)
    _, v = case.directions()
    dy = tuple(v) if len(v) > 1 else v[0]
    for y, wanted in zip(
        naive_outputs if isinstance(naive_outputs, tuple) else (naive_outputs,),
        outputs,
        strict=True,
    ):
        np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-12)
    gradients = kernel.backward(naive_saved, dy, case.needs)
    expected = case.backward(saved, v)
    for needed, gradient, wanted in zip(case.needs, gradients, expected, strict=True):
        assert (gradient is not None) == needed
        if needed:
            np.testing.assert_allclose(gradient, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("record", NAIVE, ids=name)
def test_naive_kernel_agrees_with_the_operator_forward_and_backward(record):
    prove(record.cases, compare)


def test_naive_and_own_max_pooling_give_a_tie_to_the_same_entry():
    # entries of -1, 0 and 1 make ties in nearly every window
    prove(
        MAX_POOL.cases,
        lambda case: compare(replace(case, inputs=(np.round(case.inputs[0] / 2),))),
    )


def test_naive_and_own_max_pooling_give_windows_of_nothing_but_infinity_to_the_same_entry():
    def check(case):
        (x,) = case.inputs
        compare(replace(case, inputs=(np.where(x > 1, x, -np.inf),)))

    prove(MAX_POOL.cases, check)


@pytest.mark.parametrize("record", OTHERS, ids=name)
def test_naive_serves_no_other_operator(record):
    def check(case):
        assert naive.prepare(case.operator, case.specs) is None

    prove(record.cases, check, settings=settings(max_examples=2))


def test_naive_leaves_a_subclass_to_its_own_arithmetic():
    @dataclass(frozen=True)
    class Doubled(Linear):
        pass

    assert naive.prepare(Doubled(3), (Spec((2, 4)), Spec((3, 4)))) is None


def test_reference_kernel_is_the_operator_itself():
    pool = MaxPool(2)
    assert reference.prepare(pool, (Spec((1, 1, 2, 2)),)) is pool


def small_network(kernels):
    graph = deep_convnet((2, 6, 6), filters=(3, 4), pools=(1,), classes=3, dropout=0.5, reg=0.1)
    return gn.Executor(graph, kernels=kernels, dtype="float64", seed=3)


@pytest.fixture
def feeds():
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(3, 2, 6, 6)), "label": np.array([0, 2, 1])}


@pytest.mark.parametrize("training", [True, False])
def test_naive_network_gives_the_reference_results(feeds, training):
    results = []
    for kernels in ("naive", "reference"):
        net = small_network(kernels)
        outputs = net.forward(training=training, differentiate=True, **feeds)
        results.append({**outputs, **net.states, **net.backward("loss", wrt=wanted(net))})
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    for key, array in ours.items():
        np.testing.assert_allclose(array, theirs[key], rtol=1e-9, atol=1e-11, err_msg=key)


def wanted(net):
    return [*net.trainable, "image"]


def test_executor_asks_the_naive_provider_first_and_the_reference_one_last():
    table = small_network("naive").explain(2)
    kernels = {line.split()[1]: line.split()[2] for line in table.splitlines() if "_1 " in line}
    assert kernels["Conv"] == kernels["MaxPool"] == kernels["Linear"] == "naive"
    assert kernels["ReLU"] == kernels["SoftmaxCrossEntropy"] == "reference"


def test_reference_is_always_the_last_provider_and_named_once():
    assert list(get_providers(["reference", "naive"])) == ["reference", "naive"]
    assert list(get_providers([])) == ["reference"]


def test_unknown_kernels_are_refused_by_name():
    with pytest.raises(ValueError, match=r"among \['compiled', .*received 'blas'"):
        small_network("blas")


def test_naive_kernels_are_refused_on_another_backend(feeds):
    graph = deep_convnet((2, 6, 6), filters=(3,), pools=(), classes=3)
    with pytest.raises(ValueError, match="naive kernels run on numpy, not on 'strict'"):
        gn.Executor(graph, "strict", kernels="naive")
