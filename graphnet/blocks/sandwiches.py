"""Sandwiches: a convolution or a linear layer with what usually follows it.

A ``weight`` in a signature is the initializer of the main weight.
"""

from __future__ import annotations

from typing import Any

from graphnet.graph import Graph
from graphnet.values import Value
from ops.batch_norm import BatchNorm
from ops.convolution import Conv
from ops.initializers import Initializer, Kaiming
from ops.linear import Linear
from ops.loss import L2Penalty
from ops.operator import ShapeError
from ops.pooling import MaxPool
from ops.rectifier import ReLU
from ops.windows import PerAxis

__all__ = [
    "conv_batchnorm_relu",
    "conv_batchnorm_relu_pool",
    "conv_relu",
    "conv_relu_pool",
    "l2_penalty",
    "linear_batchnorm_relu",
    "linear_relu",
]

KAIMING = Kaiming()


def conv_relu(
    x: Value, filters: int, kernel_size: PerAxis = 3, *, weight: Initializer = KAIMING, **conv: Any
) -> Value:
    """Conv - ReLU; ``conv`` holds further fields of :class:`ops.Conv`, padding is "same".

    Shapes: ``(N, C, *spatial) -> (N, filters, *out)``.

    Raises:
        ShapeError: the input does not fit the convolution.

    >>> import graphnet as gn
    >>> conv_relu(gn.Input("x", ("N", 3, 8, 8)), 16).shape
    (N, 16, 8, 8)
    """
    y: Value = ReLU()(_conv(filters, kernel_size, conv)(x, weight=weight))
    return y


def conv_relu_pool(
    x: Value,
    filters: int,
    kernel_size: PerAxis = 3,
    pool: PerAxis = 2,
    *,
    weight: Initializer = KAIMING,
    **conv: Any,
) -> Value:
    """Conv - ReLU - MaxPool with windows of ``pool``.

    Shapes: ``(N, C, *spatial) -> (N, filters, *out / pool)``.

    Raises:
        ShapeError: the input does not fit the convolution or the pooling.

    >>> import graphnet as gn
    >>> conv_relu_pool(gn.Input("x", ("N", 3, 8, 8)), 16).shape
    (N, 16, 4, 4)
    """
    y: Value = MaxPool(pool)(conv_relu(x, filters, kernel_size, weight=weight, **conv))
    return y


def conv_batchnorm_relu(
    x: Value, filters: int, kernel_size: PerAxis = 3, *, weight: Initializer = KAIMING, **conv: Any
) -> Value:
    """Conv without bias - BatchNorm - ReLU.

    Shapes: ``(N, C, *spatial) -> (N, filters, *out)``.

    Raises:
        ShapeError: the input does not fit the convolution.

    >>> import graphnet as gn
    >>> conv_batchnorm_relu(gn.Input("x", ("N", 3, 8, 8)), 16, stride=2).shape
    (N, 16, 4, 4)
    """
    convolution = _conv(filters, kernel_size, {"bias": False, **conv})
    y: Value = ReLU()(BatchNorm()(convolution(x, weight=weight)))
    return y


def conv_batchnorm_relu_pool(
    x: Value,
    filters: int,
    kernel_size: PerAxis = 3,
    pool: PerAxis = 2,
    *,
    weight: Initializer = KAIMING,
    **conv: Any,
) -> Value:
    """Conv without bias - BatchNorm - ReLU - MaxPool with windows of ``pool``.

    Shapes: ``(N, C, *spatial) -> (N, filters, *out / pool)``.

    Raises:
        ShapeError: the input does not fit the convolution or the pooling.

    >>> import graphnet as gn
    >>> conv_batchnorm_relu_pool(gn.Input("x", ("N", 3, 8, 8)), 16).shape
    (N, 16, 4, 4)
    """
    inner = conv_batchnorm_relu(x, filters, kernel_size, weight=weight, **conv)
    y: Value = MaxPool(pool)(inner)
    return y


def linear_relu(x: Value, units: int, *, weight: Initializer = KAIMING) -> Value:
    """Linear - ReLU; spatial axes are features too.

    Shapes: ``(N, ...) -> (N, units)``.

    Raises:
        ShapeError: the input has no axis beside the batch.

    >>> import graphnet as gn
    >>> linear_relu(gn.Input("x", ("N", 3, 8, 8)), 100).shape
    (N, 100)
    """
    y: Value = ReLU()(Linear(units)(x, weight=weight))
    return y


def linear_batchnorm_relu(x: Value, units: int, *, weight: Initializer = KAIMING) -> Value:
    """Linear without bias - BatchNorm - ReLU; spatial axes are features too.

    Shapes: ``(N, ...) -> (N, units)``.

    Raises:
        ShapeError: the input has no axis beside the batch.

    >>> import graphnet as gn
    >>> linear_batchnorm_relu(gn.Input("x", ("N", 64)), 100).shape
    (N, 100)
    """
    y: Value = ReLU()(BatchNorm()(Linear(units, bias=False)(x, weight=weight)))
    return y


def l2_penalty(loss: Value, strength: float) -> Value:
    """``loss + strength * sum(W^2)`` over every weight the loss depends on, biases left out.

    Raises:
        ShapeError: the loss depends on no weight.

    >>> import graphnet as gn
    >>> from ops import MeanSquaredError
    >>> x, y = gn.Input("x", ("N", 4)), gn.Input("y", ("N", 2))
    >>> l2_penalty(MeanSquaredError()(Linear(2)(x), y), 1e-3).shape
    ()
    """
    weights = [leaf for leaf in Graph(loss=loss).parameters.values() if leaf.decay]
    if not weights:
        raise ShapeError("l2_penalty: expected a loss that depends on a weight, received none")
    y: Value = L2Penalty(strength)(loss, *weights)
    return y


def _conv(filters: int, kernel_size: PerAxis, fields: dict[str, Any]) -> Conv:
    return Conv(filters, kernel_size, **{"padding": "same", **fields})
