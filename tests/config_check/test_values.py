"""A wrong value gives one line that names the setting, the value and what the setting takes."""

import copy
import math

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from pydantic import PositiveInt

from mmseg.config_check import check_config
from mmseg.config_check.check import check_value, describe
from mmseg.utils import InputError
from mmseg.utils.setting_types import Fraction, Size2d
from tests.training import small_config

NAN, INF = math.nan, math.inf
HEAD = "model.segmentor.decode_head"
AUX = "model.segmentor.auxiliary_head"
BACKBONE = "model.segmentor.backbone"
SOURCE = "train_dataloader.dataset.source"
FRACTION = "a number >= 0 and <= 1"
COUNT = "an integer > 0"
NATURAL = "an integer >= 0"
SIZE = "two integers > 0 (height, width)"
FLAG = "True or False"
PART = "dict(type=...)"
FINITE = "a finite number"
COUNTS = "a list of an integer > 0 (1 or more)"

WRONG = [
    # the method
    ("model", 3, "a Module or a dict"),
    ("model.alpha", "abc", FRACTION),
    ("model.alpha", 2, FRACTION),
    ("model.alpha", None, FRACTION),
    ("model.alpha", NAN, FINITE),
    ("model.alpha", True, FRACTION),
    ("model.pseudo_threshold", -3, FRACTION),
    ("model.pseudo_threshold", INF, FINITE),
    ("model.enable_self_training", "yes", FLAG),
    ("model.start_contrast_iter", -1, NATURAL),
    ("model.num_levels", 0, COUNT),
    ("model.pseudo_crop", 1, FLAG),
    ("model.crop_size", 3, SIZE),
    ("model.crop_size", (0, 64), SIZE),
    ("model.crop_size", (64,), SIZE),
    ("model.crop_size", (64, 64, 3), SIZE),
    ("model.cat_max_ratio", 0, "a number > 0 and <= 1"),
    ("model.color_jitter_strength", 0.6, "a number >= 0 and <= 0.5"),
    ("model.color_jitter_threshold", -0.1, FRACTION),
    ("model.blur", None, FLAG),
    ("model.contrast", {"variant": "dist"}, PART),
    ("model.contrast.variant", "foo", "'dist' or 'bank' or 'proto'"),
    ("model.contrast.temperature", 0, "a number > 0"),
    ("model.contrast.temperature", NAN, FINITE),
    ("model.contrast.regularizer_weight", -1, "a number >= 0"),
    ("model.contrast.min_ratio", 1.1, FRACTION),
    ("model.contrast.loss_weight", "1", "a number >= 0 or a list of a number >= 0"),
    ("model.contrast.ignore_index", 300, "an integer >= 0 and <= 255"),
    ("model.prototypes.num_classes", 0, COUNT),
    ("model.prototypes.feature_dim", 64.0, COUNT),
    ("model.prototypes.memory_length", -1, NATURAL),
    # the network
    ("model.segmentor", "EncoderDecoder", PART),
    (f"{BACKBONE}.depth", 20, "18 or 34 or 50 or 101"),
    (f"{BACKBONE}.strides", "1222", COUNTS),
    (f"{BACKBONE}.strides", (1, 2, 0, 2), COUNTS),
    (f"{BACKBONE}.out_indices", (), "a list of an integer >= 0 (1 or more)"),
    (f"{BACKBONE}.style", "pytorsh", "'pytorch' or 'caffe'"),
    (f"{BACKBONE}.norm_cfg", "BN", f"{PART} or None"),
    (f"{BACKBONE}.norm_eval", 0, FLAG),
    (f"{BACKBONE}.num_stages", 5, "an integer >= 1 and <= 4"),
    (f"{HEAD}.num_classes", "19", COUNT),
    (f"{HEAD}.channels", -64, COUNT),
    (f"{HEAD}.in_channels", 64, COUNTS),
    (f"{HEAD}.in_index", "0", "a list of an integer (1 or more)"),
    (f"{HEAD}.dilations", (1, -6), f"{COUNTS} or None"),
    (f"{HEAD}.dropout_ratio", 1.5, FRACTION),
    (f"{HEAD}.align_corners", "False", FLAG),
    (f"{HEAD}.loss_decode.loss_weight", -1.0, "a number >= 0"),
    (f"{HEAD}.loss_decode.class_weight", 3, "a list of a number >= 0 (1 or more) or None"),
    (f"{AUX}.num_convs", 3, "0 or 1 or 2"),
    (f"{AUX}.input_transform", "concat", "'resize_concat' or 'multiple_select' or None"),
    ("model.segmentor.test_cfg.mode", "slid", "'whole' or 'slide'"),
    ("model.segmentor.test_cfg.stride", 32, SIZE),
    # preprocessing and data
    ("model.data_preprocessor.std", [0, 0, 0], "a list of a number > 0 (1 or more)"),
    ("model.data_preprocessor.mean", "grey", "a list of a number (1 or more)"),
    ("model.data_preprocessor.size", (64, "64"), f"{SIZE} or None"),
    ("model.data_preprocessor.seg_pad_val", -1, "an integer >= 0 and <= 255"),
    ("model.data_preprocessor.bgr_to_rgb", "rgb", FLAG),
    ("train_dataloader.batch_size", 0, COUNT),
    ("train_dataloader.num_workers", -1, NATURAL),
    ("train_dataloader.num_workers", "two", NATURAL),
    ("train_dataloader.prefetch_factor", 0, f"{COUNT} or None"),
    ("train_dataloader.pin_memory", "yes", FLAG),
    ("train_dataloader.sampler", "UDASampler", "a dict"),
    ("train_dataloader.sampler.seed", -1, f"{NATURAL} or None"),
    ("val_dataloader.batch_size", 1.5, COUNT),
    ("train_dataloader.dataset", 3, "a dict"),
    ("train_dataloader.dataset.rare_class_sampling.min_pixels", -1, NATURAL),
    ("train_dataloader.dataset.rare_class_sampling.class_temp", 0, "a number > 0"),
    ("train_dataloader.dataset.rare_class_sampling.min_crop_ratio", -1, "a number >= 0"),
    (f"{SOURCE}.data_root", 3, "a string"),
    (f"{SOURCE}.indices", 0, f"{COUNT} or a list of an integer >= 0 (1 or more) or None"),
    (
        f"{SOURCE}.ignored_edges",
        (0, 1.5),
        f"({FRACTION}, {FRACTION}) or None",
    ),
    (f"{SOURCE}.test_mode", "no", FLAG),
    # the schedule
    ("optim_wrapper", 3, "a OptimWrapper or a dict or None"),
    ("optim_wrapper.constructor", "Foo", None),
    ("optim_wrapper.accumulative_counts", 0, COUNT),
    ("optim_wrapper.clip_grad", {"max_norm": -1}, "a number > 0"),
    ("optim_wrapper.optimizer.lr", -1.0, "a number >= 0"),
    ("optim_wrapper.optimizer.lr", NAN, FINITE),
    ("optim_wrapper.optimizer.lr", "fast", "a number >= 0"),
    ("optim_wrapper.optimizer.betas", (0.9, 1), "(a number >= 0 and < 1, a number >= 0 and < 1)"),
    ("optim_wrapper.optimizer.weight_decay", -0.1, "a number >= 0"),
    ("optim_wrapper.paramwise_cfg.custom_keys", {"head": {"lr_mult": -1.0}}, "a dict"),
    ("optim_wrapper.paramwise_cfg.layer_decay", 0.9, "a dict or None"),
    ("optim_wrapper.paramwise_cfg.layer_decay", {"rate": 1.5}, "a number > 0 and <= 1"),
    ("optim_wrapper.paramwise_cfg.layer_decay", {"prefix": 3}, "a string"),
    ("train_cfg", 3, "a dict or None"),
    ("train_cfg.max_iters", 0, COUNT),
    ("train_cfg.max_iters", 1.5, COUNT),
    ("train_cfg.val_interval", 0, COUNT),
    # hooks, evaluation, environment
    ("default_hooks", 3, "a dict or None"),
    ("default_hooks.logger.interval", 0, COUNT),
    ("default_hooks.logger.priority", "SOON", None),
    ("default_hooks.checkpoint.interval", 0, f"-1 or {COUNT}"),
    ("default_hooks.checkpoint.rule", "best", None),
    ("default_hooks.panels.interval", "often", COUNT),
    ("default_hooks.panels.max_images", 0, COUNT),
    ("default_hooks.runtime_info.interval", None, COUNT),
    ("default_hooks.runtime_info.terminate_on_nan", "no", FLAG),
    ("val_evaluator.iou_metrics", ["mDice2"], None),
    ("val_evaluator.iou_metrics", [], None),
    ("val_evaluator.nan_to_num", -1.0, "a number >= 0 or None"),
    ("val_evaluator.collect_device", "tpu", "'cpu' or 'gpu'"),
    ("visualizer", 3, "a Visualizer or a dict or None"),
    ("visualizer.vis_backends", "wandb", None),
    ("log_level", "LOUD", None),
    ("log_processor.window_size", 0, COUNT),
    ("env_cfg", None, "a dict"),
    ("env_cfg.cudnn_benchmark", "on", FLAG),
    ("env_cfg.mp_cfg.mp_start_method", "frok", "'fork' or 'spawn' or 'forkserver'"),
    ("randomness.seed", -1, "an integer >= 0 and < 4.29497e+09 or None"),
    ("randomness.seed", "x", "an integer >= 0 and < 4.29497e+09 or None"),
    ("launcher", "torch", None),
    ("resume", "yes", FLAG),
    ("load_from", 3, "a string or a PathLike or None"),
    ("work_dir", 3, "a string or a PathLike or None"),
    ("performance", 3, "a dict or None"),
    ("performance.precision", "fp8", "'fp32' or 'tf32' or 'bf16' or 'fp16'"),
    ("performance.compile", 1, FLAG),
    ("validate", "no", FLAG),
    ("sync_bn", "mmcv", "'torch' or None"),
]


