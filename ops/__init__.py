"""The mathematics of graphnet: operators as frozen dataclasses, with forward and backward.

An operator knows no graph and no device.  :mod:`ops.operator` holds the contract that
user-written operators follow; every other module is one family.
"""

from ops.activation import GELU, Sigmoid, SiLU, Tanh
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.convolution import Conv
from ops.dropout import Dropout
from ops.elementwise import Add, Divide, Identity, Multiply, Subtract
from ops.joining import Concat
from ops.linear import Linear, MatMul
from ops.loss import Hinge, L2Penalty, MeanSquaredError, SoftmaxCrossEntropy
from ops.normalization import GroupNorm, LayerNorm
from ops.operator import Interval, Operator, Parameter, ShapeError, Spec, State
from ops.pooling import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from ops.rectifier import LeakyReLU, ReLU
from ops.reduction import Mean, Sum
from ops.shape import Flatten, Reshape, Transpose
from ops.slicing import Pad
from ops.softmax import LogSoftmax, Softmax

__all__ = [
    "GELU",
    "Add",
    "AvgPool",
    "BatchNorm",
    "BatchNormInference",
    "Concat",
    "Conv",
    "Divide",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GroupNorm",
    "Hinge",
    "Identity",
    "Interval",
    "L2Penalty",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MatMul",
    "MaxPool",
    "Mean",
    "MeanSquaredError",
    "Multiply",
    "Operator",
    "Pad",
    "Parameter",
    "ReLU",
    "Reshape",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Spec",
    "State",
    "Subtract",
    "Sum",
    "Tanh",
    "Transpose",
]
