"""The mathematics of graphnet: operators as frozen dataclasses, with forward and backward.

An operator knows no graph and no device.  :mod:`ops.operator` holds the contract that
user-written operators follow; every other module is one family.
"""

from .activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from .adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool
from .attention import ScaledDotProductAttention
from .batch_norm import BatchNorm, BatchNormInference
from .binary_cross_entropy import BinaryCrossEntropy
from .bitwise import BitShift, BitwiseAnd, BitwiseNot, BitwiseOr, BitwiseXor
from .cast import BitCast, Cast
from .comparison import (
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
from .conv_transpose import ConvTranspose
from .convolution import Conv
from .cross_entropy import Hinge, NegativeLogLikelihood, SoftmaxCrossEntropy
from .cumulative import CumProd, CumSum
from .deformable import DeformConv
from .depth import DepthToSpace, SpaceToDepth
from .determinant import Determinant
from .dropout import Dropout
from .einsum import Einsum
from .elementwise import (
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
from .embedding import Embedding, OneHot
from .extremum import ReduceMax, ReduceMin
from .fold import Fold
from .fourier import DFT
from .fused import (
    BatchNormInferenceReLU,
    BatchNormReLU,
    ConvMaxPoolReLU,
    ConvReLU,
    FoldBatchNorm,
)
from .grid_sample import GridSample
from .gru import GRU
from .hard import Clip, HardSigmoid, HardSwish, Shrink, ThresholdedReLU
from .indexing import Gather, GatherElements, GatherND
from .joining import Concat, Split, Stack, Tile
from .linear import Linear, MatMul
from .linear_attention import LinearAttention
from .local_response import LocalResponseNorm
from .loss import Huber, KLDivergence, L1Loss, L2Penalty, MeanSquaredError
from .lp_normalization import LpNormalization
from .lstm import LSTM
from .modulo import Modulo
from .normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from .operator import Interval, Operator, Parameter, ShapeError, Spec, State
from .pooling import AvgPool, GlobalAvgPool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool
from .product import ReduceProd
from .quantization import Dequantize, Quantize
from .ranking import ArgMax, ArgMin, TopK
from .rectifier import CELU, ELU, SELU, LeakyReLU, PReLU, ReLU
from .reduction import Mean, ReduceL1, ReduceL2, ReduceLogSumExp, Sum
from .resize import Resize
from .rnn import RNN
from .roi_align import RoIAlign
from .rotary import RotaryEmbedding
from .scattering import ScatterElements, ScatterND, TensorScatter
from .sequence import ReverseSequence
from .shape import Expand, Flatten, Reshape, Squeeze, Transpose, Unsqueeze
from .slicing import Pad, Slice
from .softmax import LogSoftmax, Softmax
from .special_values import IsInf, IsNaN
from .triangle import Triangle
from .trigonometry import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Sin, Sinh, Tan
from .unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt
from .unpooling import MaxPoolWithIndices, MaxUnpool

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
