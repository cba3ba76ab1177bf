"""Blocks: the short runs of operators that networks are made of.

Each is a function from values to a value; the nodes are ordinary nodes of the graph.
"""

from graphnet.blocks.sandwiches import (
    conv_batchnorm_relu,
    conv_batchnorm_relu_pool,
    conv_relu,
    conv_relu_pool,
    l2_penalty,
    linear_batchnorm_relu,
    linear_relu,
)
from graphnet.blocks.transformer import multi_head_attention, transformer_block

__all__ = [
    "conv_batchnorm_relu",
    "conv_batchnorm_relu_pool",
    "conv_relu",
    "conv_relu_pool",
    "l2_penalty",
    "linear_batchnorm_relu",
    "linear_relu",
    "multi_head_attention",
    "transformer_block",
]
