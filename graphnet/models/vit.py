"""Vision transformers: an image as a sequence of patches."""

from __future__ import annotations

import math

from graphnet.blocks import transformer_block
from graphnet.graph import Graph
from graphnet.models.classifier import classifier
from graphnet.values import Parameter, Value
from ops.convolution import Conv
from ops.dropout import Dropout
from ops.initializers import Kaiming, Normal
from ops.linear import Linear
from ops.normalization import LayerNorm
from ops.operator import ShapeError, show_shape
from ops.reduction import Mean
from ops.shape import Reshape, Transpose

__all__ = ["vit"]


def vit(
    input_shape: tuple[int, ...] = (1, 8, 8),
    *,
    patch: int = 2,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    classes: int = 10,
    dropout: float = 0.0,
) -> Graph:
    """Patches - learned positions - transformer blocks - LayerNorm - mean over patches - Linear.

    Each patch becomes one token.  The classes are read from the mean of the tokens rather than
    from an additional one, as in Beyer, Zhai, Kolesnikov, "Better plain ViT baselines for
    ImageNet-1k", 2022.

    Args:
        input_shape: channels and sizes of one image; default ``(1, 8, 8)``.
        patch: pixels of a patch along each axis; default 2.
        width: features of a token; default 64.
        depth: number of blocks; default 4.
        heads: how many attend side by side in each block; default 4.
        classes: number of logits; default 10.
        dropout: probability of dropping an entry of a token; default 0.

    Raises:
        TypeError, ValueError: a number is out of range.
        ShapeError: the image does not divide into patches, or the width into heads.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image
    Recognition at Scale", 2021.

    >>> graph = vit((3, 32, 32), patch=4, dropout=0.1)
    >>> graph.parameters["positions"].shape, graph.outputs["logits"].shape
    ((64, 64), (N, 10))
    """
    if depth < 1:
        raise ValueError(f"vit: expected a depth of at least 1, received {depth!r}")
    embed = Conv(width, patch, stride=patch)
    if any(size % patch for size in input_shape[1:]):
        raise ShapeError(
            f"vit: expected an image that divides into patches of {patch}, "
            f"received {show_shape(input_shape)}"
        )
    tokens = math.prod(size // patch for size in input_shape[1:])

    def body(image: Value) -> Value:
        x = embed(image, weight=Kaiming(gain=1.0))
        # (N, width, *patches) -> (N, width, L) -> (N, L, width)
        x = Transpose((0, 2, 1))(Reshape(("N", width, tokens))(x))
        # as large as the patches are, whose pixels are standardized: small ones are long ignored
        x = x + Parameter("positions", (tokens, width), Normal(1.0), decay=False)
        if dropout:
            x = Dropout(dropout)(x)
        for _ in range(depth):
            x = transformer_block(x, heads, dropout=dropout)
        logits: Value = Linear(classes)(Mean(axis=1)(LayerNorm()(x)))
        return logits

    return classifier(body, input_shape)
