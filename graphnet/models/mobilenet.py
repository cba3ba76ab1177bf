"""Convolutional networks for small machines: each convolution in two cheap steps."""

from __future__ import annotations

from collections.abc import Sequence

from graphnet.blocks import conv_batchnorm_relu
from graphnet.graph import Graph
from graphnet.models.classifier import classifier
from graphnet.values import Value
from ops.linear import Linear
from ops.operator import known
from ops.pooling import GlobalAvgPool

__all__ = ["mobilenet"]


def mobilenet(
    input_shape: tuple[int, ...] = (3, 32, 32),
    *,
    width: int = 32,
    stages: Sequence[int] = (1, 2, 2, 6, 2),
    classes: int = 10,
    reg: float = 0.0,
) -> Graph:
    """MobileNet of 2017: a 3x3 stem, depthwise separable blocks, global average pool, Linear.

    A block is a 3x3 convolution of each channel by itself, then a 1x1 convolution across the
    channels, each with BatchNorm and ReLU.  Where ``C`` channels become ``C``, the two take
    ``9 C / (C + 9)`` times less arithmetic than one 3x3 convolution.  The stem keeps the size
    of the image, which suits small ones; in the paper it halves them.

    Args:
        input_shape: channels and sizes of one image; default ``(3, 32, 32)``.
        width: filters of the stem; each stage doubles them; default 32.
        stages: blocks of each stage; default those of the paper.  The first block of each but
            the first stage halves the image.
        classes: number of logits; default 10.
        reg: strength of the L2 penalty in the loss; default 0.

    Raises:
        TypeError, ValueError: a number is out of range.

    Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile
    Vision Applications", 2017.

    >>> graph = mobilenet(classes=1000)
    >>> sum(leaf.spec.elements for leaf in graph.parameters.values())
    4231976
    """
    if not stages or min(stages) < 1:
        raise ValueError(f"mobilenet: expected stages of at least 1 block, received {stages!r}")

    def body(image: Value) -> Value:
        x = conv_batchnorm_relu(image, width)
        for stage, blocks in enumerate(stages):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _separable_block(x, width * 2 ** (stage + 1), stride)
        logits: Value = Linear(classes)(GlobalAvgPool()(x))
        return logits

    return classifier(body, input_shape, reg=reg)


def _separable_block(x: Value, filters: int, stride: int) -> Value:
    """A convolution of each channel by itself, then one across the channels."""
    (channels,) = known(x.shape[1])
    y = conv_batchnorm_relu(x, channels, stride=stride, padding=1, groups=channels)
    return conv_batchnorm_relu(y, filters, 1)
