"""The real cuDNN without a card: it builds plans for a card that is only described.

Since version 9.8 cuDNN plans for a card from its properties alone.  Its libraries still ask for the
driver when they are loaded, so a library with the driver's names stands in for it, in a process of
its own.  What this shows is that cuDNN takes the graphs and has engines for them on such a card;
that these compute what is meant, only a card can show.

Source: the cuDNN frontend's documentation, "Deviceless Ahead-of-time Compilation".
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

__all__ = ["H100", "ask"]

#: An H100 with 80 GB, as cuDNN describes a card.
H100 = json.dumps({
    "deviceName": "NVIDIA H100 80GB HBM3", "cudaDeviceId": 0, "deviceVer": 900,
    "multiProcessorCount": 132, "smCountOrigin": 0, "driverVer": 12080,
    "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
    "regsPerBlock": 65536, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
    "maxSharedMemoryPerBlockOptin": 232448, "oversizedSharedMemoryPerBlock": 0,
    "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32,
    "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 0x233010DE,
    "isTccDriver": 0, "supportCoopLaunch": 1, "smClockRateKHz": 1980000,
    "memClockRateKHz": 2619000, "memoryBusWidth": 5120, "l2CacheSize": 52428800,
    "totalGlobalMem": 85017493504,
})  # fmt: skip


def ask(cases: list[str]) -> dict[str, Any]:
    """For each case, an expression that makes a kernel, its engines or what was said instead.

    The test is skipped where the frontend, cuDNN or a compiler for C is missing.
    """
    for name in ("nvidia-cudnn-frontend", "nvidia-cudnn-cu12"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed: cuDNN cannot be asked whether it takes graphs")
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(_folders())}
    done = subprocess.run(
        [sys.executable, "-m", "tests.deviceless.process", *cases],
        env=environment, capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent.parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@functools.cache
def _folders() -> tuple[str, ...]:
    """Where the process finds the stand-in for the driver, and NVIDIA's libraries."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler for C is installed")
    folder = tempfile.mkdtemp(prefix="graphnet-driver-")
    source = Path(__file__).with_name("driver.c")
    library = Path(folder, "libcuda.so.1")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source],
        check=True,
    )
    folders = [folder]
    for distribution in ("nvidia-cublas-cu12", "nvidia-cuda-nvrtc-cu12"):
        try:
            files = importlib.metadata.files(distribution) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        folders += sorted({str(Path(str(f.locate())).parent) for f in files if ".so." in f.name})
    return tuple(folders)
