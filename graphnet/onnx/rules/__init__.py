"""The table of operators: how each one of the standard is read, and each of ours is written."""

from __future__ import annotations

from graphnet.onnx.rules.attention import ATTENTION
from graphnet.onnx.rules.base import Rule
from graphnet.onnx.rules.constants import CONSTANTS
from graphnet.onnx.rules.control import CONTROL
from graphnet.onnx.rules.convolutions import CONVOLUTIONS
from graphnet.onnx.rules.elementwise import ELEMENTWISE
from graphnet.onnx.rules.fused import FUSED
from graphnet.onnx.rules.indexing import INDEXING
from graphnet.onnx.rules.joining import JOINING
from graphnet.onnx.rules.losses import LOSSES
from graphnet.onnx.rules.normalization import NORMALIZATION
from graphnet.onnx.rules.numbers import NUMBERS
from graphnet.onnx.rules.pooling import POOLING
from graphnet.onnx.rules.products import PRODUCTS
from graphnet.onnx.rules.quantized import QUANTIZED
from graphnet.onnx.rules.recurrent import RECURRENT
from graphnet.onnx.rules.reductions import REDUCTIONS
from graphnet.onnx.rules.regions import REGIONS
from graphnet.onnx.rules.resizing import RESIZING
from graphnet.onnx.rules.shapes import SHAPES
from graphnet.onnx.rules.signals import SIGNALS
from ops.operator import Operator

__all__ = ["READERS", "TABLE", "WRITERS"]

#: All rules; both directions are looked up in it.
TABLE: tuple[Rule, ...] = (
    *CONVOLUTIONS,
    *POOLING,
    *REGIONS,
    *RESIZING,
    *NORMALIZATION,
    *PRODUCTS,
    *ATTENTION,
    *RECURRENT,
    *ELEMENTWISE,
    *NUMBERS,
    *REDUCTIONS,
    *SHAPES,
    *JOINING,
    *INDEXING,
    *CONSTANTS,
    *LOSSES,
    *QUANTIZED,
    *SIGNALS,
    *CONTROL,
    *FUSED,
)

#: How nodes are read, by domain and name.
READERS: dict[tuple[str, str], Rule] = {
    (rule.domain, rule.name): rule for rule in reversed(TABLE) if rule.read is not None
}

#: How operators are written.
WRITERS: dict[type[Operator], Rule] = {
    rule.operator: rule
    for rule in reversed(TABLE)
    if rule.operator is not None and rule.write is not None
}
