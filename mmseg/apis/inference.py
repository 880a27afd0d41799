"""Images in, predictions out: with a model of :func:`init_model` and its config's pipeline."""

import copy
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from torch import Tensor, nn

from mmseg.datasets.image_files import read_image
from mmseg.models.segmentors import segmentors_of
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError

Image = str | os.PathLike | NDArray[np.uint8]
Mode = Literal["config", "whole", "slide"]
# Of a test pipeline, what is done otherwise here, or not at all.
LOADING = ("LoadImageFromFile", "LoadAnnotations")
# Of the window, where the config names no stride: neighbours overlap by a third.
STRIDE_RATIO = 2 / 3
# What torch says where a CPU has no more.
NO_MEMORY = "can't allocate memory"
# Networks may fail on images with a side of fewer pixels; they divide them by 32.
SMALL = 64


class UnfitImage(InputError):
    """An image that cannot be predicted; the message does not name it."""


@dataclass
class PreparedImage:
    """One image on its way into the network.

    Attributes:
        image: (h, w, 3) uint8, BGR, at its own size.
        inputs: (3, H, W) uint8, BGR, as the pipeline has resized it.
        sample: its metainfo; the prediction is added to it.
    """

    image: NDArray[np.uint8] | None
    inputs: Tensor | None
    sample: SegDataSample | None

    def free(self) -> None:
        """Give back the memory: iterators hold on to their last item until they need the next."""
        self.image = self.inputs = self.sample = None


