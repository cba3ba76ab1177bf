"""SciPy as an oracle: special functions, correlation and filters over images give the outputs.

It is no library of neural networks: that it lacks most operators is no surprise, and those it
has are told in ``TABLE`` alone.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

import ops
from graphnet.testing.records.convolution import begin_end
from graphnet.testing.records.resize import COORDINATES
from tests.oracles import Lazy, expect_agreement, per_axis

ndimage = Lazy("scipy.ndimage")
signal = Lazy("scipy.signal")
special = Lazy("scipy.special")

#: Relative error allowed to float64 sums in another order.
EXACT = 1e-10


def check(case):
    """Outputs are SciPy's; False where SciPy cannot express the case."""
    expected = TABLE[type(case.operator)](case.operator, *case.inputs)
    if expected is None:
        return False
    (y,), _ = case.forward()
    expect_agreement(case, "scipy", "the output", y, expected, EXACT)
    return True


def gelu(operator, x):
    if operator.approximate != "none":
        return None  # an approximation that SciPy has no need of
    return x * special.ndtr(x)


def reduced(values, reduction):
    """What becomes of the losses of the entries."""
    if reduction == "batchmean":
        return values.sum() / len(values)
    return {"none": np.asarray, "sum": np.sum, "mean": np.mean}[reduction](values)


def binary_cross_entropy(operator, x, labels):
    if operator.from_logits:
        yes, no = special.log_expit(x), special.log_expit(-x)
        return reduced(-labels * yes - (1 - labels) * no, operator.reduction)
    values = special.xlogy(labels, x) + special.xlog1py(1 - labels, -x)
    return reduced(-values, operator.reduction)


def divergence(operator, x, labels):
    labels = np.exp(labels) if operator.log_target else labels
    return reduced(special.rel_entr(labels, np.exp(x)), operator.reduction)


def softmax_cross_entropy(operator, x, labels):
    """The cross entropy of the smoothed targets, by their entropy and divergence."""
    classes = x.shape[1]
    ignored = labels == operator.ignore_index
    if operator.reduction == "mean" and ignored.all():
        return None  # there is nothing to take a mean of
    hit = np.moveaxis(np.eye(classes)[np.where(ignored, 0, labels)], -1, 1)
    targets = (1 - operator.label_smoothing) * hit + operator.label_smoothing / classes
    divergences = special.rel_entr(targets, special.softmax(x, axis=1)).sum(axis=1)
    values = np.where(ignored, 0.0, special.entr(targets).sum(axis=1) + divergences)
    return (
        values.sum() / (~ignored).sum()
        if operator.reduction == "mean"
        else reduced(values, operator.reduction)
    )


def log_sum_exp(operator, x):
    if x.ndim == 0 or x.size == 0:
        return None  # SciPy gives a scalar an axis, and refuses an array of no entry
    return special.logsumexp(x, axis=operator.axis, keepdims=operator.keepdims)


def dilated(kernel, dilation):
    """A kernel with zeros between its entries."""
    sizes = [d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation, strict=True)]
    spread = np.zeros(sizes, kernel.dtype)
    spread[tuple(slice(None, None, d) for d in dilation)] = kernel
    return spread


class Windows:
    """The windows of an operator over ``(N, C, *spatial)``: its fields, one for each axis."""

    def __init__(self, operator, kernel, size):
        rank = len(size)
        self.dilation = per_axis(operator.dilation, rank)
        self.stride = per_axis(operator.stride, rank)
        self.extent = [d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True)]
        self.pairs = begin_end(operator.padding, size, self.extent, self.stride)
        self.steps = tuple(slice(None, None, s) for s in self.stride)

    def pad(self, image, value=0.0):
        return np.pad(image, self.pairs, constant_values=value)


def conv(operator, x, weight, bias=None):
    """One correlation for each filter and channel of its group."""
    windows = Windows(operator, weight.shape[2:], x.shape[2:])
    per_group, width = len(weight) // operator.groups, weight.shape[1]
    examples = []
    for image in x:
        maps = []
        for f, kernels in enumerate(weight):
            first = f // per_group * width
            y = sum(
                signal.correlate(
                    windows.pad(image[first + c]), dilated(kernel, windows.dilation), "valid"
                )
                for c, kernel in enumerate(kernels)
            )
            maps.append(y[windows.steps] + (0.0 if bias is None else bias[f]))
        examples.append(maps)
    return np.array(examples) if examples else None  # no example, no correlation


