"""The command line, run as a user runs it."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import graphnet as gn
from graphnet.backends import status
from graphnet.cli import main

CUPY_WORKS = next(works for name, works, _ in status() if name == "cupy")


def test_train_digits_prints_the_model_and_the_accuracy_and_writes_a_run_folder(tmp_path, capsys):
    assert main(["train", "digits", "--epochs", "2", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    for word in ("conv_1", "output shape", "parameters", "FLOPs", "bytes", "total", "epoch 2/2"):
        assert word in out
    accuracy = re.fullmatch(r"test accuracy (0\.\d{4})", out.splitlines()[-1])
    assert accuracy
    assert float(accuracy[1]) > 0.9
    run = tmp_path / "run"
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["validation_accuracy"]) <= 1 for row in rows)
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert ET.parse(run / "graph.svg").getroot().tag.endswith("svg")
    recipe = {"filters": (32, 64, 128), "pools": (1,), "dropout": 0.3}
    net = gn.Executor(gn.models.deep_convnet((1, 8, 8), **recipe))
    net.load(run / "weights.safetensors")
    test = gn.data.load_digits().test
    trainer = gn.Trainer(net, gn.optim.SGD(0.1))
    assert f"{trainer.evaluate(test).accuracy:.4f}" == accuracy[1]


def test_the_same_seed_gives_the_same_weights(tmp_path, capsys):
    for name in ("a", "b"):
        assert main(["train", "digits", "--epochs", "1", "--out", str(tmp_path / name)]) == 0
    a, b = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("a", "b"))
    assert a == b


@pytest.mark.parametrize("model", ["three_layer_convnet", "resnet18"])
def test_other_models_train(tmp_path, capsys, model):
    limit = ["--epochs", "1", "--time-limit", "1", "--batch-size", "8"]
    assert main(["train", "digits", "--model", model, "--out", str(tmp_path), *limit]) == 0
    assert "test accuracy" in capsys.readouterr().out


def test_devices_says_what_works_and_why_the_rest_does_not(capsys):
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    for word in ("numpy", "cupy", "strict", "naive", "reference"):
        assert word in out
    if not CUPY_WORKS:
        assert "pip install" in out or "driver" in out.lower()


@pytest.mark.skipif(CUPY_WORKS, reason="a CUDA device is there, so cupy is no error")
def test_cupy_without_a_gpu_says_what_is_missing(tmp_path, capsys):
    assert main(["train", "digits", "--backend", "cupy", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("graphnet: ")
    assert "cupy" in error.lower()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "fashion-mnist"], "--data DIR"),
        (["train", "fashion-mnist", "--data", "nowhere"], "nowhere"),
        (["train", "cifar10", "--data", "nowhere"], "nowhere"),
    ],
)
def test_missing_data_is_an_error_in_one_sentence(tmp_path, capsys, arguments, text):
    assert main([*arguments, "--out", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["train", "flowers"],
        ["train", "digits", "--epochs", "0"],
        ["train", "digits", "--batch-size", "-1"],
        ["train", "digits", "--lr", "nan"],
        ["train", "digits", "--seed", "-1"],
        ["train", "digits", "--model", "alexnet"],
        ["train", "digits", "--backend", "abacus"],
    ],
)
def test_bad_usage_ends_with_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_output_that_is_no_terminal_gets_plain_lines(tmp_path):
    command = [sys.executable, "-m", "graphnet.cli", "train", "digits", "--epochs", "1"]
    result = subprocess.run(
        [*command, "--out", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in result.stdout
    assert "epoch 1/1" in result.stdout


def test_check_proves_an_operator_and_refutes_a_wrong_one(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from ops import Tanh\n"
        "@dataclass(frozen=True)\n"
        "class Wrong(Tanh):\n"
        "    def backward(self, saved, dy, needs):\n"
        "        return (dy * saved[0],)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["check", "ops:Tanh", "--examples", "10"]) == 0
    assert "Tanh(): every promise holds" in capsys.readouterr().out
    assert main(["check", "mine:Wrong"]) == 1
    assert "the gradient of 'x' is wrong" in capsys.readouterr().err
    assert main(["check", "mine:Absent"]) == 1
    assert "mine:Absent" in capsys.readouterr().err
    assert main(["check", "mine"]) == 1


@pytest.mark.slow
def test_the_whole_demo_is_accurate_and_quick(tmp_path, capsys):
    assert main(["train", "digits", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[-1].removeprefix("test accuracy ")) >= 0.985