def inference_model(
    model: nn.Module,
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
        model: of :func:`init_model`.
        images: one image or several, each a path or an array (h, w, 3) uint8 in the channel order
            of OpenCV and mmcv: **BGR** (of an RGB array pass ``array[..., ::-1]``).
        confidence: whether predictions carry ``seg_confidence`` too.
        batch_size: of how many images the network sees at once, if they have one size. It needs
            more memory and changes no result.

    Returns:
        One sample, or a list for a list or tuple of images: ``pred_sem_seg`` (1, h, w) at the
        image's own size and, if asked for, ``seg_confidence`` (1, h, w) float32 in [0, 1], on the
        device of the model. ``model.dataset_meta`` names the classes and their colours.

    Raises:
        InputError: an image cannot be read, or the config has no test pipeline.
    """
    several = isinstance(images, list | tuple)
    prepare = ImagePreparation(model.cfg)
    prepared = map(prepare, images if several else [images])
    with keeping_confidence(model, confidence):
        samples = [
            each.sample
            for batch in batches_of_one_size(prepared, batch_size)
            for each in predict_batch(model, batch)
        ]
    return samples if several else samples[0]


class ImagePreparation:
    """The test pipeline of a config for any image, on the disk or in memory.

    Args:
        cfg: what its ``test_dataloader.dataset.pipeline`` does, but for loading, is done here.

    Raises:
        InputError: it has none.
    """

    def __init__(self, cfg: Config) -> None:
        pipeline = _test_dataset(cfg).get("pipeline")
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
            InputError: it cannot be read, is no (h, w, 3) uint8 array or cannot be resized.
        """
        if isinstance(image, np.ndarray):
            results = {"img": _checked(image)}
        else:
            results = {"img": read_image(os.fspath(image)), "img_path": os.fspath(image)}
        own = results["img"]
        results["img_shape"] = results["ori_shape"] = own.shape[:2]
        try:
            for transform in self.transforms:
                results = transform(results)
        except cv2.error as error:  # so narrow that nothing would be left of it
            size = f"{own.shape[1]}x{own.shape[0]}"
            raise UnfitImage(f"{size} pixels cannot be resized for the network") from error
        return PreparedImage(own, results["inputs"], results["data_samples"])


def batches_of_one_size(
    prepared: Iterable[PreparedImage], batch_size: int
) -> Iterator[list[PreparedImage]]:
    """Group successive images of one size, so that no image is padded to the size of others.

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


def predict_batch(model: nn.Module, batch: list[PreparedImage]) -> list[PreparedImage]:
    """Add the predictions to the ``sample`` of each image.

    Args:
        model: in evaluation mode.
        batch: images of one size.

    Raises:
        UnfitImage: the images are too small for the network, or too large for the memory.
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
        # A kernel is larger than what it should go over.
        raise UnfitImage(f"{width}x{height} pixels are too few for the network") from error
    for each, sample in zip(batch, samples, strict=True):
        each.sample = sample
    return batch


@contextmanager
def keeping_confidence(model: nn.Module, keep: bool) -> Iterator[None]:
    """Let the predictions carry ``seg_confidence``, or not, while the block runs."""
    segmentors = segmentors_of(model)
    before = [segmentor.keep_confidence for segmentor in segmentors]
    try:
        for segmentor in segmentors:
            segmentor.keep_confidence = keep
        yield
    finally:
        for segmentor, value in zip(segmentors, before, strict=True):
            segmentor.keep_confidence = value


def with_mode(
    cfg: Config,
    mode: Mode,
    crop_size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
) -> Config:
    """Copy a config and change how it predicts.

    Args:
        cfg: holds ``model`` and a ``test_dataloader``; it is not changed.
        mode: "config": as it says; "whole": resized as it says, in one piece; "slide": not
            resized, in overlapping windows whose predictions are averaged.
        crop_size: (height, width) of the windows; by default the size of the images that the
            model was trained on, as far as ``data_preprocessor.size`` says it.
        stride: (vertical, horizontal) distance of the windows; by default 2/3 of their size.

    Raises:
        InputError: no such mode, or windows that are unknown or leave gaps.
    """
    if mode not in get_args(Mode):
        raise InputError(f"mode {mode!r} unknown; choose from {', '.join(get_args(Mode))}")
    if mode != "slide" and (crop_size or stride):
        raise InputError(f"--crop-size and --stride belong to --mode slide, not to {mode}")
    if mode == "config":
        return cfg
    if not isinstance(cfg.get("model"), dict):
        raise InputError("the config has no model")
    cfg = copy.deepcopy(cfg)
    segmentor = cfg.model.get("segmentor", cfg.model)
    test_cfg = dict(segmentor.get("test_cfg") or {})
    for name in ("mode", "crop_size", "stride"):
        test_cfg.pop(name, None)
    if mode == "slide":
        test_cfg |= _windows(cfg, crop_size, stride)
        dataset = _test_dataset(cfg)
        dataset["pipeline"] = [t for t in dataset.get("pipeline", []) if t["type"] != "Resize"]
    segmentor["test_cfg"] = {"mode": mode, **test_cfg}
    return cfg


def _windows(
    cfg: Config, crop_size: Sequence[int] | None, stride: Sequence[int] | None
) -> dict[str, tuple[int, int]]:
    if not crop_size:
        crop_size = (cfg.model.get("data_preprocessor") or {}).get("size")
    if not crop_size:
        raise InputError(
            "--mode slide: the config names no data_preprocessor.size to take windows of: "
            "give --crop-size H W"
        )
    stride = stride or [max(1, round(STRIDE_RATIO * side)) for side in crop_size]
    if not all(0 < step <= side for step, side in zip(stride, crop_size, strict=True)):
        raise InputError(
            f"--stride {stride[0]} {stride[1]} must be positive and not exceed --crop-size "
            f"{crop_size[0]} {crop_size[1]}, or there would be gaps between the windows"
        )
    return {"crop_size": tuple(crop_size), "stride": tuple(stride)}


def _test_dataset(cfg: Config) -> dict[str, Any]:
    return (cfg.get("test_dataloader") or {}).get("dataset") or {}


def _checked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(
            f"an image must be an array (h, w, 3) of uint8 in BGR order, got {image.dtype} "
            f"{image.shape}"
        )
    return image
