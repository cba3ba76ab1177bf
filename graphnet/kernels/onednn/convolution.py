"""Convolution by oneDNN's direct method: any rank, stride, dilation and groups.

Activations are channels-last.  oneDNN chooses the layout of the weights itself, so they are
reordered for it, and their gradient is reordered back; they are small beside the activations.

Source: oneDNN's developer guide, "Convolution".
"""

from __future__ import annotations

from ctypes import c_int, c_void_p
from functools import cached_property
from typing import Any

import numpy as np

from graphnet.kernels.layout import channels_first, channels_last
from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library, Primitive, sizes
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["DirectConv"]

_DIRECT = 1


class DirectConv:
    """One convolution of known shape.

    Raises:
        OneDNNError: the library has no implementation.
    """

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        x, weight, bias = (*specs, None)[:3]
        assert x is not None and weight is not None, "infer saw to it"
        windows = operator.windows(x)
        n, c = known(*x.shape[:2])
        filters = operator.filters
        self._library = library
        self._y = (n, *windows.out, filters)
        groups = operator.groups
        kernel = (filters // groups, c // groups, *windows.kernel)
        self._weight_shape = (groups, *kernel) if groups > 1 else kernel
        self._bias = bias is not None
        self._x_md = library.descriptor((n, c, *windows.size), _strides(windows.size, c))
        self._y_md = library.descriptor((n, filters, *windows.out), _strides(windows.out, filters))
        self._any = library.descriptor(self._weight_shape)
        self._plain = library.descriptor(self._weight_shape, _row_strides(self._weight_shape))
        self._bias_md = library.descriptor((filters,), (1,)) if self._bias else None
        self._geometry = (
            sizes(windows.stride),
            sizes([d - 1 for d in windows.dilation]),
            sizes([begin for begin, _ in windows.padding]),
            sizes([end for _, end in windows.padding]),
        )
        self._hint = library.plan(
            "convolution_forward", c_int(dnn.FORWARD_TRAINING), c_int(_DIRECT), self._x_md,
            self._any, self._bias_md, self._y_md, *self._geometry, None,
        )  # fmt: skip
        self._forward = self._primitive(
            self._hint, {dnn.SRC: self._x_md, dnn.WEIGHTS: None, dnn.DST: self._y_md},
            dnn.BIAS,
        )  # fmt: skip

    def forward(self, x: Any, weight: Any, bias: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """As :meth:`ops.Conv.forward`."""
        source = channels_last(x)
        y = np.empty(self._y, "float32")
        packed = self._packed(weight, self._forward)
        arrays = {dnn.SRC: source, dnn.WEIGHTS: packed, dnn.DST: y}
        if self._bias:
            arrays[dnn.BIAS] = np.ascontiguousarray(bias)
        self._forward.run(arrays)
        return channels_first(y), (x, weight)

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        """As :meth:`ops.Conv.backward`."""
        x, weight = saved
        gradient = channels_last(dy)
        dx = dweight = dbias = None
        if needs[0]:
            dx = np.empty((x.shape[0], *x.shape[2:], x.shape[1]), "float32")
            packed = self._packed(weight, self._data)
            self._data.run({dnn.DIFF_SRC: dx, dnn.WEIGHTS: packed, dnn.DIFF_DST: gradient})
            dx = channels_first(dx)
        if needs[1]:
            kernel = self._weights
            found = np.empty(kernel.room, "uint8")
            arrays = {dnn.SRC: channels_last(x), dnn.DIFF_WEIGHTS: found, dnn.DIFF_DST: gradient}
            if self._bias:
                arrays[dnn.DIFF_BIAS] = dbias = np.empty(self._y[-1], "float32")
            kernel.run(arrays)
            dweight = self._reordered(found, kernel.weights, self._plain, self._weight_shape)
            dweight = dweight.reshape(weight.shape)
        if len(needs) > 2 and needs[2] and dbias is None:
            dbias = gradient.reshape(-1, self._y[-1]).sum(axis=0)
        gradients = (dx, dweight, dbias if len(needs) > 2 and needs[2] else None)
        return gradients[: len(needs)]

    @cached_property
    def _data(self) -> _Kernel:
        plan = self._library.plan(
            "convolution_backward_data", c_int(_DIRECT), self._x_md, self._any, self._y_md,
            *self._geometry, self._hint, None,
        )  # fmt: skip
        described = {dnn.DIFF_SRC: self._x_md, dnn.WEIGHTS: None, dnn.DIFF_DST: self._y_md}
        return self._primitive(plan, described)

    @cached_property
    def _weights(self) -> _Kernel:
        plan = self._library.plan(
            "convolution_backward_weights", c_int(_DIRECT), self._x_md, self._any, self._bias_md,
            self._y_md, *self._geometry, self._hint, None,
        )  # fmt: skip
        described = {dnn.SRC: self._x_md, dnn.DIFF_WEIGHTS: None, dnn.DIFF_DST: self._y_md}
        return self._primitive(plan, described, dnn.DIFF_BIAS)

    def _primitive(
        self, plan: c_void_p, described: dict[int, Any], bias: int | None = None
    ) -> _Kernel:
        """The primitive of a plan; None in ``described`` stands for what the plan wants."""
        (kind,) = (kind for kind, descriptor in described.items() if descriptor is None)
        weights = self._library.wanted(plan, kind)
        described[kind] = weights
        if bias is not None and self._bias:
            described[bias] = self._bias_md
        room = self._library.nbytes(weights)
        return _Kernel(Primitive(self._library, plan, described), weights, room)

    def _packed(self, weight: Any, kernel: _Kernel) -> Any:
        """The weights in the layout that a primitive wants."""
        plain = np.ascontiguousarray(weight)
        packed = np.empty(kernel.room, "uint8")
        kernel.reorder(self._library, self._plain, kernel.weights)(
            {dnn.SRC: plain, dnn.DST: packed}
        )
        return packed

    def _reordered(self, found: Any, layout: Any, wanted: Any, shape: tuple[int, ...]) -> Any:
        plain = np.empty(shape, "float32")
        self._weights.reorder(self._library, layout, wanted)({dnn.SRC: found, dnn.DST: plain})
        return plain


class _Kernel:
    """A primitive with the layout it wants its weights in, and their bytes."""

    def __init__(self, primitive: Primitive, weights: c_void_p, room: int) -> None:
        self.run = primitive
        self.weights = weights
        self.room = room
        self._reorder: Primitive | None = None

    def reorder(self, library: Library, source: Any, target: Any) -> Primitive:
        """The primitive that copies from one layout to another, made once."""
        if self._reorder is None:
            self._reorder = library.reorder(source, target)
        return self._reorder


def _strides(spatial: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """Strides in entries of ``(N, C, *spatial)`` that lies channels-last."""
    steps = [channels]
    for size in reversed(spatial[1:]):
        steps.insert(0, steps[0] * size)
    return (steps[0] * spatial[0], 1, *steps)


def _row_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in entries of a contiguous array."""
    steps = [1]
    for size in reversed(shape[1:]):
        steps.insert(0, steps[0] * size)
    return tuple(steps)
