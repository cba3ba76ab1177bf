"""The command line, run as a user runs it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import graphnet as gn
from graphnet.backends import status
from graphnet.cli import main
from graphnet.testing.records import RECORDS

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
    assert gn.onnx.load(run / "model.onnx").outputs["logits"].shape[1] == 10
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
        ["check", "ops:Tanh", "--examples", "many"],
        ["check", "ops:Tanh", "--low", "deep"],
    ],
)
def test_bad_usage_ends_with_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_output_that_is_no_terminal_gets_plain_lines(tmp_path):
    command = [sys.executable, "-m", "graphnet", "train", "digits", "--epochs", "1"]
    result = subprocess.run(
        [*command, "--out", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in result.stdout
    assert "epoch 1/1" in result.stdout


MINE = """
from dataclasses import dataclass
import numpy as np
from hypothesis import strategies as st
from ops import Sqrt, Tanh
from graphnet.testing import Case, Record

@dataclass(frozen=True)
class Right(Tanh):
    pass

@dataclass(frozen=True)
class Wrong(Tanh):
    factor: float = 1.0
    def backward(self, saved, dy, needs):
        return (dy * saved[0],)

@dataclass(frozen=True)
class Configured(Tanh):
    factor: float

@dataclass(frozen=True)
class Root(Sqrt):
    pass

class Melting(Tanh):
    pass

INSTANCE = Wrong(2.0)
BROKEN = Record(Wrong, st.just(Case(Wrong(), (np.array([0.3]),))))
NUMBER = 7
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's in the current folder."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "raises.py").write_text("\n1 / 0\n")
    (tmp_path / "script.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("mine", None)


def test_check_proves_an_operator_and_refutes_a_wrong_one(mine, capsys):
    assert main(["check", "ops:Tanh", "mine:Right", "--examples", "10"]) == 0
    out = capsys.readouterr().out
    assert "Tanh: every promise holds on 10 cases" in out
    assert "Right(): every promise holds on 10 cases" in out
    assert "2 of 2 hold" in out
    assert main(["check", "mine:Wrong", "ops:ReLU"]) == 1
    captured = capsys.readouterr()
    assert "Wrong(factor=1.0): BROKEN, gradient of 'x'" in captured.out
    assert "1 of 2 hold" in captured.out
    assert "the gradient of 'x' is wrong" in captured.err
    assert "reproduce: check_operator(Wrong(factor=1.0), (), case=0)" in captured.err


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("mine:INSTANCE", "Wrong(factor=2.0)"),
        ("mine:Wrong(3.0)", "Wrong(factor=3.0)"),
        ("mine:Wrong(factor=4.0)", "Wrong(factor=4.0)"),
        ("mine.py:Wrong(5.0)", "Wrong(factor=5.0)"),
    ],
)
def test_check_takes_instances_and_fields(mine, capsys, target, name):
    assert main(["check", target]) == 1
    assert capsys.readouterr().out.startswith(f"{name}: BROKEN")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("mine:Absent", "mine:Absent"),
        ("mine", "expected PACKAGE.MODULE:NAME"),
        ("nowhere:Tanh", "nowhere"),
        ("mine:NUMBER", "mine:NUMBER is of type int"),
        ("../mine:Good", "expected a module such as package.module, or a file ending in .py"),
        ("mine:Configured", "give its fields, as in mine:Configured(...)"),
        ("mine:Wrong(open('x'))", "fields are literals, such as 3.0"),
        ("mine:Wrong(1, 2, 3)", "mine:Wrong(1, 2, 3): Wrong.__init__() takes"),
        ("mine:os.system", "expected a name after the colon, received 'os.system'"),
        ("mine:(", "mine:(: '(' was never closed"),
        ("script.py:Wrong", "SystemExit: 0 (script.py:2)"),
        ("absent.py:Wrong", "No such file"),
        ("raises.py:Wrong", "ZeroDivisionError: division by zero (raises.py:2)"),
    ],
)
def test_a_target_that_is_no_operator_is_an_error_in_one_sentence(mine, capsys, target, text):
    assert main(["check", target]) == 1
    error = capsys.readouterr().err
    assert error.startswith("graphnet: ") and text in error
    assert len(error.splitlines()) == 1


def test_an_operator_that_breaks_the_contract_is_a_result_like_others(mine, capsys):
    assert main(["check", "mine:Melting", "mine:Right", "--json", "--examples", "5"]) == 1
    broken, right = json.loads(capsys.readouterr().out)["operators"]
    assert broken["promise"] == "contract" and broken["case"] is None
    assert "must be decorated with @dataclass(frozen=True)" in broken["problem"]
    assert right["passed"]


