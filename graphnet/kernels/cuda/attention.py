"""Attention with anything that the operator allows, by products of cuBLAS and what is between.

Scores lie in temporary memory, ``(N, heads, L, S)`` in float32; in reverse they are computed again
from what is kept of each row: its largest score and the sum of its exponentials.  Narrow inputs
are widened; the factors of their products are then rounded to TF32, which has the digits of
float16.
"""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import CudaKernel, Rows
from graphnet.kernels.cuda.products import Matrices
from graphnet.kernels.cuda.strided import Strided, steps_of
from graphnet.kernels.placed import ROWS, Call, Memory, Terms, in_turn
from graphnet.kernels.wide import Wide, inner
from ops.attention import ScaledDotProductAttention
from ops.operator import Operator, Spec, known

__all__ = ["CudaAttention", "is_attended"]

#: Farther than any key.
UNBOUNDED = 1 << 40
#: Bytes to whose multiples arrays in temporary memory are cut.
ALIGNMENT = 256


def is_attended(operator: Operator, specs: tuple[Spec | None, ...]) -> bool:
    """Whether an attention is served here: one in float32, whose mask is boolean or float32."""
    query, mask = specs[0], (*specs, None, None)[3]
    assert query is not None, "infer saw to it"
    wide = query.dtype == "float32" or isinstance(operator, Wide)
    return wide and (mask is None or mask.dtype in ("bool", "float32"))


