"""Build models that are ready to predict, and find their classes and class weights."""

import copy
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import nn

from mmseg.datasets.class_names import distinct_palette, first_difference
from mmseg.engine.performance import Performance
from mmseg.models.segmentors import EncoderDecoder, segmentors_of
from mmseg.models.segmentors.prediction import ClassWeights, uses_class_weights
from mmseg.registry import DATASETS, MODELS
from mmseg.utils import InputError, built_from_config
from mmseg.utils.checkpoint import (
    Role,
    load_checkpoint,
    load_for_testing,
    stored_meta,
    weights_of,
)
from mmseg.utils.config import load_config


def init_model(
    cfg: Config | str | os.PathLike,
    checkpoint: str | os.PathLike,
    device: torch.device | str = "auto",
    role: Role = "student",
    performance: Performance | None = None,
    fold_batch_norm: bool = False,
    class_weights: ClassWeights = "auto",
) -> BaseModel:
    """Build the model of a config and load a checkpoint, without needing ImageNet weights.

    Args:
        cfg: a config with ``model``, a domain-adaptation method or a segmentor, or the path of one.
            It is not changed.
        checkpoint: checkpoint of the method or of a segmentor.
        device: device of the model: a device, or ``auto``, ``cpu`` or ``cuda``.
        role: segmentor of a domain-adaptation checkpoint that predicts.
        performance: options for speed and memory; default: eager and float32, however the model was
            trained. On a CPU maps are always channels-last, which is faster there.
        fold_batch_norm: whether to fold BatchNorm into the convolutions before it, for a model that
            only predicts: it is faster, but its ``state_dict`` changes.
        class_weights: images to use the test-time class weights of a night model for: "on": all;
            "off": none; "auto": those of a data set that asks for them, which is Dark Zurich, and
            so none in :func:`~mmseg.apis.inference_model`.

    Returns:
        The model in evaluation mode. Its ``cfg`` is the config, its ``dataset_meta`` holds the
        ``classes`` and their ``palette``, if known; its ``trained_classes`` are the names in the
        checkpoint, or None.

    Raises:
        InputError: if config and checkpoint do not fit, or there is no such segmentor or device.
    """
    device = select_device(device) if isinstance(device, str) else device
    model = load_model(cfg, checkpoint, role)
    _choose_class_weights(model, class_weights)
    performance = performance or Performance()
    if device.type == "cpu":
        performance = replace(performance, channels_last=True)
    get_ready(model, device, performance, fold_batch_norm)
    return model


def average_views(model: BaseModel) -> BaseModel:
    """Wrap a model of :func:`init_model` so that it averages over the views of each image.

    The config's ``tta_model`` does so; default: ``SegTTAModel``.
    """
    tta_model = {**(model.cfg.get("tta_model") or {"type": "SegTTAModel"}), "module": model}
    with built_from_config("tta_model"):
        predictor = MODELS.build(tta_model).eval()
    predictor.trained_classes = model.trained_classes
    return predictor


def load_model(
    cfg: Config | str | os.PathLike, checkpoint: str | os.PathLike, role: Role = "student"
) -> BaseModel:
    """Do the first half of :func:`init_model`: build the model and load its weights on the CPU."""
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
    """Do the second half of :func:`init_model`: evaluation mode, device, speed and memory."""
    if fold_batch_norm:
        for segmentor in segmentors_of(model):
            segmentor.fold_batch_norm()
    model.to(device).eval()
    performance.set_backends()
    performance.apply(model)


def _choose_class_weights(model: nn.Module, choice: ClassWeights) -> None:
    if choice not in get_args(ClassWeights):
        choices = ", ".join(get_args(ClassWeights))
        raise InputError(f"class weights {choice!r} unknown; choose from {choices}")
    segmentors = _weighted_segmentors(model)
    if choice == "on" and not segmentors:
        raise InputError(
            "--class-weights on: the config gives the model no test-time class weights "
            "(class_weight in the segmentor's test_cfg)"
        )
    for segmentor in segmentors:
        segmentor.class_weights = choice


def class_weights_used(model: nn.Module, meta: Mapping[str, Any]) -> bool | None:
    """Tell whether a model predicts an image with class weights; None if it has none.

    Args:
        model: a segmentor or a method.
        meta: metainfo of the image.
    """
    segmentors = _weighted_segmentors(model)
    return uses_class_weights(segmentors[0].class_weights, meta) if segmentors else None


def _weighted_segmentors(model: nn.Module) -> list[EncoderDecoder]:
    return [each for each in segmentors_of(model) if each.test_cfg.get("class_weight") is not None]


def dataset_meta(cfg: Config, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Find names and colours of the classes without reading data.

    Args:
        cfg: config whose test data set is used, unless the checkpoint stores other classes, which
            the model predicts then.
        checkpoint: a checkpoint of mmengine or mmcv.

    Returns:
        ``classes`` (C names) and ``palette`` (C times red, green, blue); empty if unknown.
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


def check_trained_classes(
    trained: Sequence[str] | None,
    tested: Sequence[str] | None,
    checkpoint: str | os.PathLike,
    data: str,
) -> None:
    """Check that a checkpoint is tested on the classes that it was trained for, in their order.

    Args:
        trained: names of the classes in the checkpoint; None: unknown.
        tested: names of the classes of the data; None: unknown.
        checkpoint: name of the checkpoint for the error.
        data: name of the data for the error.

    Raises:
        InputError: if the lists differ.
    """
    if trained is None or tested is None:
        return
    if difference := first_difference(trained, tested):
        raise InputError(
            f"{checkpoint} was trained for other classes than those of {data}: {difference}; take "
            "label maps with the checkpoint's order of classes or, if only the names differ, give "
            "the data the checkpoint's names (metainfo=dict(classes=[...]) of its data set)"
        )


def without_pretrained(cfg: Any) -> Any:
    """Copy a model config without the files of pretrained weights that it names."""
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


def needs_pretrained(model: Mapping[str, Any]) -> bool:
    """Tell whether a method uses the pretrained weights also if a checkpoint is loaded."""
    terms = (model.get("terms") or {}).values()
    return any(MODELS.get(term["type"]).NEEDS_PRETRAINED for term in terms)


def pretrained_files(cfg: Any) -> Iterator[str]:
    """Yield the files of ``init_cfg=dict(type="Pretrained", ...)`` in a model config."""
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
    """Return the device that ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one) names.

    Raises:
        InputError: if there is no GPU, or no such choice.
    """
    choices = ("auto", "cpu", "cuda")
    if name not in choices:
        raise InputError(f"device {name!r} unknown; choose from {', '.join(choices)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
