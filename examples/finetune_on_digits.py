"""A network that tells which way up a line of text is learns to read digits.

It comes as an ONNX file in the package ``rapidocr-onnxruntime`` (see ``examples/model_files.py``).
Its last layer is replaced by one for ten classes, all of it is trained on the embedded digits, and
what comes of it is an ONNX file again.

    GRAPHNET_MODELS=models python -m examples.finetune_on_digits --out digits.onnx

The same on the command line: ``graphnet finetune MODEL.onnx --shape x=N,3,40,40 --data digits``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import graphnet as gn
import graphnet.onnx
from examples.model_files import find
from graphnet.training import replace_head

PACKAGE, FILE = "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"

#: Height and width of what the network sees: it ends in a mean over both, so others would do too.
SIZE = (40, 40)


class Tuned(NamedTuple):
    """A network for digits, and its accuracy on the test images before and after training."""

    net: gn.Executor
    before: float
    after: float


def tune(epochs: int = 3, seed: int = 0, seconds: float | None = None) -> Tuned:
    """Replace the head, and train the network for some epochs or seconds."""
    digits = gn.data.load_digits()
    graph = graphnet.onnx.load(find(PACKAGE, FILE), shapes={"x": ("N", 3, *SIZE)})
    graph = replace_head(graph, len(digits.train.classes), image=digits.train.images.shape[1:])
    net = gn.Executor(graph, seed=seed)
    steps = epochs * -(-len(digits.train) // 32)
    trainer = gn.Trainer(net, gn.optim.Adam(gn.optim.Cosine(3e-3, steps)))
    before = trainer.evaluate(digits.test).accuracy
    trainer.fit(
        digits.train,
        digits.validation,
        epochs=epochs,
        batch_size=32,
        seed=seed,
        time_limit=seconds,
    )
    return Tuned(net, before, trainer.evaluate(digits.test).accuracy)


def answering(net: gn.Executor) -> gn.Executor:
    """The network from images to logits, with the same parameters: what others want to run."""
    found = gn.Executor(net.graph.select("logits"))
    known = net.snapshot()
    found.assign({name: known[name] for name in found.snapshot()})
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, metavar="MODEL.onnx")
    options = parser.parse_args()
    tuned = tune(options.epochs)
    print(f"test accuracy {tuned.before:.4f} before, {tuned.after:.4f} after")
    if options.out is not None:
        graphnet.onnx.save(answering(tuned.net), options.out)
        print(f"written to {options.out}")
