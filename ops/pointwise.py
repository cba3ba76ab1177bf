"""What operators that map each entry by itself share: the shape stays."""

from __future__ import annotations

from dataclasses import dataclass

from ops.operator import Operator, Spec, expect_floating

__all__ = ["Pointwise"]


@dataclass(frozen=True)
class Pointwise(Operator):
    """One floating value in, one of the same shape and dtype out."""

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        return x
