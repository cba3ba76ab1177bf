"""Read the text on a page with the three networks of PP-OCR.

The first finds lines, the second tells those that stand on their heads, the third reads. All come
as ONNX files in the package ``rapidocr-onnxruntime`` (see ``examples/model_files.py``); Pillow and
SciPy are needed as well.

    GRAPHNET_MODELS=models python -m examples.read_text page.png

Source: Li et al., "PP-OCRv3: More Attempts for the Improvement of Ultra Lightweight OCR System",
arXiv:2206.03001, 2022; Liao et al., "Real-time Scene Text Detection with Differentiable
Binarization", 2020; Graves et al., "Connectionist Temporal Classification", 2006.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np
import onnx
from PIL import Image
from scipy import ndimage

import graphnet as gn
import graphnet.onnx
from examples.model_files import find

PACKAGE = "rapidocr_onnxruntime"

#: Height of the lines that are read, and the size of those whose direction is told.
LINE_HEIGHT, TURN_SIZE = 48, (192, 48)

#: A pixel belongs to a line from the first probability on, a line is one from this mean on.
PIXEL, LINE = 0.3, 0.6

#: How far a line reaches beyond what is found of it: its area by its circumference, so many times.
REACH = 1.6


class Line(NamedTuple):
    """A line of text, and where it stands: left, top, right, bottom."""

    text: str
    box: tuple[int, int, int, int]


class Network:
    """A model whose input has free sizes: a graph for each size it meets, with the same weights."""

    def __init__(self, path: str) -> None:
        self.path = find(PACKAGE, path)
        self._nets: dict[tuple[int, ...], gn.Executor] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The output for images ``(N, 3, H, W)``."""
        size = images.shape[1:]
        if size not in self._nets:
            graph = graphnet.onnx.load(self.path, shapes={"x": ("N", *size)})
            self._nets[size] = gn.Executor(graph)
        net = self._nets[size]
        (output,) = net.forward(x=images).values()
        return output


class Reader:
    """Finds and reads lines of text."""

    def __init__(self) -> None:
        self.detect = Network("models/ch_PP-OCRv4_det_infer.onnx")
        self.turn = Network("models/ch_ppocr_mobile_v2.0_cls_infer.onnx")
        self.recognize = Network("models/ch_PP-OCRv4_rec_infer.onnx")
        self.characters = characters(self.recognize)

    def read(self, page: Image.Image) -> list[Line]:
        """The lines of a page from top to bottom."""
        page = page.convert("RGB")
        return [Line(self.read_line(page.crop(box)), box) for box in self.find_lines(page)]

    def find_lines(self, page: Image.Image) -> list[tuple[int, int, int, int]]:
        """Boxes around the lines of a page, from top to bottom."""
        width, height = (max(round(size / 32), 1) * 32 for size in page.size)
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        pixels = (np.asarray(page.resize((width, height))) / 255 - mean) / std
        (found,) = self.detect(to_channels_first(pixels))
        labels, _ = ndimage.label(found[0] > PIXEL)
        boxes = []
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            tall, wide = rows.stop - rows.start, columns.stop - columns.start
            if found[0][labels == label].mean() < LINE or min(tall, wide) < 3:
                continue
            reach = REACH * tall * wide / (2 * (tall + wide))
            edges = (
                (columns.start - reach) * page.width / width,
                (rows.start - reach) * page.height / height,
                (columns.stop + reach) * page.width / width,
                (rows.stop + reach) * page.height / height,
            )
            left, top, right, bottom = map(round, edges)
            boxes.append(
                (max(left, 0), max(top, 0), min(right, page.width), min(bottom, page.height))
            )
        return sorted(boxes, key=lambda box: (box[1], box[0]))

    def is_upside_down(self, line: Image.Image) -> bool:
        """Whether a line stands on its head."""
        upright, turned = self.turn(scaled(line.resize(TURN_SIZE)))[0]
        return bool(turned > max(upright, 0.9))

    def read_line(self, line: Image.Image) -> str:
        """The text of one line."""
        if self.is_upside_down(line):
            line = line.rotate(180)
        # widths are rounded up to a few, each of which has a graph of its own
        width = math.ceil(LINE_HEIGHT * line.width / line.height)
        room = Image.new("RGB", (math.ceil(width / 64) * 64, LINE_HEIGHT), (127, 127, 127))
        room.paste(line.resize((width, LINE_HEIGHT)))
        (probabilities,) = self.recognize(scaled(room))
        # the most likely character at each place; those that repeat are one, and 0 is none
        best = probabilities.argmax(axis=1)
        changes = best[np.diff(best, prepend=0) != 0]
        return "".join(self.characters[index - 1] for index in changes if index)


def characters(network: Network) -> list[str]:
    """The characters that a model for reading tells apart, from its metadata."""
    properties = onnx.load(network.path, load_external_data=False).metadata_props
    (text,) = (entry.value for entry in properties if entry.key == "character")
    return [*text.splitlines(), " "]


def scaled(image: Image.Image) -> np.ndarray:
    """An image as an array ``(1, 3, H, W)`` of numbers from -1 to 1."""
    return to_channels_first(np.asarray(image) / 127.5 - 1)


def to_channels_first(pixels: np.ndarray) -> np.ndarray:
    """From ``(H, W, C)`` to ``(1, C, H, W)`` of float32."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype="float32")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m examples.read_text IMAGE")
    for line in Reader().read(Image.open(sys.argv[1])):
        print(line.text)
