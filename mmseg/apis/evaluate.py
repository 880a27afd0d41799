"""Run a checkpoint over data sets and score it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from mmseg.datasets.evaluation_sets import EvaluationSet, own_set
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder, segmentors_of
from mmseg.registry import METRICS, MODELS
from mmseg.utils import InputError, atomic_path, built_from_config, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.config_check import check_config

from .init_model import init_model, select_device
from .outputs import ImageWriter, Outputs
from .predicting import predictions, test_loader
from .result_text import table_text
from .test_time_augmentation import with_tta

# The settings that testing reads: of the model's config and of the data set's.
MODEL_PARTS = ("model", "test_evaluator", "tta_model")
DATA_PARTS = ("test_dataloader", "tta_pipeline")


def evaluate(
    cfg: Config,
    checkpoint: str | os.PathLike,
    outputs: Outputs,
    role: Role = "student",
    aug_test: bool = False,
    device: str = "auto",
    work_dir: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Test a checkpoint on the config's ``test_dataloader``; for all else see :func:`evaluate_on`.

    Returns:
        The scores as written, and under ``file`` where; empty without a metric.
    """
    sets = [own_set(cfg)]
    results = evaluate_on(sets, cfg, checkpoint, outputs, role, aug_test, device, work_dir)
    return results[0] if results else {}


def evaluate_on(
    sets: Sequence[EvaluationSet],
    cfg: Config,
    checkpoint: str | os.PathLike,
    outputs: Outputs,
    role: Role = "student",
    aug_test: bool = False,
    device: str = "auto",
    work_dir: str | os.PathLike | None = None,
) -> list[dict[str, Any]]:
    """Test a checkpoint on one data set after the other; training settings are not needed.

    Args:
        sets: from :mod:`mmseg.datasets.evaluation_sets`. If there are several, the folders of
            ``outputs`` get a subfolder for each.
        cfg: holds ``model``; ``test_evaluator`` and ``tta_model`` are optional. It is not changed.
        checkpoint: of a domain-adaptation method or of a segmentor.
        outputs: what to make of the predictions. Labels are read only for a metric.
        role: whether the student or the teacher predicts.
        aug_test: average over scales and flips.
        device: ``auto``, ``cpu`` or ``cuda``.
        work_dir: where the scores go, as ``<checkpoint>_<data set>_eval.json``; beside the
            checkpoint by default.

    Returns:
        For each data set the scores as written, and under ``file`` where; empty without a metric.

    Raises:
        InputError: for what the user can put right, before any image is predicted if possible.
    """
    init_default_scope("mmseg")
    checkpoint = Path(checkpoint)
    target = select_device(device)
    check_config(cfg, MODEL_PARTS)
    several = len(sets) > 1
    tests = [
        _prepare(each, cfg, outputs.below(each.name) if several else outputs, aug_test)
        for each in sets
    ]
    model = init_model(cfg, checkpoint, target, role)
    folder = Path(work_dir) if work_dir else checkpoint.parent
    outputs.check_folders()
    if outputs.metric:
        check_writable(folder, "--work-dir")
    test_cfgs = {segmentor: segmentor.test_cfg for segmentor in segmentors_of(model)}
    if aug_test:
        model = averaging(model, cfg)
    about = {
        "checkpoint": str(checkpoint),
        "config": cfg.filename,
        "model": role,
        "aug_test": aug_test,
    }
    variant = ("_teacher" if role == "teacher" else "") + ("_aug" if aug_test else "")
    results = []
    for test in tests:
        weighted = _use_class_weight(test_cfgs, test.data.class_weight)
        test.run(model)
        if test.metric is not None:
            result = about | {"class_weight": weighted} | test.result()
            file = folder / f"{checkpoint.stem}_{test.data.tag}{variant}_eval.json"
            results.append(_saved(result, file))
    if outputs.table:
        with atomic_path(outputs.table) as temporary:
            temporary.write_text(table_text(results), encoding="utf-8")
    return results


@dataclass(frozen=True)
class _Test:
    """A data set that is ready to be tested on."""

    data: EvaluationSet
    loader: DataLoader
    metric: IoUMetric | None
    writer: ImageWriter

    def run(self, model: nn.Module) -> None:
        """Predict all images; score and write the predictions."""
        for sample in predictions(model, self.loader, self.data.name):
            if self.metric is not None:
                self.metric.process(None, [sample.to_dict()])
            self.writer.write(sample)

    def result(self) -> dict[str, Any]:
        """The scores, and of what."""
        dataset = self.loader.dataset
        self.metric.evaluate(len(dataset))
        about = {
            "name": self.data.name,
            "dataset": type(dataset).__name__,
            "data_root": dataset.data_root,
            "images": len(dataset),
        }
        return about | self.metric.result


def _prepare(data: EvaluationSet, cfg: Config, outputs: Outputs, aug_test: bool) -> _Test:
    check_config(data.cfg, DATA_PARTS)
    data_cfg = with_tta(data.cfg) if aug_test else data.cfg
    loader = test_loader(data_cfg, labelled=outputs.metric is not None)
    metric = _metric(cfg, loader.dataset) if outputs.metric else None
    return _Test(data, loader, metric, ImageWriter(outputs, loader.dataset))


def _metric(cfg: Config, dataset: Any) -> IoUMetric:
    evaluator = cfg.get("test_evaluator") or {"type": "IoUMetric"}
    with built_from_config("test_evaluator"):
        metric = METRICS.build(evaluator) if isinstance(evaluator, dict) else None
    if not isinstance(metric, IoUMetric) or metric.format_only:
        raise InputError(
            "--eval mIoU: the config's test_evaluator must be an IoUMetric that scores"
        )
    metric.dataset_meta = dataset.metainfo
    metric.classes()  # complains now, not after the first image
    return metric


def averaging(model: nn.Module, cfg: Config) -> nn.Module:
    """The model with its predictions averaged over scales and flips."""
    tta_model = {**(cfg.get("tta_model") or {"type": "SegTTAModel"}), "module": model}
    with built_from_config("tta_model"):
        return MODELS.build(tta_model).eval()


def _use_class_weight(test_cfgs: dict[EncoderDecoder, dict[str, Any]], use: bool) -> bool:
    """Switch the class weights of the segmentors' ``test_cfgs`` on or off; are there any on?"""
    for segmentor, test_cfg in test_cfgs.items():
        segmentor.test_cfg = test_cfg if use else {**test_cfg, "class_weight": None}
    return any(each.test_cfg.get("class_weight") is not None for each in test_cfgs)


def _saved(result: dict[str, Any], file: Path) -> dict[str, Any]:
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result | {"file": str(file)}
