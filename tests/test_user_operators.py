"""Operators as users write them, with the faults that users make: each is named, and made small."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import strategies as st

import graphnet as gn
from graphnet.testing import BrokenPromise, check_gradients, check_operator
from ops import (
    Abs,
    Embedding,
    Interval,
    Linear,
    Log,
    Mean,
    MeanSquaredError,
    Operator,
    Parameter,
    ShapeError,
    Spec,
    Tanh,
)
from ops.arrays import namespace
from ops.initializers import Constant
from ops.operator import OperatorError, expect_spec, known


@dataclass(frozen=True)
class Square(Operator):
    """y = x^2, as it should be."""

    def infer(self, x):
        return x

    def forward(self, x):
        return x * x, (x,)

    def backward(self, saved, dy, needs):
        (x,) = saved
        return (2 * x * dy,)


@dataclass(frozen=True)
class Scale(Operator):
    """y = x * scale with a learned factor per feature, as it should be."""

    def parameters(self, x):
        return {"scale": Parameter(known(x.shape[-1]), Constant(1.0), x.dtype)}

    def infer(self, x, scale):
        if not x.shape:
            raise ShapeError("expected an axis of features, received a scalar")
        expect_spec("a scale", scale, x.shape[-1:], x.dtype)
        return x

    def forward(self, x, scale):
        return x * scale, (x, scale)

    def backward(self, saved, dy, needs):
        x, scale = saved
        dx = dy * scale if needs[0] else None
        dscale = (dy * x).sum(axis=tuple(range(x.ndim - 1))) if needs[1] else None
        # a sum over no axis may be the product itself
        return dx, dscale


@dataclass(frozen=True)
class ForgottenFactor(Square):
    """The 2 is missing."""

    def backward(self, saved, dy, needs):
        (x,) = saved
        return (x * dy,)


@dataclass(frozen=True)
class MissingSum(Scale):
    """The gradient of the factor keeps the batch."""

    def backward(self, saved, dy, needs):
        x, scale = saved
        return dy * scale if needs[0] else None, dy * x if needs[1] else None


@dataclass(frozen=True)
class SumOverFeatures(Scale):
    """The gradient of the factor is summed over the wrong axis of a square matrix."""

    def infer(self, x, scale):
        if x.rank != 2 or x.shape[0] != x.shape[1]:
            raise ShapeError("expected a square matrix")
        return super().infer(x, scale)

    def backward(self, saved, dy, needs):
        x, scale = saved
        dx = dy * scale if needs[0] else None
        return dx, (dy * x).sum(axis=1) if needs[1] else None


@dataclass(frozen=True)
class HandedOn(Square):
    """y = x + 1, whose gradient is dy itself."""

    def forward(self, x):
        return x + 1, ()

    def backward(self, saved, dy, needs):
        return (dy,)


@dataclass(frozen=True)
class InPlace(Square):
    """The input is squared in place."""

    def forward(self, x):
        saved = x.copy()
        x *= x
        return x.copy(), (saved,)


@dataclass(frozen=True)
class Widened(Square):
    """A NumPy scalar makes float64 of float32."""

    def forward(self, x):
        return x * x * np.float64(1.0), (x,)


@dataclass(frozen=True)
class WrongShape(Square):
    """infer forgets that the last axis is summed."""

    def infer(self, x):
        if not x.shape:
            raise ShapeError("expected an axis to sum over, received a scalar")
        return x

    def forward(self, x):
        return (x * x).sum(axis=-1), (x,)

    def backward(self, saved, dy, needs):
        (x,) = saved
        return (2 * x * dy[..., None],)


@dataclass(frozen=True)
class NeedsIgnored(Scale):
    """Both gradients are always computed."""

    def backward(self, saved, dy, needs):
        return super().backward(saved, dy, (True, True))


@dataclass(frozen=True)
class HostOnly(Square):
    """NumPy by name, which no array of a GPU survives."""

    def forward(self, x):
        return np.square(np.asarray(x)), (x,)


class Memory:
    """Where the next operator hides what it should have saved."""

    last = None


@dataclass(frozen=True)
class Hidden(Square):
    """What backward reads is kept outside saved."""

    def forward(self, x):
        Memory.last = x
        return x * x, ()

    def backward(self, saved, dy, needs):
        return (2 * Memory.last * dy,)


@dataclass(frozen=True)
class RandomMask(Square):
    """Entries are dropped by NumPy's own generator, which no run can repeat."""

    def forward(self, x):
        mask = np.random.default_rng().random(x.shape).astype(x.dtype)
        return x * mask, (mask,)

    def backward(self, saved, dy, needs):
        return (dy * saved[0],)


