"""Channels-last memory behind the channels-first shapes of the operators.

An array ``(N, C, *spatial)`` may lie in memory as ``(N, *spatial, C)``: fast kernels want the
channels side by side.  Kernels that hand such arrays to each other never move an entry.

>>> x = np.zeros((2, 3, 4, 5), "float32")
>>> y = channels_first(channels_last(x))
>>> y.shape, y.strides
((2, 3, 4, 5), (240, 4, 60, 12))
>>> np.shares_memory(channels_last(y), y)
True
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["channels_first", "channels_last"]


def channels_last(x: Any) -> Any:
    """The array as contiguous ``(N, *spatial, C)``; copied only where its memory is another."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def channels_first(x: Any) -> Any:
    """The view ``(N, C, *spatial)`` of an array ``(N, *spatial, C)``."""
    return np.moveaxis(x, -1, 1)