def conv_transpose(operator, x, weight, bias=None):
    """One convolution of the spread input for each channel and filter of its group."""
    rank = x.ndim - 2
    strides = per_axis(operator.stride, rank)
    multiple = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    windows = Windows(operator, weight.shape[2:], multiple)
    extra = per_axis(operator.output_padding, rank)
    if operator.padding == "same":
        extra = [max(s - e, 0) for s, e in zip(strides, windows.extent, strict=True)]
    groups, per_group = operator.groups, weight.shape[1]
    width = x.shape[1] // groups
    examples = []
    for image in x:
        maps = []
        for f in range(operator.filters):
            group = f // per_group
            y = sum(
                signal.convolve(
                    dilated(image[c], strides),
                    dilated(weight[c, f % per_group], windows.dilation),
                    "full",
                )
                for c in range(group * width, (group + 1) * width)
            )
            y = np.pad(y, [(0, more) for more in extra])
            sides = zip(y.shape, windows.pairs, strict=True)
            y = y[tuple(slice(begin, n - end) for n, (begin, end) in sides)]
            maps.append(y + (0.0 if bias is None else bias[f]))
        examples.append(maps)
    return np.array(examples) if examples else None  # no example, no convolution


def filtered(operator, x, function, value=0.0):
    """An image filter at the windows of each channel: ``function(image, footprint)``.

    The filter is centred on an entry and the window starts at one, so it is read further on.
    """
    kernel = per_axis(operator.kernel_size, x.ndim - 2)
    windows = Windows(operator, kernel, x.shape[2:])
    footprint = dilated(np.ones(kernel, bool), windows.dilation)
    channels = []
    for image in x.reshape(-1, *x.shape[2:]):
        y = function(windows.pad(image, value), footprint)
        sides = zip(y.shape, windows.extent, strict=True)
        inside = tuple(slice(e // 2, n - (e - 1) // 2) for n, e in sides)
        channels.append(y[inside][windows.steps])
    # no channel, no filter
    return np.reshape(channels, (*x.shape[:2], *channels[0].shape)) if channels else None


def max_pool(operator, x):
    return filtered(
        operator,
        x,
        lambda image, footprint: ndimage.maximum_filter(image, footprint=footprint),
        -math.inf,
    )


def sums(operator, x):
    """The sum over each window."""
    return filtered(
        operator,
        x,
        lambda image, footprint: ndimage.correlate(image, footprint.astype(float)),
    )


def avg_pool(operator, x):
    if not x.size:
        return None  # no channel, no filter
    if operator.count_include_pad:
        return sums(operator, x) / math.prod(per_axis(operator.kernel_size, x.ndim - 2))
    return sums(operator, x) / sums(operator, np.ones_like(x))


def lp_pool(operator, x):
    if not x.size:
        return None  # no channel, no filter
    return sums(operator, np.abs(x) ** operator.p) ** (1 / operator.p)


def resize(operator, x):
    """Interpolation by splines of degree 1 at the coordinates of the outputs."""
    if operator.antialias:
        return None  # SciPy spreads no kernel
    if operator.mode != "linear":
        return None  # splines of degree 3 are not Keys' convolution, and those of 0 always round up
    size = x.shape[2:]
    if operator.size is None:
        scale = [Fraction(s) for s in per_axis(operator.scale, len(size))]
        out = [math.floor(n * s) for n, s in zip(size, scale, strict=True)]
    else:
        out = per_axis(operator.size, len(size))
        scale = [Fraction(wanted, n) for wanted, n in zip(out, size, strict=True)]
    place = COORDINATES[operator.coordinates]
    axes = [
        [float(place(i, n, wanted, s)) for i in range(wanted)]
        for n, wanted, s in zip(size, out, scale, strict=True)
    ]
    grid = np.meshgrid(*axes, indexing="ij")
    y = np.empty((*x.shape[:2], *out))
    for image in np.ndindex(x.shape[:2]):
        y[image] = ndimage.map_coordinates(x[image], grid, order=1, mode="nearest")
    return y


TABLE = {
    ops.Sigmoid: lambda _, x: special.expit(x),
    ops.SiLU: lambda _, x: x * special.expit(x),
    ops.GELU: gelu,
    ops.Softplus: lambda operator, x: -special.log_expit(-operator.beta * x) / operator.beta,
    ops.Mish: lambda _, x: x * np.tanh(-special.log_expit(-x)),
    ops.ELU: lambda operator, x: np.where(x > 0, x, operator.alpha * special.expm1(x)),
    ops.CELU: lambda operator, x: np.where(
        x > 0, x, operator.alpha * special.expm1(x / operator.alpha)
    ),
    ops.Erf: lambda _, x: special.erf(x),
    ops.Round: lambda _, x: special.round(x),
    ops.Softmax: lambda operator, x: special.softmax(x, axis=operator.axis),
    ops.LogSoftmax: lambda operator, x: special.log_softmax(x, axis=operator.axis),
    ops.ReduceLogSumExp: log_sum_exp,
    ops.Huber: lambda operator, x, labels: reduced(
        special.huber(operator.delta, x - labels), operator.reduction
    ),
    ops.BinaryCrossEntropy: binary_cross_entropy,
    ops.KLDivergence: divergence,
    ops.SoftmaxCrossEntropy: softmax_cross_entropy,
    ops.Conv: conv,
    ops.ConvTranspose: conv_transpose,
    ops.MaxPool: max_pool,
    ops.AvgPool: avg_pool,
    ops.LpPool: lp_pool,
    ops.Resize: resize,
}