@dataclass(frozen=True)
class Restless(Square):
    """The gradient is noisy."""

    def backward(self, saved, dy, needs):
        return (2 * saved[0] * dy * np.random.default_rng().random(),)


#: The operator, the promise that it breaks, and the smallest input that can show it.
FAULTS = [
    (ForgottenFactor(), "gradient of 'x'", "x float64 ()"),
    (MissingSum(), "gradient shape", "x float64 (1, 1)"),
    (SumOverFeatures(), "gradient of 'scale'", "x float64 (2, 2)"),
    (HandedOn(), "aliasing", "x float64 ()"),
    (InPlace(), "changed input", "x float64 ()"),
    (Widened(), "dtype", "x float32 ()"),
    (WrongShape(), "inferred shape", "x float64 (1,)"),
    (NeedsIgnored(), "needs", "x float64 (1,)"),
    (HostOnly(), "backend strict", "x float64 ()"),
    (Hidden(), "saved", "x float64 ()"),
    (RandomMask(), "repeatable", "x float64 ()"),
    (Restless(), "repeatable", "x float64 ()"),
]


@pytest.mark.parametrize(("operator", "promise", "smallest"), FAULTS, ids=lambda v: repr(v))
def test_the_fault_is_named_and_shown_on_the_smallest_input(operator, promise, smallest):
    with pytest.raises(BrokenPromise) as caught:
        check_operator(operator)
    assert caught.value.promise == promise
    text = str(caught.value)
    first, *_ = text.splitlines()
    assert first.startswith(f"{operator!r} with {smallest}")
    assert f"promise:   {promise}" in text


@pytest.mark.parametrize(("operator", "promise", "smallest"), FAULTS, ids=lambda v: repr(v))
def test_the_line_that_is_printed_reproduces_the_fault(operator, promise, smallest):
    with pytest.raises(BrokenPromise) as caught:
        check_operator(operator)
    with pytest.raises(BrokenPromise) as again:
        eval(caught.value.reproduce, {**globals()})
    assert again.value.promise == promise
    if promise != "repeatable":  # which holds for what is said about it too
        assert str(again.value) == str(caught.value)


def test_the_operators_without_a_fault_keep_every_promise():
    check_operator(Square())
    check_operator(Scale(), linear=["x", "scale"])


def test_a_wrong_gradient_is_shown_where_it_is_worst():
    with pytest.raises(BrokenPromise, match=r"most at its one entry: \S+, expected \S+"):
        check_operator(ForgottenFactor())


def test_an_operator_that_is_not_defined_everywhere_gets_a_range():
    @dataclass(frozen=True)
    class Root(Square):
        def forward(self, x):
            y = namespace(x).sqrt(x)
            return y, (y,)

        def backward(self, saved, dy, needs):
            (y,) = saved
            return (dy / (2 * y),)

    check_operator(Root(), low=0.1, high=4.0)
    with pytest.raises(BrokenPromise):
        check_operator(Root())


