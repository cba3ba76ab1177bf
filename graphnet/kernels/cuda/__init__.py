"""Kernels in CUDA C, compiled by NVRTC for the card they run on.

They write where they are told, enqueue their work on the current stream and read nothing back,
so that a whole training step can be captured.
"""

from graphnet.kernels.cuda.device import status
from graphnet.kernels.cuda.elementwise import FORMULAS
from graphnet.kernels.cuda.optimizers import find_update
from graphnet.kernels.cuda.provider import prepare

__all__ = ["FORMULAS", "find_update", "prepare", "status"]
