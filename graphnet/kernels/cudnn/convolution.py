"""Convolution and its transpose by cuDNN: 1 to 3 axes, stride, dilation, groups, any padding.

Activations are channels-last, and so are the weights while cuDNN works on them: they are brought
into that order ahead of it, and their gradient back into rows, unless the kernel has one position
and both are the same.

A ReLU behind a convolution keeps NaN: it is written as a choice between 0 and the value, as cuDNN's
own makes 0 of NaN, which would hide that a network diverges.

Source: the cuDNN frontend's documentation, "Convolutions".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from graphnet.kernels.cuda.columns import Columns
from graphnet.kernels.cuda.rectified import Rectifier
from graphnet.kernels.cudnn.choice import choose
from graphnet.kernels.cudnn.computation import Computation, Plan, planar, whole
from graphnet.kernels.cudnn.library import CudnnError, Library
from graphnet.kernels.placed import (
    LAST,
    ROWS,
    Call,
    Memory,
    PlacedKernel,
    Terms,
    first,
    in_turn,
)
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.fused import ConvReLU
from ops.operator import Spec, known
from ops.windows import Windows

__all__ = ["CudnnConv", "CudnnConvTranspose"]


@dataclass(frozen=True)
class Geometry:
    """A convolution of an image ``(N, C, *spatial)`` to ``(N, K, *out)``, for cuDNN.

    Attributes:
        library: that computes it.
        dtype: of all arrays.
        image: the shape of what is convolved.
        result: the shape of the result.
        weight: ``(K, C / groups, *kernel)``.
        windows: over the image.
        exact: rule out methods that magnify rounding.
        tf32: whether the inputs of float32 may be rounded to TF32.
    """

    library: Library
    dtype: str
    image: tuple[int, ...]
    result: tuple[int, ...]
    weight: tuple[int, ...]
    windows: Windows
    exact: bool
    tf32: bool

    def __post_init__(self) -> None:
        windows = self.windows
        sides = zip(windows.padded, windows.kernel, windows.stride, windows.dilation, strict=True)
        if windows.out != tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in sides):
            # an output padding that leaves room for a window more
            raise CudnnError(f"no convolution of {self.image} gives {self.result}")

    @property
    def is_single(self) -> bool:
        """Whether the kernel has one position, so that both orders of the weight are the same."""
        return math.prod(self.windows.kernel) == 1

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Those of image, weight and result with two spatial axes at least."""
        return planar(self.image), planar(self.weight), planar(self.result)

    def forward(self, *, bias: bool = False, added: bool = False, relu: bool = False) -> Plan:
        """``image, weight (, bias, added) -> result``."""

        def make() -> Computation:
            image, weight, result = self.shapes
            made = Computation(self.library, self.dtype)
            graph = made.graph
            y = graph.conv_fprop(
                image=made.tensor("image", image),
                weight=made.tensor("weight", weight),
                **self._options(),
            )
            if bias:
                per_channel = (1, result[1], *[1] * (len(result) - 2))
                y = graph.bias(input=y, bias=made.tensor("bias", per_channel))
            if added:
                y = graph.add(a=y, b=made.tensor("added", result))
            if relu:
                zero = made.number("zero", 0.0, len(result))
                low = graph.cmp_lt(input=y, comparison=zero)
                low.set_data_type(self.library.frontend.data_type.BOOLEAN)
                y = graph.binary_select(input0=zero, input1=y, mask=low)
            made.result("result", y, result)
            return made

        parts = ["conv", "bias" * bias, "add" * added, "relu" * relu]
        return self._chosen(make, " ".join(part for part in parts if part))

    def data(self) -> Plan:
        """``result, weight -> image``, the gradient of the image."""
        return self._reverse("conv_dgrad", {"loss": "result", "filter": "weight"}, "image", "data")

    def weights(self) -> Plan:
        """``image, result -> weight``, the gradient of the weight."""
        arguments = {"image": "image", "loss": "result"}
        return self._reverse("conv_wgrad", arguments, "weight", "weights")

    def _reverse(
        self, operation: str, arguments: Mapping[str, str], found: str, direction: str
    ) -> Plan:
        """A gradient: who plays which argument of the operation, and whose gradient is found."""
        shapes = dict(zip(("image", "weight", "result"), self.shapes, strict=True))

        def make() -> Computation:
            made = Computation(self.library, self.dtype)
            given = {name: made.tensor(role, shapes[role]) for name, role in arguments.items()}
            gradient = getattr(made.graph, operation)(**given, **self._options())
            made.result(found, gradient, shapes[found])
            return made

        return self._chosen(make, f"conv {direction}")

    def _options(self) -> dict[str, list[int]]:
        windows = self.windows
        # an axis that was put ahead has no padding and a kernel of one
        missing = [1] * (4 - len(self.image))
        return {
            "pre_padding": [0] * len(missing) + [begin for begin, _ in windows.padding],
            "post_padding": [0] * len(missing) + [end for _, end in windows.padding],
            "stride": [*missing, *windows.stride],
            "dilation": [*missing, *windows.dilation],
        }

    def _chosen(self, make: Callable[[], Computation], kind: str) -> Plan:
        windows = self.windows
        what = (
            f"{kind} {_by(self.image)} with {_by(self.weight)}, stride {_by(windows.stride)}, "
            f"padding {windows.padding}, dilation {_by(windows.dilation)}"
        )
        return choose(self.library, make, what, dtype=self.dtype, exact=self.exact, tf32=self.tf32)


