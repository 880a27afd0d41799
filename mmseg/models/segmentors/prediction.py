"""Functions from logits to predicted classes: windows, strips, flips, class weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

ClassWeights = Literal["auto", "on", "off"]
#: Axes of (..., H, W) that each flip direction reverses.
FLIP_AXES = {"horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}


def window_starts(length: int, window: int, stride: int) -> Iterator[int]:
    """Yield the starts of windows that cover 0..length; the last one ends at the border."""
    last = max(length - window, 0)
    yield from range(0, last, stride)
    yield last


def slide(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    crop_size: tuple[int, int],
    stride: tuple[int, int],
) -> Iterator[tuple[int, Tensor]]:
    """Apply a function to overlapping crops, from top to bottom, and average the overlaps.

    Only the rows of the crops at one height are in memory.

    Args:
        function: (B, 3, h, w) -> (B, C, h, w).
        inputs: (B, 3, H, W).
        crop_size: (h, w); clipped to the size of the image.
        stride: (vertical, horizontal) distance of crops.

    Yields:
        The index of the first of R rows that no later crop covers, and their mean (B, C, R, W).
    """
    height, width = inputs.shape[2:]
    tops = list(window_starts(height, crop_size[0], stride[0]))
    total = count = inputs.new_empty(0)  # allocated when the number of classes is known
    for top, next_top in zip(tops, [*tops[1:], height], strict=True):
        band = inputs[:, :, top : top + crop_size[0]]
        for left in window_starts(width, crop_size[1], stride[1]):
            columns = slice(left, left + crop_size[1])
            logits = function(band[:, :, :, columns])
            if total.numel() == 0:
                total = logits.new_zeros((*logits.shape[:3], width))
                count = logits.new_zeros((1, 1, logits.shape[2], width))
            total[:, :, :, columns] += logits
            count[:, :, :, columns] += 1
        done = next_top - top
        yield top, total[:, :, :done] / count[:, :, :done]
        total, count = (_shift_up(each, done) for each in (total, count))


def _shift_up(maps: Tensor, rows: int) -> Tensor:
    return torch.cat([maps[:, :, rows:], torch.zeros_like(maps[:, :, :rows])], dim=2)


def row_strips(height: int, values_a_row: int, largest: int) -> Iterator[slice]:
    """Cut ``height`` rows into strips of at most ``largest`` values, or of one row."""
    step = max(1, largest // values_a_row)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def unflip(maps: Tensor, flip_direction: str | None) -> Tensor:
    """Undo the flip that a pipeline recorded as ``flip_direction``; None: no flip."""
    return maps if flip_direction is None else maps.flip(FLIP_AXES[flip_direction])


def restored_size(scores: Tensor, meta: Mapping[str, Any]) -> tuple[int, int]:
    """Return (height, width) of an image before it was padded and resized to scores (..., H, W)."""
    return tuple(meta.get("ori_shape", meta.get("img_shape", scores.shape[-2:]))[:2])


def class_dtype(num_classes: int) -> torch.dtype:
    """Return the dtype of predicted classes: uint8 if they fit."""
    return torch.uint8 if num_classes <= 256 else torch.int64


def groups_of_one_size(
    images: Tensor | Sequence[Tensor],
) -> Iterator[tuple[list[int], Tensor]]:
    """Group images into batches of one size, so that no image has to be padded.

    On a CPU each batch holds one image: the activations of several do not fit into its caches, and
    MiT-B5 with DAFormer's head takes a third longer per image for four of them.

    Args:
        images: images (3, H, W), or one batch (B, 3, H, W).

    Yields:
        The indices of some images, and the batch of them (b, 3, H, W).
    """
    if isinstance(images, Tensor) and images.device.type != "cpu":
        yield list(range(len(images))), images
        return
    places: dict[Any, list[int]] = {}
    for place, image in enumerate(images):
        key = place if image.device.type == "cpu" else image.shape
        places.setdefault(key, []).append(place)
    for group in places.values():
        yield group, torch.stack([images[place] for place in group])


def predicted_classes(
    scores: Tensor, restore: Callable[[Tensor], Tensor] = lambda maps: maps
) -> Tensor:
    """Restore the size of scores and take the arg-max over the classes.

    On a CPU the classes are restored one after the other: scores (C, H, W) would not fit into its
    caches, and allocating and reading them takes three times as long.

    Args:
        scores: (C, h, w).
        restore: a function (1, K, h, w) -> (1, K, H, W) that treats each channel separately.

    Returns:
        (1, H, W), uint8 where the classes fit.
    """
    dtype = class_dtype(len(scores))
    scores = scores.detach()[None].contiguous()
    if scores.device.type != "cpu":
        return restore(scores).argmax(dim=1).to(dtype)
    best = restore(scores[:, :1])
    classes = torch.zeros(best[:, 0].shape, dtype=dtype)
    for index in range(1, scores.shape[1]):
        score = restore(scores[:, index : index + 1])
        classes.masked_fill_((score > best)[:, 0], index)
        best = torch.maximum(best, score)
    return classes


def confidence(logits: Tensor) -> Tensor:
    """Compute the largest class probability: (C, H, W) -> (1, H, W) float32 in [0, 1]."""
    logits = logits.float()
    return (logits.amax(0, keepdim=True) - logits.logsumexp(0, keepdim=True)).exp()


def uses_class_weights(choice: ClassWeights, meta: Mapping[str, Any]) -> bool:
    """Decide whether class weights are used for an image.

    Args:
        choice: "on" or "off": for all images or none; "auto": as ``use_class_weight`` in the
            metainfo says.
        meta: the image's metainfo.
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
