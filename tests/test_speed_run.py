"""The speed run on CIFAR-10: what it reports, and what it refuses."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.speed_run import network, read, speed_run
from graphnet.backends import get_backend
from tests.cards import CountingCupy, cupy_works
from tests.emulator import EmulatedBackend


def stripes(examples, seed):
    """Images of 16 pixels whose class is where their bright row lies."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, examples)
    images = rng.integers(0, 40, (examples, 3, 16, 16), dtype="uint8")
    # two channels tell ten classes apart, wherever the image is cropped
    images[:, 0] += (labels * 20).astype("uint8")[:, None, None]
    return images, labels


@pytest.fixture(params=["numpy", "emulated", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request):
    if request.param == "emulated":
        request.getfixturevalue("emulated")
        return EmulatedBackend()
    if request.param == "cupy":
        if not cupy_works():
            pytest.skip("no CUDA device")
        return CountingCupy()
    return get_backend("numpy")


def small():
    return network((4, 8, 8, 16), 16)


def test_training_ends_where_the_accuracy_is_reached(backend, capsys):
    figures = speed_run(
        stripes(64, 0), stripes(20, 1), backend, accuracy=0.01, epochs=50, batch=32, graph=small()
    )
    assert figures["reached"] and figures["epochs"] < 50
    assert figures["seconds"] > 0 and figures["prepared"] > 0
    assert "epoch 1:" in capsys.readouterr().out


def test_a_run_in_half_precision_goes_through(emulated):
    figures = speed_run(
        stripes(64, 0), stripes(20, 1), EmulatedBackend(), accuracy=0.01, epochs=2, batch=32,
        precision="float16", graph=small(),
    )  # fmt: skip
    assert figures["epochs"] > 0 and figures["seconds"] > 0


def test_an_accuracy_that_is_not_reached_is_said(backend):
    figures = speed_run(
        stripes(64, 0), stripes(20, 1), backend, accuracy=1.1, epochs=1, batch=32, graph=small()
    )
    assert not figures["reached"] and figures["epochs"] == 1


def test_what_differs_is_learned():
    figures = speed_run(
        stripes(512, 0), stripes(200, 1), get_backend("numpy"), accuracy=0.4, epochs=8, batch=32,
        graph=small(),
    )  # fmt: skip
    assert figures["reached"], figures


def test_the_network_is_the_one_of_its_source():
    graph = network()
    counts = [node.kind for node in graph.nodes.values()]
    assert counts.count("Conv") == 8 and counts.count("Add") == 2
    learned = sum(int(np.prod(value.shape)) for value in graph.parameters.values())
    assert round(learned / 1e6, 1) == 6.6


def test_a_folder_without_the_files_is_refused_with_where_they_are(tmp_path):
    with pytest.raises(SystemExit, match=r"expected data_batch_1\.bin(.|\n)*cifar-10-binary"):
        read(tmp_path)


def test_without_a_card_the_run_says_so(tmp_path):
    if cupy_works():
        pytest.skip("there is a card")
    parser = argparse.ArgumentParser()
    gpu.add_arguments(parser)
    with pytest.raises(SystemExit, match="no card to measure"):
        gpu.run(parser.parse_args(["--cifar", str(tmp_path)]))
