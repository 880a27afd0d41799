"""Run a checkpoint over data sets and score it."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from mmseg.config_check import check_config
from mmseg.datasets.evaluation_sets import EvaluationSet, own_set
from mmseg.engine.distributed import Launcher, failing_alone, process_group, raised_together
from mmseg.engine.performance import Performance
from mmseg.evaluation import IoUMetric
from mmseg.evaluation.cityscapes import cityscapes_scores, label_id_files
from mmseg.evaluation.metrics.iou_metric import OTHER_SCORES
from mmseg.models.segmentors.prediction import ClassWeights
from mmseg.registry import METRICS, MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, atomic_path, built_from_config, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.jobs import map_ahead
from mmseg.utils.memory import freed_memory_kept

from .class_weights import class_weights_used
from .init_model import init_model, select_device
from .outputs import ImageWriter, Metric, Outputs
from .predicting import predictions, test_loader
from .result_text import table_text
from .test_time_augmentation import with_tta
from .trained_classes import check_trained_classes

# The settings that testing reads: of the model's config and of the data set's.
MODEL_PARTS = ("model", "test_evaluator", "tta_model")
DATA_PARTS = ("test_dataloader", "tta_pipeline")
# Threads that write beside the network; PNGs are slow to make.
WORKERS = 4


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
        What :func:`evaluate_on` returns for the data set.
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
) -> list[dict[str, Any]] | None:
    """Test a checkpoint on one data set after the other; training settings are not needed.

    Args:
        sets: from :mod:`mmseg.datasets.evaluation_sets`. If there are several, the folders of
            ``outputs`` get a subfolder for each.
        cfg: holds ``model``; ``test_evaluator`` and ``tta_model`` are optional. It is not changed.
        checkpoint: of a domain-adaptation method or of a segmentor.
        outputs: what to make of the predictions. Labels are read only for a metric.
        role: whether the student or the teacher predicts.
        aug_test: average over scales and flips; a config that says ``aug_test = True`` is tested so
            in any case.
        device: ``auto``, ``cpu`` or ``cuda``.
        work_dir: where the scores go, as ``<checkpoint>_<data set>_eval.json``; beside the
            checkpoint by default.
        batch_size: how many images the network sees at once, as far as they have one size: it
            changes no result. By default that of the data loader; 1 for ``aug_test``, which keeps
            a dozen predictions of each image in memory.
        performance: speed and memory; float32 and eager by default, however the model was trained.
        launcher: who has started this process and others that share the images, see
            :func:`~mmseg.engine.distributed.process_group`.
        class_weights: which images test-time class weights are for, see
            :func:`~mmseg.apis.init_model`. Averages over scales and flips are made without them,
            unless they are "on".

    Returns:
        For each data set what was tested and, with a metric, the scores as written, and under
        ``file`` where. ``class_weight`` says whether test-time class weights were used; it is None
        for a model that has none. None in all processes but the main one.

    Raises:
        InputError: for what the user can put right, before any image is predicted if possible.
    """
    init_default_scope("mmseg")
    checkpoint, target = Path(checkpoint), select_device(device)
    folder = Path(work_dir) if work_dir else checkpoint.parent
    aug_test = aug_test or bool(cfg.get("aug_test"))
    if aug_test and batch_size is None:
        batch_size = 1
    by_cityscapes = "cityscapes" in outputs.metrics
    with (
        process_group(launcher, target, (cfg.get("env_cfg") or {}).get("dist_cfg") or {}),
        TemporaryDirectory(prefix="label_ids_") if by_cityscapes else nullcontext() as scratch,
    ):
        with raised_together():
            check_config(cfg, MODEL_PARTS)
            tests = [
                _Test.of(data, cfg, own_outputs, aug_test, batch_size, target, scratch)
                for data, own_outputs in _with_outputs(sets, outputs)
            ]
            model = init_model(
                cfg,
                checkpoint,
                target,
                role,
                performance,
                fold_batch_norm=True,
                class_weights=class_weights,
            )
            for test in tests:
                test.check_classes(model, checkpoint)
            outputs.check_folders()
            if outputs.metrics:
                check_writable(folder, "--work-dir")
        with failing_alone(), freed_memory_kept(target.type == "cpu"):
            predictor = averaging(model, cfg) if aug_test else model
            results = [test.run(predictor) for test in tests]
        if not is_main_process():
            return None
    about = {
        "checkpoint": str(checkpoint),
        "config": cfg.filename,
        "model": role,
        "aug_test": aug_test,
    }
    stored = _stored(tests, results, about, class_weights, folder)
    if outputs.table:
        with atomic_path(outputs.table) as temporary:
            temporary.write_text(table_text(stored), encoding="utf-8")
    return stored


def _stored(
    tests: Sequence["_Test"],
    results: Sequence[dict[str, Any]],
    about: dict[str, Any],
    class_weights: ClassWeights,
    folder: Path,
) -> list[dict[str, Any]]:
    """Write the scores of each data set that has any, and say where."""
    name = Path(about["checkpoint"]).stem
    variant = ("_teacher" if about["model"] == "teacher" else "") + "_aug" * about["aug_test"]
    variant += "" if class_weights == "auto" else f"_class_weights_{class_weights}"
    stored = []
    for test, result in zip(tests, results, strict=True):
        result = about | result
        if test.metric is not None:
            result = _saved(result, folder / f"{name}_{test.data.tag}{variant}_eval.json")
        stored.append(result)
    return stored


@dataclass(frozen=True)
class _Test:
    """A data set that is ready to be tested on."""

    data: EvaluationSet
    loader: DataLoader
    metric: IoUMetric | None
    writer: ImageWriter
    # Where predictions wait for Cityscapes' own evaluation, and its label map of each image.
    scratch: Path | None
    label_ids: dict[str, str]

    @classmethod
    def of(
        cls,
        data: EvaluationSet,
        cfg: Config,
        outputs: Outputs,
        aug_test: bool,
        batch_size: int | None,
        device: torch.device,
        scratch: str | None,
    ) -> "_Test":
        """Build the data set, its metric and its writer."""
        check_config(data.cfg, DATA_PARTS)
        data_cfg = with_tta(data.cfg) if aug_test else data.cfg
        loader = test_loader(data_cfg, bool(outputs.metrics), batch_size, device.type)
        dataset = loader.dataset
        metric = _metric(cfg, dataset, outputs.metrics) if outputs.metrics else None
        folder = None if scratch is None else Path(scratch, data.name)
        label_ids = {} if scratch is None else _label_ids(dataset)
        writer = ImageWriter(outputs, dataset, _label_folder(data.cfg), folder)
        return cls(data, loader, metric, writer, folder, label_ids)

    def check_classes(self, model: nn.Module, checkpoint: Path) -> None:
        """Check that the model was trained for the classes of the data set."""
        dataset = self.loader.dataset
        name = f"{type(dataset).__name__} in {dataset.data_root}"
        classes = dataset.metainfo.get("classes")
        check_trained_classes(model.trained_classes, classes, checkpoint, name)

    def run(self, model: nn.Module) -> dict[str, Any]:
        """Predict this process's images; score and write them while the next are predicted.

        Returns:
            What was tested and, with a metric, the scores of all processes' images.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            done = map_ahead(self.writer.write, self._scored(model), pool, ahead=2 * WORKERS)
            for _ in done:
                pass
        dataset = self.loader.dataset
        about = {
            "name": self.data.name,
            "dataset": type(dataset).__name__,
            "data_root": dataset.data_root,
            "images": len(dataset),
            "class_weight": class_weights_used(model, dataset.get_data_info(0)),
        }
        if self.metric is None:
            return about
        self.metric.evaluate(len(dataset))
        about |= self.metric.result
        if self.label_ids:
            about["cityscapes"] = cityscapes_scores(self.scratch, self.label_ids)
        return about

    def _scored(self, model: nn.Module) -> Iterator[SegDataSample]:
        for sample in predictions(model, self.loader, self.data.name):
            if self.metric is not None:
                self.metric.process(None, [sample.to_dict()])
            yield sample


