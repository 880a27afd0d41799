"""Mean intersection over union of a data set, and the predictions as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmseg.registry import METRICS
from mmseg.utils import InputError

from ..functional import ClassScores, confusion_matrix, iou_and_accuracy, mean_of_known
from ..prediction_writer import PredictionWriter
from ..report import per_class_scores

IOU_METRICS = ("mIoU",)


@METRICS.register_module()
class IoUMetric(BaseMetric):
    """IoU and accuracy per class and their means over a data set, in percent.

    A class that is neither in the ground truth nor predicted is left out of the means; one that is
    predicted but absent from the ground truth has IoU 0. After ``evaluate`` the per-class numbers
    are in ``per_class`` (on the main process).

    Args:
        ignore_index: the label value of pixels that do not count.
        iou_metrics: what to compute; ``mIoU`` (with aAcc and mAcc) is what there is.
        nan_to_num: stands in for the scores of the classes left out, also in the means; in percent.
        output_dir: if given, each prediction is written there as an 8-bit PNG of class indices.
        format_only: only write; no ground truth is needed.
        collect_device: where the ranks' results meet.
        prefix: goes before the names of the metrics.
    """

    default_prefix = ""  # not None, which would make mmengine warn of a missing prefix

    def __init__(
        self,
        ignore_index: int = 255,
        iou_metrics: Sequence[Literal["mIoU"]] = ("mIoU",),
        nan_to_num: float | None = None,
        output_dir: str | None = None,
        format_only: bool = False,
        collect_device: Literal["cpu", "gpu"] = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = sorted(set(iou_metrics) - set(IOU_METRICS))
        if unknown or not iou_metrics:
            raise ValueError(f"iou_metrics: {unknown} unknown; choose from {list(IOU_METRICS)}")
        if format_only and not output_dir:
            raise ValueError("format_only=True writes predictions: it needs output_dir")
        self.ignore_index = ignore_index
        self.nan_to_num = nan_to_num
        self.format_only = format_only
        self.writer = PredictionWriter(Path(output_dir)) if output_dir else None
        self.per_class: list[dict[str, str | float]] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add the confusion matrix of every sample, (C, C) int64 on the CPU.

        Raises:
            InputError: a sample has no ground truth, or one that does not fit the prediction.
        """
        for sample in data_samples:
            pred = sample["pred_sem_seg"]["data"].squeeze(0)
            if self.writer is not None:
                self.writer.write(pred, sample["img_path"])
            if self.format_only:
                self.results.append(None)  # counts the sample
            else:
                self.results.append(self._confusion(pred, sample))

    def _confusion(self, pred: Tensor, sample: dict) -> Tensor:
        image = sample.get("img_path", "an image")
        if "gt_sem_seg" not in sample:
            raise InputError(
                f"no label for {image}: this data set has no labels, so it cannot be evaluated; "
                "use --format-only or --out to write the predictions instead"
            )
        label = sample["gt_sem_seg"]["data"].squeeze(0)
        if label.shape != pred.shape:
            raise InputError(
                f"{image}: the prediction is {tuple(pred.shape)}, the label {tuple(label.shape)}; "
                "LoadAnnotations must come after Resize in the test pipeline"
            )
        try:
            matrix = confusion_matrix(pred, label, len(self._classes()), self.ignore_index)
        except ValueError as error:
            raise InputError(f"{image}: {error}") from error
        return matrix.cpu()

    def _classes(self) -> Sequence[str]:
        if not (self.dataset_meta or {}).get("classes"):
            raise InputError("the data set names no classes: set metainfo=dict(classes=...)")
        return self.dataset_meta["classes"]

    def compute_metrics(self, results: list[Tensor | None]) -> dict[str, float]:
        """aAcc, mIoU and mAcc in percent over all ``results`` (nothing when only writing)."""
        if self.format_only:
            return {}
        if not results:
            raise InputError("there is nothing to evaluate: the data set gave no sample")
        scores = self._fill(iou_and_accuracy(torch.stack(results).sum(0)))
        self.per_class = per_class_scores(scores, self._classes())
        return {
            "aAcc": 100 * scores.all_acc,
            "mIoU": 100 * scores.mean_iou,
            "mAcc": 100 * scores.mean_acc,
        }

    def _fill(self, scores: ClassScores) -> ClassScores:
        if self.nan_to_num is None:
            return scores
        iou = scores.iou.nan_to_num(self.nan_to_num / 100)
        acc = scores.acc.nan_to_num(self.nan_to_num / 100)
        return scores._replace(
            iou=iou, acc=acc, mean_iou=mean_of_known(iou), mean_acc=mean_of_known(acc)
        )
