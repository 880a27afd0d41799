"""The experiments against every setting of the authors' release.

``SAME`` and ``PIPELINES`` are the mapping from the release's mmseg-0.x schema to ours;
``NOT_OURS`` says of every other setting why there is nothing to compare.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import LinearLR, PolyLR
from torch.optim import SGD

from experiments import (
    EXPERIMENTS,
    describe,
    generate_experiment_cfgs,
    poly_with_warmup,
)
from mmseg.utils import InputError
from mmseg.utils.config_check import check_config
from tests.golden import DATA, load_golden
from tests.training import written

SAME = {
    "log_config.interval": "default_hooks.logger.interval",
    "dist_params.backend": "env_cfg.dist_cfg.backend",
    "log_level": "log_level",
    "load_from": "load_from",
    "cudnn_benchmark": "env_cfg.cudnn_benchmark",
    "model.type": "model.segmentor.type",
    "model.backbone.type": "model.segmentor.backbone.type",
    "model.backbone.depth": "model.segmentor.backbone.depth",
    "model.backbone.strides": "model.segmentor.backbone.strides",
    "model.backbone.dilations": "model.segmentor.backbone.dilations",
    "model.backbone.contract_dilation": "model.segmentor.backbone.contract_dilation",
    "model.backbone.out_indices": "model.segmentor.backbone.out_indices",
    "model.backbone.norm_cfg": "model.segmentor.backbone.norm_cfg",
    "model.backbone.norm_eval": "model.segmentor.backbone.norm_eval",
    "model.decode_head.type": "model.segmentor.decode_head.type",
    "model.decode_head.in_channels": "model.segmentor.decode_head.in_channels",
    "model.decode_head.in_index": "model.segmentor.decode_head.in_index",
    "model.decode_head.channels": "model.segmentor.decode_head.channels",
    "model.decode_head.dilations": "model.segmentor.decode_head.dilations",
    "model.decode_head.dropout_ratio": "model.segmentor.decode_head.dropout_ratio",
    "model.decode_head.num_classes": "model.segmentor.decode_head.num_classes",
    "model.decode_head.norm_cfg": "model.segmentor.decode_head.norm_cfg",
    "model.decode_head.align_corners": "model.segmentor.decode_head.align_corners",
    "model.decode_head.decoder_params.embed_dims": "model.segmentor.decode_head.embed_dims",
    "model.decode_head.decoder_params.fusion_cfg.dilations": (
        "model.segmentor.decode_head.dilations"
    ),
    "model.decode_head.decoder_params.fusion_cfg.norm_cfg": (
        "model.segmentor.decode_head.norm_cfg"
    ),
    "model.decode_head.loss_decode.type": "model.segmentor.decode_head.loss_decode.type",
    "model.decode_head.loss_decode.loss_weight": (
        "model.segmentor.decode_head.loss_decode.loss_weight"
    ),
    "model.auxiliary_head.type": "model.segmentor.auxiliary_head.type",
    "model.auxiliary_head.in_channels": "model.segmentor.auxiliary_head.in_channels",
    "model.auxiliary_head.in_index": "model.segmentor.auxiliary_head.in_index",
    "model.auxiliary_head.input_transform": "model.segmentor.auxiliary_head.input_transform",
    "model.auxiliary_head.channels": "model.prototypes.feature_dim",
    "model.auxiliary_head.num_convs": "model.segmentor.auxiliary_head.num_convs",
    "model.auxiliary_head.num_classes": "model.prototypes.num_classes",
    "model.auxiliary_head.norm_cfg": "model.segmentor.auxiliary_head.norm_cfg",
    "model.auxiliary_head.align_corners": "model.segmentor.auxiliary_head.align_corners",
    "model.auxiliary_head.loss_decode.type": "model.contrast.type",
    "model.auxiliary_head.loss_decode.scale_min_ratio": "model.contrast.min_ratio",
    "model.auxiliary_head.loss_decode.num_classes": "model.prototypes.num_classes",
    "model.auxiliary_head.loss_decode.contrast_temp": "model.contrast.temperature",
    "model.auxiliary_head.loss_decode.loss_weight": "model.contrast.loss_weight",
    "model.auxiliary_head.loss_decode.reg_relative_weight": "model.contrast.regularizer_weight",
    "model.test_cfg.mode": "model.segmentor.test_cfg.mode",
    "data.samples_per_gpu": "train_dataloader.batch_size",
    "data.workers_per_gpu": "train_dataloader.num_workers",
    "data.train.type": "train_dataloader.dataset.type",
    "data.train.rare_class_sampling": "train_dataloader.dataset.rare_class_sampling",
    "uda.type": "model.type",
    "uda.alpha": "model.alpha",
    "uda.pseudo_threshold": "model.pseudo_threshold",
    "uda.pseudo_weight_ignore_top": "model.pseudo_weight_ignore_top",
    "uda.pseudo_weight_ignore_bottom": "model.pseudo_weight_ignore_bottom",
    "uda.enable_self_training": "model.enable_self_training",
    "uda.enable_strong_aug": "model.strong_augmentation",
    "uda.start_distribution_iter": "model.start_contrast_iter",
    "uda.blur": "model.blur",
    "uda.color_jitter_strength": "model.color_jitter_strength",
    "uda.color_jitter_probability": "model.color_jitter_threshold",
    "uda.debug_img_interval": "default_hooks.panels.interval",
    "uda.pseudo_random_crop": "model.pseudo_crop",
    "uda.cat_max_ratio": "model.cat_max_ratio",
    "uda.crop_size": "model.crop_size",
    "uda.regen_pseudo": "model.regenerate_pseudo_label",
    "uda.memory_length": "model.prototypes.memory_length",
    "optimizer": "optim_wrapper.optimizer",
    "optimizer.paramwise_cfg": "optim_wrapper.paramwise_cfg",
    "seed": "randomness.seed",
    "runner.max_iters": "train_cfg.max_iters",
    "evaluation.interval": "train_cfg.val_interval",
    "evaluation.metric": "val_evaluator.iou_metrics.0",
    "exp": "exp",
    "name": "experiment_name",
}
for old, new in {
    "data.train.source": "train_dataloader.dataset.source",
    "data.train.target": "train_dataloader.dataset.target",
    "data.val": "val_dataloader.dataset",
    "data.test": "test_dataloader.dataset",
}.items():
    SAME[f"{old}.type"] = f"{new}.type"
    SAME[f"{old}.data_root"] = f"{new}.data_root"
    SAME[f"{old}.img_dir"] = f"{new}.data_prefix.img_path"
    if old != "data.train.target":
        SAME[f"{old}.ann_dir"] = f"{new}.data_prefix.seg_map_path"
PIPELINES = {
    "data.train.source.pipeline": "train_dataloader.dataset.source.pipeline",
    "data.train.target.pipeline": "train_dataloader.dataset.target.pipeline",
    "data.val.pipeline": "val_dataloader.dataset.pipeline",
    "data.test.pipeline": "test_dataloader.dataset.pipeline",
}
COMPARED_ELSEWHERE = "compared in a test of its own"
VARIABLE = "a variable of the file, compared where it is used"
ONLY_CHOICE = "there is no other choice here"
NOT_OURS = {
    r"log_config\.hooks.*": "the console and TensorBoard are written by LoggerHook",
    r"resume_from": "a command-line option, --resume",
    r"workflow.*": "mmengine has loops",
    r"(norm_cfg|img_norm_cfg|crop_size|dataset_type|data_root)(\..*)?": VARIABLE,
    r"(gta_train|cityscapes_train|test)_pipeline.*": VARIABLE,
    r"name_.*": "parts of the name, which is compared whole",
    r"find_unused_parameters|use_ddp_wrapper|n_gpus|optimizer_config": "belongs to the launcher",
    r"model\.pretrained": COMPARED_ELSEWHERE,
    r"model\.train_cfg": "empty",
    r"model\.backbone\.(style|num_stages)": "the defaults of ResNetV1c; MiT has no such choice",
    r"model\.decode_head\.init_cfg.*": "N(0, 0.01), the head's own default",
    r"model\.decode_head\.decoder_params\.(embed_cfg|embed_neck_cfg).*": ONLY_CHOICE,
    r"model\.decode_head\.decoder_params\.fusion_cfg\.(type|sep|pool|act_cfg.*)": ONLY_CHOICE,
    r"model\..*_head\.loss_decode\.use_(sigmoid|avg_pool)": ONLY_CHOICE,
    r"model\.auxiliary_head\.dropout_ratio": "the release builds the dropout and never calls it",
    r"model\.auxiliary_head\.loss_decode\.use_(dist|bank|reg)": COMPARED_ELSEWHERE,
    r"data\.train\.target\.ann_dir": "the target's labels must not be read in training",
    r"uda\.mix": ONLY_CHOICE,
    r"optimizer\.type|lr_config\..*": COMPARED_ELSEWHERE,
    r"runner\.type": "IterBasedTrainLoop",
    r"checkpoint_config\..*": "ours saves at each evaluation and keeps two, to survive a crash",
}
WHOLE = {*SAME, *PIPELINES}


def resolved(exp: int, folder: Path) -> tuple[dict, Config]:
    """The release's settings of an experiment, and ours without bases."""
    old = json.loads((DATA / "original_configs" / f"exp{exp}.json").read_text())
    return old, Config.fromfile(written(generate_experiment_cfgs(exp)[0], folder))


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Settings by dotted path; what the mapping names as a whole is not taken apart."""
    if path in WHOLE and path != "optimizer":
        return {path: node}
    if not isinstance(node, dict | list) or not node:
        return {path: node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = {}
    for key, child in items:
        found |= leaves(child, f"{path}.{key}" if path else str(key))
    return found


def value_at(cfg: Config, path: str) -> Any:
    node = cfg
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, list) else node[key]
    return plain(node)


def plain(node: Any) -> Any:
    """Without the difference between lists and tuples."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list | tuple) else node


