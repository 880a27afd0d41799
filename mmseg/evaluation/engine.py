"""The evaluation engine: one pass of a network over images that predicts and scores them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from mmseg.structures import SegDataSample
from mmseg.utils.jobs import map_ahead, with_progress

Batch = dict[str, Any]
Written = TypeVar("Written")
#: Number of threads that write while the network predicts; PNGs are slow to encode.
WORKERS = 4


@torch.no_grad()
def predicted_batches(
    model: BaseModel,
    batches: Iterable[Batch],
    evaluator: Evaluator | None = None,
    teacher_evaluator: Evaluator | None = None,
) -> Iterator[tuple[Batch, list[SegDataSample]]]:
    """Predict and score batches, each of which is loaded and moved to the device once.

    Args:
        model: a segmentor, a method, or an average over views, in evaluation mode.
        batches: batches of a data loader.
        evaluator: scores the predictions; None: no scores, and no labels are needed.
        teacher_evaluator: scores the predictions of a method's teacher; None: it does not predict.

    Yields:
        The batch and its samples with ``pred_sem_seg`` (1, H, W) at the original size of the image,
        and other results that the model keeps.
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
    model: BaseModel,
    loader: DataLoader,
    description: str = "predicting",
    evaluator: Evaluator | None = None,
) -> Iterator[SegDataSample]:
    """Predict the images of a loader with a progress bar on stderr, and yield their samples.

    Args:
        model: a model in evaluation mode, as of :func:`~mmseg.apis.init_model`.
        loader: a data loader, as of :func:`~mmseg.apis.test_loader`.
        description: label of the progress bar.
        evaluator: scores the predictions of each batch before they are yielded.

    Yields:
        Samples with ``pred_sem_seg`` (1, H, W) at the original size of the image, and other results
        that the model keeps.
    """
    # Only one of several processes draws a bar: all make equal progress.
    batches = with_progress(loader, description) if is_main_process() else loader
    for _, samples in predicted_batches(model, batches, evaluator):
        yield from samples


def written(
    samples: Iterable[SegDataSample], write: Callable[[SegDataSample], Written]
) -> Iterator[Written]:
    """Call ``write`` for each sample in threads, while the next ones are predicted.

    Yields:
        The results of ``write``, in the order of the samples.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from map_ahead(write, samples, pool, ahead=2 * WORKERS)
