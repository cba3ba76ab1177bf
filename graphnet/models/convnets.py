"""Plain convolutional networks: one after the other, no branches."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphnet.blocks import conv_batchnorm_relu, conv_relu, conv_relu_pool, linear_relu
from graphnet.graph import Graph
from graphnet.models.classifier import classifier
from graphnet.values import Value
from ops.dropout import Dropout
from ops.initializers import Initializer, Kaiming, as_initializer
from ops.linear import Linear
from ops.operator import Operator
from ops.pooling import MaxPool

__all__ = ["deep_convnet", "three_layer_convnet"]


def three_layer_convnet(
    input_shape: tuple[int, ...] = (3, 32, 32),
    *,
    filters: int = 32,
    kernel_size: int = 7,
    hidden: int = 100,
    classes: int = 10,
    weight_scale: float | str | Initializer = 1e-3,
    reg: float = 0.0,
    loss: Operator | None = None,
) -> Graph:
    """Conv - ReLU - 2x2 max pool - Linear - ReLU - Linear - loss.

    The convolution keeps the size of the image.  Biases start at 0.

    Args:
        input_shape: channels and sizes of one image.
        filters: of the convolution; default 32.
        kernel_size: of the convolution; default 7.
        hidden: units of the first linear layer; default 100.
        classes: number of logits; default 10.
        weight_scale: standard deviation of the weights (default 1e-3), ``"kaiming"``,
            ``"xavier"`` or an initializer.
        reg: strength of the L2 penalty in the loss; default 0.
        loss: an operator on ``(logits, label)``; softmax cross-entropy when None.

    Raises:
        ShapeError, ValueError: the image is too small, or an argument out of range.

    >>> three_layer_convnet((1, 8, 8), kernel_size=3)
    <Graph of 7 nodes: ['image', 'label'] -> ['logits', 'loss']>
    """
    weight = as_initializer(weight_scale)

    def body(image: Value) -> Value:
        x = conv_relu_pool(image, filters, kernel_size, weight=weight)
        x = linear_relu(x, hidden, weight=weight)
        return _logits(x, classes, weight)

    return classifier(body, input_shape, loss=loss, reg=reg)


def deep_convnet(
    input_shape: tuple[int, ...] = (3, 32, 32),
    *,
    filters: Sequence[int] = (64, 64, 128, 128, 256, 256),
    pools: Collection[int] = (1, 3, 5),
    classes: int = 10,
    batchnorm: bool = True,
    dropout: float = 0.0,
    weight_scale: float | str | Initializer = "kaiming",
    reg: float = 0.0,
    loss: Operator | None = None,
) -> Graph:
    """{Conv 3x3 - [BatchNorm] - ReLU - [2x2 max pool]} x L - [Dropout] - Linear - loss.

    Args:
        input_shape: channels and sizes of one image.
        filters: of each convolution; their number is L.
        pools: the layers, counted from 0, after which a max pool halves the image.
        classes: number of logits; default 10.
        batchnorm: whether each convolution is normalized; it then has no bias.
        dropout: probability of dropping a feature ahead of the linear layer; default 0.
        weight_scale: ``"kaiming"`` (default), ``"xavier"``, a standard deviation or an
            initializer.
        reg: strength of the L2 penalty in the loss; default 0.
        loss: an operator on ``(logits, label)``; softmax cross-entropy when None.

    Raises:
        ShapeError: more pools than the image has halves.
        ValueError: an argument is out of range.

    >>> graph = deep_convnet((1, 8, 8), filters=(8, 16), pools=(1,))
    >>> graph.outputs["logits"].shape
    (N, 10)
    """
    weight = as_initializer(weight_scale)
    unknown = set(pools) - set(range(len(filters)))
    if unknown:
        raise ValueError(
            f"deep_convnet: expected pools among the layers 0..{len(filters) - 1}, "
            f"received {sorted(unknown)}"
        )
    layer = conv_batchnorm_relu if batchnorm else conv_relu

    def body(image: Value) -> Value:
        x = image
        for index, width in enumerate(filters):
            x = layer(x, width, 3, weight=weight)
            if index in pools:
                x = MaxPool(2)(x)
        if dropout:
            x = Dropout(dropout)(x)
        return _logits(x, classes, weight)

    return classifier(body, input_shape, loss=loss, reg=reg)


def _logits(x: Value, classes: int, weight: Initializer) -> Value:
    """The last linear layer; no ReLU follows it, so Kaiming's gain is 1."""
    last = Kaiming(gain=1.0) if isinstance(weight, Kaiming) else weight
    logits: Value = Linear(classes)(x, weight=last)
    return logits
