"""Every operator is held to every promise of the contract; its record drives the proof."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools

import numpy as np
import pytest

import ops
from graphnet.backends import get_backend, status
from graphnet.testing import Case, promises, prove
from graphnet.testing.checks import check_backend, check_needs, check_purity, check_specs
from graphnet.testing.record import quiet_settings
from graphnet.testing.records import RECORDS
from ops.operator import Interval, Operator, ShapeError, Spec, expect_configuration

each_record = pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.operator.__name__)
WORKING = {name for name, works, _ in status() if works}


def public_operators():
    found = {getattr(ops, name) for name in ops.__all__}
    return {
        c for c in found if inspect.isclass(c) and issubclass(c, Operator) and c is not Operator
    }


def test_every_public_operator_has_exactly_one_record():
    assert public_operators() == {record.operator for record in RECORDS}
    assert len(RECORDS) == len(public_operators())


@each_record
def test_every_promise_holds_on_numpy_and_on_strict(record):
    assert record.reference is not None
    prove(record.cases, *promises(record.reference, record.linear, backends=("strict",)))


@pytest.mark.gpu
@pytest.mark.skipif("cupy" not in WORKING, reason="no CUDA device, or cupy is not installed")
@each_record
def test_cupy_gives_the_results_of_numpy(record):
    prove(record.cases, lambda case: check_backend(case, get_backend("cupy")))


@each_record
def test_the_class_keeps_the_contract_and_its_fields_are_configuration(record):
    signature = record.operator.signature()
    assert signature.names or signature.variadic

    def check(case):
        expect_configuration(case.operator)
        fields = dataclasses.fields(case.operator)
        values = {f.name: getattr(case.operator, f.name) for f in fields if f.init}
        again = type(case.operator)(**values)
        assert again == case.operator and hash(again) == hash(case.operator)
        # repr is Python that gives the same configuration
        written = ast.parse(repr(case.operator), mode="eval").body
        assert isinstance(written, ast.Call)
        if not any(isinstance(value, Operator) for value in values.values()):
            read = {k.arg: ast.literal_eval(k.value) for k in written.keywords}
            assert {name: read[name] for name in values} == values

    prove(record.cases, check)


@each_record
def test_inputs_of_other_ranks_and_dtypes_are_accepted_or_refused_with_a_shape_error(record):
    def check(case):
        specs = list(case.specs)
        for index, spec in enumerate(specs):
            if spec is None:
                continue
            others = (
                Spec((), spec.dtype),
                Spec((*spec.shape, 2), spec.dtype),
                Spec(spec.shape[1:], spec.dtype),
                Spec((0,) * spec.rank, spec.dtype),
                Spec(tuple(n + 1 for n in spec.shape), spec.dtype),
                Spec(("N",) * min(spec.rank, 1) + spec.shape[1:], spec.dtype),
                Spec(spec.shape, "int32"),
                Spec(spec.shape, "bool"),
                Spec(spec.shape, "float32"),
            )
            for other in others:
                changed = [*specs[:index], other, *specs[index + 1 :]]
                try:
                    inferred = case.operator.infer(*changed)
                except ValueError as error:
                    assert isinstance(error, ShapeError) or "N" in str(error)
                    continue
                inferred = inferred if isinstance(inferred, tuple) else (inferred,)
                assert all(isinstance(spec, Spec) for spec in inferred)

    prove(record.cases, check)


def odd_shapes(shapes):
    """The same shapes with each of their sizes, and each axis, at 0 and at 1."""
    for size in (0, 1):
        for n in {n for shape in shapes for n in shape or ()}:
            yield [shape and tuple(size if m == n else m for m in shape) for shape in shapes]
        for axis in range(max(len(shape or ()) for shape in shapes)):
            yield [shape and (*shape[:axis], size, *shape[axis + 1 :]) for shape in shapes]


def refilled(x, shape, domain):
    """Entries of x, or one of its domain, in another shape; None where there is no such entry."""
    inside = x[(x >= domain.low) & (x < domain.high)] if x.dtype.kind != "f" else x[np.isfinite(x)]
    if x.dtype.kind != "f" and domain.low <= 0 < domain.high < np.inf:
        inside = np.zeros(1, x.dtype)  # the first entry is there whatever the size of an axis
    if not inside.size and 0 not in shape:
        return None
    return np.resize(inside, shape) if inside.size else np.empty(shape, x.dtype)


@each_record
def test_axes_of_no_entry_and_of_one_are_computed_where_infer_takes_them(record):
    def check(case):
        for shapes in odd_shapes([None if x is None else x.shape for x in case.inputs]):
            pairs = list(zip(case.inputs, shapes, strict=True))
            specs = [None if x is None else Spec(shape, x.dtype.name) for x, shape in pairs]
            try:
                case.operator.infer(*specs)
            except ShapeError:
                continue
            domains = case.operator.domains(*specs)
            inputs = [
                None if x is None else refilled(x, shape, domains.get(role, Interval()))
                for role, (x, shape) in zip(case.roles, pairs, strict=True)
            ]
            if any((x is None) != (y is None) for x, y in zip(case.inputs, inputs, strict=True)):
                continue  # no value fits, such as an index into nothing
            odd = Case(case.operator, tuple(inputs), case.seed)
            for promise in (check_specs, check_purity, check_needs):
                promise(odd)

    prove(record.cases, check, settings=quiet_settings(20))


@each_record
def test_the_form_for_inference_takes_inputs_of_the_operator(record):
    def check(case):
        stands_in = case.operator.for_inference()
        assert set(type(stands_in).signature().names) <= set(case.roles)

    prove(record.cases, check)


@each_record
def test_operations_are_counted_as_a_whole_number(record):
    def check(case):
        count = case.operator.flops(*case.specs)
        assert isinstance(count, int) and count >= 0

    prove(record.cases, check)


@each_record
def test_forward_is_repeatable_bit_by_bit(record):
    def check(case):
        (once, _), (again, _) = case.forward(), case.forward()
        for a, b in itertools.zip_longest(once, again):
            np.testing.assert_array_equal(a, b)

    prove(record.cases, check)
