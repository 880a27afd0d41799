"""A model that is ready to predict."""

import copy
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from torch import nn

from mmseg.datasets.class_names import distinct_palette
from mmseg.engine.performance import Performance
from mmseg.models.segmentors import segmentors_of
from mmseg.models.segmentors.prediction import ClassWeights
from mmseg.registry import DATASETS, MODELS
from mmseg.utils import InputError, built_from_config
from mmseg.utils.checkpoint import Role, load_checkpoint, load_for_testing, weights_of
from mmseg.utils.config import load_config

from .class_weights import choose_class_weights
from .trained_classes import first_difference, stored_meta


def init_model(
    cfg: Config | str | os.PathLike,
    checkpoint: str | os.PathLike,
    device: torch.device | str = "auto",
    role: Role = "student",
    performance: Performance | None = None,
    fold_batch_norm: bool = False,
    class_weights: ClassWeights = "auto",
) -> nn.Module:
    """Build the model of a config and load a checkpoint into it; no ImageNet weights are needed.

    Args:
        cfg: a config or the path of one. It holds ``model``: a domain-adaptation method or a bare
            segmentor. It is not changed.
        checkpoint: of the method or of a segmentor.
        device: where the model goes: a device, or ``auto``, ``cpu`` or ``cuda``.
        role: which segmentor of a domain-adaptation checkpoint predicts.
        performance: speed and memory. By default everything is computed in float32 as it is
            written, however the model was trained. On a CPU maps are channels-last in any case,
            which is faster there.
        fold_batch_norm: whether BatchNorm becomes a part of the convolutions before it, for a model
            that does nothing but predict: it is faster, but its ``state_dict`` is another.
        class_weights: which images the test-time class weights of a night model are for: "on":
            all; "off": none; "auto": those of a data set that asks for them, which is Dark Zurich,
            so not those of :func:`~mmseg.apis.inference_model`.

    Returns:
        The model in evaluation mode. Its ``cfg`` is the config, its ``dataset_meta`` holds the
        ``classes`` and their ``palette``, if they are known; its ``trained_classes`` are the
        names that the checkpoint stores, or None.

    Raises:
        InputError: config and checkpoint do not fit, or there is no such segmentor or device.
    """
    device = select_device(device) if isinstance(device, str) else device
    model = load_model(cfg, checkpoint, role)
    choose_class_weights(model, class_weights)
    performance = performance or Performance()
    if device.type == "cpu":
        performance = replace(performance, channels_last=True)
    get_ready(model, device, performance, fold_batch_norm)
    return model


def load_model(
    cfg: Config | str | os.PathLike, checkpoint: str | os.PathLike, role: Role = "student"
) -> nn.Module:
    """The first half of :func:`init_model`: the model with its weights, still on the CPU."""
    init_default_scope("mmseg")
    cfg = cfg if isinstance(cfg, Config) else load_config(cfg)
    if not isinstance(cfg.get("model"), dict):
        raise InputError("the config has no model")
    if (reasons := cfg.get("not_for_training")) and is_main_process():
        told = f"{cfg.filename} can be tested, but not trained: {'; '.join(reasons)}"
        print(f"note: {told}", file=sys.stderr)
    loaded = load_checkpoint(checkpoint, mapped=True)
    state_dict = weights_of(loaded, checkpoint)
    with built_from_config("model"):
        model = MODELS.build(without_pretrained(cfg.model))
    load_for_testing(model, state_dict, role, checkpoint)
    model.cfg = cfg
    model.dataset_meta = dataset_meta(cfg, loaded)
    model.trained_classes = stored_meta(loaded).get("classes")
    return model


def get_ready(
    model: nn.Module, device: torch.device, performance: Performance, fold_batch_norm: bool
) -> None:
    """The second half of :func:`init_model`: evaluation mode, device, speed and memory."""
    if fold_batch_norm:
        for segmentor in segmentors_of(model):
            segmentor.fold_batch_norm()
    model.to(device).eval()
    performance.set_backends()
    performance.apply(model)


def dataset_meta(cfg: Config, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Names and colours of the classes, found without looking at any data.

    Args:
        cfg: what its test data set says counts unless the checkpoint stores other classes: these
            are what the model predicts.
        checkpoint: of mmengine or of mmcv.

    Returns:
        ``classes`` (C names) and ``palette`` (C times red, green, blue); empty if nobody says.
    """
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    kind = DATASETS.get(dataset["type"]) if "type" in dataset else None
    stored = stored_meta(checkpoint)
    sources = (dataset.get("metainfo") or {}, getattr(kind, "METAINFO", {}), stored)
    for source in sources:
        classes = source.get("classes")
        if classes is not None and not first_difference(stored.get("classes", classes), classes):
            palette = source.get("palette") or distinct_palette(len(classes))
            return {"classes": classes, "palette": palette}
    return {}


def without_pretrained(cfg: Any) -> Any:
    """A copy of a model config that reads no file of pretrained weights when it is built."""
    if isinstance(cfg, dict):
        result = copy.copy(cfg)
        for key, value in cfg.items():
            result[key] = without_pretrained(value)
        if _is_pretrained(result.get("init_cfg")):
            result["init_cfg"] = None
        if result.get("pretrained"):
            result["pretrained"] = False
        if result.get("checkpoint_path"):
            result["checkpoint_path"] = ""
        return result
    if isinstance(cfg, list | tuple):
        return type(cfg)(without_pretrained(value) for value in cfg)
    return cfg


def pretrained_files(cfg: Any) -> Iterator[str]:
    """The local files that ``init_cfg=dict(type="Pretrained", ...)`` name in a model config."""
    if isinstance(cfg, dict):
        if _is_pretrained(cfg):
            yield cfg["checkpoint"]
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for value in cfg:
            yield from pretrained_files(value)


def _is_pretrained(init_cfg: Any) -> bool:
    return isinstance(init_cfg, dict) and init_cfg.get("type") == "Pretrained"


def select_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or ``auto``: a GPU if there is one.

    Raises:
        InputError: there is no GPU, or no such choice.
    """
    choices = ("auto", "cpu", "cuda")
    if name not in choices:
        raise InputError(f"device {name!r} unknown; choose from {', '.join(choices)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
