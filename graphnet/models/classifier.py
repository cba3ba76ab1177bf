"""What all classifiers share: their inputs, their loss and the names of both."""

from __future__ import annotations

from collections.abc import Callable

from graphnet.blocks import l2_penalty
from graphnet.graph import Graph
from graphnet.values import Input, Value
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.operator import Operator

__all__ = ["classifier"]


def classifier(
    body: Callable[[Value], Value],
    input_shape: tuple[int, ...],
    *,
    loss: Operator | None = None,
    reg: float = 0.0,
) -> Graph:
    """A graph ``(image, label) -> (logits, loss)`` around ``body``, which makes the logits.

    Args:
        body: from the images ``(N, *input_shape)`` to logits ``(N, classes)``.
        input_shape: channels and sizes of one image.
        loss: an operator on ``(logits, label)``; softmax cross-entropy when None.
        reg: strength of the L2 penalty ``reg * sum(W^2)`` in the loss; none by default.

    >>> import graphnet as gn
    >>> from ops import Hinge, Linear
    >>> classifier(Linear(3), (1, 8, 8), loss=Hinge())
    <Graph of 2 nodes: ['image', 'label'] -> ['logits', 'loss']>
    """
    image = Input("image", ("N", *input_shape))
    label = Input("label", ("N",), "int64")
    logits = body(image)
    value: Value = (loss or SoftmaxCrossEntropy())(logits, label)
    return Graph(image, label, logits=logits, loss=l2_penalty(value, reg) if reg else value)
