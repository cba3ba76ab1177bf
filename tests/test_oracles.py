"""Other libraries give the same results, each where it is installed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings

import ops
from graphnet.testing import BrokenPromise, Case, prove
from graphnet.testing.records import RECORDS
from ops.operator import Operator
from tests.oracles import onnx_oracle, scipy_oracle, torch_oracle

ORACLES = {"torch": torch_oracle, "onnx": onnx_oracle, "scipy": scipy_oracle}

#: Of resizing, no other library has more than a part.
SETTINGS = settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])

#: Operators that no other library here computes, and why.
ALONE = {ops.Dropout: "which entries it drops follows from a counter of graphnet's own"}


def public_operators():
    found = {getattr(ops, name) for name in ops.__all__}
    return {
        c for c in found if inspect.isclass(c) and issubclass(c, Operator) and c is not Operator
    }


def needs(library):
    missing = find_spec(library) is None
    return pytest.mark.skipif(missing, reason=f"{library} is not installed")


def comparison(library, record):
    name = f"{record.operator.__name__}-{library}"
    return pytest.param(ORACLES[library], record, id=name, marks=needs(library))


@pytest.mark.parametrize(
    ("oracle", "record"),
    [
        comparison(library, record)
        for record in RECORDS
        for library, oracle in ORACLES.items()
        if record.operator in oracle.TABLE
    ],
)
def test_another_library_gives_the_same_results(oracle, record):
    # a case that the library cannot express does not count; Hypothesis refuses to find no other
    prove(record.cases, lambda case: assume(oracle.check(case)), settings=SETTINGS)


class WrongOutput(ops.Sigmoid):
    """A kernel that computes something else, if not by much."""

    def forward(self, x):
        y, saved = super().forward(x)
        return y * (1 + 1e-4), saved


class WrongGradient(ops.Sigmoid):
    """A kernel that hands something else back, if not by much."""

    def backward(self, saved, dy, needs):
        (dx,) = super().backward(saved, dy, needs)
        return (dx * (1 + 1e-4),)


@pytest.mark.parametrize("library", [pytest.param(name, marks=needs(name)) for name in ORACLES])
def test_an_oracle_finds_a_wrong_output(library):
    case = Case(ops.Sigmoid(), (np.array([0.5, 1.5]),), kernel=WrongOutput())
    with pytest.raises(BrokenPromise, match=f"differs from {library}'s most at \\[1\\]"):
        ORACLES[library].check(case)


@needs("torch")
def test_an_oracle_with_gradients_finds_a_wrong_one():
    case = Case(ops.Sigmoid(), (np.array([0.5, 1.5]),), kernel=WrongGradient())
    with pytest.raises(BrokenPromise, match="the gradient of 'x' differs from torch's"):
        torch_oracle.check(case)


@pytest.mark.parametrize("library", ORACLES)
def test_a_table_names_public_operators_that_have_a_record(library):
    recorded = {record.operator for record in RECORDS}
    assert set(ORACLES[library].TABLE) <= public_operators() & recorded


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_a_library_of_networks_computes_every_operator_but_those_it_is_known_to_lack(library):
    oracle = ORACLES[library]
    assert set(oracle.TABLE) | set(oracle.LACKING) == public_operators()
    assert not set(oracle.TABLE) & set(oracle.LACKING)
    assert all(oracle.LACKING.values())


def test_every_operator_has_an_oracle_but_those_that_are_alone():
    known = {operator for oracle in ORACLES.values() for operator in oracle.TABLE}
    assert public_operators() - known == set(ALONE)


def test_the_oracles_are_collected_without_their_libraries():
    code = (
        "import sys, pytest\n"
        "status = pytest.main(['--collect-only', '-qq', '-p', 'no:cacheprovider',"
        " 'tests/oracles', 'tests/test_oracles.py'])\n"
        f"print(int(status), sorted({set(ORACLES)} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == "0 []"
