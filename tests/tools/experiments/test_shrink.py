"""Check the small debug copy of each experiment."""

import pytest
import torch
from mmengine.config import Config

from experiments import EXPERIMENTS, generate_experiment_cfgs
from mmseg.config_check import check_config
from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from tests.training import written
from tools.experiments.shrink import shrink

TERMS = {
    "dacs+mic": ["mic"],
    "sepico+mic": ["mic"],
    "sepico_dark+mic": ["mic"],
    "daformer": ["feature_distance"],
    "mic": ["feature_distance", "mic"],
    "mic_nofd": ["mic"],
}


def shrunk_config(exp: int, toy_root, tmp_path) -> Config:
    cfg = load_config(written(generate_experiment_cfgs(exp)[-1], tmp_path))
    shrink(cfg, toy_root)
    return cfg


# The first experiment with each network, method and variant.
DIFFERENT = {
    (row.network, row.method, row.variant): exp for exp, row in reversed(EXPERIMENTS.items())
}


@pytest.mark.parametrize("exp", sorted(DIFFERENT.values(), key=str))
def test_it_keeps_the_method_and_builds(exp, tmp_path):
    cfg = shrunk_config(exp, tmp_path, tmp_path)
    check_config(cfg)
    assert max(scheduler.end for scheduler in cfg.param_scheduler) == 11
    assert cfg.train_cfg.max_iters == 10
    with torch.inference_mode():
        model = MODELS.build(cfg.model)
        segmentor, image = model.model, torch.zeros(2, 3, 128, 128)
        assert sum(p.numel() for p in segmentor.parameters()) < 15e6
        logits = segmentor.logits(image)
        assert logits.shape[1] == 19
        # HRDA's logits are those of the detail.
        assert logits.shape[2] == (16 if "dlv2" in EXPERIMENTS[exp].network else 32)
        if EXPERIMENTS[exp].variant is not None:
            features = segmentor.project(segmentor.extract_feat(image))
            assert features.shape[1] == model.prototypes[0].class_mean.shape[1]
            assert cfg.model.contrast.variant == EXPERIMENTS[exp].variant
            assert 0 < cfg.model.start_contrast_iter < 10
    terms = cfg.model.get("terms", {})
    assert list(terms) == TERMS.get(EXPERIMENTS[exp].method, [])
    # Details are half of the crops, blocks a sixteenth, and windows are as large as crops.
    assert cfg.model.segmentor.get("detail_size", (64, 64)) == (64, 64)
    assert "mic" not in terms or terms.mic.block_size == 8
    by_windows = {"mode": "slide", "crop_size": (128, 128), "stride": (64, 64)}
    tested = {name: cfg.model.segmentor.test_cfg.get(name) for name in by_windows}
    assert tested in (by_windows, {"mode": "whole", "crop_size": None, "stride": None})
    # HRDA's release tests the whole image with DeepLab-v2, MIC's by windows.
    windows = ("hrda" in EXPERIMENTS[exp].network and exp != 28) or exp == "vfm-uda"
    assert windows == (tested == by_windows)


@pytest.mark.parametrize(
    ("exp", "terms", "features"),
    [
        ("sepico-dinov2-b-gta2cs", [], True),
        ("sepico-dinov3-convnext-b-cs2dz-1024", [], True),
        ("daformer-dinov3-l-syn2cs", [], False),
        ("mic-eva02-l-cs2acdc-1024", ["mic"], False),
    ],
)
def test_foundation_models_of_each_family_become_tiny(exp, terms, features, tmp_path):
    cfg = shrunk_config(exp, tmp_path, tmp_path)
    check_config(cfg)
    with torch.inference_mode():
        model = MODELS.build(cfg.model)
        segmentor, image = model.model, torch.zeros(2, 3, 128, 128)
        assert segmentor.logits(image).shape == (2, 19, 32, 32)
        if features:
            assert segmentor.project(segmentor.extract_feat(image)).shape == (2, 64, 32, 32)
    assert sum(p.numel() for p in segmentor.parameters()) < 5e6
    assert list(cfg.model.get("terms", {})) == terms
    assert not terms or cfg.model.terms.mic.block_size == 8
    windows = cfg.model.segmentor.test_cfg
    assert (windows.mode, windows.crop_size, windows.stride) == ("slide", (128, 128), (64, 64))


