import hashlib
import pickletools
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint
from tests.apis.color_world import method_model, plain_model, prefixed, weights, write_world
from tools import test as test_tool
from tools.conversion.checkpoints import convert_checkpoint, publish_model

META = {
    "epoch": 1,
    "iter": 40000,
    "time": "Sat Sep  3 10:00:00 2022",
    "seed": 76,
    "config": "model = dict()\n",
    "exp_name": "exp.json",
    "CLASSES": ("road", "sky"),
    "PALETTE": [[128, 64, 128], [70, 130, 180]],
}


def state(value: float) -> dict[str, torch.Tensor]:
    return {"a.weight": torch.full((2, 3), value), "a.num_batches_tracked": torch.tensor(7)}


def both(value: float = 1 / 3) -> dict[str, torch.Tensor]:
    return prefixed("model", state(value)) | prefixed("ema_model", state(value / 3))


def assert_same(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


@pytest.fixture
def published(tmp_path):
    """Save a checkpoint as the release's runner does."""
    meta = META | {"mmcv_version": "1.3.7", "hook_msgs": {"best_score": np.float64(0.5)}}
    content = {"meta": meta, "state_dict": both(), "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "published.pth", _use_new_zipfile_serialization=False)
    return tmp_path / "published.pth"


@pytest.fixture
def ours(tmp_path):
    """Save a checkpoint as our runner does, with views and parameters as weights."""
    weights = {name: value.expand(4, *value.shape)[0] for name, value in both().items()}
    weights["model.a.weight"] = nn.Parameter(both()["model.a.weight"].t().contiguous().t())
    meta = {
        "dataset_meta": {"classes": ("road", "sky"), "palette": np.array(META["PALETTE"])},
        "experiment_name": "run",
        "cfg": "model = dict()\n",
        "iter": np.int64(10),
        "mmengine_version": "0.10",
    }
    others = {"prototypes.0.class_mean": torch.zeros(2), "_extra_state": {"iteration": 10}}
    content = {"meta": meta, "state_dict": weights | others, "message_hub": {}, "optimizer": {}}
    torch.save(content, tmp_path / "ours.pth")
    return tmp_path / "ours.pth"


def test_a_round_trip_changes_nothing_of_the_release(published, tmp_path):
    assert convert_checkpoint(published, tmp_path / "a.pth") == ["optimizer"]
    converted = load_checkpoint(tmp_path / "a.pth")
    assert converted["meta"]["dataset_meta"] == {
        "classes": ("road", "sky"),
        "palette": META["PALETTE"],
    }
    assert converted["meta"]["experiment_name"] == "exp.json"
    assert not {"CLASSES", "mmcv_version", "hook_msgs"} & converted["meta"].keys()
    assert convert_checkpoint(tmp_path / "a.pth", tmp_path / "b.pth", "published") == []
    back = load_checkpoint(tmp_path / "b.pth")
    assert back.keys() == {"meta", "state_dict"}
    assert back["meta"] == META
    assert_same(back["state_dict"], both())


def test_a_round_trip_of_our_checkpoint(ours, tmp_path):
    lost = convert_checkpoint(ours, tmp_path / "a.pth", "published")
    assert lost == ["message_hub", "optimizer", "prototypes.*"]
    meta = load_checkpoint(tmp_path / "a.pth")["meta"]
    assert meta == {
        "CLASSES": ("road", "sky"),
        "PALETTE": META["PALETTE"],
        "exp_name": "run",
        "cfg": "model = dict()\n",
        "iter": 10,
    }
    assert type(meta["iter"]) is int
    convert_checkpoint(tmp_path / "a.pth", tmp_path / "b.pth")
    assert_same(load_checkpoint(tmp_path / "b.pth")["state_dict"], both())


def test_the_published_layout_is_what_torch_1_7_reads(ours, tmp_path):
    """The file is a zip that uses pickle protocol 2 and only the names of plain tensors."""
    convert_checkpoint(ours, tmp_path / "a.pth", "published")
    with zipfile.ZipFile(tmp_path / "a.pth") as file:
        (name,) = [name for name in file.namelist() if name.endswith("data.pkl")]
        content = file.read(name)
        version = file.read(name.replace("data.pkl", "version"))
        records = [size.file_size for size in file.infolist() if "/data/" in size.filename]
    assert int(version) <= 3
    operations = list(pickletools.genops(content))
    assert max(operation.proto for operation, _, _ in operations) <= 2
    used = {argument for operation, argument, _ in operations if operation.name == "GLOBAL"}
    assert used == {
        "collections OrderedDict",
        "torch FloatStorage",
        "torch LongStorage",
        "torch._utils _rebuild_tensor_v2",
    }
    # The tensors that the weights are views of are not in the file.
    assert sorted(records) == [8, 8, 24, 24]


def test_bare_weights_stay_so_or_become_the_student(tmp_path):
    torch.save({"model": state(2.0)}, tmp_path / "in.pth")
    assert convert_checkpoint(tmp_path / "in.pth", tmp_path / "out.pth") == []
    assert_same(load_checkpoint(tmp_path / "out.pth")["state_dict"], state(2.0))
    assert convert_checkpoint(tmp_path / "in.pth", tmp_path / "out.pth", "published") == []
    converted = load_checkpoint(tmp_path / "out.pth")
    assert converted["meta"] == {}
    assert_same(converted["state_dict"], prefixed("model", state(2.0)))


def test_what_cannot_be_converted_is_refused(published, tmp_path):
    for target in (tmp_path, published):
        with pytest.raises(InputError, match=f"cannot write to {target}: name a new file"):
            convert_checkpoint(published, target)
    with pytest.raises(ValueError, match="layout must be one of"):
        convert_checkpoint(published, tmp_path / "a.pth", "theirs")
    torch.save({"epoch": 3}, tmp_path / "in.pth")
    with pytest.raises(InputError, match="in.pth holds no state_dict"):
        convert_checkpoint(tmp_path / "in.pth", tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()


def test_a_published_model_is_small_and_says_what_it_is(published, tmp_path):
    student = publish_model(published, tmp_path / "new" / "model")
    digest = hashlib.sha256(student.read_bytes()).hexdigest()
    assert student == tmp_path / "new" / f"model-{digest[:8]}.pth"
    content = load_checkpoint(student)
    assert_same(content["state_dict"], state(1 / 3))
    assert content["meta"]["dataset_meta"]["classes"] == ("road", "sky")
    assert publish_model(published, tmp_path / "again.pth").name == f"again-{digest[:8]}.pth"
    teacher = publish_model(published, tmp_path / "new" / "model", "teacher")
    assert teacher != student
    assert_same(load_checkpoint(teacher)["state_dict"], state(1 / 9))
    with pytest.raises(InputError, match="holds no teacher"):
        publish_model(student, tmp_path / "x", "teacher")
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize("model", [method_model, plain_model])
def test_a_published_model_is_tested_with_and_without_method(tmp_path, model, capsys):
    cfg = write_world(tmp_path, model())
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    cfg.dump(tmp_path / "config.py")
    torch.save(prefixed("model", weights()), tmp_path / "best.pth")
    path = publish_model(tmp_path / "best.pth", tmp_path / "model")
    test_tool.main([str(tmp_path / "config.py"), str(path), "--device", "cpu", "--eval", "mIoU"])
    assert "mIoU       45.00" in capsys.readouterr().out
