"""The checker is checked: operators with planted faults, each of which must be caught.

Every fault is a right operator with one line changed, as a tired programmer would write it.
A test names the promise that has to break; the message must show the shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from graphnet.testing import CHECKS, BrokenPromise, Case, check_operator, prove
from graphnet.testing.checks import check_adjoint, check_backend
from graphnet.testing.strategies import random_array, seeds, spaced_array
from ops import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    Multiply,
    ReLU,
    ShapeError,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Spec,
    Sum,
    Tanh,
)
from ops.broadcasting import unbroadcast

ENOUGH = settings(max_examples=50, deadline=None, database=None)


def inputs_for(operator, *shapes):
    """A strategy of cases with inputs of these shapes, 0 standing for a size drawn in 1..3."""

    @st.composite
    def cases(draw):
        size = draw(st.integers(1, 3))
        seed = draw(seeds)
        arrays = tuple(
            spaced_array(tuple(n or size for n in shape), seed + i) + (i == 4) * 3.0
            for i, shape in enumerate(shapes)
        )
        return Case(operator, arrays, seed)

    return cases()


@dataclass(frozen=True)
class DroppedTerm(BatchNorm):
    """The coupling over the batch is left out: the closed formula often seen in lecture notes."""

    def backward(self, saved, dy, needs):
        x, gamma, _, rstd = saved
        _, dgamma, dbeta, *_ = super().backward(saved, dy, needs)
        across = (-1, *[1] * (x.ndim - 2))
        dx = dy[0] * (gamma * rstd).reshape(across)
        return dx if needs[0] else None, dgamma, dbeta, None, None


@dataclass(frozen=True)
class SwappedStride(Conv):
    """Height and width change places in the stride of the reverse pass."""

    def backward(self, saved, dy, needs):
        turned = Conv(self.filters, self.kernel_size, stride=self.stride[::-1], padding=1)
        out = turned.infer(*Case(turned, (*saved, np.zeros(self.filters))).specs).shape
        return turned.backward(saved, np.resize(dy, out), needs)


@dataclass(frozen=True)
class MissingUnbroadcast(Add):
    """The gradient of a broadcast input is not summed."""

    def backward(self, saved, dy, needs):
        return tuple(dy.copy() if need else None for need in needs)


@dataclass(frozen=True)
class WrongAxisUnbroadcast(Multiply):
    """The gradient of a row is summed over the row instead of the column; shapes agree."""

    def backward(self, saved, dy, needs):
        a, b = saved
        da = dy * b if needs[0] else None
        db = (dy * a).sum(axis=-1)[: b.shape[0]].copy() if needs[1] else None
        return da, db


@dataclass(frozen=True)
class AliasedGradient(Add):
    """``dy`` itself is handed on."""

    def backward(self, saved, dy, needs):
        return dy if needs[0] else None, dy.copy() if needs[1] else None


@dataclass(frozen=True)
class TwinGradients(Add):
    """Both inputs get the same array."""

    def backward(self, saved, dy, needs):
        twin = dy.copy()
        return tuple(twin if need else None for need in needs)


@dataclass(frozen=True)
class ChangedInput(ReLU):
    """The input is overwritten in place."""

    def forward(self, x):
        np.maximum(x, 0, out=x)
        return x.copy(), (x,)


@dataclass(frozen=True)
class ChangedDy(Tanh):
    """``dy`` is scaled in place."""

    def backward(self, saved, dy, needs):
        (y,) = saved
        dy *= 1 - y * y
        return (dy.copy(),)


@dataclass(frozen=True)
class ChangedSaved(Tanh):
    """The saved output is overwritten in place, so the reverse pass works only once."""

    def backward(self, saved, dy, needs):
        (y,) = saved
        y *= y
        return (dy * (1 - y),)


@dataclass(frozen=True)
class WrongDtype(Tanh):
    """A float64 constant creeps in and widens float32."""

    def forward(self, x):
        y, saved = super().forward(x)
        return y * np.float64(1), saved


@dataclass(frozen=True)
class WrongGradientDtype(Tanh):
    """The gradient of float32 is float64."""

    def backward(self, saved, dy, needs):
        return (super().backward(saved, dy, needs)[0].astype("float64"),)


@dataclass(frozen=True)
class OffByAThousandth(Sigmoid):
    """A factor of 1.001."""

    def backward(self, saved, dy, needs):
        return (super().backward(saved, dy, needs)[0] * 1.001,)


@dataclass(frozen=True)
class WrongSign(MatMul):
    """One of two gradients is negated."""

    def backward(self, saved, dy, needs):
        da, db = super().backward(saved, dy, needs)
        return da, None if db is None else -db


@dataclass(frozen=True)
class ForgottenTranspose(MatMul):
    """``a dy`` instead of ``a^T dy``; for square matrices the shapes agree."""

    def backward(self, saved, dy, needs):
        a, _ = saved
        da, db = super().backward(saved, dy, needs)
        return da, None if db is None else unbroadcast(a @ dy, db.shape)


@dataclass(frozen=True)
class LastOfTheWindow(MaxPool):
    """Not the first but the last position of each window takes the gradient."""

    def backward(self, saved, dy, needs):
        winner, shape = saved
        return super().backward((winner * 0 + 3, shape), dy, needs)


@dataclass(frozen=True)
class WrongDivisor(AvgPool):
    """The gradient is divided by one entry too many."""

    def backward(self, saved, dy, needs):
        return (super().backward(saved, dy, needs)[0] * 4 / 5,)


@dataclass(frozen=True)
class DiagonalSoftmax(Softmax):
    """Only the diagonal of the Jacobian."""

    def backward(self, saved, dy, needs):
        (y,) = saved
        return (dy * y * (1 - y),)


@dataclass(frozen=True)
class IgnoredNeeds(Linear):
    """Every gradient is computed, whoever asks."""

    def backward(self, saved, dy, needs):
        return super().backward(saved, dy, (True, True, True))


@dataclass(frozen=True)
class MissingGradient(Linear):
    """The bias is forgotten: too few gradients."""

    def backward(self, saved, dy, needs):
        return super().backward(saved, dy, needs)[:2]


@dataclass(frozen=True)
class MissingReduction(Linear):
    """The bias takes the gradient of one example only."""

    def backward(self, saved, dy, needs):
        dx, dweight, _ = super().backward(saved, dy, needs)
        return dx, dweight, dy[0].copy() if needs[2] else None


@dataclass(frozen=True)
class WrongInferredShape(Sum):
    """``infer`` keeps an axis that ``forward`` drops."""

    def infer(self, x):
        return x.with_shape((*x.shape[:-1], 1))


@dataclass(frozen=True)
class StatisticsOfOne(LayerNorm):
    """The mean's part of the gradient is left out."""

    def backward(self, saved, dy, needs):
        x, gamma, shrink, mean, rstd = saved
        _, dgamma, dbeta = super().backward(saved, dy, needs)
        x_hat = (x * shrink - mean) * rstd
        dx_hat = dy * gamma
        along = (dx_hat * x_hat).mean(axis=-1, keepdims=True)
        dx = (dx_hat - x_hat * along) * rstd * shrink if needs[0] else None
        return dx, dgamma, dbeta


