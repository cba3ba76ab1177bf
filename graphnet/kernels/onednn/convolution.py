"""Convolution by oneDNN's direct method: any rank, stride, dilation and groups.

Activations are channels-last.  oneDNN chooses the layout of the weights itself, so they are
reordered for it, and their gradient is reordered back; they are small beside the activations.

Source: oneDNN's developer guide, "Convolution".
"""

from __future__ import annotations

from ctypes import c_int, c_void_p
from functools import cached_property

from graphnet.kernels.convolution import ConvKernel
from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library, row_strides, sizes
from graphnet.kernels.placed import LAST, ROWS, Call, Memory, Terms
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["DirectConv"]

_DIRECT = 1


class DirectConv(ConvKernel):
    """One convolution of known shape.

    Raises:
        OneDNNError: the library has no implementation.
    """

    method = "direct"

    def __init__(self, library: Library, operator: Conv, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        x, weight, bias = (*specs, None)[:3]
        assert x is not None and weight is not None, "infer saw to it"
        windows = operator.windows(x)
        n, c = known(*x.shape[:2])
        filters, groups = operator.filters, operator.groups
        self._library = library
        kernel = (filters // groups, c // groups, *windows.kernel)
        shape = (groups, *kernel) if groups > 1 else kernel
        self._x_md = library.descriptor((n, c, *windows.size), _strides(windows.size, c))
        self._y_md = library.descriptor((n, filters, *windows.out), _strides(windows.out, filters))
        self._any = library.descriptor(shape)
        self._plain = library.descriptor(shape, row_strides(shape))
        self._bias_md = None if bias is None else library.descriptor((filters,), (1,))
        self._geometry = (
            sizes(windows.stride),
            sizes([d - 1 for d in windows.dilation]),
            sizes([begin for begin, _ in windows.padding]),
            sizes([end for _, end in windows.padding]),
        )
        self._forward = library.plan(
            "convolution_forward", c_int(dnn.FORWARD_TRAINING), c_int(_DIRECT), self._x_md,
            self._any, self._bias_md, self._y_md, *self._geometry, None,
        )  # fmt: skip
        self._weights = library.wanted(self._forward, dnn.WEIGHTS)
        self.data_space = library.nbytes(self._data_weights)
        self.weights_space = library.nbytes(self._found_weights) + 4 * filters
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS),
            outputs=(LAST,),
            reads=(0, 1),
            packed=library.nbytes(self._weights),
            packs=(1,),
            backward_space=max(self.data_space, self.weights_space),
        )

    def bind_packed(self, memory: Memory) -> Call:
        return self._library.reorder(
            (self._plain, memory.inputs[1]), (self._weights, memory.packed)
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, _, bias = memory.inputs
        described = {
            dnn.SRC: (self._x_md, x),
            dnn.WEIGHTS: (self._weights, memory.packed),
            dnn.DST: (self._y_md, memory.outputs[0]),
        }
        if self._bias_md is not None:
            described[dnn.BIAS] = (self._bias_md, bias)
        return self._library.bind(self._forward, described)

    def bind_data(self, memory: Memory) -> list[Call]:
        packed = (self._data_weights, memory.space)
        described = {
            dnn.DIFF_SRC: (self._x_md, memory.dinputs[0]),
            dnn.WEIGHTS: packed,
            dnn.DIFF_DST: (self._y_md, memory.doutputs[0]),
        }
        return [
            self._library.reorder((self._plain, memory.inputs[1]), packed),
            self._library.bind(self._data, described),
        ]

    def bind_weights(self, memory: Memory) -> list[Call]:
        _, dweight, dbias = memory.dinputs
        library, space = self._library, memory.space
        (dy,) = memory.doutputs
        found = (self._found_weights, space)
        described = {
            dnn.SRC: (self._x_md, memory.inputs[0]),
            dnn.DIFF_WEIGHTS: found,
            dnn.DIFF_DST: (self._y_md, dy),
        }
        if self._bias_md is not None:
            # the library computes both gradients, wanted or not
            both = space[-4 * dy.shape[1] :] if dbias is None else dbias
            described[dnn.DIFF_BIAS] = (self._bias_md, both)
        calls = [library.bind(self._found, described)]
        if dweight is not None:
            calls.append(library.reorder(found, (self._plain, dweight)))
        return calls

    @cached_property
    def _data(self) -> c_void_p:
        return self._library.plan(
            "convolution_backward_data", c_int(_DIRECT), self._x_md, self._any, self._y_md,
            *self._geometry, self._forward, None,
        )  # fmt: skip

    @cached_property
    def _data_weights(self) -> c_void_p:
        return self._library.wanted(self._data, dnn.WEIGHTS)

    @cached_property
    def _found(self) -> c_void_p:
        return self._library.plan(
            "convolution_backward_weights", c_int(_DIRECT), self._x_md, self._any, self._bias_md,
            self._y_md, *self._geometry, self._forward, None,
        )  # fmt: skip

    @cached_property
    def _found_weights(self) -> c_void_p:
        return self._library.wanted(self._found, dnn.DIFF_WEIGHTS)


def _strides(spatial: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """Strides in entries of ``(N, C, *spatial)`` that lies channels-last."""
    steps = [channels]
    for size in reversed(spatial[1:]):
        steps.insert(0, steps[0] * size)
    return (steps[0] * spatial[0], 1, *steps)