def test_a_strategy_may_draw_shapes_specs_or_arrays():
    check_operator(Square(), st.tuples(st.integers(1, 3), st.integers(1, 3)))
    check_operator(Square(), st.builds(Spec, st.tuples(st.integers(1, 3)), st.just("float64")))
    check_operator(Square(), st.integers(1, 3).map(lambda n: np.linspace(1.0, 2.0, n)))
    with pytest.raises(BrokenPromise, match=r"\(ForgottenFactor\(\), np.array\(\[1.0\]\), case="):
        check_operator(ForgottenFactor(), st.integers(1, 3).map(np.ones), seed=3)


def test_the_line_of_a_fault_that_only_some_arrays_show_holds_the_array():
    @dataclass(frozen=True)
    class WrongAboveTen(Square):
        def backward(self, saved, dy, needs):
            (x,) = saved
            return (2 * x * dy + x * dy * (x > 10),)

    with pytest.raises(BrokenPromise) as caught:
        check_operator(WrongAboveTen(), st.sampled_from([np.ones((2, 2)), np.full((2, 2), 20.0)]))
    line = caught.value.reproduce
    assert "np.array([[20.0, 20.0], [20.0, 20.0]])" in line
    with pytest.raises(BrokenPromise):
        check_operator(WrongAboveTen(), np.full((2, 2), 20.0), case=caught.value.case.seed)
    with pytest.raises(BrokenPromise, match=r"\.\.\., seed=4, max_examples=30\)"):
        check_operator(WrongAboveTen(), st.just(np.full((20, 20), 20.0)), seed=4, max_examples=30)


def test_a_symbolic_batch_in_a_shape_is_drawn():
    check_operator(Square(), ("N", 3))
    check_operator(Square(), Spec(("N",), "float64"))
    with pytest.raises(BrokenPromise, match=r"x float64 \(2, 3\)"):
        check_operator(ForgottenFactor(), ("N", 3))


def test_the_smallest_inputs_are_found_where_shrinking_halts():
    @dataclass(frozen=True)
    class WrongFromRankTwo(Square):
        def backward(self, saved, dy, needs):
            (x,) = saved
            return (2 * x * dy * (1.5 if x.ndim > 1 and x.shape[0] != x.shape[1] else 1.0),)

    for seed in range(4):
        with pytest.raises(BrokenPromise, match=r"with x float64 \((1, 2|2, 1)\):"):
            check_operator(WrongFromRankTwo(), seed=seed)


def test_a_result_of_nan_is_told_apart_from_a_wrong_gradient():
    with np.errstate(invalid="ignore", divide="ignore"):
        with pytest.raises(BrokenPromise, match=r"forward gives nan .* low= and high="):
            check_operator(Log())
        check_operator(Log(), low=0.1, high=4.0)


def test_a_result_of_infinity_is_told_apart_from_a_wrong_gradient():
    with np.errstate(divide="ignore"), pytest.raises(BrokenPromise, match=r"forward gives -inf at"):
        check_operator(Log(), np.array([0.0, 1.0]))


def test_a_false_claim_of_linear_is_told_apart_from_a_wrong_gradient():
    for operator in (Square(), Abs()):
        with pytest.raises(BrokenPromise, match="forward is not affine in it") as caught:
            check_operator(operator, linear=["x"])
        assert caught.value.promise == "affine in 'x'"


def test_a_fault_in_a_large_array_is_told_without_a_search_for_its_worst_entry():
    with pytest.raises(BrokenPromise, match="of 4,096 entries or fewer, this would say where"):
        check_operator(ForgottenFactor(), (100, 100), max_examples=2)


def test_an_error_in_an_operator_is_told_with_its_line():
    @dataclass(frozen=True)
    class Stumbles(Square):
        def forward(self, x):
            raise KeyError("lost")

    with pytest.raises(
        BrokenPromise, match=r"raises KeyError: 'lost' \(test_user_operators.py:\d+"
    ):
        check_operator(Stumbles())


