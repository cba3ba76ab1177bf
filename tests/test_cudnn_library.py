"""Whether cuDNN is there, and what is said where it is not."""

from __future__ import annotations

import types
import warnings

import pytest

from graphnet.backends import get_backend
from graphnet.kernels import cudnn
from graphnet.kernels.cudnn import library
from graphnet.kernels.cudnn import provider as cudnn_provider
from ops import Conv
from tests.cards import cupy_works
from tests.emulator.on_numpy import OnNumPy
from tests.frontend import Frontend
from tests.frontend.on_numpy import FOUND, specs_of

pytestmark = pytest.mark.usefixtures("frontend")


@pytest.fixture
def finding(monkeypatch):
    """The search as it is, with a card; what is found is forgotten afterwards."""
    monkeypatch.setattr(library, "find_library", FOUND)
    monkeypatch.setattr(library, "_describe", lambda xp: ("emulated", lambda: None))
    monkeypatch.setattr(library, "get_device", OnNumPy)
    FOUND.cache_clear()
    yield
    FOUND.cache_clear()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "nvidia-cudnn-frontend is not installed: pip install"),
        (types.SimpleNamespace(), "not NVIDIA's frontend"),
        (Frontend(version=80907), "expected cuDNN 9 or newer, received 8.9.7"),
        (OSError("libcudnn.so.9: no such file"), "OSError: libcudnn.so.9: no such file"),
    ],
)
def test_where_cudnn_cannot_be_used_one_warning_says_why_and_others_serve(
    finding, monkeypatch, module, message
):
    def load():
        if module is None:
            raise library.CudnnError(f"nvidia-cudnn-frontend is not installed: {library._INSTALL}")
        if isinstance(module, OSError):
            raise module
        return module

    monkeypatch.setattr(library, "load_frontend", load)
    with pytest.warns(RuntimeWarning, match=message):
        assert cudnn.prepare(Conv(5, 3), specs_of()) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cudnn.prepare(Conv(5, 3), specs_of()) is None


def test_without_cupy_nothing_is_said_of_cudnn(monkeypatch):
    monkeypatch.setattr(library, "find_library", FOUND)
    if cupy_works():
        pytest.skip("there is a card")
    FOUND.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cudnn.prepare(Conv(5, 3), specs_of()) is None
        works, text = cudnn.status()
    assert not works and text
    FOUND.cache_clear()


@pytest.mark.gpu
def test_cudnn_is_found_where_there_is_a_card(monkeypatch):
    if not cupy_works():
        pytest.skip("no CUDA device")
    monkeypatch.setattr(library, "find_library", FOUND)
    works, text = cudnn.status()
    assert works and text.startswith("cuDNN 9.")
    assert get_backend("cupy").providers[0] == "cudnn"


def test_what_devices_shows_is_the_version_of_both(monkeypatch):
    monkeypatch.setattr(cudnn_provider, "import_cupy", lambda: None)
    assert cudnn.status() == (True, "cuDNN 9.28.0, frontend 1.26.0")
