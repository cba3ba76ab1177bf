"""Debug mode, and what errors inside operators look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import graphnet as gn
from ops import (
    Sum,
    Tanh,
)
from tests.small_networks import X, executor, vector


@dataclass(frozen=True)
class Stash(Tanh):
    """Keeps its input where ``saved`` does not say so."""

    def forward(self, x):
        STASH[:] = [x]
        return np.tanh(x), ()

    def backward(self, saved, dy, needs):
        return (dy * (1 - np.tanh(STASH[0]) ** 2),)


STASH: list[np.ndarray] = []


def test_debug_mode_makes_an_operator_that_stashes_an_array_fail():
    graph = gn.Graph(y=Sum()(Stash()(vector() * 0.1)))
    gradients = {}
    for debug in (False, True):
        net = gn.Executor(graph, debug=debug)
        net.forward(x=X, differentiate=True)
        gradients[debug] = net.backward(wrt=["x"])["x"]
    np.testing.assert_allclose(gradients[False], 0.1 * (1 - np.tanh(0.1 * X) ** 2), rtol=1e-5)
    assert np.isnan(gradients[True]).all()


@dataclass(frozen=True)
class WrongShape(Tanh):
    def forward(self, x):
        y, saved = super().forward(x)
        return y[:, None], saved


@dataclass(frozen=True)
class WrongDtype(Tanh):
    def forward(self, x):
        y, saved = super().forward(x)
        return y.astype("float64"), saved


@dataclass(frozen=True)
class WrongGradientShape(Tanh):
    def backward(self, saved, dy, needs):
        return (super().backward(saved, dy, needs)[0].sum(axis=0),)


@dataclass(frozen=True)
class WrongGradientDtype(Tanh):
    def backward(self, saved, dy, needs):
        return (super().backward(saved, dy, needs)[0].astype("float64"),)


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (WrongShape(), "wrong_shape_1 (WrongShape, declared at test_debug.py:"),
        (WrongShape(), "inferred float32 (3, 2), computed float32 (3, 1, 2)"),
        (WrongDtype(), "inferred float32 (3, 2), computed float64 (3, 2)"),
        (WrongGradientShape(), "'x' should be float32 (3, 2), but is float32 (2,)"),
        (WrongGradientDtype(), "'x' should be float32 (3, 2), but is float64 (3, 2)"),
    ],
)
def test_debug_mode_names_the_operator_that_computes_what_it_did_not_infer(operator, text):
    net = gn.Executor(gn.Graph(y=Sum()(operator(vector()))), debug=True)
    with pytest.raises(gn.ContractError) as caught:
        net.forward(x=X, differentiate=True)
        net.backward(wrt=["x"])
    assert text in str(caught.value)


@dataclass(frozen=True)
class NoGradient(Tanh):
    def backward(self, saved, dy, needs):
        return (None,)


@dataclass(frozen=True)
class Fails(Tanh):
    when: str = "forward"

    def forward(self, x):
        if self.when == "forward":
            raise ZeroDivisionError("no luck")
        return super().forward(x)

    def backward(self, saved, dy, needs):
        raise ZeroDivisionError("no luck")


def test_a_gradient_that_is_needed_and_not_given_is_an_error():
    net = executor(y=Sum()(NoGradient()(vector())))
    net.forward(x=X, differentiate=True)
    with pytest.raises(gn.ContractError, match="gave None for 'x'"):
        net.backward(wrt=["x"])


@pytest.mark.parametrize("when", ["forward", "reverse"])
def test_an_error_inside_an_operator_says_in_which_node(when):
    net = executor(y=Sum()(Fails(when)(vector())))
    with pytest.raises(ZeroDivisionError) as caught:
        net.forward(x=X, differentiate=True)
        net.backward(wrt=["x"])
    (note,) = caught.value.__notes__
    assert note.startswith(f"in the {when} pass of fails_1 (Fails, declared at test_debug.py:")
