"""One pass of a network over images: predict, score, hand on. Validation and tests are this."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from torch import nn
from torch.utils.data import DataLoader

from mmseg.structures import SegDataSample
from mmseg.utils.jobs import map_ahead, with_progress

Batch = dict[str, Any]
Written = TypeVar("Written")
# Threads that write next to the network; PNGs are slow to make.
WORKERS = 4


@torch.no_grad()
def predicted_batches(
    model: nn.Module,
    batches: Iterable[Batch],
    evaluator: Evaluator | None = None,
    teacher_evaluator: Evaluator | None = None,
) -> Iterator[tuple[Batch, list[SegDataSample]]]:
    """Predict and score batches. Each is loaded and moved to the device once, whoever predicts.

    Args:
        model: in evaluation mode: a segmentor, a method, or an average over views.
        batches: from a data loader.
        evaluator: scores the predictions; None: nobody does, and no labels are needed.
        teacher_evaluator: scores what the teacher of a method predicts; None: it does not predict.

    Yields:
        The batch and its samples with ``pred_sem_seg`` (1, H, W) at the image's own size, and what
        else the model is told to keep.
    """
    for batch in batches:
        if teacher_evaluator is None:
            samples = model.test_step(batch)
        else:
            data = model.data_preprocessor(batch, False)
            teacher = model.segmentor_for("teacher")
            teacher_evaluator.process(teacher(**data, mode="predict"), batch)
            samples = model(**data, mode="predict")  # replaces the predictions in the samples
        if evaluator is not None:
            evaluator.process(samples, batch)
        yield batch, samples


def predictions(
    model: nn.Module,
    loader: DataLoader,
    description: str = "predicting",
    evaluator: Evaluator | None = None,
) -> Iterator[SegDataSample]:
    """Predict what ``loader`` gives, one sample after the other, with a progress bar on stderr.

    Args:
        model: in evaluation mode, as :func:`~mmseg.apis.init_model` gives it.
        loader: as :func:`~mmseg.apis.test_loader` gives it.
        description: stands before the bar.
        evaluator: scores the predictions of each batch before they are yielded.

    Yields:
        Samples with ``pred_sem_seg`` (1, H, W) at the image's own size, and what else the model is
        told to keep.
    """
    # Of several processes, one draws: they are equally far.
    batches = with_progress(loader, description) if is_main_process() else loader
    for _, samples in predicted_batches(model, batches, evaluator):
        yield from samples


def written(
    samples: Iterable[SegDataSample], write: Callable[[SegDataSample], Written]
) -> Iterator[Written]:
    """Call ``write`` for each sample in threads, while the next ones are predicted.

    Yields:
        What it returns, in the order of the samples.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from map_ahead(write, samples, pool, ahead=2 * WORKERS)
