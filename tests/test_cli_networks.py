"""The command line on networks in files: summary, draw, run, explain, finetune and export."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import graphnet as gn
from graphnet.cli import main
from ops import Conv, Flatten, GlobalAvgPool, Linear, ReLU, Softmax

onnx = pytest.importorskip("onnx")

from graphnet import onnx as gx  # noqa: E402


@pytest.fixture
def file(tmp_path):
    """A trained classifier of images, whose height and width its file leaves open."""
    image = gn.Input("image", ("N", 1, 8, 8))
    x = ReLU()(Conv(6, 3, padding="same")(image, name="stem"))
    graph = gn.Graph(y=Softmax()(Linear(7)(Flatten()(GlobalAvgPool()(x)), name="old")))
    model = gx.to_model(gn.Executor(graph, seed=1))
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


SHAPE = ["--shape", "image=N,1,8,8"]


def said(capsys, *arguments):
    """What a command prints, which must succeed."""
    status = main([*map(str, arguments)])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


def test_summary_and_explain_name_the_nodes_of_a_file(file, capsys):
    for command in ("summary", "explain"):
        out = said(capsys, command, file, *SHAPE)
        assert "stem" in out and "old" in out


def test_draw_draws_the_graph_of_a_file(file, tmp_path, capsys):
    said(capsys, "draw", file, *SHAPE, "--out", tmp_path / "net.svg")
    assert "stem" in "".join(ET.parse(tmp_path / "net.svg").getroot().itertext())


def test_run_takes_arrays_from_files_and_writes_those_that_come_out(file, tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "out.npz"
    said(capsys, "run", file, *SHAPE, "--input", f"image={tmp_path / 'x.npy'}", "--out", out)
    net = gn.Executor(gx.load(file, shapes={"image": ("N", 1, 8, 8)}))
    with np.load(out) as found:
        np.testing.assert_array_equal(found["y"], net.forward(image=x)["y"])


@pytest.mark.parametrize("freeze", [[], ["--freeze"]])
def test_finetune_teaches_a_network_other_images(file, tmp_path, capsys, freeze):
    options = ["--data", "digits", "--epochs", "6", "--lr", "0.05", "--out", tmp_path / "run"]
    out = said(capsys, "finetune", file, *SHAPE, *freeze, *options)
    lines = out.splitlines()
    (before,) = (float(line.split()[-1]) for line in lines if "accuracy before" in line)
    after = float(lines[-1].split()[-1])
    assert after > max(0.15, before), "chance is 0.1, and six features of the whole image are few"
    graph = gx.load(tmp_path / "run" / "model.onnx")
    old = gx.load(file, shapes={"image": ("N", 1, 8, 8)})
    weights = [g.parameters["stem.weight"].initializer.array for g in (old, graph)]
    assert np.array_equal(*weights) == bool(freeze)
    # what is written takes the images of the data as they are
    net, test = gn.Executor(graph), gn.data.load_digits().test
    best = net.forward(image=test.images)["logits"].argmax(axis=1)
    assert f"{(best == test.labels).mean():.4f}" == f"{after:.4f}"
    assert (tmp_path / "run" / "classes.txt").read_text().split() == [*"0123456789"]


def test_export_writes_weights_from_elsewhere(tmp_path, capsys):
    net = gn.Executor(gn.models.three_layer_convnet(), seed=4)
    net.save(tmp_path / "weights.safetensors")
    out = tmp_path / "net.onnx"
    said(
        capsys, "export", "three_layer_convnet", "--weights", tmp_path / "weights.safetensors",
        "--outputs", "logits", "--opset", 17, "--out", out,
    )  # fmt: skip
    assert onnx.load(out).opset_import[0].version == 17
    image = np.ones((1, 3, 32, 32), "float32")
    found = gn.Executor(gx.load(out)).forward(image=image)["logits"]
    expected = net.forward(image=image, outputs=["logits"])["logits"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["summary", "{file}"], "with free sizes beside the batch"),
        (["summary", "{file}", "--shape", "picture=N,1,8,8"], "no input is called 'picture'"),
        (["summary", "absent.onnx"], "No such file"),
        (["summary", "resnet", *SHAPE], "expected MODEL.onnx beside --shape"),
        (["run", "{file}", *SHAPE, "--input", "x=absent.npy"], "no input is called 'x'"),
        (["finetune", "{file}", *SHAPE, "--data", "digits", "--head", "3"], "at least 10"),
        (["export", "{file}", *SHAPE, "--opset", "5", "--out", "o.onnx"], "expected an opset in"),
        (["export", "{file}", *SHAPE, "--outputs", "z", "--out", "o.onnx"], "'z'"),
    ],
)
def test_what_is_wrong_is_an_error_in_one_sentence(
    file, tmp_path, monkeypatch, capsys, arguments, text
):
    monkeypatch.chdir(tmp_path)
    assert main([argument.format(file=file) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert text in captured.err and "Traceback" not in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"], "nothing is left behind"
