"""Damaged model files: each is read as a graph or refused by an error of ours."""

from __future__ import annotations

import random

import pytest

onnx = pytest.importorskip("onnx", minversion="1.23")

from graphnet import onnx as gx  # noqa: E402
from tests.fuzz import target  # noqa: E402
from tests.fuzz.damage import damaged  # noqa: E402
from tests.fuzz.seeds import CORPUS, corpus, standard_cases, structures  # noqa: E402
from tests.fuzz.target import FindingError, read  # noqa: E402


def test_every_file_of_the_corpus_is_a_graph():
    seeds = corpus()
    assert len(seeds) > 150
    assert all(map(read, seeds))


def test_the_corpus_holds_the_models_that_its_script_makes():
    for name, content in structures():
        assert (CORPUS / f"{name}.onnx").read_bytes() == content


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_end_in_a_graph_or_an_error_of_ours(seed):
    seeds, rng = [*corpus(), *standard_cases()], random.Random(seed)
    ends = [read(damaged(rng.choice(seeds), seeds, rng)) for _ in range(500)]
    assert 20 < sum(ends) < 480  # both ends are reached


def test_what_is_read_as_it_must_not_be_is_found(monkeypatch):
    def fails(data):
        raise KeyError("w")

    monkeypatch.setattr(gx, "load", fails)
    with pytest.raises(FindingError, match="none of ours: KeyError"):
        read(b"")

    def stumbles(data):
        raise gx.OnnxError("node 'y'") from RecursionError("too deep")

    monkeypatch.setattr(gx, "load", stumbles)
    with pytest.raises(FindingError, match="nobody foresaw: node 'y'"):
        read(b"")
    hoard = []
    monkeypatch.setattr(gx, "load", lambda data: hoard.append(b"x" * 10**8))
    monkeypatch.setattr(target, "BYTES", 5e7)
    with pytest.raises(FindingError, match="MB of memory for 1 bytes"):
        read(b"x")