@pytest.fixture(scope="module")
def config(toy_root, tmp_path_factory) -> Config:
    init_default_scope("mmseg")
    return small_config(toy_root, tmp_path_factory.mktemp("values"))


def changed(config: Config, path: str, value: object) -> Config:
    cfg = copy.deepcopy(config)
    node = cfg
    *parents, last = path.split(".")
    for parent in parents:
        node = node.setdefault(parent, {}) if isinstance(node, dict) else getattr(node, parent)
    node[last] = value
    return cfg


@pytest.mark.parametrize(("path", "value", "takes"), WRONG)
def test_wrong_values_are_named(config, path, value, takes):
    with pytest.raises(InputError) as caught:
        check_config(changed(config, path, value))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(path) and ("{" in repr(value) or f" is {value!r}, " in line)
    assert takes is None or line.endswith(f"but it takes {takes}")


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (
            {"type": "ResNetV1c", "depth": 19},
            "depth is 19, but it takes 18 or 34 or 50",
        ),
        ({"type": "ResNetV1c", "style": "torch"}, "but it takes 'pytorch' or 'caffe'"),
        (
            {"type": "DAFormerHead", "embed_dims": 0},
            "model.embed_dims is 0, but it takes an integer > 0",
        ),
        (
            {"type": "DLV2Head", "num_classes": 0},
            "model.num_classes is 0, but it takes an integer > 0",
        ),
        ({"type": "ContrastiveLoss", "variant": "both"}, "takes 'dist' or 'bank' or 'proto'"),
        ({"type": "EncoderDecoder", "test_cfg": {"mode": "crop"}}, "takes 'whole' or 'slide'"),
        (
            {"type": "EncoderDecoder", "train_cfg": {"work_dir": "x"}},
            "model.train_cfg has no setting 'work_dir': it takes []",
        ),
        ({"type": "RandomCrop", "crop_size": (0, 4)}, f"is (0, 4), but it takes {SIZE}"),
        ({"type": "RandomCrop", "cat_max_ratio": 0}, "is 0, but it takes a number > 0 and <= 1"),
        (
            {"type": "SePiCoDark", "day_ratio": 1.2},
            f"is 1.2, but it takes {FRACTION}",
        ),
        ({"type": "TIMMBackbone", "in_channels": 0}, "is 0, but it takes an integer > 0"),
        ({"type": "mit_b5", "drop_path_rate": 1}, "is 1, but it takes a number >= 0 and < 1"),
        ({"type": "ACDCDataset", "split": "dev"}, "but it takes 'train' or 'val' or 'test'"),
        ({"type": "EMAHook", "ema_type": 3}, "model.ema_type is 3, but it takes a string"),
        ({"type": "DLV2Head", "dilations": []}, f"is [], but it takes {COUNTS}"),
    ],
)
def test_wrong_values_of_other_parts(part, line):
    init_default_scope("mmseg")
    with pytest.raises(InputError) as caught:
        check_config(Config({"model": part}), is_fragment=True)
    assert line in str(caught.value)