class _Convolution(PlacedKernel):
    """What a convolution and its transpose share: weights in cuDNN's order, and their gradients.

    Raises:
        CudnnError: cuDNN refuses one of the directions.
    """

    def __init__(
        self,
        library: Library,
        operator: Conv | ConvTranspose,
        specs: tuple[Spec | None, ...],
        geometry: Geometry,
    ) -> None:
        super().__init__(operator, specs)
        x, _, bias = (*specs, None)[:3]
        assert x is not None, "infer saw to it"
        self.xp = library.device.xp
        self._geometry = geometry
        self._dtype = x.dtype
        self._columns = Columns(library.device, self.results[0])
        self._has_bias = bias is not None
        #: Bytes of the weight in cuDNN's order, in whole lines; none where it lies so already.
        weight = Spec(geometry.weight, x.dtype)
        self._packed = 0 if geometry.is_single else whole(known(weight.nbytes)[0])

    def bind_packed(self, memory: Memory) -> Call:
        return partial(_copy, memory.inputs[1], self._in_order(memory.packed))

    def _in_order(self, space: Any) -> Any:
        """Bytes as the weight ``(K, C / groups, *kernel)``, its channels side by side."""
        leading, channels, *kernel = self._geometry.weight
        size = math.prod(self._geometry.weight)
        flat = space.view(self._dtype)[:size]
        return first(flat.reshape(leading, *kernel, channels))

    def _weight(self, memory: Memory) -> Any:
        """The weight of the forward pass in cuDNN's order."""
        return memory.packed if self._packed else memory.inputs[1]

    def _again(self, memory: Memory, calls: list[Call]) -> tuple[Any, Any]:
        """The weight in cuDNN's order in reverse, and the memory that is left."""
        weight, space = memory.inputs[1], memory.space
        if not self._packed:
            return weight, space
        calls.append(partial(_copy, weight, self._in_order(space[: self._packed])))
        return space[: self._packed], space[self._packed :]

    def _bind_parameters(self, memory: Memory, plan: Plan, image: Any, result: Any) -> list[Call]:
        """What computes the gradients of weight and bias."""
        _, dweight, dbias = memory.dinputs[:3]
        space, calls = memory.space, []
        if dweight is not None:
            own, rest = (space[: self._packed], space[self._packed :]) if self._packed else (
                dweight, space
            )  # fmt: skip
            arrays = {"image": image, "result": result, "weight": own}
            calls.append(plan.bind(arrays, rest))
            if self._packed:
                calls.append(partial(_copy, self._in_order(own), dweight))
        if dbias is not None:
            calls.append(self._columns.summed(self._arriving(memory), dbias, space))
        return calls

    def _arriving(self, memory: Memory) -> Any:
        """The gradient of the result, as the bias meets it."""
        return memory.doutputs[0]


