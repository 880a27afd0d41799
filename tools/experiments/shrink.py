"""Shrink a config to the same method and pipeline in a minute on a CPU."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.apis.init_model import without_pretrained
from mmseg.models.uda import method_class

from .variants import scale_schedule

ITERATIONS = 10
CROP = 128
SCALE = (2 * CROP, 9 * CROP // 8)
CHANNELS = 64
MIT_B0_CHANNELS = (32, 64, 160, 256)
#: Arguments of a ViT of any family, with one block for each of the usual four strides.
SMALL_VIT = {"depth": 4, "embed_dim": 96, "num_heads": 4}
#: The smallest ConvNeXt of timm.
SMALL_CONVNEXT, CONVNEXT_CHANNELS = "convnext_atto", (40, 80, 160, 320)
VALIDATION_IMAGES = 8
# Pixels of a rare class in a source image, in proportion to 3000 for the paper's crop.
MIN_PIXELS = 120
# Data set -> folder of the toy data in the same format.
TOY_ROOTS = {
    "GTADataset": "gta",
    "CityscapesDataset": "cityscapes",
    "SynthiaDataset": "synthia",
    "DarkZurichDataset": "dark_zurich",
    "ACDCDataset": "acdc",
}


def shrink(cfg: Config, toy_root: Path) -> None:
    """Change ``cfg`` in place to a few iterations of a small network on small images.

    Network and crops shrink, and contrast, panels, checkpoints and evaluation start early; the
    algorithm stays the same. A data set whose folder is missing is replaced by the toy data of the
    same format.

    Args:
        cfg: a complete training config.
        toy_root: folder of the toy data (``tools/make_toy_data.py``).

    Raises:
        InputError: if the model is not a domain-adaptation method.
    """
    _small_schedule(cfg)
    cfg.model = _small_model(without_pretrained(cfg.model))
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if not cfg.get(loader):
            continue
        cfg[loader].update(num_workers=0, persistent_workers=False)
        for dataset in _with_key(cfg[loader], "data_root"):
            _small_dataset(dataset, toy_root)
    for loader in ("val_dataloader", "test_dataloader"):
        if cfg.get(loader):
            cfg[loader].dataset.indices = VALIDATION_IMAGES
    sampling = cfg.train_dataloader.dataset.get("rare_class_sampling")
    if sampling:
        sampling.min_pixels = MIN_PIXELS


def _small_schedule(cfg: Config) -> None:
    scale_schedule(cfg, ITERATIONS)
    cfg.train_cfg.val_interval = ITERATIONS
    for name, interval in (("logger", 2), ("runtime_info", 2), ("checkpoint", 5), ("panels", 5)):
        cfg.default_hooks.setdefault(name, {}).interval = interval


def _small_model(model: Any) -> Any:
    method = method_class(model)
    segmentor = model.segmentor
    parts = {name: part for name, part in segmentor.items() if name != "backbone"}
    heads = _with_key(parts, "in_channels")
    backbone = segmentor.backbone
    if backbone.type.startswith("mit_b"):
        backbone.type = "mit_b0"
        for head in heads:
            _small_head(head, MIT_B0_CHANNELS)
    elif backbone.type == "TIMMViT":
        backbone.options = {**(backbone.get("options") or {}), **SMALL_VIT}
        backbone.update(taps=None, freeze=min(backbone.get("freeze", 0), SMALL_VIT["depth"]))
        for head in heads:
            _small_head(head, (SMALL_VIT["embed_dim"],) * len(head.in_channels))
    elif backbone.type == "TIMMBackbone" and backbone.model_name.startswith("convnext"):
        backbone.model_name = SMALL_CONVNEXT
        for head in heads:
            _small_head(head, CONVNEXT_CHANNELS)
    elif backbone.type == "ResNetV1c":
        backbone.depth = 18
        for head in heads:
            if isinstance(head.in_channels, int):
                head.in_channels = 8 * backbone.get("base_channels", 64)  # of the last stage
    if "auxiliary_head" in segmentor:
        segmentor.auxiliary_head.channels = CHANNELS
    method.set_crop_size(model, CROP)
    method.shrink(model, CHANNELS, ITERATIONS)
    return model


def _small_head(head: Any, in_channels: tuple[int, ...]) -> None:
    head.in_channels = in_channels
    head.channels = CHANNELS
    if "embed_dims" in head:
        head.embed_dims = CHANNELS


def _small_dataset(dataset: Any, toy_root: Path) -> None:
    for transform in dataset.get("pipeline", []):
        if transform.type == "Resize":
            transform.scale = SCALE
        elif transform.type == "RandomCrop":
            transform.crop_size = (CROP, CROP)
    toy = TOY_ROOTS.get(dataset.type)
    if toy and not Path(dataset.data_root).exists():
        dataset.data_root = str(toy_root / toy)


def _with_key(node: Any, key: str) -> list[Any]:
    """Find the dicts in a part of a config that have a key."""
    if isinstance(node, list | tuple):
        return [found for child in node for found in _with_key(child, key)]
    if not isinstance(node, dict):
        return []
    return ([node] if key in node else []) + _with_key(list(node.values()), key)
