"""What tests of cuDNN's kernels share: its stand-in on NumPy arrays, or the card."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from graphnet.kernels.cuda import device
from graphnet.kernels.cudnn import choice, library
from ops import Spec
from tests.cards import CARD, OnCard, cupy_works
from tests.emulator.on_numpy import OnNumPy
from tests.frontend import install

#: Error beside the reference in float64, relative to the largest entry: sums of products in
#: float32, as everywhere.
TOLERANCE = 1e-4
#: Factors of TF32 have ten bits behind the point: on a card each is off by 2**-11, and so are two.
TF32 = 2.0**-9
#: The units of rounding of each dtype, for numbers around 1.
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
#: For tests whose fixture says no more than which library is meant.
same_library = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
#: What finds cuDNN where there is a card.
FOUND = library.find_library


@pytest.fixture
def frontend(monkeypatch, tmp_path):
    """CuDNN's frontend on NumPy arrays."""
    emulated = OnNumPy()
    monkeypatch.setattr(device, "get_device", lambda: emulated)
    yield install(monkeypatch, emulated, tmp_path)
    choice.KEPT.forget()


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def executed(request, monkeypatch):
    """What makes of a kernel one for NumPy arrays, by the stand-in or by cuDNN on the card."""
    if request.param == "stand-in":
        return lambda kernel: kernel
    if not cupy_works():
        pytest.skip("no CUDA device")
    found, card = FOUND(), CARD()
    assert found is not None, "there is a card, and no cuDNN"
    monkeypatch.setattr(library, "find_library", lambda: found)
    monkeypatch.setattr(device, "get_device", lambda: card)
    return OnCard


def expect_rounded(found, wanted, dtype, units=2):
    """A result in a narrow dtype is that in float64, up to some units of the largest entry."""
    assert found.dtype.name == dtype and found.shape == wanted.shape
    near = units * UNITS[dtype]
    largest = max(np.abs(wanted).max(), 2**-10)
    np.testing.assert_allclose(found.astype("float64"), wanted, rtol=near, atol=near * largest)


def specs_of(channels=4, dtype="float32"):
    """Those of a convolution of five filters."""
    return tuple(Spec(shape, dtype) for shape in ((2, channels, 6, 6), (5, channels, 3, 3), (5,)))