@dataclass(frozen=True)
class Flattened(Tanh):
    """Memory is read in storage order: right for contiguous arrays only."""

    def forward(self, x):
        y = np.tanh(np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,))).reshape(x.shape)
        return y, (y,)


@dataclass(frozen=True)
class HostOnly(Tanh):
    """NumPy is called by name."""

    def forward(self, x):
        y = np.tanh(x)
        return y, (y,)


HIDDEN: list = []


@dataclass(frozen=True)
class HiddenState(Tanh):
    """The output is remembered outside ``saved``."""

    def forward(self, x):
        HIDDEN[:] = [np.tanh(x)]
        return HIDDEN[0], ()

    def backward(self, saved, dy, needs):
        return (dy * (1 - HIDDEN[0] ** 2),)


BN = ((0, 2, 3), (2,), (2,), (2,), (2,))
FAULTS = [
    (DroppedTerm(), BN, "dot product", "gradient of 'x' is wrong"),
    (
        SwappedStride(2, (1, 1), stride=(1, 2), padding=1),
        ((0, 2, 4, 4), (2, 2, 1, 1), (2,)), "dot product", "'x'",
    ),
    (MissingUnbroadcast(), ((0, 3), (3,)), "specs", "gradient of 'b'"),
    (WrongAxisUnbroadcast(), ((3, 3), (3,)), "dot product", "gradient of 'b' is wrong"),
    (AliasedGradient(), ((0, 2), (0, 2)), "purity", "'a' shares memory"),
    (TwinGradients(), ((0, 2), (0, 2)), "purity", "'a' and 'b' share memory"),
    (ChangedInput(), ((0, 2),), "purity", "forward changes its input x"),
    (ChangedDy(), ((0, 2),), "purity", "backward changes"),
    (ChangedSaved(), ((0, 2),), "purity", "backward changes"),
    (WrongDtype(), ((0, 2),), "specs", "float32"),
    (WrongGradientDtype(), ((0, 2),), "specs", "float64"),
    (OffByAThousandth(), ((0, 2),), "dot product", "gradient of 'x' is wrong"),
    (WrongSign(), ((0, 2), (2, 3)), "dot product", "gradient of 'b' is wrong"),
    (ForgottenTranspose(), ((3, 3), (3, 3)), "dot product", "gradient of 'b' is wrong"),
    (LastOfTheWindow(2), ((0, 2, 4, 4),), "dot product", "gradient of 'x' is wrong"),
    (WrongDivisor(2), ((0, 2, 4, 4),), "dot product", "gradient of 'x' is wrong"),
    (DiagonalSoftmax(), ((0, 3),), "dot product", "gradient of 'x' is wrong"),
    (IgnoredNeeds(2), ((0, 3), (2, 3), (2,)), "needs", "is given"),
    (MissingGradient(2), ((0, 3), (2, 3), (2,)), "specs", "received 2"),
    (MissingReduction(2), ((2, 3), (2, 3), (2,)), "dot product", "gradient of 'bias' is wrong"),
    (WrongInferredShape(-1), ((0, 3),), "specs", "inferred as"),
    (StatisticsOfOne(), ((0, 4), (4,), (4,)), "dot product", "gradient of 'x' is wrong"),
    (Flattened(), ((2, 3),), "layouts", "not contiguous"),
    (HiddenState(), ((0, 2),), "independence", "outside saved"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "shapes", "promise", "text"), FAULTS, ids=lambda v: type(v).__name__
)
def test_planted_fault_breaks_its_promise(operator, shapes, promise, text):
    with pytest.raises(BrokenPromise) as caught:
        prove(inputs_for(operator, *shapes), CHECKS[promise], settings=ENOUGH)
    message = str(caught.value)
    assert text in message
    assert re.search(r"float(32|64) \(\d", message), "the message shows the shapes"


