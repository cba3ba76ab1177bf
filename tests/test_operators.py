"""Every operator is held to every promise of the contract; a record drives its tests."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import ops
from graphnet.backends import get_backend, status
from graphnet.testing import CHECKS, prove
from graphnet.testing.checks import check_adjoint, check_backend
from graphnet.testing.records import RECORDS

each_record = pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.operator.__name__)
WORKING = {name for name, works, _ in status() if works}


def test_every_public_operator_has_a_record():
    public = {
        cls
        for cls in vars(ops).values()
        if inspect.isclass(cls) and issubclass(cls, ops.Operator) and cls is not ops.Operator
    }
    assert public == {record.operator for record in RECORDS}


@each_record
def test_forward_agrees_with_an_independent_reference(record):
    assert record.reference is not None

    def check(case):
        outputs, _ = case.forward()
        expected = record.reference(case.operator, *case.inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for y, wanted in zip(outputs, expected, strict=False):
            np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-12)

    prove(record.cases, check)


@each_record
@pytest.mark.parametrize("promise", CHECKS)
def test_promise(record, promise):
    prove(record.cases, CHECKS[promise])


@pytest.mark.parametrize(
    "record", [r for r in RECORDS if r.linear], ids=lambda r: r.operator.__name__
)
def test_backward_is_the_exact_adjoint_of_a_linear_map(record):
    prove(record.cases, lambda case: check_adjoint(case, record.linear))


@each_record
@pytest.mark.parametrize(
    "backend",
    [
        "strict",
        pytest.param("cupy", marks=[pytest.mark.gpu, pytest.mark.skipif(
            "cupy" not in WORKING, reason="no CUDA device, or cupy is not installed")]),
    ],
)  # fmt: skip
def test_backend_gives_the_results_of_numpy(record, backend):
    prove(record.cases, lambda case: check_backend(case, get_backend(backend)))
