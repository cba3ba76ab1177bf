"""U-Net: a class for every pixel, from what is near it and from what is around."""

from __future__ import annotations

from graphnet.blocks import conv_batchnorm_relu
from graphnet.graph import Graph
from graphnet.values import Input, Value
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.initializers import Kaiming
from ops.joining import Concat
from ops.operator import ShapeError, show_shape
from ops.pooling import MaxPool

__all__ = ["unet"]


def unet(
    input_shape: tuple[int, ...] = (1, 32, 32),
    *,
    classes: int = 2,
    width: int = 16,
    depth: int = 2,
) -> Graph:
    """Logits for every pixel: halve the image ``depth`` times, and double it back.

    Two 3x3 convolutions work at each size.  On the way back what a size had on the way down
    stands beside what comes from below, so that no detail is lost.  Unlike in the paper,
    convolutions keep the size of the image and are batch-normalized.

    Shapes:
        - image: ``(N, *input_shape)``, label: ``(N, *spatial)`` of int64, a class per pixel
        - logits: ``(N, classes, *spatial)``, loss: ``()``, the mean over all pixels

    Args:
        input_shape: channels and sizes of one image; default ``(1, 32, 32)``.
        classes: number of logits of a pixel; default 2.
        width: filters at the full size; each halving of the image doubles them; default 16.
        depth: how often the image is halved; default 2.

    Raises:
        TypeError, ValueError: a number is out of range.
        ShapeError: the image cannot be halved as often.

    Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", 2015.

    >>> graph = unet((3, 64, 48), classes=5)
    >>> graph.inputs["label"].shape, graph.outputs["logits"].shape
    ((N, 64, 48), (N, 5, 64, 48))
    """
    if depth < 1:
        raise ValueError(f"unet: expected a depth of at least 1, received {depth!r}")
    if any(size % 2**depth for size in input_shape[1:]):
        raise ShapeError(
            f"unet: expected an image whose sizes can be halved {depth} times, "
            f"received {show_shape(input_shape)}"
        )
    image = Input("image", ("N", *input_shape))
    label = Input("label", ("N", *input_shape[1:]), "int64")
    x: Value = image
    passed = []
    for level in range(depth):
        x = _two_convolutions(x, width * 2**level)
        passed.append(x)
        x = MaxPool(2)(x)
    x = _two_convolutions(x, width * 2**depth)
    for level in reversed(range(depth)):
        doubled = ConvTranspose(width * 2**level, 2, stride=2)(x)
        x = _two_convolutions(Concat()(passed.pop(), doubled), width * 2**level)
    # no ReLU follows the last convolution, so Kaiming's gain is 1
    logits = Conv(classes, 1)(x, weight=Kaiming(gain=1.0))
    return Graph(image, label, logits=logits, loss=SoftmaxCrossEntropy()(logits, label))


def _two_convolutions(x: Value, filters: int) -> Value:
    return conv_batchnorm_relu(conv_batchnorm_relu(x, filters), filters)
