"""Kernels of the emulated card on NumPy arrays, for tests of single kernels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from graphnet.kernels.cuda import device
from graphnet.testing import Case
from ops import Pad
from tests.cards import CARD, OnCard, cupy_works
from tests.emulator import EmulatedDevice

#: For tests whose fixture says no more than which device is meant.
same_device = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
#: For examples of which many are sources of their own, which take a while to compile.
few = settings(same_device, max_examples=max(10, same_device.max_examples // 10))


def as_served(case):
    """The case itself, or one that is served: of all borders only those of one constant are."""
    if not isinstance(case.operator, Pad):
        return case
    return Case(dataclasses.replace(case.operator, mode="constant"), case.inputs, case.seed)


class OnNumPy(EmulatedDevice):
    """Kernels that take NumPy arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.xp = np


@pytest.fixture
def on_numpy(monkeypatch):
    """The device that all kernels of the test are compiled for."""
    found = OnNumPy()
    monkeypatch.setattr(device, "get_device", lambda: found)
    return found


@pytest.fixture(params=["emulated", pytest.param("cupy", marks=pytest.mark.gpu)])
def placed(request, monkeypatch):
    """What makes of a kernel one for NumPy arrays, emulated or on the card."""
    if request.param == "emulated":
        return lambda kernel: kernel
    if not cupy_works():
        pytest.skip("no CUDA device")
    card = CARD()
    monkeypatch.setattr(device, "get_device", lambda: card)
    return OnCard
