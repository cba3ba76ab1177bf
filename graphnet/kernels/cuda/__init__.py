"""Kernels in CUDA C, compiled by NVRTC for the card they run on.

They write where they are told, enqueue their work on the current stream and read nothing back,
so that a whole training step can be captured.  The modules are imported when a network for a card
first asks for them.
"""

from __future__ import annotations

from typing import Any

from graphnet.optim import Optimizer
from ops.operator import Operator, Spec

__all__ = ["find_update", "prepare", "serves_in_chains", "status"]


def status() -> tuple[bool, str]:
    """Whether a card is there, and which."""
    from graphnet.kernels.cuda import device

    return device.status()


def prepare(operator: Operator, specs: tuple[Spec | None, ...], **options: bool) -> Any:
    """A kernel for inputs of these specs, or None; see :func:`provider.prepare`."""
    from graphnet.kernels.cuda import provider

    return provider.prepare(operator, specs, **options)


def serves_in_chains(operator: Operator) -> bool:
    """Whether there is a formula for an operator within a chain."""
    from graphnet.kernels.cuda.formulas import formula_of

    return formula_of(operator) is not None


def find_update(optimizer: Optimizer) -> Any:
    """The update of an optimizer on the card; None for one of a user's own."""
    from graphnet.kernels.cuda import optimizers

    return optimizers.find_update(optimizer)
