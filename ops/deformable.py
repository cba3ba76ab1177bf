"""Deformable convolution: each window looks where another input tells it to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.bilinear import corners
from ops.fields import freeze_counts, freeze_flags
from ops.initializers import Constant, Kaiming
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    expect_bias,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    show,
)
from ops.scatter import added_back, picked
from ops.windows import Padding, PerAxis, Windows, freeze_windows, per_axis

__all__ = ["DeformConv"]


@dataclass(frozen=True)
class DeformConv(Operator):
    """Convolution of an image whose windows are bent: each entry is moved by an offset of its own.

    ``y[n, f, o] = bias[f] + sum_{c, i} weight[f, c, i] * mask[n, i, o] * x[n, c, o * stride +
    i * dilation + offset[n, i, o]]``, where x is interpolated between its entries and is 0
    outside.

    Shapes:
        - x: ``(N, C, H, W)``
        - offset: ``(N, offset_groups * k * 2, *out)`` for k entries in a window: the rows and
          columns by which each is moved, one after the other
        - weight: ``(filters, C / groups, *kernel_size)``, bias: ``(filters,)``
        - mask, optional: ``(N, offset_groups * k, *out)``, a factor of each entry
        - y: ``(N, filters, *out)``, ``out`` as in :class:`ops.Conv`

    Args:
        filters: the number of output channels.
        kernel_size: the size of the window; one integer, or one per axis.
        stride: the distance between windows; default 1.
        padding: as in :class:`ops.Conv`; default 0.
        dilation: the distance between the entries of a window; default 1.
        groups: channels and filters are split into this many independent convolutions.
        offset_groups: channels are split into this many parts with offsets of their own.
        bias: whether a learned constant is added to each filter's output.

    Raises:
        TypeError, ValueError: a field is no integer or out of range.
        ShapeError: the inputs do not fit each other, or the channels not the groups.

    Source: Dai et al., "Deformable Convolutional Networks", 2017; the mask: Zhu, Hu, Lin, Dai,
    "Deformable ConvNets v2", 2019; ONNX ``DeformConv``.

    >>> import graphnet as gn
    >>> x, offset = gn.Input("x", ("N", 3, 8, 8)), gn.Input("offset", ("N", 18, 6, 6))
    >>> DeformConv(16, kernel_size=3)(x, offset).shape
    (N, 16, 6, 6)
    """

    filters: int
    kernel_size: PerAxis
    _: KW_ONLY
    stride: PerAxis = 1
    padding: Padding = 0
    dilation: PerAxis = 1
    groups: int = 1
    offset_groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        freeze_counts(self, "filters", "groups", "offset_groups")
        freeze_flags(self, "bias")
        freeze_windows(self, "kernel_size", "stride", "dilation")
        if self.filters % self.groups:
            raise ValueError(
                f"DeformConv: expected filters divisible by groups, "
                f"received {self.filters} filters in {self.groups} groups"
            )

    def parameters(self, x: Spec, offset: Spec) -> dict[str, Parameter]:
        learned = {"weight": Parameter(self._weight_shape(x), Kaiming(), x.dtype)}
        if self.bias:
            learned["bias"] = Parameter((self.filters,), Constant(0.0), x.dtype, decay=False)
        return learned

    def infer(
        self,
        x: Spec,
        offset: Spec,
        weight: Spec,
        bias: Spec | None = None,
        mask: Spec | None = None,
    ) -> Spec:
        expect_floating("an input", x)
        expect_spec("a weight", weight, self._weight_shape(x), x.dtype)
        expect_bias(self.bias, bias, self.filters, x.dtype)
        windows = self._windows(x)
        entries = self.offset_groups * windows.kernel[0] * windows.kernel[1]
        expect_spec("offsets", offset, (x.shape[0], 2 * entries, *windows.out), x.dtype)
        if mask is not None:
            expect_spec("a mask", mask, (x.shape[0], entries, *windows.out), x.dtype)
        return x.with_shape((x.shape[0], self.filters, *windows.out))

    def forward(
        self,
        x: Array,
        offset: Array,
        weight: Array,
        bias: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, tuple[Any, ...]]:
        windows = self._windows(Spec(x.shape))
        samples = self._samples(x, offset)
        y = self._filters(weight) @ self._columns(samples, mask)  # (N, groups, F / groups, out)
        y = y.reshape((len(x), self.filters, *windows.out))
        if bias is not None:
            y += bias.reshape((-1, 1, 1))
        return y, (x, offset, weight, mask)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, offset, weight, mask = saved
        samples = self._samples(x, offset)
        out = dy.shape[2] * dy.shape[3]
        rows = dy.reshape((len(x), self.groups, self.filters // self.groups, out))
        dweight = dbias = dmask = None
        if needs[2]:
            columns = self._columns(samples, mask)
            dweight = (rows @ columns.swapaxes(2, 3)).sum(axis=0).reshape(weight.shape)
        if needs[3]:
            dbias = dy.sum(axis=(0, 2, 3))
        dsamples = self._from_columns(self._filters(weight).swapaxes(1, 2) @ rows, samples.shape)
        if needs[4]:
            dmask = (dsamples * samples).sum(axis=4).reshape(mask.shape)
        if mask is not None:
            dsamples = dsamples * mask.reshape(samples.shape[:4])[..., None]
        dx, doffset = self._moved_back(x, offset, dsamples, needs)
        return dx, doffset, dweight, dbias, dmask

    def flops(self, x: Spec, offset: Spec, weight: Spec, *others: Spec | None) -> int:
        outputs = self.infer(x, offset, weight, *others).elements
        # a product for each entry of the weight, and four for each sample
        samples = offset.elements // 2 * known(x.shape[1])[0] // self.offset_groups
        return 2 * outputs * weight.elements // self.filters + 8 * samples

    def _windows(self, x: Spec) -> Windows:
        return Windows.over(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def _weight_shape(self, x: Spec) -> tuple[int, ...]:
        expect_rank("an input", x, 4)
        (channels,) = known(x.shape[1])
        if channels % self.groups or channels % self.offset_groups:
            raise ShapeError(
                f"expected channels that divide into {self.groups} groups and "
                f"{self.offset_groups} offset groups, received {show(x)}"
            )
        kernel = per_axis("kernel_size", self.kernel_size, 2)
        return (self.filters, channels // self.groups, *kernel)

    def _points(self, x: Array, offset: Array) -> tuple[Array, Array]:
        """Rows and columns at which each entry of each window looks, ``(N, G, k, *out)``."""
        xp = namespace(offset)
        windows = self._windows(Spec(x.shape))
        k = windows.kernel[0] * windows.kernel[1]
        moved = offset.reshape((len(x), self.offset_groups, k, 2, *windows.out))
        found = []
        for axis in (0, 1):
            entry = xp.arange(windows.kernel[axis]) * windows.dilation[axis]
            # of each entry of the kernel, and of each window
            entry = entry[:, None] if axis == 0 else entry[None]
            entry = xp.broadcast_to(entry, windows.kernel).reshape((k, 1, 1))
            first = xp.arange(windows.out[axis]) * windows.stride[axis] - windows.padding[axis][0]
            first = first[:, None] if axis == 0 else first
            found.append((entry + first).astype(offset.dtype) + moved[:, :, :, axis])
        return found[0], found[1]

    def _corners(self, x: Array, offset: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Those of all points, with the rows of :meth:`_rows` in place of places."""
        height, width = x.shape[2:]
        parts = namespace(x).arange(len(x) * self.offset_groups) * (height * width)
        first = parts.reshape((len(x), self.offset_groups, 1, 1, 1))
        for place, *weights in corners(*self._points(x, offset), height, width):
            yield first + place, weights[0], weights[1], weights[2]

    def _rows(self, x: Array) -> Array:
        """``(N, C, H, W) -> (N * G * H * W, C / G)``."""
        batch, channels, height, width = x.shape
        own = channels // self.offset_groups
        parts = x.reshape((batch, self.offset_groups, own, height * width)).swapaxes(2, 3)
        return parts.reshape((batch * self.offset_groups * height * width, own))

    def _samples(self, x: Array, offset: Array) -> Array:
        """What each entry of each window sees, ``(N, G, k, *out, C / G)``, without the mask."""
        rows = self._rows(x)
        samples: Any = 0.0
        for places, weight, _, _ in self._corners(x, offset):
            samples = samples + weight[..., None] * picked(rows, places, 0)
        # (N, G, k, *out, C / G) with the windows as one axis
        batch, parts, k, *_, own = samples.shape
        return samples.reshape((batch, parts, k, samples.shape[3] * samples.shape[4], own))

    def _moved_back(
        self, x: Array, offset: Array, dsamples: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, Array | None]:
        """The gradients of the image and of the offsets."""
        xp = namespace(x)
        batch, channels, height, width = x.shape
        rows = self._rows(x)
        windows = self._windows(Spec(x.shape))
        dsamples = dsamples.reshape((*dsamples.shape[:3], *windows.out, dsamples.shape[4]))
        drows = xp.zeros(rows.shape, dtype=x.dtype)
        moved = xp.zeros((*dsamples.shape[:3], 2, *windows.out), dtype=x.dtype)
        for places, weight, by_row, by_column in self._corners(x, offset):
            if needs[0]:
                drows += added_back(dsamples * weight[..., None], places, rows.shape, 0)
            if needs[1]:
                met = (dsamples * picked(rows, places, 0)).sum(axis=5)
                moved[:, :, :, 0] += met * by_row
                moved[:, :, :, 1] += met * by_column
        dx = None
        if needs[0]:
            own = channels // self.offset_groups
            dx = drows.reshape((batch, self.offset_groups, height * width, own)).swapaxes(2, 3)
            dx = dx.reshape(x.shape)
        return dx, moved.reshape(offset.shape) if needs[1] else None

    def _filters(self, weight: Array) -> Array:
        """``(F, C / groups, *kernel) -> (groups, F / groups, C / groups * k)``."""
        _, channels, *kernel = weight.shape
        width = channels * kernel[0] * kernel[1]
        return weight.reshape((self.groups, self.filters // self.groups, width))

    def _columns(self, samples: Array, mask: Array | None) -> Array:
        """``(N, G, k, out, C / G) -> (N, groups, C / groups * k, out)``, the mask multiplied in."""
        batch, parts, k, out, own = samples.shape
        if mask is not None:
            samples = samples * mask.reshape((batch, parts, k, out))[..., None]
        rows = parts * own * k // self.groups
        return samples.transpose(0, 1, 4, 2, 3).reshape((batch, self.groups, rows, out))

    def _from_columns(self, columns: Array, shape: tuple[int, ...]) -> Array:
        """The transpose of :meth:`_columns`, but for the mask."""
        batch, parts, k, out, own = shape
        return columns.reshape((batch, parts, own, k, out)).transpose(0, 1, 3, 4, 2)