def test_an_operator_that_ends_the_process_has_failed():
    @dataclass(frozen=True)
    class Leaves(Square):
        def backward(self, saved, dy, needs):
            raise SystemExit(0)

    with pytest.raises(BrokenPromise, match="backward raises SystemExit: 0"):
        check_operator(Leaves())


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (lambda operator, x: 1 / 0, "the reference raises ZeroDivisionError: division by zero"),
        (lambda operator, x: None, "of the reference must be an array, received NoneType"),
    ],
)
def test_a_reference_that_fails_is_told_apart_from_a_result_that_differs(reference, problem):
    with pytest.raises(BrokenPromise, match=problem):
        check_operator(Square(), reference=reference)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_operator(Square(), case=3), TypeError, "give a shape for each of .'x',."),
        (lambda: check_operator(Square(), (2,), (3,)), TypeError, "inputs .'x',., received 2"),
        (lambda: check_operator(Square(), 3), TypeError, "a shape such as .2, 3.*received 3"),
        (lambda: check_operator(Square(), low=3, high=1), ValueError, "low below high"),
        (lambda: check_operator(Square(), high="3"), ValueError, "received low=-2.0 and high='3'"),
        (lambda: check_operator(Square(), low=-np.inf), ValueError, "expected finite low"),
        (lambda: check_operator(Square(), max_examples=0), ValueError, "max_examples of at least"),
        (lambda: check_operator(Square(), seed=-1), ValueError, "seed of at least 0, received -1"),
        (lambda: check_operator(Square(), (2,), case="a"), ValueError, "case of at least 0"),
        (lambda: check_operator(Square(), linear="x"), TypeError, "a list of names for linear"),
        (lambda: check_operator(Square(), reference=3), TypeError, "a function as reference"),
        (lambda: check_operator(Square(), st.none()), TypeError, "a strategy drew None"),
        (
            lambda: check_operator(Embedding(3, 2), linear=["indices"]),
            TypeError,
            "'indices' is int64, and no operator is affine in integers",
        ),
    ],
)
def test_arguments_of_the_checker_that_make_no_sense_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_fixture_of_the_plugin_proves_in_one_line(check_operator):
    check_operator(Square())
    with pytest.raises(BrokenPromise):
        check_operator(ForgottenFactor())


# what breaks the contract as a class, or in what it returns


@dataclass(frozen=True)
class OneGradientTooFew(Scale):
    def backward(self, saved, dy, needs):
        return (dy * saved[1],)


@dataclass(frozen=True)
class NoTuple(Square):
    def backward(self, saved, dy, needs):
        return 2 * saved[0] * dy


@dataclass(frozen=True)
class SavedNoTuple(Square):
    def forward(self, x):
        return x * x, x


@dataclass(frozen=True)
class OutputOnly(Square):
    def forward(self, x):
        return x * x


@dataclass(frozen=True)
class HoldsArray(Square):
    table: np.ndarray = field(default_factory=lambda: np.ones(2))


@dataclass(frozen=True)
class HoldsList(Square):
    sizes: list[int] = field(default_factory=lambda: [1, 2])


class NotDecorated(Square):
    pass


@dataclass
class Melting(Operator):
    factor: float = 1.0

    infer, forward, backward = Square.infer, Square.forward, Square.backward


@dataclass(frozen=True)
class OtherArguments(Square):
    def forward(self, x, y):
        return x * y, ()


@dataclass(frozen=True)
class NoNeeds(Square):
    def backward(self, saved, dy):
        return (dy.copy(),)


@dataclass(frozen=True, eq=False)
class NeverEqual(Square):
    factor: float = 1.0


@dataclass(frozen=True)
class ArrayInside(Square):
    tables: tuple = field(default_factory=lambda: (np.ones(2),))


@dataclass(frozen=True)
class NoInputs(Square):
    def infer(self):
        return Spec((2,))

    def forward(self):
        return np.zeros(2), ()


@dataclass(frozen=True)
class ByKeyword(Square):
    def infer(self, x, *, y):
        return x

    def forward(self, x, *, y):
        return x * y, (x, y)


@dataclass(frozen=True)
class InfersShape(Square):
    def infer(self, x):
        return x.shape


