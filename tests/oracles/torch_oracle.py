"""PyTorch as an oracle: its functions give the outputs, its autograd every gradient."""

from __future__ import annotations

import math

import numpy as np

import ops
from tests.oracles import Lazy, as_tuple, expect_agreement
from tests.oracles.torch_elementwise import (
    bitwise_not,
    cumprod,
    determinant,
    dft,
    infinite,
    modulo,
    shrink,
    triangle,
)
from tests.oracles.torch_sequence import attention, gru, lstm, rnn
from tests.oracles.torch_shape import (
    cut,
    depth_to_space,
    expand,
    from_front,
    gather,
    gather_nd,
    one_hot,
    pad,
    reshape,
    scatter_elements,
    scatter_nd,
    space_to_depth,
    split,
    transpose,
    unsqueeze,
)
from tests.oracles.torch_windows import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    conv,
    conv_transpose,
    fold,
    grid_sample,
    lp_pool,
    max_pool,
    max_pool_with_indices,
    max_unpool,
    resize,
)

torch = Lazy("torch")
F = Lazy("torch.nn.functional")

#: Relative error allowed to float64 sums in another order.
EXACT = 1e-10


def check(case):
    """Outputs and gradients are PyTorch's; False where PyTorch cannot express the case."""
    torch.set_num_threads(1)
    tensors = [
        None if x is None else torch.tensor(x.copy()).requires_grad_(need)
        for x, need in zip(case.inputs, case.needs, strict=True)
    ]
    expected = TABLE[type(case.operator)](case.operator, *tensors)
    if expected is None:
        return False
    expected = as_tuple(expected)
    outputs, saved = case.forward()
    for index, (y, wanted) in enumerate(zip(outputs, expected, strict=True)):
        expect_agreement(case, "torch", f"output {index}", y, wanted.detach().numpy(), EXACT)
    if not case.differentiable:
        return True
    _, v = case.directions()
    pairs = [(y, torch.tensor(dy)) for y, dy in zip(expected, v, strict=True) if dy is not None]
    wanted = torch.autograd.grad(
        [y for y, _ in pairs],
        [x for x in tensors if x is not None and x.requires_grad],
        [dy for _, dy in pairs],
        materialize_grads=True,
    )
    gradients = case.backward(saved, v)
    found = [
        (role, dx) for role, dx, need in zip(case.roles, gradients, case.needs, strict=True) if need
    ]
    for (role, dx), other in zip(found, wanted, strict=True):
        expect_agreement(case, "torch", f"the gradient of {role!r}", dx, other.numpy(), EXACT)
    return True


def all_axes(operator, x):
    """The reduced axes, counted from the front."""
    axes = range(x.ndim) if operator.axis is None else np.atleast_1d(operator.axis)
    return tuple(int(axis) % x.ndim for axis in axes)


def reduction(function):
    def apply(operator, x):
        axes = all_axes(operator, x)
        return function(x, axes, operator.keepdims) if axes else function(x[None], 0, False)

    return apply


def over_each_axis(x, axes, keepdim):
    """A product over several axes, of which ``torch.prod`` takes one."""
    for axis in sorted(np.atleast_1d(axes), reverse=True):
        x = x.prod(int(axis), keepdim)
    return x


def clip(operator, x):
    low = -math.inf if operator.low is None else operator.low
    return x.clamp(low, math.inf if operator.high is None else operator.high)


def hard_sigmoid(operator, x):
    # torch's own has an alpha of 1/6, rounded to float32 on the way back
    return F.hardtanh(operator.alpha * x + operator.beta, 0.0, 1.0)


def extremum_index(function):
    def apply(operator, x):
        x = x.byte() if x.dtype == torch.bool else x  # torch ranks no booleans
        return function(x, operator.axis, operator.keepdims)

    return apply


def top_k(operator, x):
    # topk leaves the order of equal entries open
    ranked = x.sort(dim=operator.axis, descending=operator.largest, stable=True)
    return [part.narrow(operator.axis, 0, operator.k) for part in ranked]