def test_unknown_paramwise_options_are_named(config):
    path = "optim_wrapper.paramwise_cfg"
    with pytest.raises(InputError, match=f"{path} has no setting 'bias_lr_mult'"):
        check_config(changed(config, path, {"bias_lr_mult": 2.0}))
    with pytest.raises(InputError, match=f"{path}.layer_decay has no setting 'rat': did you"):
        check_config(changed(config, path, {"layer_decay": {"rat": 0.9}}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.alpha", 1),
        ("model.alpha", np.float32(0.5)),
        ("model.crop_size", [64, 64]),
        ("model.crop_size", np.array([64, 64])),
        ("model.prototypes.num_classes", np.int64(19)),
        ("model.contrast.loss_weight", [0.5, 1]),
        (f"{HEAD}.in_channels", [64, 128, 256, 512]),
        (f"{HEAD}.loss_decode.class_weight", [1] * 19),
        (f"{BACKBONE}.norm_cfg", None),
        ("default_hooks.timer", None),
        ("default_hooks.logger.priority", "LOW"),
        ("default_hooks.checkpoint.save_best", ["mIoU", "aAcc"]),
        ("visualizer.vis_backends", None),
        ("optim_wrapper.clip_grad", {"type": "norm", "max_norm": 1}),
        ("optim_wrapper.optimizer.betas", [0.9, 0.999]),
        ("randomness.seed", None),
        ("val_dataloader", None),
        ("sync_bn", None),
    ],
)
def test_valid_values_in_any_form_pass(config, path, value):
    check_config(changed(config, path, value))


def test_a_missing_required_setting_is_reported(config):
    cfg = copy.deepcopy(config)
    del cfg.model.contrast
    with pytest.raises(InputError, match="model: SePiCo needs 'contrast': set model.contrast"):
        check_config(cfg)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (PositiveInt | None, "an integer > 0 or None"),
        (Fraction, FRACTION),
        (Size2d, SIZE),
        (tuple[int, float], "(an integer, a number)"),
        (list[str] | dict, "a list of a string or a dict"),
    ],
)
def test_annotations_in_words(annotation, words):
    assert describe(annotation) == words


def test_long_values_are_cut_short():
    with pytest.raises(InputError) as caught:
        check_value("x" * 500, int, "a")
    assert str(caught.value) == f"a is 'x{'x' * 95}..., but it takes an integer"