@dataclass(frozen=True)
class UnknownParameter(Square):
    def parameters(self, x):
        return {"weight": Parameter((2,))}


@dataclass(frozen=True)
class UnknownDomain(Square):
    def domains(self, x):
        return {"index": Interval(0, 3)}


@dataclass(frozen=True)
class DomainOfPairs(Square):
    def domains(self, x):
        return {"x": (0, 3)}


BROKEN_STRUCTURE = [
    (OneGradientTooFew(), "one gradient for each of the 2 inputs", "received a tuple"),
    (NoTuple(), "backward must return a tuple", "received ndarray"),
    (SavedNoTuple(), "must be a tuple", "ndarray"),
    (OutputOnly(), "forward must return", "(output, saved)"),
]

BROKEN_CLASS = [
    (HoldsArray(), "field 'table' holds an array", "as an input of infer and forward"),
    (HoldsList(), "field 'sizes' holds a list", "make it a tuple"),
    (ArrayInside(), "field 'tables' holds an array", "as an input of infer and forward"),
    (NeverEqual(), "operators are equal where their fields are", "leave out eq=False"),
    (NoInputs(), "NoInputs.infer must take one positional argument or more", "received (self)"),
    (ByKeyword(), "ByKeyword.infer must take", "received (self, x, *, y)"),
    (NotDecorated(), "must be decorated with", "@dataclass(frozen=True)"),
    (Melting(), "must be decorated with", "@dataclass(frozen=True)"),
    (OtherArguments(), "forward must take the arguments of infer, (x)", "received (x, y)"),
    (NoNeeds(), "backward must take the arguments (saved, dy, needs)", "received (saved, dy)"),
]


@pytest.mark.parametrize(("operator", "problem", "advice"), BROKEN_CLASS, ids=lambda v: str(v))
def test_a_class_that_breaks_the_contract_is_refused_when_it_is_checked_or_declared(
    operator, problem, advice
):
    for attempt in (lambda: check_operator(operator), lambda: operator(gn.Input("x", ("N", 2)))):
        with pytest.raises(TypeError) as caught:
            attempt()
        assert problem in str(caught.value) and advice in str(caught.value)


@pytest.mark.parametrize(
    ("operator", "problem"),
    [
        (UnknownParameter(), "UnknownParameter.parameters declares 'weight', which is no argument"),
        (UnknownDomain(), "UnknownDomain.domains declares 'index', which is no input: ('x',)"),
        (DomainOfPairs(), "DomainOfPairs.domains must return a dict of name to Interval"),
    ],
    ids=repr,
)
def test_declarations_that_break_the_contract_are_refused_and_not_taken_for_wrong_shapes(
    operator, problem
):
    with pytest.raises(OperatorError) as caught:
        check_operator(operator)
    assert problem in str(caught.value)


def test_what_infer_returns_is_told_apart_from_shapes_that_do_not_fit():
    with pytest.raises(BrokenPromise, match=r"infer must return a Spec .* received \(4, 4\)"):
        check_operator(InfersShape())


@pytest.mark.parametrize(("operator", "problem", "advice"), BROKEN_STRUCTURE, ids=lambda v: str(v))
def test_results_of_the_wrong_structure_are_refused_with_what_to_change(operator, problem, advice):
    with pytest.raises(BrokenPromise) as caught:
        check_operator(operator)
    assert caught.value.promise == "structure"
    assert problem in str(caught.value)


@pytest.mark.parametrize(("operator", "problem", "advice"), BROKEN_STRUCTURE, ids=lambda v: str(v))
def test_the_executor_refuses_the_same_results_and_names_the_node(operator, problem, advice):
    x, label = gn.Input("x", ("N", 2)), gn.Input("label", ("N", 2))
    loss = MeanSquaredError()(operator(Linear(2)(x)), label)
    net = gn.Executor(gn.Graph(loss=loss))
    feeds = {"x": np.ones((3, 2), np.float32), "label": np.ones((3, 2), np.float32)}
    with pytest.raises(gn.ContractError) as caught:
        net.forward(training=True, **feeds)
        net.backward()
    assert advice in str(caught.value)
    assert type(operator).__name__ in "".join(caught.value.__notes__)


