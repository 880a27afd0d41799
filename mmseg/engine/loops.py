"""Validation loop that scores the student and, next to it, the teacher."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmengine.runner import ValLoop as MMEngineValLoop
from mmengine.runner.amp import autocast
from torch import nn
from torch.utils.data import DataLoader

from mmseg.evaluation import IoUMetric, side_by_side
from mmseg.evaluation.engine import Batch, predicted_batches
from mmseg.models.uda import UDADecorator
from mmseg.registry import LOOPS
from mmseg.utils.work_dir import append_line

TEACHER: Final = "teacher"


@LOOPS.register_module()
class ValLoop(MMEngineValLoop):
    """Evaluate a method on its validation data, and log a table of the IoU of each class.

    Hooks and logs get the scores of the network that the method predicts with, the student, under
    their usual names, so that these decide on the best checkpoint. The teacher's are named
    ``teacher/mIoU`` and so on. Both networks predict the same loaded images.

    Args:
        runner: the runner of the training.
        dataloader: data loader of images with labels, or its config.
        evaluator: evaluator, or configs of its metrics.
        fp16: whether to predict under autocast in half precision.
        teacher: whether to evaluate the teacher too, if the method has one.

    Attributes:
        results: "student" and "teacher" -> last result of their ``IoUMetric``, on rank 0.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        fp16: bool = False,
        teacher: bool = True,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        both = teacher and _has_teacher_next_to_student(runner.model)
        self.teacher_evaluator = copy.deepcopy(self.evaluator) if both else None
        self.results: dict[str, dict[str, Any]] = {}

    def run(self) -> dict[str, float]:
        """Evaluate, and return the scores in percent, by their names in the log."""
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        with autocast(enabled=self.fp16):
            predicted = predicted_batches(
                self.runner.model, self._batches(), self.evaluator, self.teacher_evaluator
            )
            for index, (batch, samples) in enumerate(predicted):
                self.runner.call_hook(
                    "after_val_iter", batch_idx=index, data_batch=batch, outputs=samples
                )
        scores = self.evaluator.evaluate(len(self.dataloader.dataset))
        evaluators = {"student": self.evaluator}
        if self.teacher_evaluator is not None:
            evaluators[TEACHER] = self.teacher_evaluator
            found = self.teacher_evaluator.evaluate(len(self.dataloader.dataset))
            scores |= {f"{TEACHER}/{name}": value for name, value in found.items()}
        if is_main_process():
            self._log_table(evaluators)
        self.runner.call_hook("after_val_epoch", metrics=scores)
        self.runner.call_hook("after_val")
        return scores

    def _batches(self) -> Iterator[Batch]:
        for index, batch in enumerate(self.dataloader):
            self.runner.call_hook("before_val_iter", batch_idx=index, data_batch=batch)
            yield batch

    def _log_table(self, evaluators: Mapping[str, Evaluator]) -> None:
        """Log one table for all networks: the IoU of each class, and the means.

        The results, with their confusion matrices, are a line of ``vis_data/validation.json``.
        """
        self.results = {
            name: metric.result
            for name, evaluator in evaluators.items()
            for metric in evaluator.metrics[:1]
            if isinstance(metric, IoUMetric)
        }
        if self.results:
            self.runner.logger.info(f"IoU in percent\n{side_by_side(self.results)}")
            scores = {"step": self.runner.iter, "results": self.results}
            append_line(self.runner.log_dir, "validation", scores)


def _has_teacher_next_to_student(model: nn.Module) -> bool:
    if not isinstance(model, UDADecorator) or model.eval_model == TEACHER:
        return False
    try:
        model.segmentor_for(TEACHER)
    except ValueError:  # the method has no teacher
        return False
    return True
