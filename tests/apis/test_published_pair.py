"""Use a config and a checkpoint in the release's format without converting them.

tests/models/test_golden_networks.py compares the logits of these networks with the release's.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mmseg.apis.init_model import load_model
from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from tests.golden import DATA, load_golden, tensor_by_name
from tests.old_configs import old_config
from tools.test import main

META = {
    "mmseg_version": "0.16.0",
    "mmcv_version": "1.3.7",
    "config": "model = dict(type='EncoderDecoderProjector')\n",
    "CLASSES": CITYSCAPES_CLASSES,
    "PALETTE": [list(color) for color in CITYSCAPES_PALETTE],
    "env_info": "sys.platform: linux",
    "seed": 76,
    "exp_name": "exp.json",
    "hook_msgs": {"best_score": np.float64(0.61), "best_ckpt": "best_mIoU_iter_40000.pth"},
    "epoch": 1,
    "iter": 40000,
    "time": "Sat Sep  3 10:00:00 2022",
}


def published(weights: Mapping[str, Tensor]) -> dict:
    """Return a checkpoint as the runner of mmcv 1.x saves it; the teacher equals the student."""
    roles = ("model", "ema_model")
    state_dict = OrderedDict((f"{r}.{name}", v) for r in roles for name, v in weights.items())
    state_dict._metadata = OrderedDict({"": {"version": 1}})
    return {"meta": META, "state_dict": state_dict, "optimizer": {"state": {}, "param_groups": []}}


def small_image(loader: str, root: object) -> list[str]:
    """Return overrides, in our setting names, that leave one small image."""
    return [
        f"{loader}.num_workers=0",
        f"{loader}.dataset.indices=1",
        f"{loader}.dataset.data_root={root}",
        f"{loader}.dataset.pipeline.1.scale=(128,72)",
    ]


def test_the_tool_evaluates_a_published_pair(toy_root, tmp_path, capsys):
    """A full-size checkpoint in torch's old file format is loaded and evaluated."""
    shapes = load_golden("state_dict_keys.json")["dlv2_r101v1c"]
    weights = {name: tensor_by_name(name, tuple(shape)) for name, shape in shapes.items()}
    path = tmp_path / "published.pth"
    torch.save(published(weights), path, _use_new_zipfile_serialization=False)
    config = DATA / "original_configs" / "exp1.json"
    student = load_model(config, path).model.state_dict()
    assert student.keys() == weights.keys()
    assert all(torch.equal(student[name], value) for name, value in weights.items())
    arguments = [str(config), str(path), "--eval", "mIoU"]
    overrides = small_image("test_dataloader", toy_root / "cityscapes")
    main([*arguments, "--device", "cpu", "--cfg-options", *overrides])
    assert ", 1 images, student\n" in capsys.readouterr().out
    result = json.loads((tmp_path / "published_cityscapes_eval.json").read_text())
    assert not result["class_weight"]


def test_a_night_pair_uses_class_weights_on_the_labelled_images(toy_night_root, tmp_path, capsys):
    """A night config, here with a small encoder, is tested on its labelled validation images."""
    old = old_config(8)
    channels = [32, 64, 160, 256]
    old["model"]["backbone"]["type"] = "mit_b0"
    for head in ("decode_head", "auxiliary_head"):
        old["model"][head]["in_channels"] = channels
    old["model"]["decode_head"]["channels"] = 32
    old["model"]["auxiliary_head"]["channels"] = 32
    old["model"]["decode_head"]["decoder_params"]["embed_dims"] = 32
    (tmp_path / "night.json").write_text(json.dumps(old))
    segmentor = MODELS.build(load_config(tmp_path / "night.json").model.segmentor)
    torch.save(published(segmentor.state_dict()), tmp_path / "night.pth")
    root = toy_night_root / "dark_zurich"
    arguments = [str(tmp_path / name) for name in ("night.json", "night.pth")]
    arguments += ["--device", "cpu", "--eval", "mIoU"]
    overrides = small_image("val_dataloader", root) + small_image("test_dataloader", root)
    main([*arguments, "--cfg-options", *overrides])
    out = capsys.readouterr().out
    assert "note: the test images have no public labels; these are the validation images\n" in out
    assert ", 1 images, student, with the test-time class weights\n" in out
    (file,) = tmp_path.glob("night_*_eval.json")
    assert json.loads(file.read_text())["class_weight"]
