"""Gradients against hand-computed ones; when, from what, and with respect to what to ask."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

import graphnet as gn
from ops import Add, Linear, MatMul, Multiply, Operator, Sum, Tanh
from ops.initializers import Constant
from tests.small_networks import X, batch, classifier, equal, executor, vector

# -- by hand


def test_a_linear_layer_and_its_gradients_by_hand():
    net = executor(y=Sum()(Linear(1)(vector())))
    net.assign(
        {
            "linear_1.weight": np.array([[10.0, 100.0]], "float32"),
            "linear_1.bias": np.array([1000.0], "float32"),
        }
    )
    y = net.forward(x=X, differentiate=True)["y"]
    assert y == 10 * (1 + 3 + 5) + 100 * (2 + 4 + 6) + 3 * 1000
    gradients = net.backward(wrt=["x", "linear_1.weight", "linear_1.bias"])
    np.testing.assert_array_equal(gradients["x"], [[10, 100]] * 3)
    np.testing.assert_array_equal(gradients["linear_1.weight"], [[9, 12]])
    np.testing.assert_array_equal(gradients["linear_1.bias"], [3])


def test_gradients_of_a_value_that_fans_out_are_summed():
    x = vector()
    net = executor(y=Sum()(x * 2 + x * 3 + x * x))
    net.forward(x=X, differentiate=True)
    np.testing.assert_array_equal(net.backward(wrt=["x"])["x"], 2 + 3 + 2 * X)


def test_a_value_read_twice_by_one_node_gets_both_gradients():
    x = vector()
    net = executor(y=Sum()(Multiply()(x, x)))
    net.forward(x=X, differentiate=True)
    np.testing.assert_array_equal(net.backward(wrt=["x"])["x"], 2 * X)


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_stacked_diamonds_double_the_gradient_at_each(depth):
    value = vector()
    for _ in range(depth):
        value = Add()(value, value * 1.0)
    net = executor(y=Sum()(value))
    net.forward(x=X, differentiate=True)
    np.testing.assert_array_equal(net.backward(wrt=["x"])["x"], np.full_like(X, 2.0**depth))


def test_a_shared_parameter_gets_the_sum_over_its_uses():
    weight = gn.Parameter("w", (2, 2), Constant(1.0))
    net = executor(y=Sum()(MatMul()(MatMul()(vector(), weight), weight)))
    net.forward(x=X, differentiate=True)
    # y = sum(X W W) has dW = X^T 1 W^T + (X W)^T 1
    ones, w = np.ones_like(X), np.ones((2, 2))
    expected = X.T @ ones @ w.T + (X @ w).T @ ones
    np.testing.assert_array_equal(net.backward()["w"], expected)


def test_each_output_has_its_own_gradient():
    x = vector()
    shared = x * 2
    net = executor(a=Sum()(shared), b=Sum()(shared * 5), c=shared)
    for output, seed, expected in [("a", None, 2), ("b", None, 10), ("c", np.ones_like(X), 2)]:
        net.forward(x=X, differentiate=True)
        gradient = net.backward(output, seed, wrt=["x"])["x"]
        np.testing.assert_array_equal(gradient, np.full_like(X, expected))


def test_the_gradient_that_arrives_at_an_output_is_used_and_left_alone():
    net = executor(y=vector() * 3)
    arriving = np.arange(6, dtype="float32").reshape(3, 2)
    kept = arriving.copy()
    net.forward(x=X, differentiate=True)
    np.testing.assert_array_equal(net.backward("y", arriving, wrt=["x"])["x"], 3 * kept)
    np.testing.assert_array_equal(arriving, kept)


def test_an_output_in_the_middle_of_the_graph_is_differentiated_from_there():
    x = vector()
    middle = x * 3
    net = executor(middle=middle, end=Sum()(Tanh()(middle)))
    net.forward(x=X, differentiate=True)
    gradient = net.backward("middle", np.ones_like(X), wrt=["x"])["x"]
    np.testing.assert_array_equal(gradient, np.full_like(X, 3))


def test_what_an_output_does_not_depend_on_has_gradient_zero():
    x = vector()
    net = executor(a=Sum()(Linear(2)(x)), b=Sum()(Linear(3)(x)))
    net.forward(x=X, training=True)
    gradients = net.backward("a")
    assert abs(gradients["linear_1.weight"]).min() > 0
    np.testing.assert_array_equal(gradients["linear_2.weight"], np.zeros((3, 2)))
    # and the same where only a part of the graph has run
    net.forward(x=X, training=True, outputs=["a"])
    part = net.backward("a")
    assert equal(part, gradients)


def test_only_one_output_of_several_may_carry_a_gradient():
    x = vector(4)
    low, high = Halves()(x)
    net = executor(low=Sum()(low), both=Sum()(low) + Sum()(high * 3))
    fed = np.arange(8, dtype="float32").reshape(2, 4)
    net.forward(x=fed, differentiate=True)
    np.testing.assert_array_equal(net.backward("low", wrt=["x"])["x"], [[1, 1, 0, 0]] * 2)
    net.forward(x=fed, differentiate=True)
    np.testing.assert_array_equal(net.backward("both", wrt=["x"])["x"], [[1, 1, 3, 3]] * 2)


@dataclass(frozen=True)
class Halves(Operator):
    """The two halves of the last axis."""

    def infer(self, x):
        half = x.with_shape((*x.shape[:-1], x.shape[-1] // 2))
        return half, half

    def forward(self, x):
        half = x.shape[-1] // 2
        return (x[..., :half].copy(), x[..., half:].copy()), (x.shape,)

    def backward(self, saved, dy, needs):
        (shape,) = saved
        dx = np.zeros(shape, next(g for g in dy if g is not None).dtype)
        half = shape[-1] // 2
        for part, start in zip(dy, (0, half), strict=True):
            if part is not None:
                dx[..., start : start + half] = part
        return (dx,)


def test_results_are_arrays_even_without_axes():
    weight = gn.Parameter("w", (), Constant(2.0))
    loss = Sum()(vector()) * weight + weight
    net = executor(loss=loss)
    assert isinstance(net.forward(x=X, training=True)["loss"], np.ndarray)
    gradient = net.backward()["w"]
    assert isinstance(gradient, np.ndarray)
    assert gradient == X.sum() + 1


# -- asking


def test_backward_before_forward_is_refused():
    net = gn.Executor(classifier())
    with pytest.raises(gn.ExecutorError, match="backward before forward"):
        net.backward("loss")
    net.forward(**batch())
    with pytest.raises(gn.ExecutorError, match="backward before forward"):
        net.backward("loss")


def test_backward_twice_is_refused():
    net = gn.Executor(classifier())
    net.forward(training=True, **batch())
    net.backward("loss")
    with pytest.raises(gn.ExecutorError, match="once for each backward"):
        net.backward("loss")


def test_a_refused_backward_can_be_tried_again():
    net = gn.Executor(classifier())
    net.forward(training=True, **batch())
    for wrong in (lambda: net.backward("los"), lambda: net.backward("logits")):
        with pytest.raises((gn.GraphError, gn.ExecutorError)):
            wrong()
    assert net.backward("loss")


def test_backward_from_an_output_with_axes_needs_a_gradient():
    net = gn.Executor(classifier())
    net.forward(training=True, **batch())
    with pytest.raises(gn.ExecutorError, match=r"'logits' is no scalar but \(6, 5\)"):
        net.backward("logits")


@pytest.mark.parametrize(
    ("gradient", "text"),
    [
        (np.ones((6, 4), "float32"), "expected float32 (6, 5), received float32 (6, 4)"),
        (np.ones((6, 5), "float64"), "received float64 (6, 5)"),
        (1.0, "received float"),
        ([[1.0] * 5] * 6, "received list"),
    ],
)
def test_a_gradient_that_does_not_fit_the_output_is_refused(gradient, text):
    net = gn.Executor(classifier())
    net.forward(training=True, **batch())
    with pytest.raises(gn.ExecutorError, match=re.escape(text)):
        net.backward("logits", gradient)


def test_backward_from_an_integer_output_is_refused():
    label = gn.Input("label", ("N",), "int64")
    net = executor(label=label, y=Sum()(vector()))
    net.forward(x=X, label=np.arange(3), differentiate=True)
    with pytest.raises(gn.ExecutorError, match="'label' is int64 and has no gradient"):
        net.backward("label", np.ones(3, "int64"))


def test_backward_with_respect_to_an_integer_input_is_refused():
    net = gn.Executor(classifier())
    net.forward(training=True, **batch())
    with pytest.raises(gn.GraphError, match="'label' is int64 and has no gradient"):
        net.backward("loss", wrt=["label"])


def test_backward_of_one_output_among_several_has_to_be_named():
    net = gn.Executor(classifier())
    net.forward(training=True, **batch())
    with pytest.raises(gn.GraphError, match=r"one of the outputs \['logits', 'loss'\]"):
        net.backward()


def test_unknown_names_are_refused_with_the_known_ones():
    net = gn.Executor(classifier())
    with pytest.raises(gn.GraphError, match=r"among \['logits', 'loss'\], received 'score'"):
        net.forward(outputs=["score"], **batch())
    net.forward(training=True, **batch())
    with pytest.raises(gn.GraphError, match=r"among \['logits', 'loss'\], received 'score'"):
        net.backward("score")
    with pytest.raises(gn.GraphError, match=r"'conv_1.weight'.*'image'.*received 'conv_9.weight'"):
        net.backward("loss", wrt=["conv_9.weight"])
    with pytest.raises(gn.GraphError, match=r"received 'batch_norm_1\.running_mean'"):
        net.backward("loss", wrt=["batch_norm_1.running_mean"])


def test_a_parameter_that_is_not_trainable_gets_no_gradient_unless_asked_for():
    frozen = gn.Parameter("frozen", (2, 2), trainable=False)
    net = executor(loss=Sum()(Linear(1)(MatMul()(vector(), frozen))))
    assert net.trainable == ["linear_1.weight", "linear_1.bias"]
    net.forward(x=X, training=True)
    assert list(net.backward()) == net.trainable
    net.forward(x=X, training=True)
    assert list(net.backward(wrt=["frozen"])) == ["frozen"]
    before = net.snapshot()
    net.training_step(gn.optim.Adam(0.1))(x=X)
    after = net.snapshot()
    assert np.array_equal(after["frozen"], before["frozen"])
    assert not np.array_equal(after["linear_1.weight"], before["linear_1.weight"])


@dataclass(frozen=True)
class CountsBackward(Tanh):
    def backward(self, saved, dy, needs):
        ASKED.append(needs)
        return super().backward(saved, dy, needs)


ASKED: list[tuple[bool, ...]] = []


def test_gradients_that_nobody_needs_are_not_computed():
    x = vector()
    net = executor(loss=Sum()(Linear(2)(CountsBackward()(x))))
    ASKED.clear()
    net.forward(x=X, training=True)
    net.backward()
    assert ASKED == []
    net.forward(x=X, training=True)
    net.backward(wrt=["x"])
    assert ASKED == [(True,)]


@dataclass(frozen=True)
class Lends(Tanh):
    """Hands out an array that it keeps, as an operator of a careless author might."""

    def infer(self, a, b):
        return a

    def forward(self, a, b):
        return a + b, ()

    def backward(self, saved, dy, needs):
        LENT[:] = [dy * 1]
        return LENT[0], LENT[0]


LENT: list[np.ndarray] = []


def test_an_array_that_a_kernel_gave_out_is_never_changed():
    x = vector()
    first = Sum()(x * 3)
    # declared last and so reversed first: what it lends is the first gradient to reach x
    net = executor(loss=first + Sum()(Lends()(x, x * 2)))
    net.forward(x=X, differentiate=True)
    gradient = net.backward(wrt=["x"])["x"]
    np.testing.assert_array_equal(gradient, np.full_like(X, 1 + 2 + 3))
    np.testing.assert_array_equal(LENT[0], np.ones_like(X))


@dataclass(frozen=True)
class Watched(Tanh):
    """Counts, at each reverse, how many of the arrays saved so far are still alive."""

    def forward(self, x):
        y = np.tanh(x)
        kept = y + 0
        WATCHED.append(weakref.ref(kept))
        return y, (kept,)

    def backward(self, saved, dy, needs):
        ALIVE.append(sum(ref() is not None for ref in WATCHED))
        return super().backward(saved, dy, needs)


WATCHED: list[weakref.ref] = []
ALIVE: list[int] = []


def test_what_was_saved_is_released_as_the_reverse_pass_goes():
    value = vector()
    for _ in range(4):
        value = Watched()(value)
    net = executor(y=Sum()(value))
    WATCHED.clear()
    ALIVE.clear()
    net.forward(x=X, differentiate=True)
    net.backward(wrt=["x"])
    assert ALIVE == [4, 3, 2, 1]
