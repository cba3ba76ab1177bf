"""Files of what was measured, written by several threads at once."""

from __future__ import annotations

import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from graphnet.kernels.kept import VARIABLE, Kept
from graphnet.weights import read_weights, write_weights
from ops.operator import Spec

THREADS, TIMES = 8, 30


def at_once(work):
    """Call ``work`` with each number, by threads that begin together."""
    start = threading.Barrier(THREADS)

    def run(number):
        start.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


def test_threads_that_keep_values_at_once_lose_none(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    kept = Kept("values.json", "something")

    def write(number):
        for time in range(TIMES):
            kept.write(f"{number} {time}", time)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at_once(write)
    found = json.loads(kept.path.read_text())
    assert found == {f"{n} {t}": t for n in range(THREADS) for t in range(TIMES)}
    assert [path.name for path in tmp_path.iterdir()] == ["values.json"]


def test_threads_that_write_one_file_of_weights_at_once_leave_a_whole_one(tmp_path):
    path = tmp_path / "weights.safetensors"

    def write(number):
        for _ in range(TIMES):
            write_weights(path, {"w": np.full(1000, number, "float32")})

    at_once(write)
    found = read_weights(path, {"w": Spec((1000,))})["w"]
    assert found[0] in range(THREADS) and (found == found[0]).all()
    assert list(tmp_path.iterdir()) == [path]
