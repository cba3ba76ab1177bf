"""Kernels of cuDNN, by the graphs of ``nvidia-cudnn-frontend``.

What cuDNN refuses, the kernels of the card and the operators' own mathematics compute.  The modules
are imported when a network for a card first asks for them.
"""

from __future__ import annotations

from typing import Any

from ops.operator import Operator, Spec

__all__ = ["prepare", "status"]


def prepare(operator: Operator, specs: tuple[Spec | None, ...], **options: bool) -> Any:
    """A kernel for inputs of these specs, or None; see :func:`provider.prepare`."""
    from graphnet.kernels.cudnn import provider

    return provider.prepare(operator, specs, **options)


def status() -> tuple[bool, str]:
    """Whether cuDNN works here, and its version."""
    from graphnet.kernels.cudnn import provider

    return provider.status()
