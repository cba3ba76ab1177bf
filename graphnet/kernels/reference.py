"""The reference provider: every operator computes itself, on any backend."""

from __future__ import annotations

from graphnet.kernels.wide import Wide
from ops.cast import Cast
from ops.operator import BFLOAT16, Operator, Spec

__all__ = ["prepare"]


def prepare(operator: Operator, specs: tuple[Spec | None, ...], **options: bool) -> Operator:
    """Every operator's own forward and backward, on any backend.

    What array libraries make of bfloat16 beside a number differs, so it is computed in float32.
    """
    narrow = any(spec is not None and spec.dtype == BFLOAT16 for spec in specs)
    return (
        Wide(operator, BFLOAT16) if narrow and not isinstance(operator, Wide | Cast) else operator
    )
