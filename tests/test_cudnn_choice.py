"""Which engine of cuDNN is taken: measured once, kept, and within what the precision allows."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from graphnet.kernels import cudnn
from graphnet.kernels.cudnn import choice, library
from graphnet.kernels.kept import VARIABLE
from ops import Conv
from tests.frontend.on_numpy import specs_of

pytestmark = pytest.mark.usefixtures("frontend")


@pytest.fixture
def measured(monkeypatch):
    """What every engine takes is told by its name; the names of those timed."""
    seconds = {"eng0_k1=0": 1, "eng1_k1=0": 2, "eng2_k1=0": 5, "eng4_k1=7": 3, "eng5_k1=1": 4}
    seconds["the layer below"] = 3.5
    names = []

    def fake(found, plan, bind):
        names.append("the layer below" if plan is None else plan.method)
        return seconds[names[-1]]

    monkeypatch.setattr(choice, "_seconds", fake)
    return names


def test_the_fastest_engine_is_measured_once_for_each_direction_and_kept(
    frontend, measured, tmp_path
):
    kernel = cudnn.prepare(Conv(5, 3), specs_of())
    assert kernel.method == "eng4_k1=7"
    assert len(measured) == 3 * 3
    kept = json.loads((tmp_path / "cudnn.json").read_text())
    assert len(kept) == 3 and set(kept.values()) == {"eng4_k1=7"}
    assert all("emulated, cuDNN 9.28.0, frontend 1.26.0" in key for key in kept)
    choice.KEPT.forget()
    frontend.built.clear()
    assert cudnn.prepare(Conv(5, 3), specs_of()).method == "eng4_k1=7"
    assert len(measured) == 9 and frontend.built == ["eng4_k1=7"] * 3
    # another shape, padding or dilation is measured by itself, and at inference forward alone
    for number, operator in enumerate((Conv(5, 3, padding=1), Conv(5, 3, stride=2)), 1):
        cudnn.prepare(operator, specs_of(), forward_alone=True)
        assert len(measured) == 9 + 3 * number


def test_engines_that_round_inputs_or_do_not_repeat_are_never_used(measured):
    assert cudnn.prepare(Conv(5, 3), specs_of()) is not None
    assert set(measured) == {"eng2_k1=0", "eng4_k1=7", "eng5_k1=1"}
    measured.clear()
    # the products of float16 are what tensor cores are for
    assert cudnn.prepare(Conv(5, 3), specs_of(dtype="float16")).method == "eng0_k1=0"
    assert "eng1_k1=0" not in measured


def test_tf32_is_used_where_it_is_asked_for_and_kept_apart(measured):
    assert cudnn.prepare(Conv(5, 3), specs_of(), tf32=True).method == "eng0_k1=0"
    assert cudnn.prepare(Conv(5, 3), specs_of()).method == "eng4_k1=7"


def test_exact_precision_rules_out_methods_that_magnify_rounding(measured):
    assert cudnn.prepare(Conv(5, 3), specs_of(), exact=True).method == "eng5_k1=1"
    # and is kept apart from the other choice
    assert cudnn.prepare(Conv(5, 3), specs_of()).method == "eng4_k1=7"


@pytest.mark.parametrize("text", ["no json", "[]", '{"a": 1}'])
def test_a_damaged_file_of_choices_is_as_good_as_none(text, tmp_path):
    (tmp_path / "cudnn.json").write_text(text)
    assert cudnn.prepare(Conv(5, 3), specs_of()) is not None
    assert json.loads((tmp_path / "cudnn.json").read_text())


def test_an_engine_that_is_no_longer_there_is_measured_anew(measured, tmp_path):
    cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True)
    (key,) = json.loads((tmp_path / "cudnn.json").read_text())
    (tmp_path / "cudnn.json").write_text(json.dumps({key: "eng99"}))
    choice.KEPT.forget()
    measured.clear()
    assert cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True).method == "eng4_k1=7"
    assert len(measured) == 3


def test_without_a_folder_for_choices_a_warning_says_so_once(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="which engine of cuDNN is fastest is measured anew"):
        assert cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cudnn.prepare(Conv(5, 3), specs_of(3), forward_alone=True) is not None


def test_a_call_follows_the_current_stream_and_allocates_nothing(frontend, monkeypatch):
    kernel = cudnn.prepare(Conv(5, 3), specs_of(), forward_alone=True)
    found = library.find_library()
    plan = kernel._forward
    arrays = {
        name: np.zeros(operand.nbytes + 16, "uint8")
        for name, operand in plan.computation.operands.items()
    }
    lined = {n: a[-a.ctypes.data % 16 :] for n, a in arrays.items()}
    call = plan.bind(lined, np.zeros(plan.nbytes, "uint8"))
    for stream in (5, 9):
        with found.device.on_stream(stream):
            call()
        assert frontend.stream == stream