def test_a_range_for_an_operator_that_draws_by_its_record_is_refused(capsys):
    assert main(["check", "ops:Tanh", "--low", "0.5"]) == 1
    assert "ops:Tanh draws by its record" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_check_keeps_an_operator_in_its_range(mine, capsys):
    assert main(["check", "mine:Root"]) == 1
    assert "give the range in which the operator is defined" in capsys.readouterr().err
    assert main(["check", "mine:Root", "--low", "0.1", "--high", "3"]) == 0


def test_the_line_that_reproduces_names_the_backends(mine, capsys):
    assert main(["check", "mine:BROKEN", "--backend", "numpy", "strict", "--examples", "5"]) == 1
    assert "--examples 5 --seed 0 --backend numpy strict" in capsys.readouterr().err


def test_every_target_is_found_before_the_first_is_proven(mine, capsys):
    assert main(["check", "ops:Tanh", "mine:Absent", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "mine has no 'Absent'" in captured.err


def test_check_wants_an_operator_or_all(capsys):
    assert main(["check"]) == 1
    assert "--all" in capsys.readouterr().err


def test_check_prints_json_for_machines(mine, capsys):
    assert main(["check", "ops:Conv", "mine:Wrong", "--json", "--examples", "10"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] is False
    right, wrong = result["operators"]
    assert right["operator"] == "Conv" and right["passed"] and right["examples"] == 10
    assert wrong["promise"] == "gradient of 'x'"
    assert wrong["reproduce"] == "check_operator(Wrong(factor=1.0), (), case=0)"
    assert "x float64 ()" in wrong["case"]


def test_check_all_proves_every_public_operator(capsys):
    assert main(["check", "--all", "--examples", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {entry["operator"] for entry in result["operators"]} == {
        record.operator.__name__ for record in RECORDS
    }
    assert all(entry["passed"] for entry in result["operators"])


def test_the_same_seed_draws_the_same_cases(mine, capsys):
    lines = []
    for seed in ("5", "5"):
        main(["check", "mine:Wrong", "--json", "--seed", seed])
        result = json.loads(capsys.readouterr().out)
        lines.append({k: v for k, v in result["operators"][0].items() if k != "seconds"})
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_the_whole_demo_is_accurate_and_quick(tmp_path, capsys):
    assert main(["train", "digits", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[-1].removeprefix("test accuracy ")) >= 0.985


def test_explain_shows_a_model_that_comes_along(capsys):
    assert main(["explain", "mobilenet", "--batch", "2"]) == 0
    table = capsys.readouterr().out
    assert "inference at batch 2" in table and "global_avg_pool_1" in table


def test_explain_takes_graphs_and_functions_and_writes_a_trace(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(
        "import graphnet as gn\n"
        "from ops import Linear, ReLU, Sum\n"
        "graph = gn.Graph(y=ReLU()(Linear(3)(gn.Input('x', ('N', 2)))))\n"
        "def scalar(units):\n"
        "    return gn.Graph(y=Sum()(Linear(units)(gn.Input('x', ('N', 2)))))\n"
        "number = 1\n"
    )
    assert main(["explain", "nets.py:graph", "--kernels", "reference"]) == 0
    assert "relu_1" in capsys.readouterr().out
    assert main(["explain", "nets.py:scalar(4)", "--training", "--trace", "trace.json"]) == 0
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {(e["name"], e["cat"]) for e in events} == {
        ("linear_1", "forward"), ("sum_1", "forward"),
        ("linear_1", "backward"), ("sum_1", "backward"),
    }  # fmt: skip
    assert all(e["dur"] >= 0 and e["ts"] >= 0 and e["ph"] == "X" for e in events)
    capsys.readouterr()
    for target, text in (
        ("nets.py:scalar", "give its arguments, as in nets.py:scalar(...)"),
        ("nets.py:number", "expected a graph, nets.py:number is of type int"),
        ("resnet999", "expected one of"),
        ("absent:graph", "absent"),
    ):
        assert main(["explain", target]) == 1
        assert text in capsys.readouterr().err


def test_a_trace_that_cannot_be_written_is_an_error(tmp_path, capsys):
    assert main(["explain", "vit", "--trace", str(tmp_path / "absent" / "trace.json")]) == 1
    assert "absent" in capsys.readouterr().err
