"""ONNX's attention and recurrent networks, gates and directions in the order of ours."""

from __future__ import annotations

import numpy as np

from tests.oracles.onnx_node import run


def attention(operator, query, key, value, mask=None):
    groups, past = operator.key_value_heads or operator.heads, operator.past
    if past >= key.shape[1]:
        return None  # what is past comes in other inputs, and something has to be left

    def four(x):
        """The past keys or values with the heads ahead of the positions."""
        batch, positions, features = x[:, :past].shape
        return x[:, :past].reshape(batch, positions, groups, features // groups).swapaxes(1, 2)

    cached = (four(key), four(value)) if past else (None, None)
    before, after = operator.window
    if mask is not None:
        # the standard wants two axes or more
        mask = np.broadcast_to(mask, (len(query), operator.heads, query.shape[1], key.shape[1]))
    return run(
        "Attention",
        query,
        key[:, past:],
        value[:, past:],
        mask,
        *cached,
        q_num_heads=operator.heads,
        kv_num_heads=groups,
        softcap=operator.softcap or 0.0,
        left_window_size=-1 if before is None else before,
        right_window_size=-1 if after is None else after,
        is_causal=int(operator.causal),
        scale=operator.scale,
    )


def recurrent(name, order, operator, inputs, seen=(None, ()), **attributes):
    """One direction after the other, gates in the standard's order, steps first."""
    x, input_weight, hidden_weight, input_bias, hidden_bias, *states = inputs
    backward = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    found = []
    for d, turned in enumerate(backward[operator.direction]):

        def rows(array, order=order, d=d):
            """The rows of one direction, their gates in the other order."""
            gates = np.split(array[d : d + 1], len(order), axis=1)
            return np.concatenate([gates[number] for number in order], axis=1)

        bias = None
        if operator.bias:
            bias = np.concatenate([rows(input_bias), rows(hidden_bias)], axis=1)
        steps = x.swapaxes(0, 1)
        # the reference implementation knows the direction forward only
        y, *last = run(
            name,
            steps[::-1] if turned else steps,
            rows(input_weight),
            rows(hidden_weight),
            bias,
            None,
            *(None if state is None else state[d : d + 1] for state in states),
            *([] if seen[0] is None else [rows(*seen)]),
            outputs=1 + len(states),
            hidden_size=operator.units,
            **attributes,
        )
        y = y[::-1] if turned else y
        found.append((y[:, 0].swapaxes(0, 1), *last))
    sequences, *finals = zip(*found, strict=True)
    return np.concatenate(sequences, axis=2), *(np.concatenate(each) for each in finals)


def lstm(operator, *inputs):
    *others, peephole = inputs
    # i, f, g, o -> i, o, f, g, and the peepholes of i, f, o -> i, o, f
    return recurrent("LSTM", (0, 3, 1, 2), operator, others, seen=(peephole, (0, 2, 1)))


def gru(operator, *inputs):
    after = int(operator.reset_after)
    return recurrent("GRU", (1, 0, 2), operator, inputs, linear_before_reset=after)


def rotary(operator, x, cos, sin):
    if x.size == 0:
        return None  # no size can be inferred beside one of 0
    batch, positions, _ = x.shape
    pairs = cos.shape[-1]
    cos, sin = (np.broadcast_to(c, (batch, positions, pairs)) for c in (cos, sin))
    return run(
        "RotaryEmbedding",
        x,
        cos,
        sin,
        num_heads=operator.heads,
        rotary_embedding_dim=2 * pairs,
        interleaved=int(operator.interleaved),
    )


def rnn(operator, *inputs):
    if operator.activation != "tanh":
        return None  # the reference implementation knows the tangent alone
    return recurrent("RNN", (0,), operator, inputs)


def linear_attention(operator, *inputs):
    if inputs[0].size == 0:
        return None  # no size can be inferred beside one of 0
    query, key, value, state, decay, rate = inputs
    return run(
        "LinearAttention",
        query,
        key,
        value,
        state,
        decay,
        rate,
        outputs=2,
        q_num_heads=operator.heads,
        kv_num_heads=operator.key_value_heads or operator.heads,
        update_rule=operator.rule,
        scale=operator.scale or 0.0,
    )
