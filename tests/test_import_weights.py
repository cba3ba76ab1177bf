"""Weights from elsewhere: what fits is taken by name, what does not is told; nothing is run."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import graphnet as gn
from graphnet.weights import pytorch_names
from ops import BatchNorm, Conv, Dropout, Flatten, Linear
from ops.initializers import Constant
from tests.memory import peak_memory
from tests.small_networks import equal


def network() -> gn.Executor:
    """Named as a module of PyTorch's would be."""
    image = gn.Input("image", ("N", 2, 4, 4))
    x = BatchNorm()(Conv(3, 3, padding="same", bias=False)(image, name="conv1"), name="bn1")
    return gn.Executor(gn.Graph(logits=Linear(5)(Dropout(0.5)(Flatten()(x)), name="fc")))


def state_dict(dtype: str = "float32") -> dict[str, np.ndarray]:
    """What PyTorch's ``state_dict`` of that module holds."""
    shapes = {
        "conv1.weight": (3, 2, 3, 3), "bn1.weight": (3,), "bn1.bias": (3,),
        "bn1.running_mean": (3,), "bn1.running_var": (3,), "fc.weight": (5, 48), "fc.bias": (5,),
    }  # fmt: skip
    rng = np.random.default_rng(1)
    state = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    return {**state, "bn1.num_batches_tracked": np.array(7)}


def names(net: gn.Executor) -> dict[str, str | None]:
    return pytorch_names([*net.parameters, *net.states])


def as_safetensors(path, state):
    save_file(state, path)


def as_npz(path, state):
    with path.open("wb") as file:
        np.savez(file, **state)


def as_packed_npz(path, state):
    with path.open("wb") as file:
        np.savez_compressed(file, **state)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("write", [as_safetensors, as_npz, as_packed_npz, None])
def test_a_state_dict_loads_by_name_from_any_source(tmp_path, write, dtype):
    net, state = network(), state_dict(dtype)
    source = state
    if write is not None:
        source = tmp_path / "weights"
        write(source, state)
    report = net.import_weights(source, rename=names(net))
    assert report.fits and len(report.loaded) == 7
    assert np.array_equal(net.parameters["bn1.gamma"], state["bn1.weight"].astype("float32"))
    assert np.array_equal(net.states["bn1.running_var"], state["bn1.running_var"].astype("float32"))
    assert np.array_equal(net.parameters["fc.weight"], state["fc.weight"].astype("float32"))


def test_the_report_names_all_that_does_not_fit():
    net, state = network(), state_dict()
    state["fc.weight"] = state["fc.weight"].T.copy()
    state["fc.bias"] = np.arange(5)
    state["head"] = state.pop("conv1.weight")
    before = net.snapshot()
    with pytest.raises(gn.WeightsError) as caught:
        net.import_weights(state, rename=names(net))
    assert equal(net.snapshot(), before)
    for text in (
        "these weights do not fit this network", "missing conv1.weight float32 (3, 2, 3, 3)",
        "extra head float32 (3, 2, 3, 3)",
        "fc.weight: expected float32 (5, 48), received float32 (48, 5)",
        "fc.bias: expected float32 (5,), received int64 (5,)",
    ):  # fmt: skip
        assert text in str(caught.value)
    report = net.import_weights(state, rename=names(net), strict=False)
    assert not report.fits
    assert list(report.missing) == ["conv1.weight"]
    assert list(report.extra) == ["head"]
    assert list(report.misshapen) == ["fc.weight", "fc.bias"]
    assert sorted(report.loaded) == [
        "bn1.beta", "bn1.gamma", "bn1.running_mean", "bn1.running_var",
    ]  # fmt: skip
    after = net.snapshot()
    assert np.array_equal(after["bn1.gamma"], state["bn1.weight"])
    assert np.array_equal(after["fc.weight"], before["fc.weight"])


def test_any_name_can_be_renamed_or_left_out():
    net = gn.Executor(gn.Graph(y=Linear(2)(gn.Input("x", ("N", 3)))))
    state = {"a": np.ones((2, 3)), "b": np.zeros(2), "junk": np.ones(9)}
    rename = {"a": "linear_1.weight", "b": "linear_1.bias", "junk": None, "absent": "nowhere"}
    assert net.import_weights(state, rename=rename).fits
    with pytest.raises(gn.WeightsError, match=r"both 'a' and 'b' are to be 'linear_1.weight'"):
        net.import_weights(state, rename={**rename, "b": "linear_1.weight"})


def test_bfloat16_becomes_float32_exactly(tmp_path):
    values = np.array([1.0, -2.5, 3e38, 0.0], "float32")
    data = (values.view("uint32") >> 16).astype("<u2").tobytes()
    entry = {"dtype": "BF16", "shape": [4], "data_offsets": [0, len(data)]}
    header = json.dumps({"w": entry}).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(header)) + header + data)
    net = gn.Executor(gn.Graph(y=gn.Parameter("w", (4,))))
    net.import_weights(tmp_path / "w")
    upper = (values.view("uint32") >> 16 << 16).view("float32")
    assert np.array_equal(net.parameters["w"], upper)


