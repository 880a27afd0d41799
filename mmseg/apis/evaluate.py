"""Run a checkpoint over data sets and score it."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from mmseg.datasets.evaluation_sets import EvaluationSet, own_set
from mmseg.engine.distributed import Launcher, failing_alone, process_group, raised_together
from mmseg.engine.performance import Performance
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder, segmentors_of
from mmseg.registry import METRICS, MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, atomic_path, built_from_config, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.config_check import check_config
from mmseg.utils.memory import freed_memory_kept
from mmseg.utils.threads import map_ahead

from .init_model import init_model, select_device
from .outputs import ImageWriter, Outputs
from .predicting import predictions, test_loader
from .result_text import table_text
from .test_time_augmentation import with_tta

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
    batch_size: int | None = None,
    performance: Performance | None = None,
    launcher: Launcher = "none",
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

    Returns:
        For each data set the scores as written, and under ``file`` where; empty without a metric.
        None in all processes but the main one.

    Raises:
        InputError: for what the user can put right, before any image is predicted if possible.
    """
    init_default_scope("mmseg")
    checkpoint, target = Path(checkpoint), select_device(device)
    folder = Path(work_dir) if work_dir else checkpoint.parent
    aug_test = aug_test or bool(cfg.get("aug_test"))
    if aug_test and batch_size is None:
        batch_size = 1
    with process_group(launcher, target, (cfg.get("env_cfg") or {}).get("dist_cfg") or {}):
        with raised_together():
            check_config(cfg, MODEL_PARTS)
            tests = [
                _Test.of(data, cfg, _outputs_of(data, sets, outputs), aug_test, batch_size, target)
                for data in sets
            ]
            model = init_model(cfg, checkpoint, target, role, performance, fold_batch_norm=True)
            outputs.check_folders()
            if outputs.metric:
                check_writable(folder, "--work-dir")
        with failing_alone(), freed_memory_kept(target.type == "cpu"):
            results = _test(tests, model, averaging(model, cfg) if aug_test else model)
        if not is_main_process():
            return None
    about = {
        "checkpoint": str(checkpoint),
        "config": cfg.filename,
        "model": role,
        "aug_test": aug_test,
    }
    stored = _stored(tests, results, about, folder)
    if outputs.table:
        with atomic_path(outputs.table) as temporary:
            temporary.write_text(table_text(stored), encoding="utf-8")
    return stored


def _stored(
    tests: Sequence["_Test"],
    results: Sequence[dict[str, Any]],
    about: dict[str, Any],
    folder: Path,
) -> list[dict[str, Any]]:
    """Write the scores of each data set that has any, and say where."""
    name = Path(about["checkpoint"]).stem
    variant = ("_teacher" if about["model"] == "teacher" else "") + "_aug" * about["aug_test"]
    return [
        _saved(about | result, folder / f"{name}_{test.data.tag}{variant}_eval.json")
        for test, result in zip(tests, results, strict=True)
        if result
    ]


@dataclass(frozen=True)
class _Test:
    """A data set that is ready to be tested on."""

    data: EvaluationSet
    loader: DataLoader
    metric: IoUMetric | None
    writer: ImageWriter

    @classmethod
    def of(
        cls,
        data: EvaluationSet,
        cfg: Config,
        outputs: Outputs,
        aug_test: bool,
        batch_size: int | None,
        device: torch.device,
    ) -> "_Test":
        """Build the data set, its metric and its writer."""
        check_config(data.cfg, DATA_PARTS)
        data_cfg = with_tta(data.cfg) if aug_test else data.cfg
        loader = test_loader(data_cfg, outputs.metric is not None, batch_size, device.type)
        metric = _metric(cfg, loader.dataset) if outputs.metric else None
        return cls(data, loader, metric, ImageWriter(outputs, loader.dataset))

    def run(self, model: nn.Module) -> dict[str, Any]:
        """Predict this process's images; score and write them while the next are predicted.

        Returns:
            The scores of all processes' images, and of what; empty without a metric.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            done = map_ahead(self.writer.write, self._scored(model), pool, ahead=2 * WORKERS)
            for _ in done:
                pass
        if self.metric is None:
            return {}
        dataset = self.loader.dataset
        self.metric.evaluate(len(dataset))
        about = {
            "name": self.data.name,
            "dataset": type(dataset).__name__,
            "data_root": dataset.data_root,
            "images": len(dataset),
        }
        return about | self.metric.result

    def _scored(self, model: nn.Module) -> Iterator[SegDataSample]:
        for sample in predictions(model, self.loader, self.data.name):
            if self.metric is not None:
                self.metric.process(None, [sample.to_dict()])
            yield sample


def _outputs_of(data: EvaluationSet, sets: Sequence[EvaluationSet], outputs: Outputs) -> Outputs:
    return outputs.below(data.name) if len(sets) > 1 else outputs


def _test(tests: Sequence[_Test], model: nn.Module, predictor: nn.Module) -> list[dict[str, Any]]:
    """The results of :meth:`_Test.run`, with class weights of ``model`` where they belong."""
    test_cfgs = {segmentor: segmentor.test_cfg for segmentor in segmentors_of(model)}
    results = []
    for test in tests:
        weighted = _use_class_weight(test_cfgs, test.data.class_weight)
        scores = test.run(predictor)
        results.append({"class_weight": weighted} | scores if scores else {})
    return results


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
