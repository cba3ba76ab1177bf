"""How much memory a call takes at its peak, as the system counts it: protobuf's own included."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Bytes beyond those at the start; 0 until the block has ended."""

    nbytes = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """The most memory that the block took beyond what was there.

    Skips the test where the system does not tell.
    """
    if not RESET.exists():
        pytest.skip("this system does not tell the peak of memory")
    gc.collect()
    RESET.write_text("5")  # sets the peak to what is in use now
    before, peak = _kilobytes("VmRSS"), Peak()
    yield peak
    peak.nbytes = max(_kilobytes("VmHWM") - before, 0) * 1024


def _kilobytes(name: str) -> int:
    return next(
        int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name)
    )
