"""PyTorch's attention and recurrent networks, with the configurations that it lacks composed."""

from __future__ import annotations

import math

from tests.oracles import Lazy, as_tuple

torch = Lazy("torch")
F = Lazy("torch.nn.functional")


def attention(operator, query, key, value, mask=None):
    batch, queries, keys = len(query), query.shape[1], key.shape[1]
    if operator.softcap is not None:
        return None  # PyTorch's function has none
    groups = operator.key_value_heads or operator.heads
    before, after = operator.window
    after = 0 if operator.causal else after
    ahead = torch.arange(keys) - torch.arange(queries)[:, None] - operator.past
    visible = (ahead >= (-math.inf if before is None else -before)) & (
        ahead <= (math.inf if after is None else after)
    )
    if mask is None:
        mask = visible
    else:
        mask = mask.broadcast_to(batch, operator.heads, queries, keys)
        mask = torch.where(visible, mask, False if mask.dtype == torch.bool else -math.inf)
    query, key, value = (
        x.unflatten(2, (heads, x.shape[2] // heads)).transpose(1, 2)
        for x, heads in ((query, operator.heads), (key, groups), (value, groups))
    )
    y = F.scaled_dot_product_attention(
        query, key, value, mask, scale=operator.scale, enable_gqa=groups != operator.heads
    )
    return y.transpose(1, 2).flatten(2)


def recurrent(module, operator, *inputs, **fields):
    x, input_weight, hidden_weight, input_bias, hidden_bias, *states = inputs
    network = getattr(torch.nn, module)(
        x.shape[2],
        operator.units,
        bias=operator.bias,
        batch_first=True,
        bidirectional=operator.directions == 2,
        dtype=x.dtype,
        **fields,
    )
    learned = {}
    for d, suffix in enumerate(("", "_reverse")[: operator.directions]):
        learned[f"weight_ih_l0{suffix}"] = input_weight[d]
        learned[f"weight_hh_l0{suffix}"] = hidden_weight[d]
        if operator.bias:
            learned[f"bias_ih_l0{suffix}"] = input_bias[d]
            learned[f"bias_hh_l0{suffix}"] = hidden_bias[d]
    zeros = x.new_zeros(operator.directions, len(x), operator.units)
    start = tuple(zeros if state is None else state for state in states)
    # a direction of torch's is forward, or forward and reverse
    turned = operator.direction == "reverse"
    inputs = (x.flip(1) if turned else x, start if len(start) > 1 else start[0])
    y, last = torch.func.functional_call(network, learned, inputs)
    return (y.flip(1) if turned else y, *as_tuple(last))


def lstm(operator, *inputs):
    if operator.peepholes:
        return None  # PyTorch's gates do not see the cell
    return recurrent("LSTM", operator, *inputs[:-1])


def gru(operator, *inputs):
    # torch resets after the product only
    return recurrent("GRU", operator, *inputs) if operator.reset_after else None


def rnn(operator, *inputs):
    return recurrent("RNN", operator, *inputs, nonlinearity=operator.activation)
