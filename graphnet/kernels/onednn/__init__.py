"""Kernels of oneDNN, called through its C interface on float32 NumPy arrays."""

from graphnet.kernels.onednn.provider import prepare, status

__all__ = ["prepare", "status"]