def cumsum(operator, x):
    ahead = x.flip(operator.axis) if operator.reverse else x
    y = ahead.cumsum(operator.axis)
    if operator.exclusive:
        y = y - ahead
    return y.flip(operator.axis) if operator.reverse else y


def batch_norm(operator, x, gamma, beta, running_mean, running_var):
    mean, var = running_mean.clone(), running_var.clone()
    renew = 1 - operator.momentum
    y = F.batch_norm(x, mean, var, gamma, beta, True, renew, operator.eps)
    # torch renews by the unbiased variance
    count = x.numel() // x.shape[1]
    kept = operator.momentum * running_var
    return y, mean, kept + (var - kept) * ((count - 1) / count)


def batch_norm_inference(operator, x, gamma, beta, mean, var):
    # torch's own gives no gradient to the statistics: without them, on an input moved and scaled
    across = (-1, *[1] * (x.ndim - 2))
    x_hat = (x - mean.reshape(across)) * torch.rsqrt(var + operator.eps).reshape(across)
    still = torch.zeros_like(mean), torch.ones_like(var)
    return F.batch_norm(x_hat, *still, gamma, beta, eps=0.0)


def rectified(inner):
    """The oracle of a fused operator from that of the operator it begins with."""

    def oracle(operator, *inputs):
        *own, added = inputs
        result = inner(operator, *own)
        y, *others = result if isinstance(result, tuple) else (result,)
        y = F.relu(y if added is None else y + added)
        return (y, *others) if others else y

    return oracle


def first_layer(operator, *inputs):
    return F.relu(max_pool(operator.pool, conv(operator, *inputs)))


def fold_batch_norm(operator, weight, gamma, beta, mean, var, bias=None):
    # torch's own makes parameters, which end the way back
    scale = gamma * torch.rsqrt(var + operator.eps)
    bias = torch.zeros_like(mean) if bias is None else bias
    return torch.einsum("f...,f->f...", weight, scale), torch.addcmul(beta, bias - mean, scale)


def group_norm(operator, x, gamma, beta):
    if x.numel() == x.shape[0] * operator.groups:
        return None  # torch refuses groups of one entry
    return F.group_norm(x, operator.groups, gamma, beta, operator.eps)


def instance_norm(operator, x, gamma, beta):
    if not len(x):
        return None  # torch refuses a batch of none
    return F.instance_norm(x, weight=gamma, bias=beta, eps=operator.eps)


def local_response_norm(operator, x):
    # an even window of torch reaches further back, ours further forward
    y = F.local_response_norm(
        x.flip(1)[..., None], operator.size, operator.alpha, operator.beta, operator.k
    )
    return y[..., 0].flip(1)


def linear(operator, x, weight, bias=None):
    return F.linear(x.flatten(operator.axis), weight, bias)


def nothing_counts(operator, labels):
    """Whether a mean is over no label: torch gives NaN where ours is 0."""
    ignored = operator.ignore_index
    return operator.reduction == "mean" and ignored is not None and bool((labels == ignored).all())


def ignore_index(operator):
    return -100 if operator.ignore_index is None else operator.ignore_index  # -100 is torch's own


def softmax_cross_entropy(operator, x, labels):
    labels = labels.long()
    if nothing_counts(operator, labels):
        return None
    return F.cross_entropy(
        x,
        labels,
        ignore_index=ignore_index(operator),
        reduction=operator.reduction,
        label_smoothing=operator.label_smoothing,
    )


def likelihood(operator, x, labels, weights=None):
    labels, ignored = labels.long(), ignore_index(operator)
    if nothing_counts(operator, labels):
        return None
    if weights is None:
        return F.nll_loss(x, labels, ignore_index=ignored, reduction=operator.reduction)
    # torch's own gives no gradient to the weights
    values = F.nll_loss(x, labels, ignore_index=ignored, reduction="none")
    own = weights[labels.where(labels != ignored, 0)] * (labels != ignored)
    if operator.reduction == "none":
        return values * own
    total = (values * own).sum()
    return total / own.sum() if operator.reduction == "mean" else total


