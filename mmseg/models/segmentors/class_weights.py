"""Test-time class weights of an image."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

ClassWeights = Literal["auto", "on", "off"]


def are_used(choice: ClassWeights, meta: Mapping[str, Any]) -> bool:
    """Decide whether class weights are for an image.

    Args:
        choice: "on" and "off": for all images or none; "auto": where the data set says so.
        meta: the image's metainfo, in which the data set says so by ``use_class_weight``.
    """
    return meta.get("use_class_weight", False) if choice == "auto" else choice == "on"


def weighted_probabilities(logits: Tensor, weight: Sequence[float]) -> Tensor:
    """Multiply the softmax of logits (C, H, W) by a factor for each class.

    Returns:
        (C, H, W) float32, which does not sum to 1.
    """
    probability = logits.float().softmax(0)  # half precision would round the weights
    factors = torch.tensor(weight, dtype=probability.dtype).view(-1, 1, 1)
    return probability * factors.to(probability.device, non_blocking=True)
