"""Metric for mean intersection over union of a data set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from mmengine.evaluator import BaseMetric
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from mmseg.datasets.class_names import CLASS_SUBSETS
from mmseg.registry import METRICS
from mmseg.utils import InputError
from mmseg.utils.setting_types import LabelValue

from .functional import (
    ClassScores,
    confusion_matrix,
    confusion_of,
    dice_and_fscore,
    iou_and_accuracy,
    pair_counts,
)
from .report import result_dict, summary_of

# Metric -> names of its scores per class, see :func:`dice_and_fscore`.
OTHER_SCORES = {"mDice": ("Dice",), "mFscore": ("Fscore", "Precision", "Recall")}
IOU_METRICS = ("mIoU", *OTHER_SCORES, *CLASS_SUBSETS)


# Confusion matrix (C, C) and condition of a sample. A plain tuple: mmengine turns named ones into
# these when it collects the results.
Sample = tuple[Tensor, str | None]


def _is_slow_to_fetch(pred: Tensor) -> bool:
    """Tell whether copying from the device of a prediction would synchronise."""
    return pred.device.type != "cpu"


def _sum(matrices: Sequence[Tensor]) -> Tensor:
    return sum(matrices[1:], start=matrices[0])


@contextmanager
def _naming(image: str) -> Iterator[None]:
    """Add the name of the image to errors."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{image}: {error}") from error


@METRICS.register_module()
class IoUMetric(BaseMetric):
    """IoU and accuracy per class and their means over a data set, in percent.

    A class that is neither in the ground truth nor predicted is left out of the means; one that is
    predicted but not in the ground truth has IoU 0 (``mIoU_gt`` leaves it out, too). After
    ``evaluate``, ``result`` also holds the scores of each class and, if samples have a
    ``condition``, of each condition (on rank 0, see :func:`~mmseg.evaluation.result_dict`), and the
    ``confusion`` matrix: C rows, one for each class of the ground truth, with the number of pixels
    that are predicted as each class.

    Args:
        ignore_index: label value of ignored pixels.
        iou_metrics: ``mIoU`` (with aAcc and mAcc), which is always computed; ``mDice``; ``mFscore``
            (with mPrecision and mRecall); and means of IoU over some classes: ``mIoU16`` and
            ``mIoU13``, as is usual for models trained on SYNTHIA.
        classes: names of classes whose mean IoU is computed as ``mIoU_chosen``.
        nan_to_num: replaces undefined scores, in the means too; in percent.
        collect_device: how to collect the results of all ranks: "gpu": by communication, on CPUs
            too; "cpu": by files in the current folder.
        prefix: prefix of the names of the metrics.
    """

    default_prefix = ""  # not None, which would make mmengine warn of a missing prefix

    def __init__(
        self,
        ignore_index: LabelValue = 255,
        iou_metrics: Annotated[
            Sequence[Literal["mIoU", "mDice", "mFscore", "mIoU16", "mIoU13"]], Field(min_length=1)
        ] = ("mIoU",),
        classes: Annotated[Sequence[str], Field(min_length=1)] | None = None,
        nan_to_num: NonNegativeFloat | None = None,
        collect_device: Literal["cpu", "gpu"] = "gpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = sorted(set(iou_metrics) - set(IOU_METRICS))
        if unknown or not iou_metrics:
            raise ValueError(f"iou_metrics: {unknown} unknown; choose from {list(IOU_METRICS)}")
        self.ignore_index = ignore_index
        self.subsets: dict[str, Sequence[str]] = {
            name: CLASS_SUBSETS[name] for name in iou_metrics if name in CLASS_SUBSETS
        }
        if classes is not None:
            self.subsets["mIoU_chosen"] = tuple(classes)
        self.other_scores = [n for metric in iou_metrics for n in OTHER_SCORES.get(metric, ())]
        self.nan_to_num = nan_to_num
        self.result: dict[str, Any] = {}
        # Index in ``results`` -> image, for counts on the GPU that are not checked yet.
        self._unchecked: dict[int, str] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add the confusion matrix of every sample, (C, C) int64.

        On a GPU it stays there until :meth:`evaluate`, to avoid synchronisation.

        Raises:
            InputError: if a sample has no ground truth, or one that does not fit the prediction.
        """
        for sample in data_samples:
            pred = sample["pred_sem_seg"]["data"].squeeze(0)
            self.results.append((self._confusion(pred, sample), sample.get("condition")))

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
        arguments = (pred, label, len(self.classes()), self.ignore_index)
        if _is_slow_to_fetch(pred) and self.results:  # the first tells whether the labels fit
            self._unchecked[len(self.results)] = image
            return pair_counts(*arguments)
        with _naming(image):
            return confusion_matrix(*arguments).cpu()

    def evaluate(self, size: int) -> dict[str, float]:
        """Score all samples that all ranks have processed since the last call.

        Args:
            size: number of samples of the data set; ranks may have processed repeated ones too.
        """
        for place, image in self._unchecked.items():
            counts, condition = self.results[place]
            with _naming(image):
                self.results[place] = (confusion_of(counts.cpu()), condition)
        self._unchecked.clear()
        return super().evaluate(size)

    def classes(self) -> Sequence[str]:
        """Return the names of the data set's classes.

        Raises:
            InputError: if the data set names no classes, or lacks some of a mean over classes.
        """
        classes = (self.dataset_meta or {}).get("classes")
        if not classes:
            raise InputError("the data set names no classes: set metainfo=dict(classes=...)")
        for name, subset in self.subsets.items():
            lost = [each for each in subset if each not in classes]
            if lost and name == "mIoU_chosen":
                known = ", ".join(map(repr, classes))
                raise InputError(f"the data set has no class {lost[0]!r}: choose from {known}")
            if lost:
                raise InputError(
                    f"{name} is the mean over {len(subset)} classes, of which the data set does "
                    f"not have {lost[0]!r}: leave {name} out of the metric's iou_metrics"
                )
        return classes

    def compute_metrics(self, results: list[Sample]) -> dict[str, float]:
        """Compute means in percent over all ``results``.

        Returns:
            aAcc, mIoU, mAcc, other scores of ``iou_metrics``, and ``<condition>/mIoU``.
        """
        if not results:
            raise InputError("there is nothing to evaluate: the data set gave no sample")
        classes = self.classes()
        confusion = _sum([matrix for matrix, _ in results])
        scores = self._scores(confusion)
        self.result = result_dict(scores, classes, self.subsets)
        self.result["confusion"] = confusion.tolist()
        conditions = sorted({condition for _, condition in results if condition is not None})
        by_condition = {
            name: self._scores(_sum([matrix for matrix, condition in results if condition == name]))
            for name in conditions
        }
        if by_condition:
            self.result["per_condition"] = {
                condition: result_dict(each, classes, self.subsets)
                for condition, each in by_condition.items()
            }
        metrics = summary_of(scores, classes, self.subsets)
        return metrics | {f"{name}/mIoU": 100 * s.mean_iou for name, s in by_condition.items()}

    def _scores(self, confusion: Tensor) -> ClassScores:
        scores, others = iou_and_accuracy(confusion), dice_and_fscore(confusion)
        scores = scores._replace(others={name: others[name] for name in self.other_scores})
        if self.nan_to_num is None:
            return scores
        share = self.nan_to_num / 100
        return scores._replace(
            iou=scores.iou.nan_to_num(share),
            acc=scores.acc.nan_to_num(share),
            others={name: values.nan_to_num(share) for name, values in scores.others.items()},
        )