class CudnnConv(_Convolution):
    """One convolution of known shape, or one with an addition and the ReLU behind it."""

    def __init__(
        self,
        library: Library,
        operator: Conv,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        x, weight = specs[:2]
        assert x is not None and weight is not None, "infer saw to it"
        shape = known(*x.shape)
        windows = operator.windows(x)
        result = (shape[0], operator.filters, *windows.out)
        geometry = Geometry(
            library, x.dtype, shape, result, known(*weight.shape), windows, exact, tf32
        )
        super().__init__(library, operator, specs, geometry)
        self._relu = isinstance(operator, ConvReLU)
        self._added = len(specs) > 3 and specs[3] is not None
        self._rectifier = Rectifier(library.device, self.results[0])
        self._forward, self._rest = self._find_forward()
        self.method = self._forward.method
        backward = 0
        if not forward_alone:
            self._data, self._weights = geometry.data(), geometry.weights()
            backward = max(
                self._packed + max(self._data.nbytes, self._weights.nbytes), self._columns.nbytes
            )
        #: Bytes of the gradient that the ReLU lets through.
        self._through = whole(known(self.results[0].nbytes)[0]) if self._relu else 0
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS, LAST)[: max(3, len(specs))],
            outputs=(LAST,),
            reads=(0, 1),
            keeps=(0,) if self._relu else (),
            packed=self._packed,
            packs=(1,),
            forward_space=self._forward.nbytes,
            backward_space=backward + self._through,
            differentiable=not forward_alone,
        )

    def _find_forward(self) -> tuple[Plan, bool]:
        """The plan of the forward pass, and whether the ReLU is left to a kernel of its own."""
        parts = {"bias": self._has_bias, "added": self._added}
        if self._relu:
            try:
                return self._geometry.forward(**parts, relu=True), False
            except CudnnError:  # not with this ReLU, or not without rounding what comes in
                pass
        return self._geometry.forward(**parts), self._relu

    def bind_forward(self, memory: Memory) -> Call:
        x, _, bias, added = (*memory.inputs, None)[:4]
        (y,) = memory.outputs
        given = {"image": x, "weight": self._weight(memory), "bias": bias, "added": added}
        arrays = {name: array for name, array in given.items() if array is not None}
        calls = [self._forward.bind({**arrays, "result": y}, memory.space)]
        if self._rest:
            calls.append(self._rectifier.forward(y, y))
        return in_turn(*calls)

    def bind_backward(self, memory: Memory) -> Call:
        dx, dweight, dbias, dadded = (*memory.dinputs, None)[:4]
        calls: list[Call] = []
        (dy,) = memory.doutputs
        if self._relu:
            through = dadded
            if through is None:
                (y,) = self.results
                size = math.prod(known(*y.shape))
                batch, channels, *spatial = known(*y.shape)
                flat = memory.space[: self._through].view(self._dtype)[:size]
                through = first(flat.reshape(batch, *spatial, channels))
            calls.append(self._rectifier.backward(memory.outputs[0], dy, through))
            dy = through
            memory = replace(memory, doutputs=[dy], space=memory.space[self._through :])
        if dx is not None:
            weight, rest = self._again(memory, calls)
            calls.append(self._data.bind({"result": dy, "weight": weight, "image": dx}, rest))
        if dweight is not None or dbias is not None:
            calls += self._bind_parameters(memory, self._weights, memory.inputs[0], dy)
        return in_turn(*calls)


class CudnnConvTranspose(_Convolution):
    """One transposed convolution of known shape: the gradient of a convolution's image."""

    def __init__(
        self,
        library: Library,
        operator: ConvTranspose,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        x, weight = specs[:2]
        assert x is not None and weight is not None, "infer saw to it"
        shape = known(*x.shape)
        windows = operator.windows(x)
        image = (shape[0], operator.filters, *windows.size)
        geometry = Geometry(
            library, x.dtype, image, shape, known(*weight.shape), windows, exact, tf32
        )
        super().__init__(library, operator, specs, geometry)
        self._forward = geometry.data()
        self.method = self._forward.method
        backward = 0
        if not forward_alone:
            self._data, self._weights = geometry.forward(), geometry.weights()
            backward = max(
                self._packed + max(self._data.nbytes, self._weights.nbytes), self._columns.nbytes
            )
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS),
            outputs=(LAST,),
            reads=(0, 1),
            packed=self._packed,
            packs=(1,),
            forward_space=self._forward.nbytes,
            backward_space=backward,
            differentiable=not forward_alone,
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, _, bias = memory.inputs
        (y,) = memory.outputs
        arrays = {"result": x, "weight": self._weight(memory), "image": y}
        calls = [self._forward.bind(arrays, memory.space)]
        if bias is not None:
            calls.append(self._columns.shifted(y, bias))
        return in_turn(*calls)

    def bind_backward(self, memory: Memory) -> Call:
        dx, dweight, dbias = memory.dinputs
        (dy,) = memory.doutputs
        calls: list[Call] = []
        if dx is not None:
            weight, rest = self._again(memory, calls)
            calls.append(self._data.bind({"image": dy, "weight": weight, "result": dx}, rest))
        if dweight is not None or dbias is not None:
            calls += self._bind_parameters(memory, self._weights, dy, memory.inputs[0])
        return in_turn(*calls)


def _copy(source: Any, target: Any) -> None:
    target[...] = source


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
