"""A network in float16 or bfloat16: what may be narrow becomes so, and parameters stay float32."""

from __future__ import annotations

from graphnet.graph import Graph
from graphnet.kernels.chain import Chain, Fixed
from graphnet.kernels.wide import Wide
from graphnet.values import Node, Value, declare
from ops.activation import GELU, Sigmoid, SiLU, Tanh
from ops.attention import ScaledDotProductAttention
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.cast import Cast
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.dropout import Dropout
from ops.elementwise import Add, Identity, Multiply, Subtract
from ops.fused import BatchNormInferenceReLU, BatchNormReLU, ConvReLU
from ops.joining import Concat, Split, Stack
from ops.linear import Linear, MatMul
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from ops.operator import Operator
from ops.pooling import AvgPool, GlobalAvgPool, MaxPool
from ops.rectifier import LeakyReLU, ReLU
from ops.reduction import Mean, Sum
from ops.resize import Resize
from ops.shape import Flatten, Reshape, Squeeze, Transpose, Unsqueeze
from ops.slicing import Slice
from ops.softmax import Softmax
from ops.unary import Abs, Neg

__all__ = ["NARROW", "WHOLE", "WIDE", "narrow"]

#: What is computed on narrow numbers; products and means are summed in float32 by their kernels.
NARROW: frozenset[type[Operator]] = frozenset(
    (
        Abs, Add, AvgPool, Concat, Conv, ConvReLU, ConvTranspose, Dropout, Flatten, GELU,
        GlobalAvgPool, Identity, LeakyReLU, Linear, MatMul, MaxPool, Multiply, Neg, ReLU, Reshape,
        SiLU, Sigmoid, Slice, Split, Squeeze, Stack, Subtract, Tanh, Transpose, Unsqueeze,
    )
)  # fmt: skip
#: What is computed in float32 of a narrow input; and the positions of those that are narrow.
WIDE: dict[type[Operator], tuple[int, ...]] = {
    BatchNorm: (0,),
    BatchNormInference: (0,),
    BatchNormInferenceReLU: (0, 5),
    BatchNormReLU: (0, 5),
    GroupNorm: (0,),
    InstanceNorm: (0,),
    LayerNorm: (0,),
    Mean: (0,),
    RMSNorm: (0,),
    Resize: (0,),
    ScaledDotProductAttention: (0, 1, 2),
    Softmax: (0,),
    SoftmaxCrossEntropy: (0,),
    Sum: (0,),
}
#: Those of them whose result stays in float32: a loss may be one, and a sum be large.
WHOLE = frozenset((Mean, SoftmaxCrossEntropy, Sum))


def narrow(graph: Graph, dtype: str) -> Graph:
    """Let nodes of :data:`NARROW` and their inputs be of ``dtype``, all others stay float32.

    Inputs, parameters, states and outputs of the graph stay as they are: copies of them are cast.
    Normalizations, softmax and the cross-entropy take narrow values and compute in float32.  It
    is the last of the passes.

    >>> import graphnet as gn
    >>> from ops import Exp, Linear
    >>> graph = narrow(gn.Graph(y=Exp()(Linear(2)(gn.Input("x", ("N", 3))))), "float16")
    >>> [(node.kind, node.outputs[0].dtype) for node in graph.nodes.values()][2:]
    [('Cast', 'float16'), ('Linear', 'float16'), ('Cast', 'float32'), ('Exp', 'float32')]
    """
    casts: dict[tuple[Value, str], Value] = {}

    def cast(value: Value | None, wanted: str, node: Node) -> Value | None:
        """A value as it is wanted; integers and float64 as they are."""
        if value is None or value.dtype not in ("float32", dtype) or value.dtype == wanted:
            return value
        key = (value, wanted)
        if key not in casts:
            name = f"{_source(graph, value)}.{wanted}"
            made = declare(Cast(wanted), (value,), {}, name, node.declared_at)
            casts[key] = made.outputs[0]
            if wanted == "float32":  # it widens exactly: who wants it narrow takes the source
                casts[made.outputs[0], dtype] = value
        return casts[key]

    ends = set(graph.outputs.values())

    def replace(node: Node, inputs: tuple[Value | None, ...]) -> tuple[Value, ...]:
        operator = node.operator
        kind = type(operator)
        if kind in WIDE and all(v is None or _is_single(v, dtype) for v in inputs):
            places = WIDE[kind]
            given = [
                cast(value, dtype if place in places else "float32", node)
                for place, value in enumerate(inputs)
            ]
            while given[-1] is None:
                given.pop()
            wide = Wide(operator, dtype, narrows=kind not in WHOLE)
            made = declare(wide, tuple(given), {}, graph.name_of(node), node.declared_at)
            made.renews = tuple(v for v, old in zip(inputs, node.inputs, strict=True)
                                if v is not None and old in node.renews)  # fmt: skip
        else:
            wanted = dtype if _is_narrow(operator) else "float32"
            given = [cast(value, wanted, node) for value in inputs]
            variadic = kind.signature().variadic
            named = {} if variadic else dict(zip(node.input_names, given, strict=True))
            positional = tuple(given) if variadic else ()
            made = declare(operator, positional, named, graph.name_of(node), node.declared_at)
        outputs = []
        for old, new in zip(node.outputs, made.outputs, strict=True):
            final = cast(new, "float32", node) if old in ends else new
            assert final is not None, "a node gives values"
            outputs.append(final)
        return tuple(outputs)

    return graph.rewrite(replace)


def _source(graph: Graph, value: Value) -> str:
    """What a value is called: by its name in the graph, or by the node that was made for it."""
    if value.producer is None:
        return graph.name_of(value)
    return f"{value.producer.name}:{value.index}" if value.index else str(value.producer.name)


def _is_single(value: Value, dtype: str) -> bool:
    return value.dtype in ("float32", dtype) or not value.spec.is_floating


def _is_narrow(operator: Operator) -> bool:
    if isinstance(operator, Chain):
        return all(map(_is_narrow, operator.parts))
    if isinstance(operator, Fixed):
        return _is_narrow(operator.operator)
    return type(operator) in NARROW
