"""The examples run, and show what they promise."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from examples import (
    character_transformer,
    cifar10_in_a_minute,
    mobilenet_on_digits,
    unet_on_digits,
    vit_on_digits,
)

CIFAR10 = os.environ.get("GRAPHNET_CIFAR10")


def test_the_cifar10_example_trains_on_files_of_the_real_format(tmp_path):
    # random pixels in files of the real size and layout: whether it runs, not what it learns
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (10_000, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    accuracy = cifar10_in_a_minute.train(tmp_path, seconds=0.5)
    assert 0.05 < accuracy < 0.15, "random labels leave accuracy at chance"


@pytest.mark.slow
@pytest.mark.skipif(CIFAR10 is None, reason="GRAPHNET_CIFAR10 names no folder with CIFAR-10")
def test_a_small_network_passes_71_percent_on_cifar10_in_a_minute():
    assert cifar10_in_a_minute.train(Path(CIFAR10)) > cifar10_in_a_minute.AIM


@pytest.mark.slow
@pytest.mark.parametrize("example", [vit_on_digits, mobilenet_on_digits])
def test_an_image_classifier_learns_the_digits(example):
    # the number of epochs ends it, so that the speed of the machine does not decide
    assert example.train(seconds=3600, epochs=3) > 0.5, "chance is 0.1"


@pytest.mark.slow
def test_the_unet_learns_to_find_digits():
    learned, background = unet_on_digits.train(seconds=3600, updates=40)
    assert learned.overlap > 1.5 * background.overlap


@pytest.mark.slow
def test_the_character_transformer_learns_more_than_frequencies():
    result = character_transformer.train(seconds=3600, updates=60, length=20)
    assert result.bits < result.baseline
    assert len(result.sample) >= 20
