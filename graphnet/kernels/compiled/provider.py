"""Which operators compiled kernels serve; numba is imported when the first one is."""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any

from graphnet.kernels.onednn.library import find_library
from graphnet.kernels.onednn.provider import status as onednn_status
from ops.convolution import Conv
from ops.operator import Operator, Spec, known

__all__ = ["prepare", "status"]

#: Channels and filters come in whole vectors of 16.
VECTOR = 16
#: Below this many tiles a channel the transforms of the kernels outweigh what they save.
TILES_PER_CHANNEL = 0.25


def prepare(operator: Operator, specs: tuple[Spec | None, ...]) -> Any:
    """Winograd's convolution where it applies and pays; None elsewhere."""
    if type(operator) is not Conv or not _applies(operator, specs):
        return None
    library = find_library()
    if library is None or not numba_works():
        return None
    from graphnet.kernels.compiled.convolution import WinogradConv

    return WinogradConv(library, operator, specs)


def _applies(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    x = specs[0]
    if x is None or x.rank != 4 or any(s is not None and s.dtype != "float32" for s in specs):
        return False
    batch, channels, height, width = known(*x.shape)
    windows = operator.windows(x)
    plain = (
        windows.kernel == (3, 3)
        and windows.stride == windows.dilation == (1, 1)
        and windows.padding == ((1, 1), (1, 1))
        and operator.groups == 1
    )
    whole = channels % VECTOR == operator.filters % VECTOR == 0
    tiles = batch * -(-height // 4) * -(-width // 4)
    pays = tiles >= TILES_PER_CHANNEL * max(channels, operator.filters)
    return plain and whole and channels > 0 and tiles > 0 and pays


@functools.cache
def numba_works() -> bool:
    """Whether numba can be imported; a warning says why not, once."""
    # the threads of numba and of oneDNN are then the same ones, and never wait for each other
    os.environ.setdefault("NUMBA_THREADING_LAYER", "omp")
    try:
        import numba  # noqa: F401
    except Exception as error:  # a broken installation raises anything
        warnings.warn(
            f"numba cannot be used, slower kernels serve instead: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def status() -> tuple[bool, str]:
    """Whether the kernels work here, and the versions of what they use."""
    if not numba_works():
        return False, "numba cannot be imported"
    import numba

    works, text = onednn_status()
    return works, f"numba {numba.__version__}, {text}"
