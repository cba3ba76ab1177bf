"""Recurrent networks where their records do not reach: cut sequences, huge inputs, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphnet as gn
from graphnet.testing import Case, check_gradients
from graphnet.testing.strategies import random_array
from ops import Linear, Reshape, ShapeError, SoftmaxCrossEntropy, Spec, Transpose
from ops.dimension import Dim
from ops.gru import GRU
from ops.initializers import Uniform
from ops.lstm import LSTM
from ops.rnn import RNN

LARGEST = float(np.finfo(np.float32).max)
DIRECTIONS = ("forward", "reverse", "bidirectional")
KINDS = [
    LSTM,
    lambda *args, **fields: LSTM(*args, peepholes=True, **fields),
    GRU,
    lambda *args, **fields: GRU(*args, reset_after=False, **fields),
    RNN,
]
each_kind = pytest.mark.parametrize(
    "kind", KINDS, ids=["LSTM", "peepholes", "GRU", "GRU-reset-ahead", "RNN"]
)
X = Spec(("N", 5, 3))


def case_for(operator, batch=2, steps=5, features=3, *, initial=False):
    """A case with random inputs; initial states are left out or given."""
    d, units = operator.directions, operator.units
    rows = (d, operator.gates * units)
    states = sum(name.startswith("initial") for name in operator.signature().names)
    shapes = [(batch, steps, features), (*rows, features), (*rows, units), rows, rows]
    arrays = [random_array(shape, seed) for seed, shape in enumerate(shapes)]
    if not operator.bias:
        arrays[3:] = None, None
    arrays += [random_array((d, batch, units), 9 + k) if initial else None for k in range(states)]
    if isinstance(operator, LSTM):
        arrays.append(random_array((d, 3 * units), 12) if operator.peepholes else None)
    return Case(operator, tuple(arrays))


def of_direction(inputs, d):
    """The inputs of one direction of a bidirectional network."""
    return (inputs[0], *(None if a is None else a[d : d + 1] for a in inputs[1:]))


@each_kind
def test_the_reverse_direction_is_the_forward_one_on_the_reversed_sequence(kind):
    x, *others = case_for(kind(4), initial=True).inputs
    (y, *states), _ = kind(4, direction="reverse").forward(x, *others)
    (ahead, *wanted), _ = kind(4).forward(x[:, ::-1], *others)
    np.testing.assert_array_equal(y, ahead[:, ::-1])
    np.testing.assert_array_equal(states, wanted)


@each_kind
def test_the_halves_of_a_bidirectional_network_know_nothing_of_each_other(kind):
    inputs = case_for(kind(4, direction="bidirectional"), initial=True).inputs
    (y, *states), _ = kind(4, direction="bidirectional").forward(*inputs)
    for d, direction in enumerate(("forward", "reverse")):
        (half, *ends), _ = kind(4, direction=direction).forward(*of_direction(inputs, d))
        np.testing.assert_allclose(y[:, :, 4 * d : 4 * d + 4], half, rtol=1e-12)
        for whole, end in zip(states, ends, strict=True):
            np.testing.assert_allclose(whole[d : d + 1], end, rtol=1e-12)


@each_kind
@pytest.mark.parametrize("cut", [1, 3])
def test_a_sequence_may_be_cut_where_the_states_are_handed_on(kind, cut):
    operator = kind(4)
    inputs = case_for(operator, initial=True).inputs
    learned = inputs[1:5]
    (y, *ends), _ = operator.forward(*inputs)
    (first, *states), _ = operator.forward(inputs[0][:, :cut], *learned, *inputs[5:])
    rest = inputs[5 + len(states) :]
    (second, *last), _ = operator.forward(inputs[0][:, cut:], *learned, *states, *rest)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), y, rtol=1e-12)
    np.testing.assert_allclose(last, ends, rtol=1e-12)


@each_kind
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_initial_state_left_out_is_zero(kind, direction):
    operator = kind(4, direction=direction)
    case = case_for(operator)
    (y, *states), _ = operator.forward(*case.inputs)
    zeros = [np.zeros((operator.directions, 2, 4)) for _ in states]
    rest = case.inputs[5 + len(states) :]
    (same, *others), _ = operator.forward(*case.inputs[:5], *zeros, *rest)
    np.testing.assert_array_equal(y, same)
    np.testing.assert_array_equal(states, others)


@each_kind
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_output_nobody_uses_adds_nothing_to_the_gradients(kind, direction):
    case = case_for(kind(4, direction=direction), initial=True)
    outputs, saved = case.forward()
    _, v = case.directions()
    for used in range(len(outputs)):
        alone = [dy if index == used else None for index, dy in enumerate(v)]
        zeros = [dy if index == used else np.zeros_like(dy) for index, dy in enumerate(v)]
        for gradient, wanted in zip(
            case.backward(saved, alone), case.backward(saved, zeros), strict=True
        ):
            np.testing.assert_array_equal(gradient, wanted)


@each_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_gates_neither_overflow_nor_lose_the_gradient(kind, dtype):
    operator = kind(2, direction="bidirectional")
    x, *learned = case_for(operator).cast(dtype).inputs
    x = np.sign(x) * x.dtype.type(LARGEST / 1e6)
    (y, *states), saved = operator.forward(x, *learned)
    assert np.isfinite(y).all() and np.isfinite(states).all() and y.dtype == dtype
    dy = (np.ones_like(y), *(np.ones_like(state) for state in states))
    needs = (True,) * 5 + (False,) * (len(learned) - 4)
    gradients = operator.backward(saved, dy, needs)[:5]
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@each_kind
def test_an_empty_batch_gives_empty_sequences_and_gradients_of_zero(kind):
    case = case_for(kind(2, direction="bidirectional"), batch=0, initial=True)
    outputs, saved = case.forward()
    assert [y.shape for y in outputs[:2]] == [(0, 5, 4), (2, 0, 2)]
    dx, *dlearned = case.backward(saved, outputs)[:5]
    assert dx.shape == (0, 5, 3)
    assert not any(gradient.any() for gradient in dlearned)


@each_kind
def test_the_symbolic_batch_is_carried_along(kind):
    operator = kind(4, direction="bidirectional")
    x = gn.Input("x", ("N", 5, 3))
    y, hidden, *others = operator(x)
    assert (y.shape, hidden.shape) == (("N", 5, 8), (2, "N", 4))
    assert operator(x, initial_hidden=hidden)[0].shape == y.shape
    twice = gn.Input("twice", ("N", 3, 3))
    with pytest.raises(ShapeError, match=r"initial_hidden float32 \(1, N, 4\)"):
        kind(4)(twice, initial_hidden=hidden)
    assert all(other.shape == hidden.shape for other in others)


def test_a_folded_batch_is_a_batch():
    specs = [Spec((Dim(2), 5, 3)), Spec((1, 12, 3)), Spec((1, 12, 4))]
    specs += [Spec((1, 12))] * 2 + [Spec((1, Dim(2), 4))]
    y, hidden = GRU(4).infer(*specs)
    assert (y.shape, hidden.shape) == ((Dim(2), 5, 4), (1, Dim(2), 4))


@each_kind
def test_weights_start_uniform_and_biases_at_zero(kind):
    operator = kind(16, direction="bidirectional")
    learned = operator.parameters(X)
    names = ["input_weight", "hidden_weight", "input_bias", "hidden_bias"]
    assert [name for name in learned if name != "peephole"] == names
    rng = np.random.default_rng(0)
    for name, parameter in learned.items():
        value = parameter.initializer.sample(parameter.shape, parameter.dtype, rng)
        assert parameter.decay == (not name.endswith("bias"))
        if parameter.decay:
            assert 0.24 < np.abs(value).max() <= 0.25  # 1 / sqrt(units)
        else:
            assert not value.any()
    assert not [name for name in kind(16, bias=False).parameters(X) if name.endswith("bias")]


def test_uniform_entries_fill_their_range():
    w = Uniform(0.5).sample((1000,), "float32", np.random.default_rng(0))
    assert w.dtype == np.float32 and -0.5 <= w.min() < -0.49 and 0.49 < w.max() <= 0.5
    assert abs(w.std() - 0.5 / math.sqrt(3)) < 0.02


@each_kind
def test_operations_count_the_products_of_all_steps_and_directions(kind):
    specs = [None if a is None else Spec(a.shape) for a in case_for(kind(4)).inputs]
    both = [
        None if a is None else Spec(a.shape)
        for a in case_for(kind(4, direction="bidirectional")).inputs
    ]
    one = kind(4)
    products = 2 * 2 * 5 * (one.gates * 4) * (3 + 4)  # batch 2, 5 steps, 3 features, 4 units
    assert products < one.flops(*specs) < 2 * products
    assert kind(4, direction="bidirectional").flops(*both) == 2 * one.flops(*specs)


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (LSTM(4), {"x": Spec(("N", 3))}, r"an input of 3 axes, received float32 \(N, 3\)"),
        (LSTM(4), {"x": Spec(("N", 5, 3), "int64")}, "a floating dtype, received int64"),
        (LSTM(4), {"x": Spec(("N", 0, 3))}, r"one time step, received float32 \(N, 0, 3\)"),
        (GRU(4), {"x": Spec((2, "N", 3))}, r"known sizes, received \(N, 3\)"),
        (LSTM(4), {"x": Spec(("N", 5, 2))}, r"input_weight float32 \(1, 16, 2\), received"),
        (LSTM(4), {"input_weight": Spec((16, 3))}, r"\(1, 16, 3\), received float32 \(16, 3\)"),
        (LSTM(4), {"peephole": Spec((1, 12))}, "expected no peephole, as peepholes=False says"),
        (LSTM(4, peepholes=True), {}, "expected a peephole, as peepholes=True says, received none"),
        (LSTM(4, peepholes=True), {"peephole": Spec((1, 8))}, r"a peephole float32 \(1, 12\)"),
        (LSTM(4), {"hidden_weight": Spec((1, 16, 3))}, r"hidden_weight float32 \(1, 16, 4\)"),
        (LSTM(4), {"input_bias": None}, "expected input_bias, as bias=True says, received none"),
        (LSTM(4), {"hidden_bias": Spec((16,))}, r"hidden_bias float32 \(1, 16\), received"),
        (
            LSTM(4, bias=False),
            {"input_bias": None},
            r"expected no hidden_bias, as bias=False says, received float32 \(1, 16\)",
        ),
        (
            LSTM(4),
            {"initial_hidden": Spec(("N", 1, 4))},
            r"initial_hidden float32 \(1, N, 4\), received float32 \(N, 1, 4\)",
        ),
        (
            LSTM(4),
            {"initial_cell": Spec((1, "N", 4), "float64")},
            r"initial_cell float32 \(1, N, 4\), received float64 \(1, N, 4\)",
        ),
        (GRU(4), {"initial_hidden": Spec((1, 2, 4))}, r"received float32 \(1, 2, 4\)"),
        (GRU(4, direction="bidirectional"), {}, r"input_weight float32 \(2, 12, 3\), received"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    rows = (1, operator.gates * 4)
    fitting = {
        "x": X,
        "input_weight": Spec((*rows, 3)),
        "hidden_weight": Spec((*rows, 4)),
        "input_bias": Spec(rows),
        "hidden_bias": Spec(rows),
    }
    with pytest.raises(ShapeError, match=message):
        operator.infer(**(fitting | inputs))


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: LSTM(0), ValueError, "LSTM: expected units of at least 1, received 0"),
        (lambda: LSTM(2.0), TypeError, "LSTM: expected an integer for units"),
        (
            lambda: LSTM(4, direction="backward"),
            ValueError,
            'LSTM: expected "forward", "reverse" or "bidirectional" for direction',
        ),
        (lambda: LSTM(4, peepholes=1), TypeError, "LSTM: expected True or False for peepholes"),
        (lambda: GRU(4, bias=1), TypeError, "GRU: expected True or False for bias"),
        (
            lambda: GRU(4, reset_after="no"),
            TypeError,
            "GRU: expected True or False for reset_after",
        ),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize("reset_after", [True, False])
def test_gradients_flow_through_stacked_networks_and_handed_over_states(reset_after):
    x, label = gn.Input("x", ("N", 4, 3)), gn.Input("label", ("N",), "int64")
    y, hidden, cell = LSTM(2, direction="bidirectional")(x)
    y, _, cell = LSTM(2, direction="bidirectional")(y, initial_hidden=hidden, initial_cell=cell)
    _, last = GRU(2, direction="bidirectional", reset_after=reset_after)(y, initial_hidden=cell)
    _, last = GRU(3, reset_after=reset_after, bias=False)(y, initial_hidden=merged(last))
    loss = SoftmaxCrossEntropy()(Linear(2)(Reshape(("N", 3))(last)), label)
    feeds = {"x": random_array((3, 4, 3), 0), "label": np.array([0, 1, 1])}
    check_gradients(gn.Graph(loss=loss), feeds)


def merged(states):
    """States ``(2, N, 2)`` as an initial one of 3 units ``(1, N, 3)``."""
    both = Reshape(("N", 4))(Transpose((1, 0, 2))(states))
    return Reshape((1, "N", 3))(Linear(3)(both))


@each_kind
def test_a_recurrent_classifier_remembers_the_first_token(kind):
    steps, tokens = 6, 4
    x, label = gn.Input("x", ("N", steps, tokens)), gn.Input("label", ("N",), "int64")
    _, hidden, *_ = kind(16)(x)
    logits = Linear(tokens)(Reshape(("N", 16))(hidden))
    graph = gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label))
    net = gn.Executor(graph, seed=0)
    step = net.training_step(gn.optim.Adam(0.02), loss="loss")
    rng = np.random.default_rng(0)

    def batch(size):
        drawn = rng.integers(0, tokens, (size, steps))
        return np.eye(tokens, dtype=np.float32)[drawn], drawn[:, 0]

    for _ in range(300):
        sequences, first = batch(64)
        step(x=sequences, label=first)
    sequences, first = batch(500)
    found = net.forward(x=sequences, label=first)["logits"].argmax(axis=1)
    assert (found == first).mean() > 0.98