def _with_outputs(
    sets: Sequence[EvaluationSet], outputs: Outputs
) -> list[tuple[EvaluationSet, Outputs]]:
    """Each data set and where its images go: of several, to a subfolder each."""
    return [(data, outputs.below(data.name) if len(sets) > 1 else outputs) for data in sets]


def _label_folder(cfg: Config) -> str | None:
    """Where the label maps of the test data are, if it has any."""
    dataset = cfg.test_dataloader.dataset
    folder = (dataset.get("data_prefix") or {}).get("seg_map_path")
    return None if folder is None else os.path.join(dataset.get("data_root") or "", folder)


def _label_ids(dataset: Any) -> dict[str, str]:
    if get_world_size() > 1:
        raise InputError("--eval cityscapes scores in one process: leave out --launcher")
    return label_id_files(dataset)


def _metric(cfg: Config, dataset: Any, metrics: Sequence[Metric]) -> IoUMetric:
    evaluator = cfg.get("test_evaluator") or {"type": "IoUMetric"}
    more = [name for name in metrics if name in OTHER_SCORES]
    if more and isinstance(evaluator, dict):
        evaluator = {**evaluator, "iou_metrics": [*evaluator.get("iou_metrics", ["mIoU"]), *more]}
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


def _saved(result: dict[str, Any], file: Path) -> dict[str, Any]:
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result | {"file": str(file)}
