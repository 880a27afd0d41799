"""Sample projection features from labelled images of a domain."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg.datasets.evaluation_sets import is_labelled
from mmseg.models.segmentors import EncoderDecoderProjector
from mmseg.models.uda import UDADecorator
from mmseg.models.utils.label_downscale import downscale_label
from mmseg.registry import DATASETS
from mmseg.utils import InputError, built_from_config
from mmseg.utils.jobs import with_progress

from .features import sample_per_class

# Share of a feature's cell that its class must fill, as for the contrast in training.
MIN_RATIO = 0.75
# Largest number of pixels of a class from one image, so that no image dominates.
PIXELS_PER_IMAGE = 100
# Largest stride of backbones: if it divides the sides of an image, cells of maps tile the image.
MULTIPLE = 32


@dataclass(frozen=True)
class DomainFeatures:
    """Features of pixels of one domain.

    Attributes:
        features: (N, A) float32 of unit norm, on the CPU.
        label: (N,) long, the ground truth.
        num_images: number of images that they come from.
    """

    features: Tensor
    label: Tensor
    num_images: int


def source_and_target(cfg: Config) -> dict[str, Any]:
    """Build the labelled data sets of both domains: the source, and the validation data.

    Returns:
        "source" and "target" -> a data set whose samples are resized as in the config, but neither
        cropped nor flipped, with labels at the size of the network's input.

    Raises:
        InputError: if the config lacks one of them, or its files do not exist.
    """
    train = (cfg.get("train_dataloader") or {}).get("dataset") or {}
    loader = cfg.get("val_dataloader") or cfg.get("test_dataloader") or {}
    found = {
        "source": (train.get("source"), "train_dataloader.dataset.source"),
        "target": (loader.get("dataset"), "val_dataloader.dataset"),
    }
    return {name: _whole_and_labelled(*dataset) for name, dataset in found.items()}


def _whole_and_labelled(cfg: dict[str, Any] | None, name: str) -> Any:
    if not cfg or not is_labelled(cfg):
        raise InputError(
            f"the config has no {name} with labels: features are shown by class, so give the "
            "config of a run that adapts one labelled data set to another"
        )
    cfg = copy.deepcopy(cfg)
    resize = [t for t in cfg.get("pipeline", []) if t["type"] == "Resize"]
    cfg["pipeline"] = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        *resize,
        {"type": "PackSegInputs"},
    ]
    with built_from_config(name):
        return DATASETS.build(cfg)


def projector_of(model: nn.Module) -> EncoderDecoderProjector:
    """Return the segmentor with which a model of :func:`~mmseg.apis.init_model` predicts.

    Raises:
        InputError: if it has no projection head.
    """
    segmentor = model
    if isinstance(model, UDADecorator):
        segmentor = model.segmentor_for(model.eval_model)
    if isinstance(segmentor, EncoderDecoderProjector) and segmentor.auxiliary_head is None:
        raise InputError("the checkpoint has no projection head (no weights of auxiliary_head)")
    if not isinstance(segmentor, EncoderDecoderProjector):
        raise InputError(
            f"{type(segmentor).__name__} has no projection head: give a model with an "
            "EncoderDecoderProjector"
        )
    return segmentor


@torch.no_grad()
def sample_features(
    model: nn.Module,
    dataset: Any,
    num_images: int,
    generator: torch.Generator,
    description: str = "features",
    most: int = PIXELS_PER_IMAGE,
) -> DomainFeatures:
    """Draw images, and in each of them pixels of every class.

    Args:
        model: model of :func:`~mmseg.apis.init_model`.
        dataset: data set of :func:`source_and_target`.
        num_images: number of images; all if there are fewer.
        generator: generator on the CPU.
        description: label of the progress bar.
        most: largest number of pixels of a class in an image.

    Raises:
        InputError: if the model has no projection head, or no pixel has a class.
    """
    segmentor = projector_of(model)
    order = torch.randperm(len(dataset), generator=generator)[:num_images]
    features, labels = [], []
    for index in with_progress(order.tolist(), description):
        feature, label = _features_and_label(model, segmentor, dataset[index])
        chosen = sample_per_class(label, most, generator)
        features.append(feature[chosen.to(feature.device)].cpu())
        labels.append(label.cpu()[chosen])
    result = DomainFeatures(torch.cat(features), torch.cat(labels), len(order))
    if not len(result.label):
        raise InputError(f"the images of the {description} have no pixels with a class")
    return result


def _features_and_label(
    model: Any, segmentor: EncoderDecoderProjector, sample: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Compute features (h * w, A), of the last of several levels, and labels (h * w,)."""
    height, width = (side // MULTIPLE * MULTIPLE for side in sample["inputs"].shape[1:])
    label = sample["data_samples"].gt_sem_seg.data[:, :height, :width]
    if not label.numel():
        raise InputError(
            f"{sample['data_samples'].img_path} is less than {MULTIPLE} pixels high or wide"
        )
    batch = model.data_preprocessor({"inputs": [sample["inputs"][:, :height, :width]]})
    feature = segmentor.project(segmentor.extract_feat(batch["inputs"]))
    if not isinstance(feature, Tensor):
        feature = feature[-1]
    small = downscale_label(label, feature.shape[2:], MIN_RATIO, segmentor.num_classes)
    return feature[0].flatten(1).T, small.flatten()
