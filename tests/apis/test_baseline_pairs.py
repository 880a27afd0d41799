"""Configs and checkpoints as the releases of DAFormer, HRDA and MIC published them.

That their networks give the releases' logits is tested in tests/models/segmentors.
"""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch import Tensor

from mmseg.apis.init_model import without_pretrained
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.config import load_config
from tests.golden import load_golden
from tests.old_configs import BASELINES, baseline_config
from tools import convert_checkpoint
from tools.test import main

#: Recorded network -> a config with it.
PAIRS = {
    "daformer_mitb5": "daformer_exp6_0",
    "dlv2red_r101v1c": "daformer_exp5_5",
    "hrda_daformer_mitb5": "mic_exp80_0",
    "hrda_dlv2red_r101v1c": "hrda_exp41_3",
}
#: Network of a checkpoint -> the class that it predicts everywhere: road, building, sky.
PREDICTED = {"model": 0, "ema_model": 2, "imnet_model": 10}


def tiny(name: str, root: Path) -> dict[str, Any]:
    """A recorded config with the smallest encoder, narrow decoders, windows and images."""
    old = baseline_config(name)
    model, test = old["model"], old["data"]["test"]
    head = model["decode_head"]
    if model["backbone"]["type"] == "mit_b5":
        model["backbone"]["type"] = "mit_b0"
        head |= {"in_channels": [32, 64, 160, 256], "channels": 16}
        head["decoder_params"]["embed_dims"] = 16
    else:
        model["backbone"]["depth"] = 18
        head["in_channels"] = 512
    if model["type"] == "HRDAEncoderDecoder":
        model["hr_crop_size"] = [32, 32]
    if model["test_cfg"]["mode"] == "slide":
        model["test_cfg"] |= {"crop_size": [64, 64], "stride": [32, 32]}
    old["data"]["workers_per_gpu"] = 0
    test["data_root"] = str(root / "cityscapes")
    test["pipeline"][1]["img_scale"] = [128, 64]
    return old


def published(config: Path) -> dict[str, Any]:
    """What the runner of mmcv 1.x saves: student, teacher, ImageNet model and optimizer."""
    segmentor = MODELS.build(load_config(config).model.segmentor).state_dict()
    weights: OrderedDict[str, Tensor] = OrderedDict()
    for role, label in PREDICTED.items():
        weights |= {f"{role}.{name}": value.clone() for name, value in segmentor.items()}
        for decoder in ("decode_head.", "decode_head.head."):
            for classifier in ("conv_seg", "aspp_modules.0.conv"):
                if (bias := f"{role}.{decoder}{classifier}.bias") in weights:
                    weights[bias][label] = 1e6
    optimizer = {"state": {}, "param_groups": []}
    return {"meta": {"iter": 40000}, "state_dict": weights, "optimizer": optimizer}


def of_roles(checkpoint: dict[str, Any], *roles: str) -> dict[str, Tensor]:
    """The weights of some of the networks in a checkpoint."""
    prefixes = tuple(f"{role}." for role in roles)
    weights = checkpoint["state_dict"].items()
    return {name: value for name, value in weights if name.startswith(prefixes)}


def share(root: Path, label: int) -> float:
    """The IoU in percent of one class, predicted in all of the first image."""
    files = (root / "cityscapes" / "gtFine" / "val").rglob("*_labelTrainIds.png")
    labels = np.asarray(Image.open(min(files)))
    return 100 * (labels == label).sum() / (labels != 255).sum()


def evaluate(config: Path, checkpoint: Path, *options: str) -> dict[str, Any]:
    """The scores of each class on the first image, as the tool writes them."""
    arguments = [str(config), str(checkpoint), "--device", "cpu", "--eval", "mIoU", *options]
    main([*arguments, "--cfg-options", "test_dataloader.dataset.indices=1"])
    (file,) = checkpoint.parent.glob(f"{checkpoint.stem}_*_eval.json")
    return json.loads(file.read_text())["per_class"]


