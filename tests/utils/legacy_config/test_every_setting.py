"""Check that each setting of an old config is translated, or that the reason is given.

The reason is an error if testing reads the setting; otherwise the config can only be tested.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from mmseg.utils import InputError
from mmseg.utils.legacy_config import IGNORED, translate
from tests.old_configs import baseline_config, old_config

# Setting of the old schema (a regular expression) -> its path in ours, if that differs.
PLACES = {
    r"log_config\.interval": "default_hooks.(runtime_info|logger).interval",
    r"dist_params\.backend": "env_cfg.dist_cfg.backend",
    r"cudnn_benchmark": "env_cfg.cudnn_benchmark",
    r"seed": "randomness.seed",
    r"name": "experiment_name",
    r"runner\.max_iters": "(train_cfg.max_iters|param_scheduler.0.end)",
    r"evaluation\.interval": "train_cfg.val_interval",
    r"lr_config\.power": "param_scheduler.0.power",
    r"lr_config\.min_lr": "param_scheduler.0.eta_min",
    r"lr_config\.warmup_ratio": "param_scheduler.1.start_factor",
    r"lr_config\.warmup_iters": "param_scheduler.1.end",
    r"optimizer\.(paramwise_cfg.+)": r"optim_wrapper.\1",
    r"optimizer\.(.+)": r"optim_wrapper.optimizer.\1",
    r"model\.pretrained": "model.segmentor.backbone.init_cfg.checkpoint",
    r"model\.scales": "model.segmentor.context_scale",
    r"model\.hr_crop_size": "model.segmentor.detail_size",
    r"model\.crop_coord_divisible": "model.segmentor.detail_divisor",
    r"model\.decode_head\.hr_loss_weight": "model.segmentor.decode_head.detail_loss_weight",
    r"model\.decode_head\.attention_embed_dim": (
        "model.segmentor.decode_head.scale_attention.(channels|embed_dims)"
    ),
    r"model\.decode_head\.decoder_params\.embed_dims": (
        "model.segmentor.decode_head.(head.)?embed_dims"
    ),
    r"model\.decode_head\.decoder_params\.fusion_cfg\.dilations": (
        "model.segmentor.decode_head.(head.)?dilations"
    ),
    r"model\.decode_head\.init_cfg\..+": (
        "model.segmentor.decode_head.((head|scale_attention).)?init_cfg"
    ),
    r"model\.decode_head\.(.+)": r"model.segmentor.decode_head.((head|scale_attention).)?\1",
    r"model\.auxiliary_head\.channels": (
        "model.(segmentor.auxiliary_head.channels|prototypes.feature_dim)"
    ),
    r"model\.auxiliary_head\.loss_decode\.use_dist": "model.contrast.variant",
    r"model\.auxiliary_head\.loss_decode\.use_bank": "model.contrast.variant",
    r"model\.auxiliary_head\.loss_decode\.use_reg": "model.contrast.regularizer_weight",
    r"model\.auxiliary_head\.loss_decode\.reg_relative_weight": "model.contrast.regularizer_weight",
    r"model\.auxiliary_head\.loss_decode\.contrast_temp": "model.contrast.temperature",
    r"model\.auxiliary_head\.loss_decode\.scale_min_ratio": "model.contrast.min_ratio",
    r"model\.auxiliary_head\.loss_decode\.loss_weight": "model.contrast.loss_weight",
    r"model\.(.+)": r"model.segmentor.\1",
    r"uda\.pseudo_weight_ignore_(top|bottom)": "train_dataloader.dataset.target.ignored_edges",
    r"uda\.crop_size": "(model.crop_size|train_dataloader.dataset.target.ignored_edges)",
    r"uda\.enable_strong_aug": "model.augment_source_and_target",
    r"uda\.start_distribution_iter": "model.start_contrast_iter",
    r"uda\.color_jitter_probability": "model.color_jitter_threshold",
    r"uda\.pseudo_random_crop": "model.pseudo_crop",
    r"uda\.regen_pseudo": "model.regenerate_pseudo_label",
    r"uda\.memory_length": "model.prototypes.memory_length",
    r"uda\.debug_img_interval": "default_hooks.panels.interval",
    r"uda\.corresp_root": "train_dataloader.dataset.target.corresp",
    r"uda\.class_weight": "model.(class_weight|segmentor.test_cfg.class_weight)",
    r"uda\.imnet_feature_dist_lambda": "model.terms.feature_distance.loss_weight",
    r"uda\.imnet_feature_dist_classes": "model.terms.feature_distance.classes",
    r"uda\.imnet_feature_dist_scale_min_ratio": "model.terms.feature_distance.min_ratio",
    r"uda\.mask_mode": "model.terms.mic.mask_mode",
    r"uda\.mask_lambda": "model.terms.mic.loss_weight",
    r"uda\.mask_generator\.mask_ratio": "model.terms.mic.mask_ratio",
    r"uda\.mask_generator\.mask_block_size": "model.terms.mic.block_size",
    r"uda\.(.+)": r"model.\1",
    r"data\.samples_per_gpu": "train_dataloader.batch_size",
    r"data\.workers_per_gpu": "(train|val|test)_dataloader.num_workers",
    # The folders of ACDC contain the name of the split.
    r"data\.(\w+)\.((source|target)\.)?type": r"\1_dataloader.dataset.\2(type|split|data_prefix.+)",
    r"data\.train\.target\.crop_pseudo_margins": (
        r"train_dataloader.dataset.target.pipeline.\\d.margins"
    ),
    r"data\.train\.target\.pipeline\.\d\.crop_size": (
        r"train_dataloader.dataset.target.(pipeline.\\d.crop_size|ignored_edges)"
    ),
    r"data\.(\w+)\.(.*)img_dir": r"\1_dataloader.dataset.\2data_prefix.img_path",
    r"data\.(\w+)\.(.*)ann_dir": r"\1_dataloader.dataset.\2data_prefix.seg_map_path",
    r"data\.(\w+)\.(.*)pipeline\..*img_scale": r"\1_dataloader.dataset.\2pipeline.\\d.scale",
    r"data\.test\.pipeline\.1\.flip": "aug_test|tta_pipeline",
    r"data\.(\w+)\.pipeline\..*keep_ratio": r"\1_dataloader.dataset.pipeline.1.keep_ratio",
    r"data\.train\.target\.data_root": "train_dataloader.dataset.target.(data_root|corresp)",
    r"data\..+pipeline\.\d\.(size|pad_val|seg_pad_val)": r"model.data_preprocessor.\1",
    r"data\.(\w+)\.(.*)pipeline\.\d\.(.+)": r"\1_dataloader.dataset.\2pipeline.\\d.\3",
    r"data\.(\w+)\.(.+)": r"\1_dataloader.dataset.\2",
}
# Settings for which mmseg 0.x has a default.
OPTIONAL = "|".join(
    (
        "load_from|seed|exp|cudnn_benchmark|optimizer_config|model.pretrained",
        r"optimizer\..+|uda\.(class_weight|memory_length|corresp_root)",
        r"uda\.(pseudo_random_crop|cat_max_ratio|crop_size.*|regen_pseudo)",
        r"uda\.(source_only|mask_mode)|model\.decode_head\.attention_embed_dim",
        r"model\.backbone\.(?!type).+|model\.auxiliary_head\.norm_cfg.*",
        r"model\.decode_head\.init_cfg.*|model\..+_head\.(align_corners|dropout_ratio)",
        r"model\.auxiliary_head\.input_transform",
        r"model\.decode_head\.loss_decode\.(loss_weight|use_sigmoid|class_weight)",
        r"data\..+\.(data_root|ann_dir|cat_max_ratio|keep_ratio|flip|to_rgb|pad_val|seg_pad_val)",
        r"data\.train\.rare_class_sampling\..+",
    )
)
# Dicts that are passed on unchanged: settings added to them are checked later.
PASSED_ON = r"optimizer.*|.*norm_cfg|.*init_cfg.*|data\.train\.rare_class_sampling"
# Settings that only training reads.
ONLY_TRAINING = (
    r"(?!model\.|data\.(val|test)\.|data\.workers).+|model\.(auxiliary_head|.+\.loss_decode).*|"
    r"model\.(feature_scale|crop_coord_divisible|decode_head\.[hl]r_loss_weight)"
)


def leaves(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the paths of all settings, and of each value in a list of values."""
    if isinstance(node, dict | list) and node:
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(child, (*path, key))
    else:
        yield path


