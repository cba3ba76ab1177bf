"""The mutants are real faults, planted where a backward pass runs, and the figure can fall."""

from __future__ import annotations

import ast
import inspect
import textwrap

import numpy as np
import pytest

from graphnet.testing import Record
from graphnet.testing.records import RECORDS
from ops import Add, Conv, LayerNorm, Softmax, Tanh
from ops.broadcasting import unbroadcast
from tests.mutation.__main__ import survive
from tests.mutation.functions import reached_functions
from tests.mutation.mutators import mutants

SOURCE = """
def backward(self, saved, dy, needs):
    x, w = saved
    dx = np.where(x > 0, dy * w, 0.5) if needs[0] else None
    dw = -(dy - x).sum(axis=0).swapaxes(0, 1)[::2].copy() if needs[1] else None
    return dx, dw
"""


def test_every_kind_of_fault_is_planted():
    kinds = {mutant.kind for mutant in mutants(ast.parse(SOURCE).body[0])}
    assert kinds == {
        "sign", "term", "factor", "index", "axis", "stride", "reduction", "comparison", "branch",
        "aliasing", "needs", "transpose",
    }  # fmt: skip


def test_each_mutant_differs_from_the_function_and_from_the_others():
    function = ast.parse(SOURCE).body[0]
    sources = [ast.unparse(mutant.tree) for mutant in mutants(function)]
    assert ast.unparse(function) not in sources
    assert len(set(sources)) == len(sources) > 20


def test_helpers_count_as_part_of_the_backward_pass():
    names = {function.name for function in reached_functions([Add, Conv, LayerNorm])}
    assert "ops.elementwise.Add.backward" in names
    assert "ops.broadcasting.unbroadcast" in names
    assert "ops.windows.Windows.scatter" in names
    assert "ops.windows.Windows.positions" in names
    assert not any(name.endswith((".infer", ".forward")) for name in names)


def test_a_planted_function_runs_in_place_of_the_original_and_can_be_restored():
    function = next(f for f in reached_functions([Add]) if f.function is unbroadcast)
    dy = np.ones((2, 3))
    original = function.function.__code__
    tree = ast.parse(textwrap.dedent(inspect.getsource(unbroadcast))).body[0]
    tree.body = ast.parse("return gradient * 7").body
    try:
        function.replace(tree)
        assert unbroadcast(dy, (3,)).tolist() == [[7.0] * 3] * 2
    finally:
        unbroadcast.__code__ = original
    assert unbroadcast(dy, (3,)).tolist() == [2.0] * 3


@pytest.mark.parametrize("operator", [Tanh, Softmax])
def test_the_records_kill_every_mutant_of_an_operator(operator):
    record = next(record for record in RECORDS if record.operator is operator)
    function = next(f for f in reached_functions([operator]) if f.name.endswith(".backward"))
    original = function.function.__code__
    faults = [m for m in mutants(function.tree) if not m.before.endswith("if needs[0] else None")]
    assert len(faults) >= 4
    try:
        for mutant in faults:
            function.replace(mutant.tree)
            assert survive([record], examples=50), f"{mutant.before} -> {mutant.after} survives"
    finally:
        function.function.__code__ = original
    assert survive([record], examples=50) is None


def test_a_record_that_draws_too_little_lets_a_mutant_survive():
    record = next(record for record in RECORDS if record.operator is Softmax)
    blind = Record(Softmax, record.cases.filter(lambda case: case.inputs[0].size == 0))
    function = next(f for f in reached_functions([Softmax]) if f.name.endswith(".backward"))
    original = function.function.__code__
    mutant = next(m for m in mutants(function.tree) if m.kind == "sign")
    try:
        function.replace(mutant.tree)
        assert survive([blind], examples=5) is None
    finally:
        function.function.__code__ = original