def translated(pipeline: list[dict], labelled: bool) -> list[dict]:
    """A pipeline of the release as ours: it normalises and pads on the device, after packing."""
    steps = []
    if pipeline[1]["type"] == "MultiScaleFlipAug":
        scale = pipeline[1]["img_scale"]
        assert pipeline[1]["flip"] is False
        assert pipeline[1]["transforms"][0] == {"type": "Resize", "keep_ratio": True}
        return [
            {"type": "LoadImageFromFile"},
            {"type": "Resize", "scale": scale, "keep_ratio": True},
            {"type": "LoadAnnotations"},
            {"type": "PackSegInputs"},
        ]
    for step in pipeline:
        if step["type"] == "Resize":
            steps.append({"type": "Resize", "scale": step["img_scale"], "keep_ratio": True})
        elif step["type"] in ("LoadImageFromFile", "RandomCrop", "RandomFlip") or (
            step["type"] == "LoadAnnotations" and labelled
        ):
            steps.append(step)
    return [*steps, {"type": "PackSegInputs"}]


@pytest.mark.parametrize("exp", range(1, 7))
def test_every_setting_equals_the_release(exp, tmp_path):
    old, cfg = resolved(exp, tmp_path)
    settings = leaves({k: v for k, v in old.items() if k != "optimizer"})
    for path, value in settings.items():
        if path in SAME:
            assert value_at(cfg, SAME[path]) == value, path
        elif path in PIPELINES:
            expected = translated(value, labelled="target" not in path)
            assert value_at(cfg, PIPELINES[path]) == expected, path
        else:
            assert any(re.fullmatch(pattern, path) for pattern in NOT_OURS), path
    optimizer = dict(old["optimizer"])
    assert value_at(cfg, "optim_wrapper.paramwise_cfg") == optimizer.pop("paramwise_cfg")
    assert value_at(cfg, "optim_wrapper.optimizer") == optimizer


