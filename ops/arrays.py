"""Which array library an array belongs to; operators ask here and nowhere else.

>>> import numpy as np
>>> namespace(np.zeros(3)) is np
True
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["Array", "namespace"]

#: An array of any backend: ``numpy.ndarray``, ``cupy.ndarray`` or a strict test array.
Array = Any


def namespace(array: Array) -> Any:
    """The array library (``numpy``, ``cupy``, ...) that made ``array``.

    Raises:
        TypeError: the object is no array of any library.
    """
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    library = sys.modules.get(type(array).__module__.partition(".")[0])
    if library is None or not hasattr(library, "ndarray"):
        raise TypeError(f"expected an array, received {type(array).__name__}")
    return library
