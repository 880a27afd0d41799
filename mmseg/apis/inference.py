"""Predict images with a model of :func:`init_model` and the test pipeline of its config."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor, nn

from mmseg.datasets.image_files import read_image
from mmseg.models.segmentors import segmentors_of
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError

Image = str | os.PathLike | NDArray[np.uint8]
# Transforms of a test pipeline that are replaced or left out here.
LOADING = ("LoadImageFromFile", "LoadAnnotations")
# Part of torch's message when there is no memory left on a CPU.
NO_MEMORY = "can't allocate memory"
# Networks, which divide sides by 32, may fail on images with a shorter side.
SMALL = 64


class UnfitImage(InputError):
    """An image that cannot be predicted; the message does not name it."""


@dataclass
class PreparedImage:
    """An image that is ready for the network.

    Attributes:
        image: (h, w, 3) uint8, BGR, at its original size.
        inputs: (3, H, W) uint8, BGR, resized by the pipeline.
        sample: its metainfo, to which the prediction is added.
    """

    image: NDArray[np.uint8]
    inputs: Tensor
    sample: SegDataSample

    def free(self) -> None:
        """Release the memory: iterators keep their last item until they need the next."""
        self.image = np.empty((0, 0, 3), np.uint8)
        self.inputs = torch.empty(0)
        self.sample = SegDataSample()


def inference_model(
    model: BaseModel,
    images: Image | Sequence[Image],
    confidence: bool = False,
    batch_size: int = 1,
) -> SegDataSample | list[SegDataSample]:
    """Segment images of any size, resized as the test pipeline of the model's config says.

    Example:
        >>> model = init_model("config.json", "checkpoint.pth")
        >>> sample = inference_model(model, "street.jpg", confidence=True)
        >>> classes = sample.pred_sem_seg.data[0].cpu().numpy()  # (h, w)

    Args:
        model: a model of :func:`init_model`.
        images: one image or several, each a path or an array (h, w, 3) uint8 in the channel order
            of OpenCV and mmcv: **BGR** (of an RGB array pass ``array[..., ::-1]``).
        confidence: whether to add ``seg_confidence`` to predictions.
        batch_size: number of images of one size to predict at once. More need more memory; results
            are the same.

    Returns:
        One sample, or a list for several images: ``pred_sem_seg`` (1, h, w) at the original size of
        the image and, if chosen, ``seg_confidence`` (1, h, w) float32 in [0, 1], on the device of
        the model. ``model.dataset_meta`` holds the classes and their colours.

    Raises:
        InputError: if an image cannot be read, or the config has no test pipeline.
    """
    one = isinstance(images, str | os.PathLike | np.ndarray)
    chosen: Any = [images] if one else images
    prepared = map(ImagePreparation(model.cfg), chosen)
    with keeping_confidence(model, confidence):
        samples = [
            each.sample
            for batch in batches_of_one_size(prepared, batch_size)
            for each in predict_batch(model, batch)
        ]
    return samples[0] if one else samples


class ImagePreparation:
    """The test pipeline of a config, for images on disk or in memory.

    Args:
        cfg: config whose ``test_dataloader.dataset.pipeline`` is used, except for loading.

    Raises:
        InputError: if the config has no such pipeline.
    """

    def __init__(self, cfg: Config) -> None:
        pipeline = ((cfg.get("test_dataloader") or {}).get("dataset") or {}).get("pipeline")
        if not pipeline:
            raise InputError(
                "the config has no test_dataloader.dataset.pipeline, which says how images are "
                "resized for the network"
            )
        kept = (transform for transform in pipeline if transform["type"] not in LOADING)
        self.transforms = [TRANSFORMS.build(transform) for transform in kept]

    def __call__(self, image: Image) -> PreparedImage:
        """Read and transform an image.

        Raises:
            InputError: if it cannot be read, is not a (h, w, 3) uint8 array or cannot be resized.
        """
        results: dict[str, Any]
        if isinstance(image, np.ndarray):
            if image.shape[2:] != (3,) or image.dtype != np.uint8 or not image.size:
                raise InputError(
                    f"an image must be an array (h, w, 3) of uint8 in BGR order, got {image.dtype} "
                    f"{image.shape}"
                )
            results = {"img": image}
        else:
            results = {"img": read_image(os.fspath(image)), "img_path": os.fspath(image)}
        own = results["img"]
        results["img_shape"] = results["ori_shape"] = own.shape[:2]
        try:
            for transform in self.transforms:
                results = transform(results)
        except cv2.error as error:  # too narrow: a side would be resized to 0
            size = f"{own.shape[1]}x{own.shape[0]}"
            raise UnfitImage(f"{size} pixels cannot be resized for the network") from error
        return PreparedImage(own, results["inputs"], results["data_samples"])


def batches_of_one_size(
    prepared: Iterable[PreparedImage], batch_size: int
) -> Iterator[list[PreparedImage]]:
    """Group successive images of one size into batches, so that no image has to be padded.

    Args:
        prepared: images, consumed as they are needed.
        batch_size: largest number of images in a batch.
    """
    if batch_size < 1:
        raise InputError(f"the batch size must be at least 1, not {batch_size}")
    batch: list[PreparedImage] = []
    for each in prepared:
        if batch and each.inputs.shape != batch[0].inputs.shape:
            yield batch
            batch = []
        batch.append(each)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def predict_batch(model: BaseModel, batch: list[PreparedImage]) -> list[PreparedImage]:
    """Add the predictions to the ``sample`` of each image.

    Args:
        model: a model in evaluation mode.
        batch: images of one size.

    Raises:
        UnfitImage: if the images are too small for the network, or too large for the memory.
    """
    data = {
        "inputs": [each.inputs for each in batch],
        "data_samples": [each.sample for each in batch],
    }
    height, width = batch[0].inputs.shape[1:]
    try:
        with torch.no_grad():
            samples = model.test_step(data)
    except torch.OutOfMemoryError as error:
        raise UnfitImage(
            f"the GPU has too little memory for {len(batch)} images of {width}x{height} at once: "
            "use a smaller --batch-size, smaller images or --device cpu"
        ) from error
    except RuntimeError as error:
        if NO_MEMORY in str(error):
            raise UnfitImage(
                f"there is too little memory for {width}x{height} pixels: use a smaller image or "
                "--mode slide"
            ) from error
        if min(height, width) >= SMALL:
            raise
        # A kernel is larger than its input.
        raise UnfitImage(f"{width}x{height} pixels are too few for the network") from error
    for each, sample in zip(batch, samples, strict=True):
        each.sample = sample
    return batch


@contextmanager
def keeping_confidence(model: nn.Module, keep: bool) -> Iterator[None]:
    """Choose within the context whether predictions have ``seg_confidence``."""
    segmentors = segmentors_of(model)
    before = [segmentor.keep_confidence for segmentor in segmentors]
    try:
        for segmentor in segmentors:
            segmentor.keep_confidence = keep
        yield
    finally:
        for segmentor, value in zip(segmentors, before, strict=True):
            segmentor.keep_confidence = value
