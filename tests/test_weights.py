"""Weight files: whole and fitting, or refused with the network unchanged."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import graphnet as gn
from ops import (
    Linear,
    Sigmoid,
)
from ops.initializers import Constant
from tests.small_networks import batch, classifier, equal, executor, vector


def test_saved_weights_load_into_a_fresh_network(tmp_path):
    trained, fresh = gn.Executor(classifier(), seed=1), gn.Executor(classifier(), seed=2)
    trained.training_step(gn.optim.SGD(0.1))(**batch())
    trained.save(tmp_path / "deep" / "weights.safetensors")
    fresh.load(tmp_path / "deep" / "weights.safetensors")
    assert equal(fresh.snapshot(), trained.snapshot())
    assert equal(fresh.forward(**batch()), trained.forward(**batch()))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["weights.safetensors"]


def test_transposed_and_scalar_parameters_survive_a_file(tmp_path):
    scale = gn.Parameter("scale", (), Constant(3.0))
    net = executor(y=Linear(3)(vector()) * scale)
    net.assign({"linear_1.weight": np.arange(6, dtype="float32").reshape(2, 3).T})
    before = net.snapshot()
    net.save(tmp_path / "w")
    net.assign({name: np.zeros_like(array) for name, array in before.items()})
    net.load(tmp_path / "w")
    assert equal(net.snapshot(), before)


def small() -> gn.Executor:
    return executor(y=Sigmoid()(Linear(2)(vector())))


def refuses(net: gn.Executor, path: Any) -> str:
    """The message with which ``load`` refuses a file, the network being unchanged."""
    before = net.snapshot()
    with pytest.raises(gn.WeightsError) as caught:
        net.load(path)
    assert equal(net.snapshot(), before)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda x: Linear(2, bias=False)(x), "missing linear_1.bias float32 (2,)"),
        (lambda x: Linear(2)(Linear(2)(x)), "not expected linear_2.weight float32 (2, 2)"),
        (lambda x: Linear(3)(x), "linear_1.weight: expected float32 (2, 2), received float32 (3"),
        (lambda x: Linear(2)(x, name="head"), "missing linear_1.weight float32 (2, 2)"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, other, text):
    executor(y=other(vector())).save(tmp_path / "other")
    assert text in refuses(small(), tmp_path / "other")


def test_weights_of_another_dtype_are_refused(tmp_path):
    net = small()
    gn.Executor(net.graph, dtype="float64").save(tmp_path / "wide")
    message = refuses(net, tmp_path / "wide")
    assert "linear_1.bias: expected float32 (2,), received float64 (2,)" in message
    assert "linear_1.weight" in message, "all that is wrong is listed"


def test_a_weight_file_cut_short_anywhere_is_refused(tmp_path):
    net, path = small(), tmp_path / "whole"
    net.save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:length])
        assert "cut short or no safetensors file" in refuses(net, cut)
    path.write_bytes(whole + b"\0")
    refuses(net, path)


def test_a_weight_file_with_any_byte_changed_is_refused_or_loads_whole(tmp_path):
    net, path = small(), tmp_path / "weights"
    net.save(path)
    whole = path.read_bytes()
    before = net.snapshot()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x15]) + whole[position + 1 :])
        try:
            net.load(path)
        except gn.WeightsError:
            assert equal(net.snapshot(), before)
        else:
            net.assign(before)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"weights = 1\n" * 20, b"\xff" * 64, b"PK\x03\x04" + b"\0" * 60],
    ids=["empty", "zeros", "text", "ones", "zip"],
)
def test_what_is_no_weight_file_is_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    refuses(small(), path)


def test_a_missing_weight_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        small().load(tmp_path / "none")


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path):
    net = small()
    target, link, pipe = (tmp_path / name for name in ("target", "link", "pipe"))
    net.save(target)
    target.chmod(0o600)
    link.symlink_to(target)
    os.mkfifo(pipe)
    target.write_bytes(b"old")
    net.save(link)
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o600
    small().load(target)
    with pytest.raises(OSError, match="a pipe or a device"):
        net.save(pipe)
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "target"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    net, path = small(), tmp_path / "weights"
    net.save(path)
    old = path.read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="disk full"):
            net.save(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
    net.load(path)
