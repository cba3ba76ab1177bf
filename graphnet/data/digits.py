"""Handwritten digits that come with the package: small enough to learn in seconds."""

from __future__ import annotations

from importlib import resources

import numpy as np

from graphnet.data.dataset import Splits, stratify
from graphnet.data.pixels import standardize

__all__ = ["load_digits"]

#: The examples held out, and the seed that chooses them: fixed, so that accuracies compare.
TEST, VALIDATION, SEED = 360, 180, 1998


def load_digits() -> Splits:
    """The 1,797 digits of 8 x 8 pixels: 1,257 to train, 180 to validate, 360 to test.

    The split is stratified by class and always the same.  Pixel values, in the file from
    0 to 16, are scaled to mean 0 and standard deviation 1 over the training part.

    Shapes:
        - images: ``(N, 1, 8, 8)``, labels: ``(N,)``

    Source: Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, doi 10.24432/C50P49, test set; licence CC BY 4.0.

    >>> load_digits().train
    Dataset('digits', 1257 images (1, 8, 8), 10 classes)
    """
    source = resources.files("graphnet.data").joinpath("digits.npz")
    with source.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["images"][:, None], arrays["labels"]  # (N, 1, 8, 8), (N,)
    test, validation, train = (
        (images[part], labels[part]) for part in stratify(labels, (TEST, VALIDATION), SEED)
    )
    return standardize("digits", tuple("0123456789"), train, validation, test)
