"""What reading a model file may end in: a graph or an error of ours, soon and in little memory."""

from __future__ import annotations

import faulthandler
import warnings
from pathlib import Path

from graphnet import onnx as gx

__all__ = ["BYTES", "SECONDS", "FindingError", "read"]

#: How long a file may take, on a machine that does other things too, and how much memory.
SECONDS, BYTES = 20, 200e6

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class FindingError(Exception):
    """A file that is read as it must not be."""


def read(data: bytes) -> bool:
    """Read a model file; whether it is a graph.

    A file that takes longer than ``SECONDS`` ends the process, with a traceback of where it is.

    Raises:
        FindingError: the error is none of ours, or one that nobody foresaw; or it takes too much
            memory.
    """
    if RESET.exists():
        RESET.write_text("5")  # the peak of memory is what is in use now
    before = _kilobytes("VmRSS")
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gx.load(data)
    except gx.OnnxError as error:
        if error.__cause__ is not None:
            raise FindingError(f"an error that nobody foresaw: {error}") from error
        return False
    except Exception as error:
        raise FindingError(f"an error that is none of ours: {error!r}") from error
    finally:
        faulthandler.cancel_dump_traceback_later()
        extra = (_kilobytes("VmHWM") - before) * 1024
        if extra > BYTES:
            raise FindingError(f"{extra / 1e6:,.0f} MB of memory for {len(data):,} bytes")
    return True


def _kilobytes(name: str) -> int:
    """What the system says about the memory of this process; 0 where it does not."""
    if not STATUS.exists():
        return 0
    return next(
        int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name)
    )
