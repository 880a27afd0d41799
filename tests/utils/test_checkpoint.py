import pathlib
import random
import struct
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import nn

from mmseg.utils import InputError
from mmseg.utils.checkpoint import (
    DamagedCheckpoint,
    load_checkpoint,
    load_for_testing,
    load_weights,
    select_role,
    weights_of,
)


class GetAttribute:
    """An object that an attacker would put into a file to reach a function."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__")


class Method(nn.Module):
    """A module with the parts of a domain-adaptation method."""

    def __init__(self, teacher=True):
        super().__init__()
        self.model = nn.Linear(2, 1)
        if teacher:
            self.ema_model = nn.Linear(2, 1)
        self.prototypes = nn.Linear(3, 3)
        self.eval_model = "student"


def linear(value):
    return {"weight": torch.full((1, 2), value), "bias": torch.full((1,), value)}


def nested(**roles):
    return {f"{role}.{k}": v for role, value in roles.items() for k, v in linear(value).items()}


def test_what_mmengine_and_mmcv_save_is_loaded(tmp_path):
    hub = MessageHub.get_instance("test_checkpoint")
    hub.update_scalar("train/loss", 1.5)
    saved = {
        "state_dict": {"a": torch.arange(3)},
        "message_hub": hub.state_dict(),
        "best": np.float64(61.5),
        "rng": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
        "arrays": [np.ones(3, dtype=t) for t in ("int16", "uint8", "float32", "bool")],
        "names": np.array(["road", "sky"]),
        "meta": {"CLASSES": ("road",), "seed": 76},
    }
    torch.save(saved, tmp_path / "c.pth")
    loaded = load_checkpoint(tmp_path / "c.pth")
    assert loaded["state_dict"]["a"].tolist() == [0, 1, 2]
    assert loaded["message_hub"]["log_scalars"]["train/loss"].current() == 1.5
    assert loaded["best"] == 61.5 and loaded["meta"] == saved["meta"]
    assert loaded["rng"][0] == saved["rng"][0]
    assert loaded["arrays"][1].dtype == np.uint8 and loaded["names"].tolist() == ["road", "sky"]


@pytest.mark.parametrize(
    "content, name",
    [
        (pathlib.PurePosixPath("x"), "pathlib.PurePosixPath"),
        (eval, r"(builtins\.)?eval"),
        (GetAttribute(), r"getattr \(for __init__\)"),
    ],
)
def test_other_types_are_refused_by_name(tmp_path, content, name):
    path = tmp_path / "c.pth"
    torch.save({"state_dict": {}, "extra": content}, path)
    with pytest.raises(InputError, match=f"c.pth needs {name} to be loaded") as error:
        load_checkpoint(path)
    assert f"`python -m tools.convert_checkpoint --trust {path} OUT`" in str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_mmcv_are_loaded_in_both_formats_of_torch(tmp_path, zipped):
    """Tensors with versions, text, tuples, NumPy scalars and arrays are loaded."""
    state_dict = nn.Linear(2, 1).state_dict()
    assert state_dict._metadata
    saved = {
        "meta": {
            "config": "model = dict()",
            "CLASSES": ("road", "sky"),
            "PALETTE": np.array([[128, 64, 128], [70, 130, 180]]),
            "hook_msgs": {"best_score": np.float64(0.5)},
            "epoch": 1,
        },
        "state_dict": state_dict,
        "optimizer": torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).state_dict(),
    }
    path = tmp_path / "c.pth"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["state_dict"]["weight"], state_dict["weight"])
    assert loaded["meta"]["CLASSES"] == ("road", "sky")
    assert loaded["meta"]["PALETTE"].tolist() == [[128, 64, 128], [70, 130, 180]]
    assert loaded["meta"]["hook_msgs"] == {"best_score": 0.5}


@pytest.mark.parametrize("length", [0, 10, 600])
def test_a_damaged_file_is_an_input_error(tmp_path, length):
    torch.save({"state_dict": linear(1.0)}, tmp_path / "c.pth")
    data = (tmp_path / "c.pth").read_bytes()
    (tmp_path / "c.pth").write_bytes(data[:length])
    with pytest.raises(InputError, match="c.pth is not a readable checkpoint"):
        load_checkpoint(tmp_path / "c.pth")


def records(path) -> list[tuple[str, int, int]]:
    """Return name, first byte and length of each record in a file of ``torch.save``."""
    content, found = path.read_bytes(), []
    for record in zipfile.ZipFile(path).infolist():
        lengths = struct.unpack_from("<HH", content, record.header_offset + 26)
        found.append((record.filename, record.header_offset + 30 + sum(lengths), record.file_size))
    return found


@pytest.mark.parametrize("mapped", [False, True])
def test_one_changed_bit_is_found_anywhere(tmp_path, mapped):
    path = tmp_path / "c.pth"
    torch.save({"state_dict": {"a": torch.randn(300), "b": torch.randn(5)}, "epoch": 3}, path)
    whole = path.read_bytes()
    places = {place for _, start, size in records(path) for place in (start, start + size - 1)}
    assert len(places) >= 12
    for place in sorted(places):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(DamagedCheckpoint, match="c.pth is not a readable checkpoint"):
            load_checkpoint(path, mapped=mapped)
    path.write_bytes(whole)
    assert load_checkpoint(path, mapped=mapped)["epoch"] == 3


def test_compressed_checkpoints_and_those_without_sums_are_read(tmp_path):
    content = {"state_dict": {"a": torch.arange(1000)}}
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content, tmp_path / "plain.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    torch.save(content, tmp_path / "c.pth")
    with (
        zipfile.ZipFile(tmp_path / "c.pth") as source,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    for name in ("plain.pth", "small.pth"):
        loaded = load_checkpoint(tmp_path / name, mapped=True)
        assert torch.equal(loaded["state_dict"]["a"], torch.arange(1000))
    damaged = bytearray((tmp_path / "small.pth").read_bytes())
    start = next(start for name, start, _ in records(tmp_path / "small.pth") if "/data/" in name)
    damaged[start + 20] ^= 255
    (tmp_path / "small.pth").write_bytes(damaged)
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(tmp_path / "small.pth")


def test_missing_files_and_missing_weights_are_named(tmp_path):
    with pytest.raises(InputError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "c.pth")
    torch.save([1], tmp_path / "c.pth")
    with pytest.raises(InputError, match="holds a list"):
        load_checkpoint(tmp_path / "c.pth")
    with pytest.raises(InputError, match="c.pth holds no weights"):
        weights_of({"state_dict": {}}, "c.pth")
    with pytest.raises(InputError, match=r"c.pth holds no state_dict \(found epoch\)"):
        weights_of({"epoch": 3}, "c.pth")


def test_weights_come_bare_or_wrapped_and_without_counters():
    bare = linear(1.0)
    counted = {**bare, "_extra_state": {"iteration": 3}}
    for checkpoint in (
        bare,
        {"state_dict": bare, "meta": {}},
        {"state_dict": counted},
        {"model": bare},
    ):
        assert weights_of(checkpoint, "c.pth") == bare


def test_weights_are_selected_by_role():
    both = nested(model=1.0, ema_model=2.0)
    assert select_role(both, "student", "c")["bias"] == 1
    assert select_role(both, "teacher", "c")["bias"] == 2
    assert select_role(linear(3.0), "student", "c")["bias"] == 3
    with pytest.raises(InputError, match="c.pth holds no teacher .*test the student"):
        select_role(nested(model=1.0), "teacher", "c.pth")
    with pytest.raises(InputError, match="c.pth holds no teacher"):
        select_role(linear(3.0), "teacher", "c.pth")
    with pytest.raises(InputError, match="c.pth holds no student"):
        select_role(nested(ema_model=1.0), "student", "c.pth")
    with pytest.raises(ValueError, match="choose from"):
        select_role(both, "pupil", "c.pth")


def test_mismatches_are_counted_and_named():
    state = {"weight": torch.zeros(1, 3), **{f"extra{i}": torch.zeros(1) for i in range(6)}}
    model = nn.Linear(2, 1)
    before = model.weight.clone()
    with pytest.raises(InputError) as error:
        load_weights(model, state, "c.pth")
    assert str(error.value) == (
        "c.pth does not fit the model of the config: 1 missing (bias); "
        "6 unexpected (extra0, extra1, extra2, extra3, ...); "
        "1 of another shape (weight (1, 3) instead of (1, 2))"
    )
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("role, value", [("student", 1.0), ("teacher", 2.0)])
def test_a_method_predicts_with_the_selected_role(role, value):
    method = Method()
    load_for_testing(method, nested(model=1.0, ema_model=2.0), role, "c.pth")
    assert method.eval_model == role
    segmentor = method.model if role == "student" else method.ema_model
    assert segmentor.bias.item() == value


def test_a_method_tests_a_bare_segmentor_as_its_student():
    method = Method()
    load_for_testing(method, linear(4.0), "student", "c.pth")
    assert method.model.bias.item() == 4


def test_a_method_without_teacher_says_so():
    with pytest.raises(InputError, match="Method has no teacher"):
        load_for_testing(Method(teacher=False), nested(ema_model=1.0), "teacher", "c.pth")


def test_a_bare_segmentor_loads_either_role_of_a_method():
    for role, value in (("student", 1.0), ("teacher", 2.0)):
        model = nn.Linear(2, 1)
        load_for_testing(model, nested(model=1.0, ema_model=2.0), role, "c.pth")
        assert model.bias.item() == value


def test_weights_of_a_missing_projection_head_are_skipped():
    model = nn.Linear(2, 1)
    weights = nested(model=1.0) | {"model.auxiliary_head.conv": torch.zeros(2)}
    load_for_testing(model, weights, "student", "c.pth")
    model.auxiliary_head = nn.Linear(1, 1)
    with pytest.raises(InputError, match="2 missing"):
        load_for_testing(model, weights, "student", "c.pth")


class Counter(nn.Linear):
    """A module whose state is more than tensors."""

    iteration = 0

    def get_extra_state(self):
        return {"iteration": self.iteration}

    def set_extra_state(self, state):
        self.iteration = state["iteration"]


def test_extra_state_is_loaded_with_the_weights():
    model = Counter(2, 1)
    load_weights(model, linear(1.0) | {"_extra_state": {"iteration": 7}}, "c.pth")
    assert model.iteration == 7 and model.bias.item() == 1