def binary_cross_entropy(operator, x, labels):
    function = (
        F.binary_cross_entropy_with_logits if operator.from_logits else F.binary_cross_entropy
    )
    return function(x, labels, reduction=operator.reduction)


def divergence(operator, x, labels):
    if operator.reduction == "mean":
        # torch warns that its own mean will become batchmean
        return F.kl_div(x, labels, reduction="none", log_target=operator.log_target).mean()
    return F.kl_div(x, labels, reduction=operator.reduction, log_target=operator.log_target)


def hinge(operator, x, labels):
    # torch takes the mean over the classes of an example, ours the sum
    y = F.multi_margin_loss(x, labels.long(), margin=operator.margin, reduction=operator.reduction)
    return y * x.shape[1]


def penalty(operator, loss, *weights):
    return loss + operator.strength * sum(weight.square().sum() for weight in weights)


#: Of which operators PyTorch knows nothing, and why.
LACKING = {
    ops.DeformConv: "is left to torchvision",
    ops.RoIAlign: "is left to torchvision",
    ops.LinearAttention: "has no function for it",
    ops.Quantize: "has quantized tensors of its own, and no function of scales and zero points",
    ops.Dequantize: "has quantized tensors of its own, and no function of scales and zero points",
    ops.TensorScatter: "writes no run at a place of each example",
    ops.ReverseSequence: "packs sequences of different lengths, and reverses none",
    ops.RotaryEmbedding: "has no function for it",
    ops.BitShift: "shifts no unsigned integers but bytes",
    ops.Dropout: "draws its mask from a counter of its own, which no generator of torch shares",
}

