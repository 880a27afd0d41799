"""A model that is ready to predict."""

import copy
import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmseg.registry import MODELS
from mmseg.utils import InputError, built_from_config
from mmseg.utils.checkpoint import Role, load_checkpoint, load_for_testing, weights_of


def init_model(
    cfg: Config, checkpoint: str | os.PathLike, device: torch.device, role: Role = "student"
) -> nn.Module:
    """Build the model of a config and load a checkpoint into it; no ImageNet weights are needed.

    Args:
        cfg: holds ``model``: a domain-adaptation method or a bare segmentor. It is not changed.
        checkpoint: of the method or of a segmentor.
        device: where the model goes.
        role: which segmentor of a domain-adaptation checkpoint predicts.

    Returns:
        The model in evaluation mode.

    Raises:
        InputError: config and checkpoint do not fit, or there is no such segmentor.
    """
    init_default_scope("mmseg")
    if not isinstance(cfg.get("model"), dict):
        raise InputError("the config has no model")
    state_dict = weights_of(load_checkpoint(checkpoint), checkpoint)
    with built_from_config("model"):
        model = MODELS.build(without_pretrained(cfg.model))
    load_for_testing(model, state_dict, role, checkpoint)
    model.cfg = cfg
    return model.to(device).eval()


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
        if _is_pretrained(cfg) and "://" not in cfg["checkpoint"]:
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