class CudaAttention(CudaKernel):
    """One attention of known shape."""

    file = "attention.cu"

    def __init__(
        self,
        device: Device,
        operator: Operator,
        specs: tuple[Spec | None, ...],
        *,
        tf32: bool = False,
    ) -> None:
        super().__init__(device, operator, specs)
        operator = inner(operator)
        assert isinstance(operator, ScaledDotProductAttention), "nothing else gets here"
        query, key, value, mask = (*specs, None)[:4]
        assert query is not None and key is not None and value is not None, "infer saw to it"
        self._options = ()  # scores are in float32
        self._strided = Strided(device, query.dtype)
        self._tf32 = tf32 or query.dtype != "float32"
        self._operator = operator
        batch, queries, features = known(*query.shape)
        keys, width = known(value.shape[1], value.shape[2])
        self._heads, self._groups = operator.heads, operator.key_value_heads or operator.heads
        depth, outputs = features // self._heads, width // self._groups
        #: Shapes ``(N, heads, positions, features of a head)``.
        self._shapes = {
            "query": (batch, self._heads, queries, depth),
            "key": (batch, self._groups, keys, depth),
            "value": (batch, self._groups, keys, outputs),
            "y": (batch, self._heads, queries, outputs),
            "scores": (batch, self._heads, queries, keys),
            "gradients": (batch, self._heads, queries, keys),
            "slopes": (batch, self._heads, queries, keys),
            "dquery": (batch, self._heads, queries, depth),
        }
        self._scale = operator.scale or 1 / math.sqrt(depth)
        self._rows = Rows(batch * self._heads * queries, keys, 1)
        self._mask_shape = None if mask is None else (1,) * (4 - mask.rank) + known(*mask.shape)
        #: What lies in temporary memory.
        self._forward: tuple[str, ...] = ("query", "key", "value", "scores", "y")
        self._backward: tuple[str, ...] = ("query", "key", "value", "scores", "y", "gradients")
        if operator.softcap is not None:
            self._backward += ("slopes",)
        self.terms = Terms(
            inputs=(ROWS,) * len(specs),
            outputs=(ROWS,),
            reads=tuple(range(len(specs))),
            # the largest score of each row, and the sum of exponentials
            extras=(Spec((self._rows.count,), "float32"),) * 2,
            forward_space=sum(map(self._nbytes, self._forward)),
            backward_space=sum(map(self._nbytes, self._backward)) + self._mask_bytes(),
        )

    def bind_forward(self, memory: Memory) -> Call:
        room, _ = self._room(memory.space, self._forward)
        return in_turn(
            *self._weights(room, memory, first=True),
            self._split("value", memory.inputs[2], room),
            self._product(self._all("scores", room), self._all("value", room), "y", room),
            self._join("y", room, memory.outputs[0]),
        )

    def bind_backward(self, memory: Memory) -> Call:
        room, rest = self._room(memory.space, self._backward)
        dquery, dkey, dvalue, dmask = (*memory.dinputs, None)[:4]
        values, weights, dy = (self._all(name, room) for name in ("value", "scores", "y"))
        calls = [
            *self._weights(room, memory, first=False),
            self._split("value", memory.inputs[2], room),
            self._split("y", memory.doutputs[0], room),
            self._product(dy, values.transpose, "gradients", room),
        ]
        if dvalue is not None:  # in place of the values, which are read no more
            calls.append(self._product(weights.transpose, dy, "value", room))
            calls.append(self._join("value", room, dvalue))
        arrays = room["gradients"], room["scores"]
        numbers = self._rows.count, self._rows.size
        calls.append(self.lined("attend_backward", self._rows, *arrays, *numbers))
        if dmask is not None:
            calls.append(self._masked(room, dmask, rest))
        if "slopes" in room:
            given = {"g": room["gradients"], "s": room["slopes"]}
            calls.append(self._strided.mapped("g * s", room["gradients"], given))
        gradients = self._all("gradients", room)
        if dquery is not None:  # in place of dy, as the queries are still read
            room["dquery"] = room["y"]
            calls.append(self._product(gradients, self._all("key", room), "dquery", room))
            calls.append(self._join("dquery", room, dquery, self._scale))
        if dkey is not None:  # the queries are a quarter of themselves times the scale
            queries = self._all("query", room)
            calls.append(self._product(gradients.transpose, queries, "key", room))
            calls.append(self._join("key", room, dkey, 4.0))
        return in_turn(*calls)

    def _weights(self, room: dict[str, Any], memory: Memory, *, first: bool) -> list[Call]:
        """What computes the weights in place of the scores, which come as quarters."""
        query, key, *_ = memory.inputs
        mask = (*memory.inputs, None)[3]
        steps: tuple[int, ...] = (0,) * 4
        if mask is not None:
            mask = self.xp.broadcast_to(mask, self._shapes["scores"])
            steps = steps_of(mask)
        boolean = mask is not None and mask.dtype.name == "bool"
        before, after = self._operator.window
        if self._operator.causal:
            after = 0
        _, _, queries, keys = self._shapes["scores"]
        return [
            self._split("query", query, room, self._scale / 4),
            self._split("key", key, room),
            self._product(
                self._all("query", room), self._all("key", room).transpose, "scores", room
            ),
            self.lined(
                "attend", self._rows, room["scores"], mask if boolean else None,
                None if boolean else mask, *memory.extras, room.get("slopes"), self._rows.count,
                self._heads, queries, keys, *steps, self._operator.past,
                UNBOUNDED if before is None else before, UNBOUNDED if after is None else after,
                float(self._operator.softcap or 0), first,
            ),
        ]  # fmt: skip

    def _split(self, name: str, x: Any, room: dict[str, Any], factor: float = 1.0) -> Call:
        """``(N, L, heads * d) -> (N, heads, L, d)``, times a factor."""
        target = self._shaped(name, room)
        return self._strided.mapped("factor * x", target, {"x": self._heads_of(x, name)},
                                    factor=factor)  # fmt: skip

    def _join(self, name: str, room: dict[str, Any], y: Any, factor: float = 1.0) -> Call:
        """``(N, heads, L, d) -> (N, L, heads * d)``, times a factor."""
        given = {"x": self._shaped(name, room)}
        return self._strided.mapped("factor * x", self._heads_of(y, name), given, factor=factor)

    def _heads_of(self, x: Any, name: str) -> Any:
        """A view ``(N, heads, L, d)`` of an array ``(N, L, heads * d)``."""
        batch, heads, positions, features = self._shapes[name]
        return x.reshape(batch, positions, heads, features).transpose(0, 2, 1, 3)

    def _shaped(self, name: str, room: dict[str, Any]) -> Any:
        shape = self._shapes[name]
        return room[name][: math.prod(shape)].reshape(shape)

    def _all(self, name: str, room: dict[str, Any]) -> Matrices:
        """A matrix for each head of keys; heads of queries that share it lie side by side."""
        batch, _, _, columns = self._shapes[name]
        rows = math.prod(self._shapes[name][:3]) // (batch * self._groups)
        return Matrices(room[name], rows, columns)

    def _product(self, a: Matrices, b: Matrices, name: str, room: dict[str, Any]) -> Call:
        batch = self._shapes[name][0] * self._groups
        target = self._all(name, room)
        return self.device.products.bound(a, b, target, batch=batch, tf32=self._tf32)

    def _masked(self, room: dict[str, Any], dmask: Any, space: Any) -> Call:
        """The gradient of a mask: that of the scores, summed over what it was spread over."""
        given = {"g": self._shaped("gradients", room)}
        return self._strided.summed("g", dmask.reshape(self._mask_shape), given, space)

    def _mask_bytes(self) -> int:
        if self._mask_shape is None:
            return 0
        whole = self._shapes["scores"]
        pairs = enumerate(zip(whole, self._mask_shape, strict=True))
        return self._strided.sum_bytes(whole, [axis for axis, (n, own) in pairs if n != own])

    def _nbytes(self, name: str) -> int:
        """Bytes of an array in temporary memory; what comes in makes room for the queries'."""
        count = math.prod(self._shapes[name])
        if name == "y":
            count = max(count, math.prod(self._shapes["query"]))
        return -(-4 * count // ALIGNMENT) * ALIGNMENT

    def _room(self, space: Any, names: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
        """Arrays in temporary memory, and what is left of it."""
        room = {}
        for name in names:
            size = self._nbytes(name)
            room[name], space = space[:size].view("float32"), space[size:]
        return room, space
