"""Residual networks in the form used for small images: no pooling in the stem."""

from __future__ import annotations

from graphnet.blocks import conv_batchnorm_relu
from graphnet.graph import Graph
from graphnet.models.classifier import classifier
from graphnet.values import Value
from ops.batch_norm import BatchNorm
from ops.convolution import Conv
from ops.elementwise import Add
from ops.linear import Linear
from ops.pooling import GlobalAvgPool
from ops.rectifier import ReLU

__all__ = ["resnet"]

#: Basic blocks in each of the four stages.
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def resnet(
    depth: int = 18,
    input_shape: tuple[int, ...] = (3, 32, 32),
    *,
    classes: int = 10,
    width: int = 64,
    reg: float = 0.0,
) -> Graph:
    """ResNet with basic blocks: a 3x3 stem, four stages, global average pooling, one linear layer.

    Args:
        depth: 18 or 34.
        input_shape: channels and sizes of one image; default ``(3, 32, 32)``.
        classes: number of logits; default 10.
        width: filters of the first stage; each later stage doubles them and halves the image.
        reg: strength of the L2 penalty in the loss; default 0.

    Raises:
        ValueError: another depth.

    Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016.

    >>> graph = resnet(18)
    >>> sum(leaf.spec.elements for leaf in graph.parameters.values())
    11173962
    """
    if depth not in STAGES:
        raise ValueError(f"resnet: expected a depth among {sorted(STAGES)}, received {depth!r}")

    def body(image: Value) -> Value:
        x = conv_batchnorm_relu(image, width)
        for stage, blocks in enumerate(STAGES[depth]):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _basic_block(x, width * 2**stage, stride)
        logits: Value = Linear(classes)(GlobalAvgPool()(x))
        return logits

    return classifier(body, input_shape, reg=reg)


def _basic_block(x: Value, filters: int, stride: int) -> Value:
    """Two convolutions, and the input added to their output."""
    shortcut = x
    if stride != 1 or x.shape[1] != filters:
        shortcut = BatchNorm()(Conv(filters, 1, stride=stride, bias=False)(x))
    y = conv_batchnorm_relu(x, filters, stride=stride, padding=1)
    y = BatchNorm()(Conv(filters, 3, padding=1, bias=False)(y))
    out: Value = ReLU()(Add()(y, shortcut))
    return out
