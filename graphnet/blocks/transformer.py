"""Transformers: attention over several heads, and the block that deep ones are stacked from.

A sequence is ``(N, L, features)``: L tokens in each example.
"""

from __future__ import annotations

from graphnet.values import Value
from ops.activation import GELU
from ops.attention import ScaledDotProductAttention
from ops.dropout import Dropout
from ops.linear import Linear
from ops.normalization import LayerNorm
from ops.operator import Operator, expect_rank, known

__all__ = ["multi_head_attention", "transformer_block"]

GELU_EXACT = GELU()


def multi_head_attention(
    x: Value,
    heads: int,
    *,
    context: Value | None = None,
    causal: bool = False,
    mask: Value | None = None,
    dropout: float = 0.0,
) -> Value:
    """Linear queries, keys and values - attention - Linear - Dropout.

    Shapes: ``(N, L, features) -> (N, L, features)``.

    Args:
        x: the tokens that ask.
        heads: how many attend side by side, each to ``features / heads`` of the features.
        context: the tokens ``(N, S, any)`` that are attended to; x itself when None.
        causal: whether token ``i`` attends to tokens up to ``i`` only; default False.
        mask: which may be attended to, or what is added to the scores; broadcasts to
            ``(N, heads, L, S)``.  See :class:`ops.attention.ScaledDotProductAttention`.
        dropout: the probability of dropping an entry of the result; default 0.

    Raises:
        TypeError, ValueError: ``heads``, ``causal`` or ``dropout`` is out of range.
        ShapeError: x or the context has not three axes, the features do not divide into the
            heads, or the mask does not fit.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import graphnet as gn
    >>> multi_head_attention(gn.Input("x", ("N", 16, 64)), heads=8).shape
    (N, 16, 64)
    """
    expect_rank("a sequence", x.spec, 3)
    (features,) = known(x.shape[2])
    source = x if context is None else context
    query, key, value = (Linear(features, axis=-1)(tokens) for tokens in (x, source, source))
    attention = ScaledDotProductAttention(heads, causal)
    seen = attention(query, key, value) if mask is None else attention(query, key, value, mask)
    return _dropped(Linear(features, axis=-1)(seen), dropout)


def transformer_block(
    x: Value,
    heads: int,
    *,
    expansion: int = 4,
    causal: bool = False,
    mask: Value | None = None,
    dropout: float = 0.0,
    activation: Operator = GELU_EXACT,
) -> Value:
    """``x + attention(LayerNorm(x))``, then ``x + perceptron(LayerNorm(x))``.

    The perceptron, Linear - activation - Linear - Dropout, is the same at each token.

    Shapes: ``(N, L, features) -> (N, L, features)``.

    Args:
        x: the tokens.
        heads: how many attend side by side.
        expansion: the hidden units of the perceptron for each feature; default 4.
        causal: whether token ``i`` attends to tokens up to ``i`` only; default False.
        mask: as in :func:`multi_head_attention`.
        dropout: the probability of dropping an entry of either branch; default 0.
        activation: of the perceptron; default :class:`ops.GELU`.

    Raises:
        TypeError, ValueError: a number is out of range.
        ShapeError: x has not three axes, the features do not divide into the heads, or the
            mask does not fit.

    Source: Vaswani et al., "Attention Is All You Need", 2017, with the normalizations ahead of
    the branches as in Xiong et al., "On Layer Normalization in the Transformer Architecture",
    2020.

    >>> import graphnet as gn
    >>> transformer_block(gn.Input("x", ("N", 16, 64)), heads=8, causal=True).shape
    (N, 16, 64)
    """
    attended = multi_head_attention(
        LayerNorm()(x), heads, causal=causal, mask=mask, dropout=dropout
    )
    x = x + attended
    (features,) = known(x.shape[2])
    hidden = activation(Linear(expansion * features, axis=-1)(LayerNorm()(x)))
    y: Value = x + _dropped(Linear(features, axis=-1)(hidden), dropout)
    return y


def _dropped(x: Value, dropout: float) -> Value:
    y: Value = Dropout(dropout)(x) if dropout else x
    return y
