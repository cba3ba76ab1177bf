"""Attention by cuDNN, in half precision: scores never reach memory, forward or in reverse.

Source: the cuDNN frontend's documentation, "Attention"; Dao, "FlashAttention-2: Faster Attention
with Better Parallelism and Work Partitioning", 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphnet.kernels.cudnn.choice import choose
from graphnet.kernels.cudnn.computation import Computation, Plan, row_strides, whole
from graphnet.kernels.cudnn.library import CudnnError, Library
from graphnet.kernels.placed import ROWS, Call, Memory, PlacedKernel, Terms
from graphnet.kernels.wide import inner
from ops.attention import ScaledDotProductAttention
from ops.operator import Operator, Spec, known

__all__ = ["CudnnAttention"]

_INPUTS = ("query", "key", "value")


class CudnnAttention(PlacedKernel):
    """One attention of known shape, without a mask; sums are in float32.

    Raises:
        CudnnError: there is a mask, a window, a soft cap or past keys, the dtype is float32, or
            cuDNN refuses the sizes; the features of a head have to be a multiple of 8.
    """

    def __init__(
        self,
        library: Library,
        operator: Operator,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        super().__init__(operator, specs)
        operator = inner(operator)
        assert isinstance(operator, ScaledDotProductAttention), "nothing else gets here"
        query, key, value = specs[:3]
        assert query is not None and key is not None and value is not None, "infer saw to it"
        if query.dtype == "float32" or any(spec is not None for spec in specs[3:]):
            raise CudnnError("expected half precision and no mask")
        self._dtype = query.dtype
        if operator.past or operator.softcap or operator.window != (None, None):
            raise CudnnError("expected no past keys, no soft cap and no window")
        self.xp = library.device.xp
        self._library, self._exact = library, exact
        heads, groups = operator.heads, operator.key_value_heads or operator.heads
        batch, queries, features = known(*query.shape)
        keys, width = known(value.shape[1], value.shape[2])
        #: Shapes ``(N, heads, positions, features of a head)``.
        self._shapes = {
            "query": (batch, heads, queries, features // heads),
            "key": (batch, groups, keys, features // heads),
            "value": (batch, groups, keys, width // groups),
            "y": (batch, heads, queries, width // groups),
        }
        self._scale = operator.scale or 1 / math.sqrt(features // heads)
        self._causal = operator.causal
        self._training = not forward_alone
        self._forward = self._chosen(self._write_forward, "attention")
        self.method = self._forward.method
        backward = 0
        if self._training:
            self._backward = self._chosen(self._write_backward, "attention gradients")
            backward = self._backward.nbytes + sum(
                whole(known(spec.nbytes)[0]) for spec in (query, key, value)
            )
        self.terms = Terms(
            inputs=(ROWS, ROWS, ROWS, ROWS)[: len(specs)],
            outputs=(ROWS,),
            reads=(0, 1, 2),
            keeps=(0,),
            # the logarithm of the sum of a row's exponentials
            extras=(Spec(self._rows, "float32"),) if self._training else (),
            forward_space=self._forward.nbytes,
            backward_space=backward,
            differentiable=self._training,
        )

    def bind_forward(self, memory: Memory) -> Call:
        arrays = {**dict(zip(_INPUTS, memory.inputs, strict=False)), "y": memory.outputs[0]}
        if self._training:
            arrays["sums"] = memory.extras[0]
        return self._forward.bind(arrays, memory.space)

    def bind_backward(self, memory: Memory) -> Call:
        arrays = {**dict(zip(_INPUTS, memory.inputs, strict=False)), "y": memory.outputs[0]}
        arrays |= {"dy": memory.doutputs[0], "sums": memory.extras[0]}
        space = memory.space
        for name, array, found in zip(_INPUTS, memory.inputs, memory.dinputs, strict=False):
            # the library computes all three gradients, wanted or not
            size = whole(array.nbytes)
            arrays[f"d{name}"], space = (space[:size], space[size:]) if found is None else (
                found, space
            )  # fmt: skip
        return self._backward.bind(arrays, space)

    def _write_forward(self) -> Computation:
        made = Computation(self._library, self._dtype)
        query, key, value = (self._read(made, name) for name in _INPUTS)
        y, sums = made.graph.sdpa(
            q=query, k=key, v=value, generate_stats=self._training, **self._options()
        )
        made.result("y", y, self._shapes["y"], self._strides("y"))
        if self._training:
            made.result("sums", sums, self._rows, row_strides(self._rows), "float32")
        return made

    def _write_backward(self) -> Computation:
        made = Computation(self._library, self._dtype)
        query, key, value, y = (self._read(made, name) for name in (*_INPUTS, "y"))
        found = made.graph.sdpa_backward(
            q=query,
            k=key,
            v=value,
            o=y,
            dO=made.tensor("dy", self._shapes["y"], self._strides("y")),
            stats=made.tensor("sums", self._rows, row_strides(self._rows), "float32"),
            use_deterministic_algorithm=True,
            **self._options(),
        )
        for name, tensor in zip(_INPUTS, found, strict=True):
            made.result(f"d{name}", tensor, self._shapes[name], self._strides(name))
        return made

    @property
    def _rows(self) -> tuple[int, ...]:
        """The shape of what is kept of each row of scores."""
        return (*self._shapes["y"][:3], 1)

    def _read(self, made: Computation, name: str) -> Any:
        return made.tensor(name, self._shapes[name], self._strides(name))

    def _strides(self, name: str) -> tuple[int, ...]:
        """Those of an array whose memory is ``(N, positions, heads * features)``."""
        _, heads, positions, features = self._shapes[name]
        return (positions * heads * features, features, heads * features, 1)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"attn_scale": self._scale, "name": "attention"}
        if self._causal:
            frontend = self._library.frontend
            options["diagonal_alignment"] = frontend.diagonal_alignment.TOP_LEFT
            options["diagonal_band_right_bound"] = 0
        return options

    def _chosen(self, make: Callable[[], Computation], kind: str) -> Plan:
        shapes = ", ".join("x".join(map(str, self._shapes[n])) for n in ("query", "key", "value"))
        what = f"{kind} {shapes}{', causal' * self._causal}"
        return choose(self._library, make, what, dtype=self._dtype, exact=self._exact)