@pytest.mark.parametrize("network", PAIRS)
def test_networks_have_the_keys_of_the_release(network):
    segmentor = load_config(BASELINES / f"{PAIRS[network]}.json").model.segmentor
    with torch.device("meta"):
        weights = MODELS.build(without_pretrained(segmentor)).state_dict()
    shapes = {name: list(value.shape) for name, value in weights.items()}
    assert shapes == load_golden("baselines/state_dict_keys_baselines.json")[network]


@pytest.mark.parametrize("network", PAIRS)
def test_the_tool_evaluates_a_pair_of_the_release(network, toy_root, tmp_path, capsys):
    config, path = tmp_path / "release.json", tmp_path / "release.pth"
    config.write_text(json.dumps(tiny(PAIRS[network], toy_root)))
    checkpoint = published(config)
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
    scores = evaluate(config, path)
    assert capsys.readouterr().err == ""
    assert scores["road"]["IoU"] == pytest.approx(share(toy_root, 0), abs=1e-3)
    assert scores["building"]["Acc"] == scores["sky"]["Acc"] == 0


def python_config(old: dict[str, Any], folder: Path) -> Path:
    """Write a config as the releases do: a short program on base files, here with older names."""
    model = old["model"] | {"type": "MultiResEncoderDecoder"}
    model["backbone"]["ema_drop_path_rate"] = 0.1
    model["decode_head"] |= {"type": "MultiResAttentionWrapper", "single_scale_head": "UniHead"}
    model["decode_head"]["decoder_params"]["fusion_cfg"]["fusion"] = None
    bases = {
        "model": {"model": model, "norm_cfg": old["norm_cfg"]},
        "data": {key: old[key] for key in old if key.endswith("_pipeline") or key == "data"},
        "uda": {"uda": old["uda"] | {"alpha": 0.99}, "use_ddp_wrapper": True},
    }
    used = {key for base in bases.values() for key in base}
    bases["runtime"] = {key: value for key, value in old.items() if key not in used}
    for name, settings in bases.items():
        Config(settings).dump(folder / f"{name}.py")
    config = folder / "gtaHR2csHR_hrda.py"
    scale = tuple(old["data"]["test"]["pipeline"][1]["img_scale"])
    config.write_text(
        f"""
_base_ = {[f"{name}.py" for name in bases]}
seed = 1
uda = dict(alpha=0.999)
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="MultiScaleFlipAug",
        img_scale={scale},
        flip=False,
        transforms=[
            dict(type="Resize", keep_ratio=True),
            dict(type="RandomFlip"),
            dict(type="Normalize", **{old["img_norm_cfg"]}),
            dict(type="ImageToTensor", keys=["img"]),
            dict(type="Collect", keys=["img"]),
        ],
    ),
]
data = dict(test=dict(pipeline=test_pipeline))
"""
    )
    return config


def test_a_python_config_evaluates_a_converted_checkpoint(toy_root, tmp_path, capsys):
    config = python_config(tiny("hrda_basic", toy_root), tmp_path)
    cfg = load_config(config)
    assert (cfg.model.alpha, cfg.randomness.seed) == (0.999, 1)
    assert "not_for_training" not in cfg
    release, ours, back = (tmp_path / f"{name}.pth" for name in ("release", "ours", "back"))
    checkpoint = published(config)
    torch.save(checkpoint, release)
    convert_checkpoint.main([str(release), str(ours)])
    assert capsys.readouterr().out.endswith("\nleft out: imnet_model.*, optimizer\n")
    method = MODELS.build(cfg.model)
    weights = load_checkpoint(ours)["state_dict"]
    assert method.state_dict().keys() - weights.keys() == {"_extra_state"}
    method.load_state_dict(weights | {"_extra_state": {"iteration": 40000}})
    scores = evaluate(config, ours, "--model", "teacher")
    assert scores["building"]["IoU"] == pytest.approx(share(toy_root, 2), abs=1e-3)
    torch.save({"state_dict": method.state_dict()}, ours)
    convert_checkpoint.main([str(ours), str(back), "--to", "published"])
    expected = of_roles(checkpoint, "model", "ema_model")
    found = load_checkpoint(back)["state_dict"]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