def test_a_value_beyond_the_dtype_is_refused_and_infinity_stays():
    net = gn.Executor(gn.Graph(y=gn.Parameter("w", (2,))))
    with pytest.raises(gn.WeightsError, match=r"w: 1e\+300 is beyond the range of float32"):
        net.import_weights({"w": np.array([1.0, 1e300])})
    net.import_weights({"w": np.array([np.nan, np.inf])})
    assert np.isinf(net.parameters["w"][1])


def test_integers_are_converted_where_nothing_is_lost():
    net = gn.Executor(gn.Graph(y=gn.Parameter("w", (2,), Constant(0), "int32")))
    net.import_weights({"w": np.array([1, -5])})
    assert net.parameters["w"].tolist() == [1, -5]
    with pytest.raises(gn.WeightsError, match="w: 1099511627776 is beyond the range of int32"):
        net.import_weights({"w": np.array([1, 2**40])})


def test_what_is_no_array_is_refused():
    with pytest.raises(gn.WeightsError, match=r"fc.bias: expected an array, received list"):
        network().import_weights({"fc.bias": [0.0] * 5})
    with pytest.raises(gn.WeightsError, match=r"fc.bias: .*received object \(1,\)"):
        network().import_weights({"fc.bias": np.array([{}])})


class Trap:
    """Unpickling it would fail the test."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def trapped_npz() -> bytes:
    """An .npz with an array of objects, which only a pickle can hold."""
    inner, outer = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(inner, np.array([Trap()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("fc.bias.npy", inner.getvalue())
    return outer.getvalue()


def torch_archive() -> bytes:
    """What torch.save writes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Trap()))
    return out.getvalue()


def whole_npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, **{"fc.bias": np.zeros(5, "float32")})
    return out.getvalue()


def npz_of_the_future() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("fc.bias.npy", b"\x93NUMPY\x09\x00" + bytes(100))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "cut short"),
        (b"weights = 1\n" * 20, "neither safetensors nor .npz"),
        (b"PK\x03\x04" + bytes(60), "damaged"),
        (whole_npz()[:200], "damaged"),
        (npz_of_the_future(), "version 1 or 2"),
        (pickle.dumps(Trap()), "a pickle, which could run anything; write it as safetensors"),
        (torch_archive(), "such as torch.save writes; write it as safetensors"),
        (trapped_npz(), "received object (1,)"),
    ],
    ids=["empty", "text", "zip", "cut", "version", "pickle", "torch", "objects"],
)
def test_files_that_hold_no_arrays_are_refused_and_nothing_is_run(tmp_path, content, text):
    path = tmp_path / "weights"
    path.write_bytes(content)
    net = network()
    before = net.snapshot()
    with pytest.raises(gn.WeightsError) as caught:
        net.import_weights(path)
    assert text in str(caught.value) and str(path) in str(caught.value)
    assert equal(net.snapshot(), before)


def test_a_changed_byte_is_an_error_of_ours_or_leaves_an_array_of_the_right_kind(tmp_path):
    whole = whole_npz()
    net = gn.Executor(gn.Graph(y=gn.Parameter("fc.bias", (5,))))
    path = tmp_path / "weights"
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :])
        before = net.snapshot()
        try:
            net.import_weights(path, strict=False)
        except gn.WeightsError:
            assert equal(net.snapshot(), before)
        (array,) = net.snapshot().values()
        assert array.shape == (5,) and array.dtype == "float32"


def test_arrays_that_nobody_wants_are_not_read(tmp_path):
    """A few kilobytes of an .npz can unpack to gigabytes."""
    as_packed_npz(tmp_path / "bomb", {"bomb": np.zeros((256, 2**20), "uint8")})
    assert (tmp_path / "bomb").stat().st_size < 2**20
    with peak_memory() as peak:
        report = network().import_weights(tmp_path / "bomb", strict=False)
    assert report.extra == {"bomb": "uint8 (256, 1048576)"}
    assert peak.nbytes < 64 * 2**20


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        network().import_weights(tmp_path / "none")


def test_a_module_of_pytorch_and_the_graph_with_its_weights_agree():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    module = torch.nn.Sequential()
    module.add_module("conv1", torch.nn.Conv2d(2, 3, 3, padding=1, bias=False))
    module.add_module("bn1", torch.nn.BatchNorm2d(3))
    module.add_module("flatten", torch.nn.Flatten())
    module.add_module("fc", torch.nn.Linear(48, 5))
    images = torch.randn(4, 2, 4, 4)
    module(images)  # statistics other than those at the start
    net = network()
    assert net.import_weights(module.state_dict(), rename=names(net)).fits
    expected = module.eval()(images).detach().numpy()
    received = net.forward(image=images.numpy())["logits"]
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)
