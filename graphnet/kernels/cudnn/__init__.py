"""Kernels of cuDNN, by the graphs of ``nvidia-cudnn-frontend``.

What cuDNN refuses, the kernels of the card and the operators' own mathematics compute.
"""

from graphnet.kernels.cudnn.provider import prepare, status

__all__ = ["prepare", "status"]
