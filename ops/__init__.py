"""The mathematics of graphnet: operators as frozen dataclasses, with forward and backward.

An operator knows no graph and no device.  :mod:`ops.operator` holds the contract that
user-written operators follow; every other module is one family.
"""

from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from ops.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool
from ops.attention import ScaledDotProductAttention
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.binary_cross_entropy import BinaryCrossEntropy
from ops.comparison import (
    And,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Not,
    NotEqual,
    Or,
    Xor,
)
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.cross_entropy import Hinge, NegativeLogLikelihood, SoftmaxCrossEntropy
from ops.cumulative import CumSum
from ops.depth import DepthToSpace, SpaceToDepth
from ops.dropout import Dropout
from ops.einsum import Einsum
from ops.elementwise import (
    Add,
    Divide,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    Power,
    Subtract,
    Where,
)
from ops.extremum import ReduceMax, ReduceMin
from ops.fused import (
    BatchNormInferenceReLU,
    BatchNormReLU,
    ConvMaxPoolReLU,
    ConvReLU,
    FoldBatchNorm,
)
from ops.gru import GRU
from ops.hard import Clip, HardSigmoid, HardSwish, ThresholdedReLU
from ops.indexing import Embedding, Gather, GatherElements, OneHot, ScatterElements
from ops.joining import Concat, Split, Stack, Tile
from ops.linear import Linear, MatMul
from ops.local_response import LocalResponseNorm
from ops.loss import Huber, KLDivergence, L1Loss, L2Penalty, MeanSquaredError
from ops.lstm import LSTM
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from ops.operator import Interval, Operator, Parameter, ShapeError, Spec, State
from ops.pooling import AvgPool, GlobalAvgPool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool
from ops.product import ReduceProd
from ops.ranking import ArgMax, ArgMin, TopK
from ops.rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU
from ops.reduction import Mean, ReduceL1, ReduceL2, ReduceLogSumExp, Sum
from ops.resize import Resize
from ops.shape import Expand, Flatten, Reshape, Squeeze, Transpose, Unsqueeze
from ops.slicing import Pad, Slice
from ops.softmax import LogSoftmax, Softmax
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "SELU",
    "Abs",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "AvgPool",
    "BatchNorm",
    "BatchNormInference",
    "BatchNormInferenceReLU",
    "BatchNormReLU",
    "BinaryCrossEntropy",
    "Ceil",
    "Clip",
    "Concat",
    "Conv",
    "ConvMaxPoolReLU",
    "ConvReLU",
    "ConvTranspose",
    "CumSum",
    "DepthToSpace",
    "Divide",
    "Dropout",
    "Einsum",
    "Embedding",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "FoldBatchNorm",
    "Gather",
    "GatherElements",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "Hinge",
    "Huber",
    "Identity",
    "InstanceNorm",
    "Interval",
    "KLDivergence",
    "L1Loss",
    "L2Penalty",
    "LayerNorm",
    "LeakyReLU",
    "Less",
    "LessOrEqual",
    "Linear",
    "LocalResponseNorm",
    "Log",
    "LogSoftmax",
    "LpPool",
    "MatMul",
    "MaxPool",
    "Maximum",
    "Mean",
    "MeanSquaredError",
    "Minimum",
    "Mish",
    "Multiply",
    "Neg",
    "NegativeLogLikelihood",
    "Not",
    "NotEqual",
    "OneHot",
    "Operator",
    "Or",
    "PReLU",
    "Pad",
    "Parameter",
    "Power",
    "RMSNorm",
    "ReLU",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "Reshape",
    "Resize",
    "Round",
    "ScaledDotProductAttention",
    "ScatterElements",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Slice",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Spec",
    "Split",
    "Sqrt",
    "Squeeze",
    "Stack",
    "State",
    "Subtract",
    "Sum",
    "Tanh",
    "ThresholdedReLU",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
    "Xor",
]
