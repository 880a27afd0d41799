"""Test checkpoints on data sets."""

import json
import os
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import get_world_size, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from mmseg.config_check import check_config
from mmseg.datasets.evaluation_sets import EvaluationSet, own_set
from mmseg.engine.distributed import Launcher, name_failing_rank, process_group, raise_on_all_ranks
from mmseg.engine.performance import Performance
from mmseg.evaluation.cityscapes import cityscapes_scores, label_id_files
from mmseg.evaluation.engine import predictions, written
from mmseg.evaluation.iou_metric import OTHER_SCORES, IoUMetric
from mmseg.evaluation.report import table_text
from mmseg.evaluation.writers import ImageWriter, Outputs
from mmseg.models.segmentors.prediction import ClassWeights
from mmseg.registry import METRICS
from mmseg.utils import InputError, atomic_path, built_from_config, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.memory import freed_memory_kept

from .init_model import (
    average_views,
    check_trained_classes,
    class_weights_used,
    init_model,
    select_device,
)
from .test_data import test_loader

# The settings that testing uses: those of the model's config and those of the data set's.
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
    """Test a checkpoint on the config's ``test_dataloader``, as :func:`evaluate_on` does.

    Returns:
        The result of :func:`evaluate_on` for the data set.
    """
    sets = [own_set(cfg)]
    return evaluate_on(sets, cfg, checkpoint, outputs, role, aug_test, device, work_dir)[0]


def evaluate_on(
    sets: Sequence[EvaluationSet],
    cfg: Config,
    checkpoint: str | os.PathLike,
    outputs: Outputs,
    role: Role = "student",
    aug_test: bool = False,
    device: str = "auto",
    work_dir: str | os.PathLike | None = None,
    batch_size: int | None = None,
    performance: Performance | None = None,
    launcher: Launcher = "none",
    class_weights: ClassWeights = "auto",
) -> list[dict[str, Any]]:
    """Test a checkpoint on one or several data sets; training settings are not needed.

    Args:
        sets: data sets of :mod:`mmseg.datasets.evaluation_sets`. If there are several, the folders
            of ``outputs`` get a subfolder for each.
        cfg: config with ``model`` and optionally ``test_evaluator`` and ``tta_model``, which is not
            changed.
        checkpoint: checkpoint of a domain-adaptation method or of a segmentor.
        outputs: scores and files to make. Labels are read only for a metric.
        role: whether the student or the teacher predicts.
        aug_test: whether to average over scales and flips; ``aug_test = True`` in the config has
            the same effect.
        device: ``auto``, ``cpu`` or ``cuda``.
        work_dir: folder of the scores, ``<checkpoint>_<data set>_eval.json``; default: that of the
            checkpoint.
        batch_size: number of images of one size to predict at once, which does not change results;
            default: that of the data loader, or 1 for ``aug_test``, which keeps a dozen predictions
            of each image in memory.
        performance: options for speed and memory; default: eager and float32, however the model was
            trained.
        launcher: program that started this process and others that share the images, see
            :func:`~mmseg.engine.distributed.process_group`.
        class_weights: images to use test-time class weights for, see
            :func:`~mmseg.apis.init_model`. Averages over scales and flips use them only if "on".

    Returns:
        For each data set what was tested and, with a metric, the scores as written, and their
        ``file``. ``class_weight`` says whether test-time class weights were used; it is None if the
        model has none. An empty list on all ranks but 0.

    Raises:
        InputError: for mistakes in the input, before any image is predicted if possible.
    """
    init_default_scope("mmseg")
    checkpoint, target = Path(checkpoint), select_device(device)
    folder = Path(work_dir) if work_dir else checkpoint.parent
    aug_test = aug_test or bool(cfg.get("aug_test"))
    by_cityscapes = "cityscapes" in outputs.metrics
    with (
        process_group(launcher, target, (cfg.get("env_cfg") or {}).get("dist_cfg") or {}),
        TemporaryDirectory(prefix="label_ids_") if by_cityscapes else nullcontext() as scratch,
    ):
        with raise_on_all_ranks():
            check_config(cfg, MODEL_PARTS)
            tests = []
            for data in sets:  # of several, each has subfolders for its images
                own = outputs.below(data.name) if len(sets) > 1 else outputs
                tests.append(_Test(data, cfg, own, aug_test, batch_size, target, scratch))
            model = init_model(
                cfg,
                checkpoint,
                target,
                role,
                performance,
                fold_batch_norm=True,
                class_weights=class_weights,
            )
            if aug_test:
                model = average_views(model)
            for test in tests:
                test.check_classes(model, checkpoint)
            outputs.check_folders()
            if outputs.metrics:
                check_writable(folder, "--work-dir")
        with name_failing_rank(), freed_memory_kept(target.type == "cpu"):
            results = [test.run(model) for test in tests]
        if not is_main_process():
            return []
    variant = "_teacher" * (role == "teacher") + "_aug" * aug_test
    variant += "" if class_weights == "auto" else f"_class_weights_{class_weights}"
    about = {
        "checkpoint": str(checkpoint),
        "config": cfg.filename,
        "model": role,
        "aug_test": aug_test,
    }
    stored = [about | result for result in results]
    _store(stored, outputs, [f"{checkpoint.stem}_{t.data.tag}{variant}" for t in tests], folder)
    return stored


