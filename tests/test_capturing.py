"""What backends capture: work is written down and replayed, and what CUDA refuses is refused."""

from __future__ import annotations

import types

import numpy as np
import pytest

import graphnet as gn
from graphnet.backends import CaptureError, NumpyBackend, StrictBackend
from graphnet.backends.recording import record
from graphnet.capture import Replay
from tests.emulator import EmulatedBackend
from tests.test_emulated import feeds_of, gated


@pytest.fixture
def strict():
    return StrictBackend()


FORBIDDEN = {
    "add gets memory of CuPy's pool": lambda b, x: x + x,
    "negative gets memory": lambda b, x: -x,
    "ndarray.sum gets memory": lambda b, x: x.sum(),
    "zeros gets memory": lambda b, x: b.xp.zeros(3),
    "ndarray.astype gets memory": lambda b, x: x.astype("float64"),
    "ndarray.copy gets memory": lambda b, x: x.copy(),
    "ndarray.reshape gets memory": lambda b, x: x.T.reshape(-1),
    "sqrt gets memory": lambda b, x: b.xp.sqrt(x),
    "matmul goes through CuPy's cuBLAS": lambda b, x: x @ x,
    "dot goes through CuPy's cuBLAS": lambda b, x: b.xp.dot(x, x, out=x),
    "linalg.inv goes through CuPy's cuBLAS": lambda b, x: b.xp.linalg.inv(x),
    "indexing by an array": lambda b, x: x[b._index],
    "a transfer from the host": lambda b, x: b.from_host(np.ones(2)),
    "a transfer to the host": lambda b, x: b.to_host(x),
    "waiting for the device": lambda b, x: b.synchronize(),
    "another capture": lambda b, x: b.capture(lambda: None),
}


@pytest.mark.parametrize("message", FORBIDDEN)
def test_the_capturing_mode_of_strict_refuses_what_cuda_refuses(strict, message):
    x = strict.from_host(np.eye(3, dtype="float32") + 1)
    strict._index = strict.from_host(np.array([0, 1]))
    FORBIDDEN[message](strict, x) if message != "another capture" else None
    with pytest.raises(CaptureError, match=message.replace(".", r"\.")):
        strict.capture(lambda: FORBIDDEN[message](strict, x))
    FORBIDDEN[message](strict, x)  # afterwards all is as before


def test_what_is_captured_is_done_when_it_is_replayed_and_not_before(strict):
    x = strict.from_host(np.arange(6, dtype="float32").reshape(2, 3))
    y = strict.from_host(np.zeros((2, 3), "float32"))

    def run():
        y[...] = x
        y[0] = 7.0
        y.T[1:, :] += x.T[1:, :]
        strict.xp.multiply(y, y, out=y)
        x.fill(1.0)
        strict.xp.copyto(y[:, :1], x[:, :1])

    launch = strict.capture(run)
    assert not strict.to_host(y).any()
    launch()
    np.testing.assert_array_equal(strict.to_host(y), [[1, 64, 81], [1, 64, 100]])
    launch()
    np.testing.assert_array_equal(strict.to_host(y), [[1, 64, 64], [1, 4, 4]])


def test_an_error_during_a_capture_leaves_no_capture_open(strict):
    with pytest.raises(ZeroDivisionError):
        strict.capture(lambda: 1 / 0)
    with record():
        pass


def test_a_kernel_on_another_stream_is_refused(emulated):
    backend = EmulatedBackend()
    net = gn.Executor(gated(), backend)
    net.forward(**feeds_of(net.graph, 2))  # binds and loads what is loaded late
    program = next(iter(net._plans.kept.values())).program

    def run():
        with emulated.on_stream(3):
            program.run()

    with pytest.raises(CaptureError, match="is on another stream than the one that is captured"):
        backend.capture(run)


def test_a_backend_that_computes_at_once_captures_nothing():
    with pytest.raises(CaptureError, match="'numpy' computes at once"):
        NumpyBackend().capture(lambda: None)


def test_the_first_time_loads_what_is_loaded_late(strict):
    calls = []
    replay = Replay(strict, lambda: calls.append("once"))
    replay()
    assert calls == ["once"] and not replay.is_captured
    replay()
    replay()
    # what is called by Python itself happens while it is captured, and never again
    assert calls == ["once", "once"] and replay.is_captured


class FakeCupy:
    """As much of CuPy as a capture asks for; it notes what is called."""

    def __init__(self):
        self.calls = []
        fake = self

        class Stream:
            def __init__(self, non_blocking):
                assert non_blocking

            def __enter__(self):
                fake.calls.append("current")
                return self

            def __exit__(self, *error):
                fake.calls.append("back")

            def begin_capture(self, mode):
                fake.calls.append(mode)

            def end_capture(self):
                fake.calls.append("end")
                return types.SimpleNamespace(launch=lambda: fake.calls.append("launch"))

        class using_allocator:  # noqa: N801 - CuPy's name
            def __init__(self, allocate):
                fake.allocate = allocate

            def __enter__(self):
                fake.calls.append("own allocator")

            def __exit__(self, *error):
                fake.calls.append("pool again")

        runtime = types.SimpleNamespace(streamCaptureModeThreadLocal="thread")
        self.cuda = types.SimpleNamespace(
            Stream=Stream, using_allocator=using_allocator, runtime=runtime
        )


def test_a_capture_by_cupy_is_on_a_stream_of_its_own_and_gets_no_memory():
    backend = object.__new__(gn.backends.CupyBackend)
    backend.xp = fake = FakeCupy()
    launch = backend.capture(lambda: fake.calls.append("run"))
    before = ["current", "own allocator", "thread"]
    after = ["end", "pool again", "back"]
    assert fake.calls == [*before, "run", *after]
    launch()
    assert fake.calls[-1] == "launch"
    fake.calls.clear()
    with pytest.raises(CaptureError, match="1,024 bytes of CuPy's pool"):
        backend.capture(lambda: fake.allocate(1024))
    assert fake.calls == [*before, *after]
    fake.calls.clear()
    with pytest.raises(CaptureError, match="NotImplementedError: calling cuBLAS"):
        backend.capture(_calls_cublas)
    assert fake.calls == [*before, *after]


def _calls_cublas():
    raise NotImplementedError("calling cuBLAS API during stream capture is unsupported")
