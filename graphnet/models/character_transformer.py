"""Language models on characters: at each place of a text, which character comes next."""

from __future__ import annotations

from graphnet.blocks import transformer_block
from graphnet.graph import Graph
from graphnet.values import Input, Parameter, Value
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.dropout import Dropout
from ops.embedding import Embedding
from ops.initializers import Normal
from ops.linear import Linear
from ops.normalization import LayerNorm
from ops.shape import Transpose

__all__ = ["character_transformer"]


def character_transformer(
    vocabulary: int,
    *,
    context: int = 64,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.0,
) -> Graph:
    """Embedding - learned positions - causal transformer blocks - LayerNorm - Linear.

    The logits at a position depend on the characters up to it alone, so one text of
    ``context`` characters is as many examples.

    Shapes:
        - token: ``(N, context)`` of int64, the characters as numbers below ``vocabulary``
        - label: ``(N, context)`` of int64, the character that follows each
        - logits: ``(N, context, vocabulary)``, loss: ``()``, the mean over all positions

    Args:
        vocabulary: how many characters there are.
        context: how many are seen at most; default 64.
        width: features of a character; default 64.
        depth: number of blocks; default 2.
        heads: how many attend side by side in each block; default 4.
        dropout: probability of dropping an entry of a character's features; default 0.

    Raises:
        TypeError, ValueError: a number is out of range.
        ShapeError: the width does not divide into heads.

    Source: Al-Rfou, Choe, Constant, Guo, Jones, "Character-Level Language Modeling with Deeper
    Self-Attention", 2019; blocks and first values as in Radford et al., "Language Models are
    Unsupervised Multitask Learners", 2019.

    >>> graph = character_transformer(100)
    >>> graph.outputs["logits"].shape
    (N, 64, 100)
    """
    if depth < 1:
        raise ValueError(
            f"character_transformer: expected a depth of at least 1, received {depth!r}"
        )
    token = Input("token", ("N", context), "int64")
    label = Input("label", ("N", context), "int64")
    x: Value = Embedding(vocabulary, width)(token, weight=Normal(0.02))
    x = x + Parameter("positions", (context, width), Normal(0.02), decay=False)
    if dropout:
        x = Dropout(dropout)(x)
    for _ in range(depth):
        x = transformer_block(x, heads, causal=True, dropout=dropout)
    logits = Linear(vocabulary, axis=-1)(LayerNorm()(x))
    # the loss has classes on axis 1: (N, context, vocabulary) -> (N, vocabulary, context)
    loss = SoftmaxCrossEntropy()(Transpose((0, 2, 1))(logits), label)
    return Graph(token, label, logits=logits, loss=loss)
