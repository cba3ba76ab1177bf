"""Folders of images: read, resized and parted, or refused with the file's name."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from graphnet.data import load_image_folder

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


@pytest.fixture
def folder(tmp_path):
    """Ten dark and ten bright pictures of several sizes and kinds."""
    rng = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 20)):
        (tmp_path / name).mkdir()
        for number in range(10):
            pixels = rng.integers(level, level + 40, (12 + number, 20, 3)).astype("uint8")
            picture = Image.fromarray(pixels)
            suffix, mode = [(".png", "RGB"), (".jpg", "L"), (".PNG", "RGBA"), (".gif", "P")][
                number % 4
            ]
            picture.convert(mode).save(tmp_path / name / f"{number}{suffix}")
        (tmp_path / name / "notes.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_the_folders_are_the_classes(folder, channels):
    splits = load_image_folder(folder, (8, 6), channels, validation=0.2, test=0.3)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 4, 6]
    assert splits.train.classes == ("bright", "dark")
    for part in (splits.train, splits.validation, splits.test):
        assert part.images.shape[1:] == (channels, 8, 6)
        assert sorted(set(part.labels)) == [0, 1]
        bright = part.images[part.labels == 0]
        assert 0.7 < bright.min() <= bright.max() <= 1
        assert part.images[part.labels == 1].max() < 0.3


def test_pictures_lie_as_arrays_do_and_are_turned_upright(tmp_path):
    pixels = np.zeros((4, 8, 3), "uint8")
    pixels[0, :, 0] = 255  # the first row is red
    turned = Image.fromarray(np.rot90(pixels).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # rotate by 270 degrees to show
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.png")
        turned.save(tmp_path / name / "2.png", exif=exif)
    images = load_image_folder(tmp_path, (4, 8), validation=0.0, test=0.0).train.images
    expected = pixels.transpose(2, 0, 1) / np.float32(255)
    assert all(np.array_equal(image, expected) for image in images)


def bomb() -> bytes:
    """A picture of 60,000 by 60,000 pixels in a few bytes: only its header is read."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"no image", "cannot identify"), (b"", "cannot identify"), (bomb(), "exceeds limit")],
)
def test_a_file_that_is_no_harmless_image_is_named(folder, content, text):
    (folder / "dark" / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.png") as caught:
        load_image_folder(folder, (8, 8))
    assert text in str(caught.value)


def test_a_picture_cut_short_is_named(folder):
    path = folder / "dark" / "0.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"0\.png: no image that can be read"):
        load_image_folder(folder, (8, 8))


def test_folders_without_classes_or_images_are_refused(folder):
    with pytest.raises(FileNotFoundError, match="a folder with a folder for each class"):
        load_image_folder(folder / "absent", (8, 8))
    with pytest.raises(FileNotFoundError, match="each of at least two classes, received"):
        load_image_folder(folder / "dark", (8, 8))
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: expected images \(.bmp"):
        load_image_folder(folder, (8, 8))
    with pytest.raises(ValueError, match="1 or 3 channels"):
        load_image_folder(folder, (8, 8), channels=4)
