"""The ONNX standard as an oracle: its reference implementation gives the outputs.

The standard stores a floating attribute as float32, so ours is rounded alike before the two are
compared.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

import ops
from tests.oracles import as_tuple, expect_agreement
from tests.oracles.onnx_elementwise import (
    bit_shift,
    dequantize,
    dft,
    lp_normalization,
    modulo,
    quantize,
    to_dtype,
    triangle,
)
from tests.oracles.onnx_indexing import (
    gather,
    gather_elements,
    gather_nd,
    reverse_sequence,
    scatter_elements,
    scatter_nd,
    tensor_scatter,
)
from tests.oracles.onnx_node import integers, run, same, unless_empty, unless_scalar
from tests.oracles.onnx_sequence import attention, gru, linear_attention, lstm, rnn, rotary
from tests.oracles.onnx_windows import (
    avg_pool,
    begins_then_ends,
    conv,
    conv_transpose,
    deform_conv,
    fold,
    global_lp_pool,
    global_max_pool,
    grid_sample,
    lp_pool,
    max_pool,
    max_unpool,
    resize,
    roi_align,
)

#: Relative error allowed to float64 sums in another order.
EXACT = 1e-10


def check(case):
    """Outputs are those of the standard; False where it cannot express the case."""
    operator = rounded(case.operator)
    expected = TABLE[type(operator)](operator, *case.inputs)
    if expected is None:
        return False
    outputs, _ = dataclasses.replace(case, operator=operator).forward()
    rtol = SINGLE.get(type(operator), EXACT)
    for index, (y, wanted) in enumerate(zip(outputs, as_tuple(expected), strict=True)):
        expect_agreement(case, "onnx", f"output {index}", y, wanted, rtol)
    return True


def rounded(operator):
    """The operator with its floating fields as float32 has them."""
    values = {f.name: getattr(operator, f.name) for f in dataclasses.fields(operator)}
    changed = {
        name: float(np.float32(value)) for name, value in values.items() if type(value) is float
    }
    return dataclasses.replace(operator, **changed)


def softplus(operator, x):
    return run("Softplus", operator.beta * x) / operator.beta  # ONNX has a beta of 1


def prelu(operator, x, slope):
    # ONNX aligns the slope at the last axis
    return run("PRelu", x, slope.reshape(() if operator.shared else (-1, *[1] * (x.ndim - 2))))


def clip(operator, x):
    bounds = (None if v is None else np.float64(v) for v in (operator.low, operator.high))
    return run("Clip", x, *bounds)


def reduction(name):
    def apply(operator, x):
        axes = None if operator.axis is None else integers(*np.atleast_1d(operator.axis))
        return run(name, x, axes, keepdims=int(operator.keepdims))

    return apply


def extremum_index(name):
    def apply(operator, x):
        return run(name, x, axis=operator.axis, keepdims=int(operator.keepdims))

    return apply


def top_k(operator, x):
    return run(
        "TopK",
        x,
        integers(operator.k),
        outputs=2,
        axis=operator.axis,
        largest=int(operator.largest),
    )


def cumulative(name):
    def apply(operator, x):
        flags = {"exclusive": int(operator.exclusive), "reverse": int(operator.reverse)}
        return run(name, x, np.int64(operator.axis), **flags)

    return apply


def flatten(operator, x):
    start = operator.start_axis % x.ndim
    if start == 1 and x.size:
        return run("Flatten", x, axis=1)
    # ONNX joins the leading axes as well, and numpy, on which it runs, infers no size of none
    return run("Reshape", x, integers(*x.shape[:start], math.prod(x.shape[start:])))


def reshape(operator, x):
    shape = list(operator.shape)
    if "N" in shape:
        shape[shape.index("N")] = len(x) if -1 in shape else -1
    if 0 in shape and -1 in shape:
        return None  # as in unless_empty
    # a 0 would be the size that x has there
    return run("Reshape", x, integers(*shape), allowzero=1)


def squeeze(operator, x):
    return run("Squeeze", x, None if operator.axes is None else integers(*operator.axes))


def split(operator, x):
    parts = operator.parts
    several = isinstance(parts, tuple)
    return run(
        "Split",
        x,
        integers(*parts) if several else None,
        outputs=len(parts) if several else parts,
        axis=operator.axis,
        num_outputs=None if several else parts,
    )


def stack(operator, *xs):
    axis = operator.axis % (xs[0].ndim + 1)
    widened = [run("Unsqueeze", x, integers(axis)) for x in xs]
    return run("Concat", *widened, axis=axis)


def cut(operator, x):
    given = (operator.starts, operator.ends, operator.axes, operator.steps)
    return run("Slice", x, *(None if value is None else integers(*value) for value in given))


def pad(operator, x):
    pads = integers(*begins_then_ends(operator.padding))
    return run("Pad", x, pads, np.float64(operator.value), mode=operator.mode)


def expand(operator, x):
    return run("Expand", x, integers(*(1 if n in (-1, "N") else n for n in operator.shape)))


def depth_to_space(operator, x):
    if x.ndim != 4:
        return None  # the standard has two spatial axes
    return run("DepthToSpace", x, blocksize=operator.block_size, mode=operator.mode)


def space_to_depth(operator, x):
    if x.ndim != 4 or operator.mode != "DCR":
        return None  # the standard has two spatial axes, and no mode here
    return run("SpaceToDepth", x, blocksize=operator.block_size)


def one_hot(operator, indices):
    values = np.array([operator.off_value, operator.on_value], operator.dtype)
    depth = np.int64(operator.depth)
    with np.errstate(over="ignore"):  # unsigned values are subtracted from each other
        return run("OneHot", indices.astype(np.int64), depth, values, axis=operator.axis)


def linear(operator, x, weight, bias=None):
    leading = x.shape[: operator.axis]
    rows = run("Reshape", x, integers(math.prod(leading), weight.shape[1]))
    return run("Gemm", rows, weight, bias, transB=1).reshape(*leading, operator.units)


def batch_norm(operator, *inputs):
    return run(
        "BatchNormalization",
        *inputs,
        outputs=3,
        epsilon=operator.eps,
        momentum=operator.momentum,
        training_mode=1,
    )


def local_response_norm(operator, x):
    batch, channels = x.shape[:2]
    attributes = {"size": operator.size, "alpha": operator.alpha, "beta": operator.beta}
    # the reference implementation takes two spatial axes for granted, and normalizes as many
    # channels as there are examples: so each example comes as often as it has channels
    images = x.reshape(batch, 1, channels, math.prod(x.shape[2:]), 1).repeat(channels, axis=1)
    found = [run("LRN", image, bias=operator.k, **attributes)[:1] for image in images]
    return np.concatenate([np.zeros((0, *images.shape[2:])), *found]).reshape(x.shape)


def nothing_counts(operator, labels):
    """Whether a mean is over no label: the standard says nothing of it."""
    return operator.reduction == "mean" and bool((labels == operator.ignore_index).all())


def negative_log_likelihood(name, operator, x, labels, weights=None):
    labels, ignored = labels.astype(np.int64), operator.ignore_index
    if ignored == -1:
        # the reference implementation takes -1 for no such label
        labels, ignored = np.where(labels == -1, -2, labels), -2
    return run(name, x, labels, weights, ignore_index=ignored, reduction=operator.reduction)


def softmax_cross_entropy(operator, x, labels):
    if operator.label_smoothing or nothing_counts(operator, labels):
        return None  # the standard does not smooth
    return negative_log_likelihood("SoftmaxCrossEntropyLoss", operator, x, labels)


def likelihood(operator, x, labels, weights=None):
    if nothing_counts(operator, labels):
        return None
    return negative_log_likelihood("NegativeLogLikelihoodLoss", operator, x, labels, weights)


#: Relative error allowed where the standard or its reference implementation rounds to float32.
SINGLE = {
    ops.DeformConv: 1e-3,  # in its coordinates, which may cancel entries
    ops.Erf: 1e-6,
    ops.GELU: 1e-6,
    ops.GridSample: 1e-3,  # the same
    ops.GroupNorm: 1e-6,
    ops.HardSwish: 1e-6,
    ops.LinearAttention: 1e-5,  # sums of what it rounds
    ops.LocalResponseNorm: 1e-6,
    ops.Resize: 1e-5,  # in the weights of its cubic
    ops.ScaledDotProductAttention: 1e-6,
    ops.RoIAlign: 1e-6,
    ops.SELU: 1e-6,
}

_TRAINING = "the standard has no such loss"

#: Of which operators the standard knows nothing, and why.
_FUSED = "the standard has the operators of the chain, each by itself"

LACKING = {
    ops.MaxPoolWithIndices: "its reference implementation counts places in a way of its own",
    ops.ConvMaxPoolReLU: _FUSED,
    ops.ConvReLU: _FUSED,
    ops.BatchNormReLU: _FUSED,
    ops.BatchNormInferenceReLU: _FUSED,
    ops.FoldBatchNorm: _FUSED,
    ops.Dropout: "draws its mask from a counter of its own, which no generator of onnx shares",
    ops.AdaptiveAvgPool: "the standard has no adaptive pooling",
    ops.AdaptiveMaxPool: "the standard has no adaptive pooling",
    ops.BinaryCrossEntropy: _TRAINING,
    ops.Hinge: _TRAINING,
    ops.Huber: _TRAINING,
    ops.KLDivergence: _TRAINING,
    ops.L1Loss: _TRAINING,
    ops.L2Penalty: _TRAINING,
    ops.MeanSquaredError: _TRAINING,
}

TABLE = {
    # activations
    ops.Sigmoid: same("Sigmoid"),
    ops.Tanh: same("Tanh"),
    ops.GELU: same("Gelu", approximate="approximate"),
    ops.SiLU: same("Swish"),
    ops.Mish: same("Mish"),
    ops.Softplus: softplus,
    ops.Softsign: unless_scalar(same("Softsign")),
    ops.ReLU: same("Relu"),
    ops.LeakyReLU: same("LeakyRelu", alpha="negative_slope"),
    ops.PReLU: prelu,
    ops.ELU: same("Elu", alpha="alpha"),
    ops.CELU: same("Celu", alpha="alpha"),
    ops.SELU: same("Selu"),
    ops.Clip: clip,
    ops.ThresholdedReLU: same("ThresholdedRelu", alpha="alpha"),
    ops.HardSigmoid: same("HardSigmoid", alpha="alpha", beta="beta"),
    ops.HardSwish: same("HardSwish"),
    ops.Softmax: same("Softmax", axis="axis"),
    ops.LogSoftmax: same("LogSoftmax", axis="axis"),
    # one value in, one out
    ops.Exp: same("Exp"),
    ops.Log: same("Log"),
    ops.Sqrt: same("Sqrt"),
    ops.Reciprocal: same("Reciprocal"),
    ops.Abs: same("Abs"),
    ops.Neg: same("Neg"),
    ops.Erf: same("Erf"),
    ops.Floor: same("Floor"),
    ops.Ceil: same("Ceil"),
    ops.Round: same("Round"),
    ops.Sign: same("Sign"),
    # several in, one out
    ops.Add: same("Add"),
    ops.Subtract: same("Sub"),
    ops.Multiply: same("Mul"),
    ops.Divide: same("Div"),
    ops.Power: same("Pow"),
    ops.Maximum: same("Max"),
    ops.Minimum: same("Min"),
    ops.Where: same("Where"),
    ops.Identity: same("Identity"),
    ops.Equal: same("Equal"),
    ops.NotEqual: lambda _, a, b: run("Not", run("Equal", a, b)),
    ops.Less: same("Less"),
    ops.LessOrEqual: same("LessOrEqual"),
    ops.Greater: same("Greater"),
    ops.GreaterOrEqual: same("GreaterOrEqual"),
    ops.Not: same("Not"),
    ops.And: same("And"),
    ops.Or: same("Or"),
    ops.Xor: same("Xor"),
    # reductions and rankings
    ops.Sum: reduction("ReduceSum"),
    ops.Mean: reduction("ReduceMean"),
    ops.ReduceL1: reduction("ReduceL1"),
    ops.ReduceL2: reduction("ReduceL2"),
    ops.ReduceLogSumExp: unless_scalar(reduction("ReduceLogSumExp")),
    ops.ReduceMax: reduction("ReduceMax"),
    ops.ReduceMin: reduction("ReduceMin"),
    ops.ReduceProd: reduction("ReduceProd"),
    ops.ArgMax: extremum_index("ArgMax"),
    ops.ArgMin: extremum_index("ArgMin"),
    ops.TopK: top_k,
    ops.CumSum: cumulative("CumSum"),
    # entries moved
    ops.Flatten: flatten,
    ops.Reshape: reshape,
    ops.Transpose: same("Transpose", perm="axes"),
    ops.Squeeze: squeeze,
    ops.Unsqueeze: lambda operator, x: run("Unsqueeze", x, integers(*operator.axes)),
    ops.Expand: expand,
    ops.Concat: same("Concat", axis="axis"),
    ops.Stack: stack,
    ops.Split: split,
    ops.Tile: lambda operator, x: run("Tile", x, integers(*operator.repeats)),
    ops.Slice: cut,
    ops.Pad: unless_scalar(pad),
    ops.DepthToSpace: depth_to_space,
    ops.SpaceToDepth: space_to_depth,
    ops.Gather: gather,
    ops.GatherElements: gather_elements,
    ops.ScatterElements: scatter_elements,
    ops.Embedding: lambda _, indices, weight: run("Gather", weight, indices.astype(np.int64)),
    ops.OneHot: one_hot,
    # products
    ops.Linear: linear,
    ops.MatMul: same("MatMul"),
    ops.Einsum: same("Einsum", equation="equation"),
    ops.ScaledDotProductAttention: unless_empty(attention),
    ops.LSTM: lstm,
    ops.GRU: gru,
    # windows
    ops.Conv: conv,
    ops.ConvTranspose: unless_empty(conv_transpose),
    ops.MaxPool: max_pool,
    ops.AvgPool: avg_pool,
    ops.LpPool: lp_pool,
    ops.GlobalAvgPool: unless_empty(same("GlobalAveragePool")),
    ops.GlobalMaxPool: global_max_pool,
    ops.GlobalLpPool: global_lp_pool,
    ops.Resize: unless_empty(resize),
    # normalizations
    ops.LayerNorm: same("LayerNormalization", axis="axis", epsilon="eps"),
    ops.RMSNorm: same("RMSNormalization", axis="axis", epsilon="eps"),
    ops.GroupNorm: unless_empty(same("GroupNormalization", num_groups="groups", epsilon="eps")),
    ops.InstanceNorm: same("InstanceNormalization", epsilon="eps"),
    ops.BatchNorm: batch_norm,
    ops.BatchNormInference: same("BatchNormalization", epsilon="eps"),
    ops.LocalResponseNorm: local_response_norm,
    # losses
    ops.SoftmaxCrossEntropy: unless_empty(softmax_cross_entropy),
    ops.NegativeLogLikelihood: unless_empty(likelihood),
    ops.Acos: same("Acos"),
    ops.Acosh: same("Acosh"),
    ops.Asin: same("Asin"),
    ops.Asinh: same("Asinh"),
    ops.Atan: same("Atan"),
    ops.Atanh: same("Atanh"),
    ops.Cos: same("Cos"),
    ops.Cosh: same("Cosh"),
    ops.Sin: same("Sin"),
    ops.Sinh: same("Sinh"),
    ops.Tan: same("Tan"),
    ops.IsNaN: same("IsNaN"),
    ops.IsInf: same("IsInf", detect_positive="positive", detect_negative="negative"),
    ops.BitwiseAnd: same("BitwiseAnd"),
    ops.BitwiseOr: same("BitwiseOr"),
    ops.BitwiseXor: same("BitwiseXor"),
    ops.BitwiseNot: same("BitwiseNot"),
    ops.BitShift: bit_shift,
    ops.Cast: to_dtype("Cast"),
    ops.BitCast: to_dtype("BitCast"),
    ops.Shrink: same("Shrink", lambd="threshold", bias="bias"),
    ops.Modulo: modulo,
    ops.Triangle: triangle,
    ops.CumProd: cumulative("CumProd"),
    ops.GatherND: gather_nd,
    ops.ScatterND: scatter_nd,
    ops.TensorScatter: tensor_scatter,
    ops.ReverseSequence: reverse_sequence,
    ops.RotaryEmbedding: rotary,
    ops.Quantize: quantize,
    ops.Dequantize: dequantize,
    ops.GridSample: unless_empty(grid_sample),
    ops.Fold: fold,
    ops.MaxUnpool: unless_empty(max_unpool),
    ops.RNN: rnn,
    ops.DFT: dft,
    ops.Determinant: same("Det"),
    ops.LpNormalization: lp_normalization,
    ops.LinearAttention: linear_attention,
    ops.DeformConv: unless_empty(deform_conv),
    ops.RoIAlign: unless_empty(roi_align),
}