@pytest.mark.parametrize(("operator", "shapes", "promise", "text"), FAULTS, ids=str)
def test_the_operator_without_the_fault_keeps_the_promise(operator, shapes, promise, text):
    right = type(operator).__mro__[1]
    fields = {name: getattr(operator, name) for name in right.__dataclass_fields__}
    prove(inputs_for(right(**fields), *shapes), CHECKS[promise], settings=ENOUGH)


def test_the_shrunk_case_is_as_small_as_it_can_be():
    cases = inputs_for(OffByAThousandth(), (0, 0))
    with pytest.raises(BrokenPromise, match=re.escape("x float64 (1, 1)")):
        prove(cases, CHECKS["dot product"], settings=ENOUGH)


def test_a_wrong_weight_gradient_fails_the_exact_adjoint_test():
    @dataclass(frozen=True)
    class Rounded(Linear):
        def backward(self, saved, dy, needs):
            dx, dweight, dbias = super().backward(saved, dy, needs)
            return dx, dweight * (1 + 1e-9), dbias

    @st.composite
    def cases(draw):
        seed = draw(seeds)
        arrays = (random_array((2, 3), seed), random_array((2, 3), seed + 1), np.zeros(2))
        return Case(Rounded(2), arrays, seed)

    with pytest.raises(BrokenPromise, match="not the adjoint of forward in 'weight'"):
        prove(cases(), lambda case: check_adjoint(case, ["weight"]), settings=ENOUGH)


def test_an_operator_that_calls_numpy_by_name_fails_on_strict():
    with pytest.raises(BrokenPromise, match="forward raises TypeError"):
        prove(
            inputs_for(HostOnly(), (0, 2)),
            lambda case: check_backend(case, "strict"),
            settings=ENOUGH,
        )


def test_check_operator_proves_a_right_operator_and_refutes_a_wrong_one():
    check_operator(Tanh())
    check_operator(Linear(3), (2, 4), linear=["x", "weight"])
    with pytest.raises(BrokenPromise, match="gradient of 'x' is wrong"):
        check_operator(OffByAThousandth())


def test_check_operator_takes_integer_inputs_and_a_reference():
    labels = Spec((4,), "int64")
    check_operator(SoftmaxCrossEntropy(), (4, 3), labels)
    check_operator(Tanh(), reference=lambda operator, x: np.tanh(x))
    with pytest.raises(BrokenPromise, match="differs from the reference"):
        check_operator(Tanh(), reference=lambda operator, x: -np.tanh(x))


def test_a_complex_result_breaks_the_promise_of_the_dtype():
    @dataclass(frozen=True)
    class Complex(Tanh):
        def forward(self, x):
            return x + 0j, (x,)

    with pytest.raises(BrokenPromise, match=r"inferred as float64 .* but is complex128"):
        check_operator(Complex())


def test_check_operator_says_what_is_wrong_with_the_call():
    with pytest.raises(TypeError, match=r"expected an operator, such as Tanh\(\)"):
        check_operator(Tanh)
    with pytest.raises(TypeError, match=r"a shape for each of the inputs \('a', 'b'\)"):
        check_operator(Add(), (2, 3))
    with pytest.raises(TypeError, match="'z' is no input of Tanh"):
        check_operator(Tanh(), linear=["z"])
    with pytest.raises(ShapeError, match=r"no inputs that were drawn fit; expected .* received"):
        check_operator(MatMul(), (2, 3), (2, 3))
