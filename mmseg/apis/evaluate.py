"""Run a checkpoint over a test data set: scores, predictions, pictures."""

import copy
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmseg.datasets.image_files import read_image
from mmseg.evaluation import IoUMetric, PredictionWriter, per_class_table, result_dict
from mmseg.registry import METRICS, MODELS
from mmseg.utils import InputError, atomic_path, built_from_config, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.config_check import check_config
from mmseg.visualization import overlay, save_image

from .init_model import init_model, select_device
from .test_time_augmentation import with_tta

# The settings that testing reads.
PARTS = ("model", "test_dataloader", "test_evaluator", "tta_model", "tta_pipeline")


@dataclass(frozen=True)
class Outputs:
    """What to make of the predictions.

    Attributes:
        metric: compute and report mIoU.
        folders: each gets the raw predictions, one 8-bit PNG of class indices an image.
        show_dir: gets the predictions laid over the images.
        opacity: of those, in [0, 1].
    """

    metric: Literal["mIoU"] | None = None
    folders: tuple[Path, ...] = ()
    show_dir: Path | None = None
    opacity: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise InputError(f"the opacity must be in [0, 1], not {self.opacity}")


def evaluate(
    cfg: Config,
    checkpoint: str | os.PathLike,
    outputs: Outputs,
    role: Role = "student",
    aug_test: bool = False,
    device: str = "auto",
    work_dir: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Test a checkpoint on the config's ``test_dataloader``; training settings are not needed.

    Args:
        cfg: holds ``model`` and ``test_dataloader``; ``test_evaluator``, ``tta_model`` and
            ``tta_pipeline`` are optional. It is not changed.
        checkpoint: of a domain-adaptation method or of a segmentor.
        outputs: what to make of the predictions. Labels are read only for a metric.
        role: whether the student or the teacher predicts.
        aug_test: average over scales and flips.
        device: ``auto``, ``cpu`` or ``cuda``.
        work_dir: where the scores go, as ``<checkpoint>_<data set>_eval.json``; beside the
            checkpoint by default.

    Returns:
        The scores as written, and under ``file`` where; empty without a metric.

    Raises:
        InputError: for what the user can put right, before any image is predicted if possible.
    """
    init_default_scope("mmseg")
    checkpoint = Path(checkpoint)
    target = select_device(device)
    check_config(cfg, PARTS)
    loader = test_loader(with_tta(cfg) if aug_test else cfg, labelled=outputs.metric is not None)
    dataset = loader.dataset
    metric = _metric(cfg, dataset) if outputs.metric else None
    folder = Path(work_dir) if work_dir else checkpoint.parent
    json_file = folder / _json_name(checkpoint, dataset, role, aug_test)
    model = init_model(cfg, checkpoint, target, role)
    _check_folders(outputs, folder)
    if aug_test:
        tta_model = {**(cfg.get("tta_model") or {"type": "SegTTAModel"}), "module": model}
        with built_from_config("tta_model"):
            model = MODELS.build(tta_model).eval()
    _predict(model, loader, metric, outputs)
    if metric is None:
        return {}
    about = {
        "checkpoint": str(checkpoint),
        "config": cfg.filename,
        "dataset": type(dataset).__name__,
        "images": len(dataset),
        "model": role,
        "aug_test": aug_test,
    }
    result = about | result_dict(metric.evaluate(len(dataset)), metric.per_class)
    with atomic_path(json_file) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result | {"file": str(json_file)}


def report(result: dict[str, Any]) -> str:
    """What :func:`evaluate` returned, as text."""
    kind = result["model"] + (", several scales and flips" if result["aug_test"] else "")
    head = f"{result['dataset']}, {result['images']} images, {kind}"
    return f"{head}\n\n{per_class_table(result)}\n\nsaved as {result['file']}"


def test_loader(cfg: Config, labelled: bool) -> DataLoader:
    """The config's ``test_dataloader``; unless ``labelled``, one that never looks for labels.

    Raises:
        InputError: there is none, or it has no labels though they are needed.
    """
    if not isinstance(cfg.get("test_dataloader"), dict):
        raise InputError("the config has no test_dataloader")
    loader = copy.deepcopy(cfg.test_dataloader)
    loader.setdefault("sampler", {"type": "DefaultSampler", "shuffle": False})
    if not loader.get("num_workers"):
        loader.persistent_workers = False  # torch refuses it without workers
    has_labels = bool(loader.dataset.get("data_prefix", {}).get("seg_map_path"))
    if labelled and "data_prefix" in loader.dataset and not has_labels:
        raise InputError(
            f"the test data set ({loader.dataset.type}) has no labels: it names no "
            "data_prefix.seg_map_path, so it cannot be evaluated; use --format-only or --out to "
            "write the predictions instead"
        )
    if not labelled:
        _drop_labels(loader.dataset)
    with built_from_config("test_dataloader"):
        return Runner.build_dataloader(loader)


def _check_folders(outputs: Outputs, score_folder: Path) -> None:
    for each in outputs.folders:
        check_writable(each, "--out or imgfile_prefix")
    if outputs.show_dir:
        check_writable(outputs.show_dir, "--show-dir")
    if outputs.metric:
        check_writable(score_folder, "--work-dir")


def _drop_labels(dataset: dict[str, Any]) -> None:
    if "seg_map_path" in dataset.get("data_prefix", {}):
        dataset["data_prefix"]["seg_map_path"] = None
    if "pipeline" in dataset:
        dataset["pipeline"] = _without_annotations(dataset["pipeline"])


def _without_annotations(pipeline: list[Any]) -> list[Any]:
    """Without ``LoadAnnotations``, also inside of ``TestTimeAug``."""
    kept = []
    for transform in pipeline:
        if transform["type"] == "LoadAnnotations":
            continue
        if transform["type"] == "TestTimeAug":
            branches = [_without_annotations(branch) for branch in transform["transforms"]]
            transform = {**transform, "transforms": [branch for branch in branches if branch]}
        kept.append(transform)
    return kept


def _metric(cfg: Config, dataset: Any) -> IoUMetric:
    evaluator = cfg.get("test_evaluator") or {"type": "IoUMetric"}
    with built_from_config("test_evaluator"):
        metric = METRICS.build(evaluator) if isinstance(evaluator, dict) else None
    if not isinstance(metric, IoUMetric) or metric.format_only:
        raise InputError(
            "--eval mIoU: the config's test_evaluator must be an IoUMetric that scores"
        )
    metric.dataset_meta = dataset.metainfo
    return metric


def _json_name(checkpoint: Path, dataset: Any, role: Role, aug_test: bool) -> str:
    name = type(dataset).__name__.removesuffix("Dataset").lower()
    variant = ("_teacher" if role == "teacher" else "") + ("_aug" if aug_test else "")
    return f"{checkpoint.stem}_{name}{variant}_eval.json"


@torch.inference_mode()
def _predict(
    model: nn.Module, loader: DataLoader, metric: IoUMetric | None, outputs: Outputs
) -> None:
    writers = [PredictionWriter(folder) for folder in outputs.folders]
    palette = _palette(loader.dataset) if outputs.show_dir else ()
    for batch in _with_progress(loader):
        for sample in model.test_step(batch):
            pred = sample.pred_sem_seg.data[0]
            if metric is not None:
                metric.process(None, [sample.to_dict()])
            for writer in writers:
                writer.write(pred, sample.img_path)
            if outputs.show_dir:
                image = read_image(sample.img_path)[..., ::-1]
                picture = overlay(image, pred.cpu().numpy(), palette, outputs.opacity)
                save_image(outputs.show_dir / f"{Path(sample.img_path).stem}.png", picture)


def _palette(dataset: Any) -> list[tuple[int, int, int]]:
    palette = dataset.metainfo.get("palette")
    if not palette:
        raise InputError(
            "--show-dir: the data set names no colours; set metainfo=dict(palette=...)"
        )
    return palette


def _with_progress(loader: DataLoader) -> Iterator[Any]:
    """The batches, with a line on stderr that counts them if somebody is watching."""
    start = time.monotonic()
    for i, batch in enumerate(loader, 1):
        yield batch
        if sys.stderr.isatty():
            left = (time.monotonic() - start) / i * (len(loader) - i)
            end = "\n" if i == len(loader) else ""
            print(f"\rbatch {i}/{len(loader)}, {left:.0f} s left ", end=end, file=sys.stderr)