def dicts(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the paths of all dicts."""
    if isinstance(node, dict):
        yield path
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from dicts(child, (*path, key))


def at(node: Any, path: tuple) -> Any:
    for key in path:
        node = node[key]
    return node


def other(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return {str: f"{value}x", dict: {"x": 1}, list: ["x"]}.get(type(value), "x")


def changed(old: dict, path: tuple, value: Any) -> dict:
    old = copy.deepcopy(old)
    at(old, path[:-1])[path[-1]] = value
    return old


def dotted(path: tuple) -> str:
    return ".".join(map(str, path))


def setting(old: dict, path: tuple) -> str:
    """Return the dotted path of a setting; a list of values is one setting."""
    while isinstance(at(old, path[:-1]), list) and not isinstance(at(old, path), dict):
        path = path[:-1]
    return dotted(path)


def differences(a: Any, b: Any, path: tuple = ()) -> Iterator[str]:
    """Yield the dotted paths of differences; a list of values counts as one value."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            yield from differences(a.get(key), b.get(key), (*path, key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b) and dict in map(type, a):
        for i, (left, right) in enumerate(zip(a, b, strict=True)):
            yield from differences(left, right, (*path, i))
    elif a != b:
        yield dotted(path)


def place(name: str) -> str:
    """Return a regular expression of the paths in our schema that an old setting decides."""
    for pattern, ours in PLACES.items():
        if re.fullmatch(pattern, name):
            return re.sub(pattern, ours, name)
    return name


def is_ignored(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in IGNORED)


def settings_for_testing(translated: dict) -> dict:
    """Return the settings that testing reads, without those of losses and projection."""
    model = translated["model"]
    network = copy.deepcopy(model.get("segmentor", model))
    keys = ("backbone", "decode_head", "context_scale", "detail_size", "test_cfg")
    network = {key: network[key] for key in keys if key in network}
    network["decode_head"].pop("detail_loss_weight", None)
    network["decode_head"].get("head", network["decode_head"]).pop("loss_decode")
    parts = ("val_dataloader", "test_dataloader", "val_evaluator", "test_evaluator")
    return network | {key: translated[key] for key in parts}


def config(name: int | str) -> dict:
    """Return a config of SePiCo by its experiment, or one of DAFormer, HRDA or MIC by its file."""
    return old_config(name) if isinstance(name, int) else baseline_config(name)


@pytest.mark.parametrize("exp", [1, 5, 8, "mic_exp80_0", "mic_exp81_1"])
def test_a_changed_setting_changes_only_its_counterpart(exp):
    old = config(exp)
    before, reasons = translate(old)
    assert reasons == []
    for path in leaves(old):
        name = setting(old, path)
        try:
            after, reasons = translate(changed(old, path, other(at(old, path))))
        except InputError as error:  # there is no such choice, or settings contradict each other
            reasons, after = [str(error)], None
            assert not re.fullmatch(ONLY_TRAINING, name) or name == "uda.class_weight", name
        if reasons:
            ancestors = [dotted(path[:n]) for n in range(2, len(path) + 1)]
            mentioned = [str(path[-1]), *ancestors]
            assert any(part in reason for reason in reasons for part in mentioned), (name, reasons)
            assert not is_ignored(name), name
            if after and re.fullmatch(ONLY_TRAINING, name):
                assert settings_for_testing(after) == settings_for_testing(before), name
            continue
        found = set(differences(before, after))
        if is_ignored(name):
            assert found == set(), name
        else:
            assert found, f"{name} is not used"
            assert all(re.fullmatch(place(name), each) for each in found), (name, found)


def test_every_reason_to_ignore_a_setting_is_needed():
    old = old_config(1)
    old |= {"work_dir": "x", "gpu_ids": [0], "git_rev": "x", "gpu_model": "x"}
    old["model"]["backbone"]["ema_drop_path_rate"] = 0.1
    old["model"]["train_cfg"] = {"work_dir": "x", "log_config": {"interval": 50}}
    old["model"]["test_cfg"]["batched_slide"] = True
    old["log_config"]["img_interval"] = 1000
    old["uda"]["print_grad_magnitude"] = True
    old["data"]["test"]["pipeline"][1]["transforms"][-1]["meta_keys"] = ["filename"]
    old["data"]["test"]["test_mode"] = True
    assert translate(old) == translate(old_config(1))
    names = {setting(old, path) for path in leaves(old)}
    for pattern, reason in IGNORED.items():
        assert reason
        assert any(re.fullmatch(pattern, name) for name in names), pattern


@pytest.mark.parametrize("exp", [4, 7, "mic_exp80_0"])
def test_an_unknown_setting_is_named(exp):
    old = config(exp)
    before, _ = translate(old)
    for path in dicts(old):
        name = dotted((*path, "strange"))
        if is_ignored(name):
            continue
        try:
            after, reasons = translate(changed(old, (*path, "strange"), 1))
        except InputError as error:
            assert str(path[-1]) in str(error)
            assert not re.fullmatch(ONLY_TRAINING, name), name
            continue
        if re.fullmatch(PASSED_ON, dotted(path)):
            assert (after != before) != bool(reasons), name
        else:
            assert (after, reasons) == (before, [f"nothing is known about {name}"])
            assert re.fullmatch(ONLY_TRAINING, name), name


@pytest.mark.parametrize("exp", [2, 8, "mic_exp80_0"])
def test_a_missing_setting_is_named_unless_it_has_a_default(exp):
    old = config(exp)
    before = settings_for_testing(translate(old)[0])
    for path in leaves(old):
        without = copy.deepcopy(old)
        del at(without, path[:-1])[path[-1]]
        name = setting(old, path)
        if isinstance(at(old, path[:-1]), list) or is_ignored(name):
            continue
        if re.fullmatch(OPTIONAL, name):
            assert translate(without)[1] == [], name
        elif re.fullmatch(ONLY_TRAINING, name):
            after, reasons = translate(without)
            assert re.search(f"{re.escape(name)} is missing|_cfg is {{", reasons[0]), name
            assert settings_for_testing(after) == before, name
        else:
            with pytest.raises(InputError, match=f"{re.escape(name)} is missing|_cfg is {{"):
                translate(without)
