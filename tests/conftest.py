"""Hypothesis profiles: dev (default), ci and nightly; choose with HYPOTHESIS_PROFILE.

What is measured in tests stays out of the user's cache.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

#: Needs a package that leads its search, and is run by itself.
collect_ignore = ["fuzz/coverage.py"]

for name, examples in {"dev": 25, "ci": 50, "nightly": 2000}.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,  # shared machines stall
        print_blob=True,
        derandomize=name == "ci",
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# fixtures of many modules; settings beside them begin with the profile that was loaded
from tests.emulator import emulated  # noqa: E402, F401
from tests.emulator.on_numpy import on_numpy, placed  # noqa: E402, F401
from tests.frontend.on_numpy import executed, frontend  # noqa: E402, F401


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=["emulated", pytest.param("cupy", marks=pytest.mark.gpu)])
def make_backend(request):
    """The class of the backend that networks of a card run on."""
    from tests.cards import CountingCupy, cupy_works
    from tests.emulator import EmulatedBackend

    if request.param == "emulated":
        request.getfixturevalue("emulated")
        return EmulatedBackend
    if not cupy_works():
        pytest.skip("no CUDA device")
    return CountingCupy
