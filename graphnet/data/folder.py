"""A folder of images, in which each class has a folder of its own."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from graphnet.data.dataset import Dataset, Splits
from ops.arrays import Array

__all__ = ["load_image_folder"]

#: How the names of image files end; files of other names are left alone.
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

#: Pillow's name for images of one and of three channels.
MODES = {1: "L", 3: "RGB"}


def load_image_folder(
    folder: str | Path,
    size: tuple[int, int],
    channels: int = 3,
    *,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
) -> Splits:
    """Images from ``folder/CLASS/*``, resized, with pixel values from 0 to 1.

    The classes are the names of the folders in alphabetical order. Pictures are turned upright,
    resized by area-weighted interpolation and converted to grey or to red, green and blue; of
    animations the first picture is taken. The parts are stratified by class.

    Shapes:
        - images: ``(N, channels, *size)``, labels: ``(N,)``

    Args:
        folder: where the folders of the classes lie.
        size: height and width.
        channels: 1 or 3.
        validation: the fraction that is held out to choose by.
        test: the fraction that is held out to report on.
        seed: chooses them.

    Raises:
        ImportError: Pillow is missing.
        FileNotFoundError: there is no such folder, or a class without images.
        ValueError: a file is no image, or one of more pixels than Pillow takes for harmless; or
            the arguments make no sense.
    """
    folder = Path(folder)
    if channels not in MODES:
        raise ValueError(f"expected 1 or 3 channels, received {channels}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder with a folder for each class")
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(classes) < 2:
        raise FileNotFoundError(
            f"{folder}: expected a folder for each of at least two classes, received {classes}"
        )
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise FileNotFoundError(
                f"{folder / name}: expected images ({', '.join(sorted(SUFFIXES))}), received none"
            )
        images += [_read(path, size, MODES[channels]) for path in files]
        labels += [label] * len(files)
    whole = Dataset(
        np.stack(images), np.array(labels, "int64"), tuple(classes), name=folder.name or "images"
    )
    held_out, tested, kept = whole.split(validation, test, seed=seed)
    return Splits(kept, held_out, tested)


def _read(path: Path, size: tuple[int, int], mode: str) -> Array:
    """One image as float32 ``(C, H, W)``."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("images need Pillow: pip install pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened)
                height, width = size
                picture = upright.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: no image that can be read ({error})") from None
    except Image.DecompressionBombWarning as error:
        raise ValueError(f"{path}: {error}") from None
    pixels = np.asarray(picture, dtype="float32") / 255
    # (H, W) or (H, W, C) -> (C, H, W)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
