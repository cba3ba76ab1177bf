"""Kernels: who computes a node.

A provider is asked for a node, with the specs of its inputs, and answers with a kernel or
with None.  A kernel has the two methods of an operator, ``forward(*arrays)`` and
``backward(saved, dy, needs)``, with the same meaning; so an operator is its own reference
kernel.  Adding a provider touches no operator and no executor code.
"""

from graphnet.kernels.placed import PlacedKernel
from graphnet.kernels.provider import PROVIDERS, Kernel, Provider, get_providers

__all__ = ["PROVIDERS", "Kernel", "PlacedKernel", "Provider", "get_providers"]
