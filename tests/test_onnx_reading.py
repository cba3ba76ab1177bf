"""Model files from anywhere: read as they are, or refused with everything that is wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from graphnet.onnx.problems import ModelFileError
from graphnet.onnx.reading import read_model
from tests.hostile_models import (
    FILES,
    HUGE,
    WHOLE,
    field,
    helper,
    model,
    nested,
    relu,
    tensor,
    with_weight,
)
from tests.memory import peak_memory

#: What a hostile file may cost: a second and 200 MB.
SECONDS, BYTES = 1.0, 200e6


def refused(source: bytes | Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read_model(source)
    return caught.value


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_an_error_of_ours_in_no_time_and_memory(name):
    data, text = FILES[name]
    with peak_memory() as peak:
        start = time.process_time()
        error = refused(data)
        seconds = time.process_time() - start
    assert text in str(error)
    assert seconds < SECONDS
    assert peak.nbytes < BYTES
    assert len(str(error)) < 20_000


def test_a_whole_model_is_read_as_it_is(tmp_path):
    (tmp_path / "net.onnx").write_bytes(WHOLE)
    read = [read_model(source) for source in (WHOLE, tmp_path / "net.onnx")]
    read.append(read_model(str(tmp_path / "net.onnx")))
    assert all(found == onnx.ModelProto.FromString(WHOLE) for found in read)


def test_a_file_cut_anywhere_is_refused():
    whole = model(relu())
    del whole.opset_import[1:]  # without the other one it would be a whole model as well
    data = whole.SerializeToString()
    for length in range(len(data)):
        refused(data[:length])


def test_everything_that_is_wrong_is_listed_at_once():
    broken = with_weight(tensor(dims=(-1,)))
    broken.ir_version = 999
    broken.graph.node.append(relu("ghost", "z", name="last"))
    problems = refused(broken.SerializeToString()).problems
    assert len(problems) == 3
    for text in ("received 999", "'last' (Relu) reads 'ghost'", "weight 'w' of graph 'g'"):
        assert any(text in problem for problem in problems)


def test_no_more_than_a_hundred_problems_are_listed():
    broken = model(*(relu(f"ghost{i}", f"y{i}") for i in range(1000)), outputs=("y0",))
    error = refused(broken.SerializeToString())
    assert len(error.problems) == 100
    assert str(error).endswith("and more")


def test_names_in_errors_are_short_and_send_nothing_to_the_terminal():
    error = refused(model(relu("\x1b[2J" + "x" * 10**6)).SerializeToString())
    assert "\x1b" not in str(error) and len(str(error)) < 300


@pytest.mark.parametrize("depth", [32, 33, 34, 35])
def test_the_limit_of_nesting_is_that_of_protobuf(depth):
    error = str(refused(nested(depth)))
    try:
        onnx.ModelProto.FromString(nested(depth))
    except Exception:
        assert "nest more than" in error
    else:
        assert "nest more than" not in error, "it is refused for other reasons"


def test_nodes_out_of_order_are_put_in_order_and_others_stay():
    shuffled = model(relu("b", "y", name="last"), relu("x", "a"), relu("a", "b", name="second"))
    read = read_model(shuffled.SerializeToString())
    assert [list(node.output) for node in read.graph.node] == [["a"], ["b"], ["y"]]
    assert sorted(n.SerializeToString() for n in read.graph.node) == sorted(
        n.SerializeToString() for n in shuffled.graph.node
    )


def test_what_a_subgraph_reads_comes_before_the_node_that_holds_it():
    def branch(name: str) -> onnx.GraphProto:
        made = [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)]
        return helper.make_graph([relu("c", "z"), relu(name, "c")], "inner", [], made)

    node = helper.make_node("If", ["x"], ["y"], then_branch=branch("a"), else_branch=branch("x"))
    read = read_model(model(node, relu("x", "a")).SerializeToString())
    assert [node.op_type for node in read.graph.node] == ["Relu", "If"]
    inner = [list(n.output) for n in read.graph.node[1].attribute[0].g.node]
    assert inner == [["c"], ["z"]]


def test_a_weight_may_be_the_default_of_an_input():
    whole = with_weight(tensor(raw_data=bytes(8)))
    whole.graph.input.append(helper.make_tensor_value_info("w", 1, (2,)))
    read_model(whole.SerializeToString())
    whole.graph.initializer.append(tensor(raw_data=bytes(8)))
    assert "two inputs or weights" in str(refused(whole.SerializeToString()))


def test_twenty_thousand_nodes_are_read():
    many = onnx.ModelProto(ir_version=8)
    many.opset_import.add(version=17)
    many.graph.input.add(name="v0")
    for index in range(20_000):
        many.graph.node.add(op_type="Relu", input=[f"v{index}"], output=[f"v{index + 1}"])
    assert len(read_model(many.SerializeToString()).graph.node) == 20_000


def test_what_is_no_plain_file_is_refused_before_it_is_opened(tmp_path):
    assert "received a folder, a pipe or a device" in str(refused(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    assert "received a folder, a pipe or a device" in str(refused(tmp_path / "pipe"))
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "absent.onnx")


# values in other files


VALUES = np.arange(6, dtype="float32")


def external(location: str, dims: tuple[int, ...] = (6,), **entries: object) -> onnx.ModelProto:
    entries = {"location": location, **entries}
    described = [onnx.StringStringEntryProto(key=k, value=str(v)) for k, v in entries.items()]
    weight = tensor(dims=dims, data_location="EXTERNAL", external_data=described)
    return with_weight(weight)


@pytest.fixture
def folder(tmp_path):
    """The folder of a model, with values beside it; and a secret outside."""
    inside = tmp_path / "model"
    (inside / "deep").mkdir(parents=True)
    for path in (inside / "w.bin", inside / "deep" / "w.bin", tmp_path / "secret.bin"):
        path.write_bytes(VALUES.tobytes())
    return inside


def put(folder: Path, described: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(described.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("location", "dims", "entries"),
    [
        ("w.bin", (6,), {}),
        ("w.bin", (2, 3), {"offset": 0, "length": 24}),
        ("w.bin", (2,), {"offset": 8, "length": 8}),
        ("./deep/w.bin", (4,), {"offset": 8}),
        ("w.bin", (0,), {"length": 0}),
    ],
)
def test_values_beside_the_model_become_part_of_it(folder, location, dims, entries):
    (weight,) = read_model(put(folder, external(location, dims, **entries))).graph.initializer
    begin = int(entries.get("offset", 0)) // 4
    expected = VALUES[begin : begin + int(np.prod(dims))].reshape(dims)
    assert np.array_equal(numpy_helper.to_array(weight), expected)
    assert not weight.external_data


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("../secret.bin", "one that leaves it"),
        ("deep/../../secret.bin", "one that leaves it"),
        ("..\\secret.bin", "one that leaves it"),
        ("/etc/passwd", "an absolute one"),
        ("C:\\secret.bin", "an absolute one"),
        ("\\\\host\\secret.bin", "an absolute one"),
        ("", "the path of a file"),
        (".", "a plain file"),
        ("w.bin\0", "the path of a file"),
        ("deep", "a plain file"),
        ("absent.bin", "cannot be read"),
        ("w.bin/w.bin", "cannot be read"),
        ("x" * 10_000, "cannot be read"),
        ("symlink.bin", "is a symbolic link"),
        ("linked/secret.bin", "is a symbolic link"),
        ("hardlink.bin", "is a hard link"),
        ("pipe", "a plain file"),
    ],
)
def test_no_location_leads_out_of_the_folder(folder, location, text, monkeypatch):
    outside = folder.parent
    (folder / "symlink.bin").symlink_to(outside / "secret.bin")
    (folder / "linked").symlink_to(outside)
    (folder / "hardlink.bin").hardlink_to(outside / "secret.bin")
    os.mkfifo(folder / "pipe")
    path, opened = put(folder, external(location)), []
    whole = Path.open

    def noted(self, *arguments, **named):
        opened.append(self)
        return whole(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", noted)
    assert text in str(refused(path))
    assert set(opened) <= {path}, "it is refused without a look inside"


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"offset": -4}, "expected a number of bytes, received '-4'"),
        ({"offset": "1e3"}, "expected a number of bytes"),
        ({"offset": "9" * 10_000}, "expected a number of bytes"),
        ({"offset": "٣"}, "expected a number of bytes"),
        ({"offset": 8}, "expected 24 bytes, received 16"),
        ({"offset": HUGE, "length": 24}, "received a file of 24"),
        ({"length": 12}, "expected 24 bytes, received 12"),
        ({"length": HUGE}, "expected 24 bytes"),
        ({"basepath": "/etc"}, "received 'basepath'"),
        ({"checksum": "0" * 40}, "another SHA-1"),
    ],
)
def test_regions_that_do_not_fit_are_refused(folder, entries, text):
    assert text in str(refused(put(folder, external("w.bin", **entries))))


def test_the_checksum_of_a_file_is_held_to(folder):
    import hashlib

    digest = hashlib.sha1(VALUES.tobytes()).hexdigest()
    read_model(put(folder, external("w.bin", checksum=digest)))


def test_tensors_that_share_bytes_are_refused(folder):
    """Else a few bytes a tensor would take as much memory as the whole file, each."""
    shared = external("w.bin")
    shared.graph.initializer.append(shared.graph.initializer[0])
    shared.graph.initializer[1].name = "w2"
    assert "are those of another tensor too" in str(refused(put(folder, shared)))


def test_a_file_of_values_that_is_not_there_is_named(folder):
    (folder / "w.bin").unlink()
    assert "'w.bin': cannot be read (No such file" in str(refused(put(folder, external("w.bin"))))


def test_values_both_here_and_in_another_file_are_refused(folder):
    both = external("w.bin")
    both.graph.initializer[0].raw_data = VALUES.tobytes()
    assert "has values here (raw_data) and in another file" in str(refused(put(folder, both)))


def test_a_field_of_a_newer_schema_is_never_dropped():
    assert "no field 77" in str(refused(field(7, field(77, b"meaning")) + WHOLE))
