"""Convolution and its transpose by oneDNN's direct method: any rank, stride, dilation and groups.

Activations are channels-last.  oneDNN chooses the layout of the weights itself, so they are
reordered for it, and their gradient is reordered back; they are small beside the activations.

Source: oneDNN's developer guide, "Convolution and Deconvolution".
"""

from __future__ import annotations

from ctypes import c_int, c_void_p
from functools import cached_property

from graphnet.kernels.convolution import ConvKernel
from graphnet.kernels.onednn import library as dnn
from graphnet.kernels.onednn.library import Library, OneDNNError, last_strides, row_strides, sizes
from graphnet.kernels.placed import LAST, ROWS, Call, Memory, Terms
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.operator import Spec, known

__all__ = ["DirectConv", "DirectConvTranspose"]

#: The most channels that oneDNN takes together.
BLOCK = 16


class DirectConv(ConvKernel):
    """One convolution of known shape.

    Raises:
        OneDNNError: the library has no implementation.
    """

    method = "direct"
    kind = "convolution"
    algorithm = c_int(0x1)

    def __init__(
        self, library: Library, operator: Conv | ConvTranspose, specs: tuple[Spec | None, ...]
    ) -> None:
        super().__init__(operator, specs)
        x, weight, bias = (*specs, None)[:3]
        assert x is not None and weight is not None, "infer saw to it"
        windows = operator.windows(x)
        filters, groups = operator.filters, operator.groups
        strided = set(windows.kernel) == {1} != set(windows.stride)
        self._is_misread = strided and self.gathered(operator, x) < BLOCK
        self._library = library
        x_shape, y_shape = known(*x.shape), known(*self.results[0].shape)
        self._x_md = library.descriptor(x_shape, last_strides(x_shape))
        self._y_md = library.descriptor(y_shape, last_strides(y_shape))
        kernel = (groups, filters // groups, x_shape[1] // groups, *windows.kernel)
        # a single group has no axis of its own
        shape, strides = (a[groups == 1 :] for a in (kernel, self.weight_strides(kernel)))
        self._any = library.descriptor(shape)
        self._plain = library.descriptor(shape, strides)
        self._bias_md = None if bias is None else library.descriptor((filters,), (1,))
        self._geometry = (
            sizes(windows.stride),
            sizes([d - 1 for d in windows.dilation]),
            sizes([begin for begin, _ in windows.padding]),
            sizes([end for _, end in windows.padding]),
        )
        self._forward = library.plan(
            f"{self.kind}_forward", c_int(dnn.FORWARD_TRAINING), self.algorithm, self._x_md,
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

    @staticmethod
    def gathered(operator: Conv | ConvTranspose, x: Spec) -> int:
        """How many channels the pixels have that a strided 1x1 kernel sees.

        oneDNN 3.2 gathers those pixels in blocks of channels, whole or not, so that its gradient
        of the weights is wrong where there are less than a block.
        """
        return known(x.shape[1])[0]

    @staticmethod
    def weight_strides(kernel: tuple[int, ...]) -> tuple[int, ...]:
        """The strides of the weight as ``(groups, filters, channels, *kernel)``, in entries."""
        return row_strides(kernel)

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
            f"{self.kind}_backward_data", self.algorithm, self._x_md, self._any, self._y_md,
            *self._geometry, self._forward, None,
        )  # fmt: skip

    @cached_property
    def _data_weights(self) -> c_void_p:
        return self._library.wanted(self._data, dnn.WEIGHTS)

    @cached_property
    def _found(self) -> c_void_p:
        found = self._library.plan(
            f"{self.kind}_backward_weights", self.algorithm, self._x_md, self._any, self._bias_md,
            self._y_md, *self._geometry, self._forward, None,
        )  # fmt: skip
        if self._is_misread:
            self._library.skip(found)
        return found

    @cached_property
    def _found_weights(self) -> c_void_p:
        return self._library.wanted(self._found, dnn.DIFF_WEIGHTS)


class DirectConvTranspose(DirectConv):
    """One transposed convolution of known shape."""

    kind = "deconvolution"
    algorithm = c_int(0xA)

    def __init__(
        self, library: Library, operator: ConvTranspose, specs: tuple[Spec | None, ...]
    ) -> None:
        super().__init__(library, operator, specs)
        if self._is_misread:
            raise OneDNNError("the only gradient of the weights that there is is wrong")

    @staticmethod
    def gathered(operator: Conv | ConvTranspose, x: Spec) -> int:
        return operator.filters

    @staticmethod
    def weight_strides(kernel: tuple[int, ...]) -> tuple[int, ...]:
        groups, filters, channels, *sizes = kernel
        # it lies as (groups, channels, filters, *kernel)
        group, channel, filter_, *steps = row_strides((groups, channels, filters, *sizes))
        return (group, filter_, channel, *steps)