TABLE = {
    # activations
    ops.Sigmoid: lambda _, x: x.sigmoid(),
    ops.Tanh: lambda _, x: x.tanh(),
    ops.GELU: lambda operator, x: F.gelu(x, approximate=operator.approximate),
    ops.SiLU: lambda _, x: F.silu(x),
    ops.Mish: lambda _, x: F.mish(x),
    # the threshold only keeps torch's from overflowing
    ops.Softplus: lambda operator, x: F.softplus(x, operator.beta, threshold=700.0),
    ops.Softsign: lambda _, x: F.softsign(x),
    ops.ReLU: lambda _, x: F.relu(x),
    ops.LeakyReLU: lambda operator, x: F.leaky_relu(x, operator.negative_slope),
    ops.PReLU: lambda _, x, slope: F.prelu(x, slope),
    ops.ELU: lambda operator, x: F.elu(x, operator.alpha),
    ops.CELU: lambda operator, x: F.celu(x, operator.alpha),
    ops.SELU: lambda _, x: F.selu(x),
    ops.Clip: clip,
    ops.ThresholdedReLU: lambda operator, x: F.threshold(x, operator.alpha, 0.0),
    ops.HardSigmoid: hard_sigmoid,
    ops.HardSwish: lambda _, x: F.hardswish(x),
    ops.Softmax: lambda operator, x: x.softmax(operator.axis),
    ops.LogSoftmax: lambda operator, x: x.log_softmax(operator.axis),
    # one value in, one out
    ops.Exp: lambda _, x: x.exp(),
    ops.Log: lambda _, x: x.log(),
    ops.Sqrt: lambda _, x: x.sqrt(),
    ops.Reciprocal: lambda _, x: x.reciprocal(),
    ops.Abs: lambda _, x: x.abs(),
    ops.Neg: lambda _, x: x.neg(),
    ops.Erf: lambda _, x: x.erf(),
    ops.Floor: lambda _, x: x.floor(),
    ops.Ceil: lambda _, x: x.ceil(),
    ops.Round: lambda _, x: x.round(),
    ops.Sign: lambda _, x: x.sign(),
    # several in, one out
    ops.Add: lambda _, a, b: torch.add(a, b),
    ops.Subtract: lambda _, a, b: torch.sub(a, b),
    ops.Multiply: lambda _, a, b: torch.mul(a, b),
    ops.Divide: lambda _, a, b: torch.div(a, b),
    ops.Power: lambda _, a, b: torch.pow(a, b),
    ops.Maximum: lambda _, a, b: torch.maximum(a, b),
    ops.Minimum: lambda _, a, b: torch.minimum(a, b),
    ops.Where: lambda _, condition, a, b: torch.where(condition, a, b),
    ops.Identity: lambda _, x: x.clone(),
    ops.Equal: lambda _, a, b: torch.eq(a, b),
    ops.NotEqual: lambda _, a, b: torch.ne(a, b),
    ops.Less: lambda _, a, b: torch.lt(a, b),
    ops.LessOrEqual: lambda _, a, b: torch.le(a, b),
    ops.Greater: lambda _, a, b: torch.gt(a, b),
    ops.GreaterOrEqual: lambda _, a, b: torch.ge(a, b),
    ops.Not: lambda _, x: torch.logical_not(x),
    ops.And: lambda _, a, b: torch.logical_and(a, b),
    ops.Or: lambda _, a, b: torch.logical_or(a, b),
    ops.Xor: lambda _, a, b: torch.logical_xor(a, b),
    # reductions and rankings
    ops.Sum: reduction(lambda *given: torch.sum(*given)),
    ops.Mean: reduction(lambda *given: torch.mean(*given)),
    ops.ReduceL1: reduction(lambda x, *given: torch.linalg.vector_norm(x, 1, *given)),
    ops.ReduceL2: reduction(lambda x, *given: torch.linalg.vector_norm(x, 2, *given)),
    ops.ReduceLogSumExp: reduction(lambda *given: torch.logsumexp(*given)),
    ops.ReduceMax: reduction(lambda *given: torch.amax(*given)),
    ops.ReduceMin: reduction(lambda *given: torch.amin(*given)),
    ops.ReduceProd: reduction(over_each_axis),
    ops.ArgMax: extremum_index(lambda *given: torch.argmax(*given)),
    ops.ArgMin: extremum_index(lambda *given: torch.argmin(*given)),
    ops.TopK: top_k,
    ops.CumSum: cumsum,
    # entries moved
    ops.Flatten: lambda operator, x: x.flatten(operator.start_axis),
    ops.Reshape: reshape,
    ops.Transpose: transpose,
    ops.Squeeze: lambda operator, x: x.squeeze(*[operator.axes] if operator.axes else []),
    ops.Unsqueeze: unsqueeze,
    ops.Expand: expand,
    ops.Concat: lambda operator, *xs: torch.cat(xs, operator.axis),
    ops.Stack: lambda operator, *xs: torch.stack(xs, operator.axis),
    ops.Split: split,
    ops.Tile: lambda operator, x: torch.tile(x, operator.repeats),
    ops.Slice: cut,
    ops.Pad: pad,
    ops.DepthToSpace: depth_to_space,
    ops.SpaceToDepth: space_to_depth,
    ops.Gather: gather,
    ops.GatherElements: lambda operator, x, indices: x.gather(
        operator.axis, from_front(operator, x, indices)
    ),
    ops.ScatterElements: scatter_elements,
    ops.Embedding: lambda operator, indices, weight: F.embedding(
        indices.long(), weight, operator.padding_index
    ),
    ops.OneHot: one_hot,
    # products
    ops.Linear: linear,
    ops.MatMul: lambda _, a, b: torch.matmul(a, b),
    ops.Einsum: lambda operator, *xs: torch.einsum(operator.equation, *xs),
    ops.ScaledDotProductAttention: attention,
    ops.LSTM: lstm,
    ops.GRU: gru,
    # windows
    ops.Conv: conv,
    ops.ConvTranspose: conv_transpose,
    ops.MaxPool: max_pool,
    ops.AvgPool: avg_pool,
    ops.LpPool: lp_pool,
    ops.GlobalAvgPool: lambda _, x: adaptive_avg_pool(1, x),
    ops.GlobalMaxPool: lambda _, x: adaptive_max_pool(1, x),
    ops.GlobalLpPool: lambda operator, x: torch.linalg.vector_norm(
        x, operator.p, tuple(range(2, x.ndim)), keepdim=True
    ),
    ops.AdaptiveAvgPool: lambda operator, x: adaptive_avg_pool(operator.output_size, x),
    ops.AdaptiveMaxPool: lambda operator, x: adaptive_max_pool(operator.output_size, x),
    ops.Resize: resize,
    # normalizations
    ops.LayerNorm: lambda operator, x, gamma, beta: F.layer_norm(
        x, gamma.shape, gamma, beta, operator.eps
    ),
    ops.RMSNorm: lambda operator, x, gamma: F.rms_norm(x, gamma.shape, gamma, operator.eps),
    ops.GroupNorm: group_norm,
    ops.InstanceNorm: instance_norm,
    ops.BatchNorm: batch_norm,
    ops.BatchNormInference: batch_norm_inference,
    ops.ConvMaxPoolReLU: first_layer,
    ops.ConvReLU: rectified(conv),
    ops.BatchNormReLU: rectified(batch_norm),
    ops.BatchNormInferenceReLU: rectified(batch_norm_inference),
    ops.FoldBatchNorm: fold_batch_norm,
    ops.LocalResponseNorm: local_response_norm,
    # losses
    ops.SoftmaxCrossEntropy: softmax_cross_entropy,
    ops.NegativeLogLikelihood: likelihood,
    ops.BinaryCrossEntropy: binary_cross_entropy,
    ops.Hinge: hinge,
    ops.MeanSquaredError: lambda operator, x, labels: F.mse_loss(
        x, labels, reduction=operator.reduction
    ),
    ops.L1Loss: lambda operator, x, labels: F.l1_loss(x, labels, reduction=operator.reduction),
    ops.Huber: lambda operator, x, labels: F.huber_loss(
        x, labels, operator.reduction, operator.delta
    ),
    ops.KLDivergence: divergence,
    ops.L2Penalty: penalty,
    ops.Acos: lambda _, x: x.acos(),
    ops.Acosh: lambda _, x: x.acosh(),
    ops.Asin: lambda _, x: x.asin(),
    ops.Asinh: lambda _, x: x.asinh(),
    ops.Atan: lambda _, x: x.atan(),
    ops.Atanh: lambda _, x: x.atanh(),
    ops.Cos: lambda _, x: x.cos(),
    ops.Cosh: lambda _, x: x.cosh(),
    ops.Sin: lambda _, x: x.sin(),
    ops.Sinh: lambda _, x: x.sinh(),
    ops.Tan: lambda _, x: x.tan(),
    ops.IsNaN: lambda _, x: x.isnan(),
    ops.IsInf: infinite,
    ops.BitwiseAnd: lambda _, a, b: torch.bitwise_and(a, b),
    ops.BitwiseOr: lambda _, a, b: torch.bitwise_or(a, b),
    ops.BitwiseXor: lambda _, a, b: torch.bitwise_xor(a, b),
    ops.BitwiseNot: bitwise_not,
    ops.Cast: lambda operator, x: x.to(getattr(torch, operator.dtype)),
    ops.BitCast: lambda operator, x: x.view(getattr(torch, operator.dtype)),
    ops.Shrink: shrink,
    ops.Modulo: modulo,
    ops.Triangle: triangle,
    ops.CumProd: cumprod,
    ops.GatherND: gather_nd,
    ops.ScatterND: scatter_nd,
    ops.GridSample: grid_sample,
    ops.Fold: fold,
    ops.MaxPoolWithIndices: max_pool_with_indices,
    ops.MaxUnpool: max_unpool,
    ops.RNN: rnn,
    ops.DFT: dft,
    ops.Determinant: determinant,
    ops.LpNormalization: lambda operator, x: F.normalize(x, operator.p, operator.axis),
}