@pytest.mark.parametrize("exp", range(1, 7))
def test_settings_that_are_written_otherwise(exp, tmp_path):
    old, cfg = resolved(exp, tmp_path)
    normalize = next(s for s in old["gta_train_pipeline"] if s["type"] == "Normalize")
    pad = next(s for s in old["gta_train_pipeline"] if s["type"] == "Pad")
    assert value_at(cfg, "model.data_preprocessor") == {
        "type": "SegDataPreProcessor",
        "mean": normalize["mean"],
        "std": normalize["std"],
        "bgr_to_rgb": normalize["to_rgb"],
        "size": pad["size"],
        "pad_val": pad["pad_val"],
        "seg_pad_val": pad["seg_pad_val"],
        "non_blocking": True,
    }
    weights = {
        "open-mmlab://resnet101_v1c": "pretrained/resnet101_v1c.pth",
        "pretrained/mit_b5.pth": "pretrained/mit_b5.pth",
    }
    assert cfg.model.segmentor.backbone.init_cfg.checkpoint == weights[old["model"]["pretrained"]]
    loss = old["model"]["auxiliary_head"]["loss_decode"]
    variant = "dist" if loss["use_dist"] else "bank" if loss["use_bank"] else "proto"
    assert cfg.model.contrast.variant == variant
    assert loss["use_reg"]
    assert cfg.model.contrast.regularizer_weight > 0
    assert cfg.model.segmentor.auxiliary_head.channels == cfg.model.prototypes.feature_dim
    lr = old["lr_config"]
    expected = poly_with_warmup(old["runner"]["max_iters"], lr["warmup_iters"])
    assert value_at(cfg, "param_scheduler") == expected
    poly, linear = expected
    assert (poly["power"], poly["eta_min"]) == (lr["power"], lr["min_lr"])
    assert linear["start_factor"] == lr["warmup_ratio"]


@pytest.mark.parametrize("exp", sorted(EXPERIMENTS))
def test_configs_pass_the_check_and_tell_how_to_run_them(exp, tmp_path):
    for config in generate_experiment_cfgs(exp):
        path = written(config, tmp_path)
        head = f"# {describe(exp)}\n# python run_experiments.py --exp {exp}\n"
        assert path.read_text().startswith(head)
        check_config(Config.fromfile(path))


@pytest.mark.parametrize("max_iters", [40000, 60000])
def test_learning_rate_equals_the_release(max_iters):
    golden = load_golden("learning_rate.json")
    rows = {t: (base, head) for t, base, head in golden[str(max_iters)]}
    base = golden["base_lr"]
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": [weights[0]], "lr": base}, {"params": [weights[1]], "lr": 10 * base}]
    optimizer = SGD(groups, lr=base)
    kinds = {"PolyLR": PolyLR, "LinearLR": LinearLR}
    schedulers = [
        kinds[config.pop("type")](optimizer, **config)
        for config in poly_with_warmup(max_iters, 1500)
    ]
    for t in range(max_iters):
        if t in rows:
            found = [group["lr"] for group in optimizer.param_groups]
            assert found == pytest.approx(rows[t], rel=1e-6), t
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_an_unknown_experiment_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no experiment 99.*0: toy.*6: GTA"):
        generate_experiment_cfgs(99)


def test_the_seed_is_in_name_and_settings():
    config = generate_experiment_cfgs(4, seed=5)[0]
    assert config["randomness"] == {"seed": 5}
    assert config["experiment_name"].endswith("_seed5")
