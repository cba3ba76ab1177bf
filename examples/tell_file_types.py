"""Tell what kind of file one is by its bytes, with the network of Magika.

It comes as an ONNX file in the package ``magika`` (see ``examples/model_files.py``).

    GRAPHNET_MODELS=models python -m examples.tell_file_types FILE ...

Source: Fratantonio et al., "Magika: AI-Powered Content-Type Detection", arXiv:2409.13768, 2024.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import graphnet as gn
import graphnet.onnx
from examples.model_files import find

FOLDER = "models/standard_v3_3"


class FileTypes:
    """Tells the types of files."""

    def __init__(self) -> None:
        self.settings = json.loads(find("magika", f"{FOLDER}/config.min.json").read_text())
        self.net = gn.Executor(graphnet.onnx.load(find("magika", f"{FOLDER}/model.onnx")))

    def tell(self, contents: list[bytes]) -> list[tuple[str, float]]:
        """The likeliest type of each content, and how likely it is."""
        features = np.stack([self.features(content) for content in contents])
        (probabilities,) = self.net.forward(bytes=features).values()
        names = self.settings["target_labels_space"]
        return [(names[row.argmax()], float(row.max())) for row in probabilities]

    def features(self, content: bytes) -> np.ndarray:
        """What the network sees: the bytes at both ends, white space aside, padded between them."""
        settings = self.settings
        block, first, last = (settings[key] for key in ("block_size", "beg_size", "end_size"))
        begin = np.frombuffer(content[:block].lstrip()[:first], "uint8")
        end = np.frombuffer(content[-block:].rstrip()[-last:], "uint8")
        features = np.full(first + last, settings["padding_token"], "int32")
        features[: len(begin)] = begin
        features[first + last - len(end) :] = end
        return features


if __name__ == "__main__":
    paths = [Path(name) for name in sys.argv[1:]]
    if not paths:
        sys.exit("usage: python -m examples.tell_file_types FILE ...")
    for path, (kind, probability) in zip(
        paths, FileTypes().tell([path.read_bytes() for path in paths]), strict=True
    ):
        print(f"{path}: {kind} ({probability:.2f})")