@pytest.mark.parametrize(
    ("name", "freeze", "frozen"),
    [("vit_base_patch14_dinov2", 3, 3), ("eva02_base_patch14_448", 9, 4)],
)
def test_a_vit_becomes_a_tiny_one_of_its_family(name, freeze, frozen, tmp_path):
    cfg = load_config(written(generate_experiment_cfgs(4)[-1], tmp_path))
    vit = {"type": "TIMMViT", "model_name": name, "taps": (3, 5, 7, 11), "freeze": freeze}
    cfg.model.segmentor.backbone = vit
    for head in (cfg.model.segmentor.decode_head, cfg.model.segmentor.auxiliary_head):
        head.in_channels = (768,) * 4
    shrink(cfg, tmp_path)
    check_config(cfg)
    with torch.inference_mode():
        segmentor = MODELS.build(cfg.model).model
        assert segmentor.logits(torch.zeros(2, 3, 128, 128)).shape == (2, 19, 32, 32)
    parameters = segmentor.backbone.timm_model.blocks[:frozen].parameters()
    assert not any(parameter.requires_grad for parameter in parameters)
    assert sum(p.numel() for p in segmentor.parameters()) < 2e6


@pytest.mark.parametrize(
    ("exp", "source", "target"),
    [(29, "cityscapes", "acdc"), (25, "cityscapes", "dark_zurich"), (32, "synthia", "cityscapes")],
)
def test_both_domains_are_cropped_at_random(exp, source, target, tmp_path):
    cfg = shrunk_config(exp, tmp_path, tmp_path)
    data = cfg.train_dataloader.dataset
    roots = [data.source.data_root, data.target.data_root, cfg.test_dataloader.dataset.data_root]
    assert roots == [str(tmp_path / name) for name in (source, target, target)]
    for domain in (data.source, data.target):
        steps = {step.type: step for step in domain.pipeline}
        assert steps["Resize"].scale == (256, 144)
        assert steps["RandomCrop"].crop_size == (128, 128)


def test_only_sizes_that_a_config_has_are_scaled():
    segmentor = {"type": "HRDAEncoderDecoder"}
    config = {
        "type": "DACS",
        "segmentor": segmentor,
        "data_preprocessor": {"size": (512, 512)},
        "terms": {"mic": {"type": "MaskedConsistency"}},
    }
    MODELS.get("DACS").set_crop_size(config, 256)
    assert (segmentor, config["terms"]) == (
        {"type": "HRDAEncoderDecoder"},
        {"mic": {"type": "MaskedConsistency"}},
    )
    segmentor |= {"detail_size": [256, 128], "test_cfg": {"mode": "slide", "crop_size": (256, 512)}}
    config["terms"]["mic"]["block_size"] = 24
    MODELS.get("DACS").set_crop_size(config, 128)
    assert config["data_preprocessor"]["size"] == (128, 128)
    assert segmentor["detail_size"] == (128, 64)
    assert segmentor["test_cfg"] == {"mode": "slide", "crop_size": (128, 256)}
    assert config["terms"]["mic"]["block_size"] == 12


def test_toy_data_stands_in_for_missing_data_only(tmp_path):
    cfg = shrunk_config(1, tmp_path / "toy", tmp_path)
    assert cfg.train_dataloader.dataset.source.data_root == str(tmp_path / "toy" / "gta")
    assert cfg.val_dataloader.dataset.data_root == str(tmp_path / "toy" / "cityscapes")
    real = tmp_path / "real"
    real.mkdir()
    cfg.train_dataloader.dataset.source.data_root = str(real)
    shrink(cfg, tmp_path / "toy")
    assert cfg.train_dataloader.dataset.source.data_root == str(real)