def _store(results: list[dict], outputs: Outputs, names: Sequence[str], folder: Path) -> None:
    """Write each result as ``<name>_eval.json``, add its ``file``, and write the table of all."""
    if outputs.metrics:
        for name, result in zip(names, results, strict=True):
            file = folder / f"{name}_eval.json"
            _write(file, json.dumps(result, indent=1) + "\n")
            result["file"] = str(file)
    if outputs.table:
        _write(outputs.table, table_text(results))


class _Test:
    """The test on one data set, prepared and ready to run.

    Args:
        data: the data set.
        cfg: config of the model, whose ``test_evaluator`` scores.
        outputs: scores and files to make.
        aug_test: see :func:`evaluate_on`.
        batch_size: see :func:`evaluate_on`.
        device: device that predicts.
        scratch: folder for predictions for Cityscapes' scripts; None: they are not used.
    """

    def __init__(
        self,
        data: EvaluationSet,
        cfg: Config,
        outputs: Outputs,
        aug_test: bool,
        batch_size: int | None,
        device: torch.device,
        scratch: str | None,
    ) -> None:
        check_config(data.cfg, DATA_PARTS)
        self.data = data
        labelled = bool(outputs.metrics)
        self.loader = test_loader(data.cfg, labelled, batch_size, device.type, aug_test)
        self.dataset: BaseDataset = self.loader.dataset
        self.metric = _metric(cfg, self.dataset, outputs) if labelled else None
        self.scratch = None if scratch is None else Path(scratch, data.name)
        if scratch is not None and get_world_size() > 1:
            raise InputError("--eval cityscapes scores in one process: leave out --launcher")
        self.label_ids = {} if scratch is None else label_id_files(self.dataset)
        self.writer = ImageWriter(outputs, self.dataset, _label_folder(data.cfg), self.scratch)

    def check_classes(self, model: BaseModel, checkpoint: Path) -> None:
        """Check that the model was trained for the classes of the data set."""
        name = f"{type(self.dataset).__name__} in {self.dataset.data_root}"
        classes = self.dataset.metainfo.get("classes")
        check_trained_classes(model.trained_classes, classes, checkpoint, name)

    def run(self, model: BaseModel) -> dict[str, Any]:
        """Predict, score and write the images of this process.

        Returns:
            What was tested and, with a metric, the scores of the images of all processes.
        """
        evaluator = None if self.metric is None else Evaluator(self.metric)
        predicted = predictions(model, self.loader, self.data.name, evaluator)
        has_work = self.writer.has_work
        deque(written(predicted, self.writer.write) if has_work else predicted, maxlen=0)
        about = {
            "name": self.data.name,
            "dataset": type(self.dataset).__name__,
            "data_root": self.dataset.data_root,
            "images": len(self.dataset),
            "class_weight": class_weights_used(model, self.dataset.get_data_info(0)),
        }
        if self.metric is None or evaluator is None:
            return about
        evaluator.evaluate(len(self.dataset))
        about |= self.metric.result
        if self.scratch is not None:
            about["cityscapes"] = cityscapes_scores(self.scratch, self.label_ids)
        return about


def _label_folder(cfg: Config) -> str | None:
    """Return the folder of the test data's label maps, if it has any."""
    dataset = cfg.test_dataloader.dataset
    folder = (dataset.get("data_prefix") or {}).get("seg_map_path")
    return None if folder is None else os.path.join(dataset.get("data_root") or "", folder)


def _metric(cfg: Config, dataset: Any, outputs: Outputs) -> IoUMetric:
    evaluator = cfg.get("test_evaluator") or {"type": "IoUMetric"}
    more = [name for name in outputs.metrics if name in OTHER_SCORES]
    if more and isinstance(evaluator, dict):
        evaluator = {**evaluator, "iou_metrics": [*evaluator.get("iou_metrics", ["mIoU"]), *more]}
    if outputs.classes and isinstance(evaluator, dict):
        evaluator = {**evaluator, "classes": outputs.classes}
    with built_from_config("test_evaluator"):
        metric = METRICS.build(evaluator) if isinstance(evaluator, dict) else None
    if not isinstance(metric, IoUMetric):
        raise InputError("--eval mIoU: the config's test_evaluator must be an IoUMetric")
    metric.dataset_meta = dataset.metainfo
    metric.classes()  # raises an error now, not after the first image
    return metric


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
