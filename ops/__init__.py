"""The mathematics of graphnet: operators as frozen dataclasses, with forward and backward.

An operator knows no graph and no device.  :mod:`ops.operator` holds the contract that
user-written operators follow; every other module is one family.
"""

from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from ops.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool
from ops.attention import ScaledDotProductAttention
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.binary_cross_entropy import BinaryCrossEntropy
from ops.bitwise import BitShift, BitwiseAnd, BitwiseNot, BitwiseOr, BitwiseXor
from ops.cast import BitCast, Cast
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
from ops.cumulative import CumProd, CumSum
from ops.deformable import DeformConv
from ops.depth import DepthToSpace, SpaceToDepth
from ops.determinant import Determinant
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
from ops.fold import Fold
from ops.fourier import DFT
from ops.fused import (
    BatchNormInferenceReLU,
    BatchNormReLU,
    ConvMaxPoolReLU,
    ConvReLU,
    FoldBatchNorm,
)
from ops.grid_sample import GridSample
from ops.gru import GRU
from ops.hard import Clip, HardSigmoid, HardSwish, Shrink, ThresholdedReLU
from ops.indexing import Embedding, Gather, GatherElements, GatherND, OneHot
from ops.joining import Concat, Split, Stack, Tile
from ops.linear import Linear, MatMul
from ops.linear_attention import LinearAttention
from ops.local_response import LocalResponseNorm
from ops.loss import Huber, KLDivergence, L1Loss, L2Penalty, MeanSquaredError
from ops.lp_normalization import LpNormalization
from ops.lstm import LSTM
from ops.modulo import Modulo
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from ops.operator import Interval, Operator, Parameter, ShapeError, Spec, State
from ops.pooling import AvgPool, GlobalAvgPool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool
from ops.product import ReduceProd
from ops.quantization import Dequantize, Quantize
from ops.ranking import ArgMax, ArgMin, TopK
from ops.rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU
from ops.reduction import Mean, ReduceL1, ReduceL2, ReduceLogSumExp, Sum
from ops.resize import Resize
from ops.rnn import RNN
from ops.roi_align import RoIAlign
from ops.rotary import RotaryEmbedding
from ops.scattering import ScatterElements, ScatterND, TensorScatter
from ops.sequence import ReverseSequence
from ops.shape import Expand, Flatten, Reshape, Squeeze, Transpose, Unsqueeze
from ops.slicing import Pad, Slice
from ops.softmax import LogSoftmax, Softmax
from ops.special_values import IsInf, IsNaN
from ops.triangle import Triangle
from ops.trigonometry import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Sin, Sinh, Tan
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt
from ops.unpooling import MaxPoolWithIndices, MaxUnpool

__all__ = [
    "CELU",
    "DFT",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "Abs",
    "Acos",
    "Acosh",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AvgPool",
    "BatchNorm",
    "BatchNormInference",
    "BatchNormInferenceReLU",
    "BatchNormReLU",
    "BinaryCrossEntropy",
    "BitCast",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Conv",
    "ConvMaxPoolReLU",
    "ConvReLU",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumProd",
    "CumSum",
    "DeformConv",
    "DepthToSpace",
    "Dequantize",
    "Determinant",
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
    "Fold",
    "FoldBatchNorm",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "Hinge",
    "Huber",
    "Identity",
    "InstanceNorm",
    "Interval",
    "IsInf",
    "IsNaN",
    "KLDivergence",
    "L1Loss",
    "L2Penalty",
    "LayerNorm",
    "LeakyReLU",
    "Less",
    "LessOrEqual",
    "Linear",
    "LinearAttention",
    "LocalResponseNorm",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "MaxPool",
    "MaxPoolWithIndices",
    "MaxUnpool",
    "Maximum",
    "Mean",
    "MeanSquaredError",
    "Minimum",
    "Mish",
    "Modulo",
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
    "Quantize",
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
    "ReverseSequence",
    "RoIAlign",
    "RotaryEmbedding",
    "Round",
    "ScaledDotProductAttention",
    "ScatterElements",
    "ScatterND",
    "ShapeError",
    "Shrink",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
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
    "Tan",
    "Tanh",
    "TensorScatter",
    "ThresholdedReLU",
    "Tile",
    "TopK",
    "Transpose",
    "Triangle",
    "Unsqueeze",
    "Where",
    "Xor",
]