def test_check_gradients_names_the_node_where_the_error_enters():
    x, label = gn.Input("x", ("N", 2)), gn.Input("label", ("N", 3))
    y = Linear(3)(ForgottenFactor()(Tanh()(Linear(2)(x)), name="squared"))
    graph = gn.Graph(loss=MeanSquaredError()(y, label))
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(4, 2)), "label": rng.normal(size=(4, 3))}
    with pytest.raises(BrokenPromise) as caught:
        check_gradients(graph, feeds)
    assert "the error enters at squared (ForgottenFactor, declared at" in str(caught.value)
    assert "'linear_1." in caught.value.promise


def test_an_infer_that_raises_something_else_is_told_with_its_line():
    @dataclass(frozen=True)
    class Stumbles(Square):
        def infer(self, x):
            raise KeyError("boom")

    with pytest.raises(BrokenPromise, match=r"infer raises KeyError: 'boom' .test_user_operators"):
        check_operator(Stumbles(), (4, 3))


def test_an_infer_that_stumbles_over_the_symbol_is_told_apart_from_one_that_wants_numbers():
    @dataclass(frozen=True)
    class Stumbles(Square):
        def infer(self, x):
            if x.shape and not isinstance(x.shape[0], int):
                raise ValueError("bad")
            return x

    @dataclass(frozen=True)
    class WantsEven(Square):
        def infer(self, x):
            if x.shape and x.shape[0] % 2:
                raise ShapeError("expected an even batch")
            return x

    check_operator(WantsEven(), (4, 3))
    with pytest.raises(BrokenPromise, match=r"for float64 \(N, 3\) infer raises ValueError: bad"):
        check_operator(Stumbles(), (4, 3))


@pytest.mark.parametrize("outputs", [(), (1, 2)])
def test_a_reference_with_another_number_of_outputs_is_refused(outputs):
    with pytest.raises(BrokenPromise, match=f"the reference gives {len(outputs)} outputs"):
        check_operator(Square(), (2,), reference=lambda operator, x: tuple(x for _ in outputs))


# whole graphs


def test_a_fault_ahead_of_every_parameter_shows_in_the_gradient_of_the_input():
    x = gn.Input("x", ("N", 3))
    feeds = {"x": np.linspace(-1, 1, 6).reshape(2, 3)}
    with pytest.raises(BrokenPromise, match=r"gradient of 'x': .* enters at forgotten_factor_1"):
        check_gradients(gn.Graph(loss=Mean()(Linear(2)(ForgottenFactor()(x)))), feeds)
    with pytest.raises(BrokenPromise, match=r"enters at forgotten_factor_1"):
        check_gradients(gn.Graph(loss=Mean()(ForgottenFactor()(x))), feeds)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"los": Mean()}, "expected an output among .'los'., received 'loss'"),
        ({"loss": Tanh()}, "expected a floating scalar, but 'loss' is float32 .N, 3."),
    ],
)
def test_an_output_that_cannot_be_differentiated_is_refused(outputs, message):
    x = gn.Input("x", ("N", 3))
    graph = gn.Graph(**{name: operator(x) for name, operator in outputs.items()})
    with pytest.raises(gn.GraphError, match=message):
        check_gradients(graph, {"x": np.ones((2, 3))})


def test_a_graph_with_nothing_to_check_is_refused():
    i = gn.Input("i", ("N",), "int64")
    table = gn.Parameter("table", (3, 2), trainable=False)
    graph = gn.Graph(loss=Mean()(Embedding(3, 2)(i, table)))
    with pytest.raises(gn.GraphError, match="no parameter and no floating input"):
        check_gradients(graph, {"i": np.array([0, 2])})
