"""Linear attention where its record does not reach: cut sequences, symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.linear_attention import LinearAttention

X = Spec(("N", 5, 8))
GATE, RATE = Spec(("N", 5, 2)), Spec(("N", 5, 2))


def test_a_sequence_may_be_cut_and_its_state_handed_on():
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(2, 6, 8)) for _ in range(3)]
    decay, rate = -rng.random((2, 6, 2)), rng.random((2, 6, 2))
    operator = LinearAttention(2, rule="gated_delta")
    (whole, last), _ = operator.forward(*x, None, decay, rate)
    state, parts = None, []
    for part in (slice(2), slice(2, 6)):
        given = [a[:, part] for a in x]
        (y, state), _ = operator.forward(*given, state, decay[:, part], rate[:, part])
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(state, last, rtol=1e-10, atol=1e-12)


def test_a_key_that_was_written_at_full_rate_is_read_back():
    key = np.eye(3)[None, :, :]
    value = np.arange(6.0).reshape(1, 3, 2)
    operator = LinearAttention(rule="delta", scale=1.0)
    (_, state), _ = operator.forward(key, key, value, None, None, np.ones((1, 3, 1)))
    np.testing.assert_array_equal(state[0, 0], value[0])


def test_a_state_whose_gradient_passes_through_has_one_of_its_own():
    x, state = np.ones((1, 2, 3)), np.zeros((1, 1, 3, 3))
    _, saved = LinearAttention().forward(x, x, x, state)
    dlast = np.ones_like(state)
    dstate = LinearAttention().backward(
        saved, (None, dlast), (False, False, False, True, False, False)
    )[3]
    assert dstate.tolist() == dlast.tolist() and not np.may_share_memory(dstate, dlast)


def test_the_symbolic_batch_is_carried_along():
    y, state = LinearAttention(2).infer(X, X, Spec(("N", 5, 6)))
    assert y == Spec(("N", 5, 6)) and state == Spec(("N", 2, 4, 3))
    shared = LinearAttention(4, 2).infer(X, Spec(("N", 5, 4)), Spec(("N", 5, 6)))
    assert shared == (Spec(("N", 5, 12)), Spec(("N", 2, 2, 3)))


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (LinearAttention(3), [X, X, X], "a query whose features divide into 3 heads"),
        (LinearAttention(2), [X, Spec(("N", 4, 8)), X], "as many examples and steps"),
        (LinearAttention(2), [X, Spec(("N", 5, 8), "float64"), X], "inputs of one dtype"),
        (LinearAttention(2), [X, Spec(("N", 5, 4)), X], "as many features in a head"),
        (LinearAttention(2), [Spec(("N", 8)), X, X], "a query of 3 axes"),
        (LinearAttention(2), [Spec(("N", 0, 8))] * 3, "at least one step"),
        (LinearAttention(2), [X, X, Spec(("N", 5, 8), "int64")], "a value of a floating dtype"),
        (LinearAttention(2), [X, X, X, Spec(("N", 2, 4, 3))], "a state float32"),
        (LinearAttention(2), [X, X, X, None, GATE], "expected no decay, as the rule 'linear' says"),
        (LinearAttention(2, rule="gated"), [X, X, X], "expected a decay, as the rule 'gated'"),
        (LinearAttention(2, rule="gated"), [X, X, X, None, Spec(("N", 5, 3))], "8 or 2 features"),
        (LinearAttention(2, rule="delta"), [X, X, X, None, None, Spec((5, 2))], "2 or 1 features"),
        (LinearAttention(2, rule="delta"), [X, X, X, None, GATE, RATE], "expected no decay"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": 0}, "heads of at least 1"),
        ({"heads": 4, "key_value_heads": 3}, "key_value_heads that divide the 4 heads"),
        ({"rule": "quadratic"}, '"linear", "gated", "delta" or "gated_delta" for rule'),
        ({"scale": 0.0}, "a finite number above 0 for scale"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LinearAttention(**fields)


@pytest.mark.parametrize("width", [1, 2])
def test_an_empty_batch_gives_empty_results_and_gradients(width):
    operator = LinearAttention(2, rule="gated_delta")
    x, gate, rate = np.zeros((0, 5, 8)), np.zeros((0, 5, 2)), np.zeros((0, 5, width))
    (y, state), saved = operator.forward(x, x, x, None, gate, rate)
    needs = (True, True, True, False, True, True)
    gradients = operator.backward(saved, (y, state), needs)
    shapes = [None if g is None else g.shape for g in gradients]
    assert shapes == [x.shape, x.shape, x.shape, None, gate.shape, rate.shape]
