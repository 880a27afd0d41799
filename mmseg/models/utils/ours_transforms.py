"""Class-balanced cropping (CBC): choose a crop by the classes in the pseudo-label.

Shapes: B images, K candidate boxes, C classes; a box is (y1, y2, x1, x2), end exclusive.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg.utils import InputError

from .precision import without_autocast


def box_class_counts(label: Tensor, boxes: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of each class in each box, without a pass over the label per box.

    With the one-hot label as a matrix per class, the count in a box is its product with indicators
    of the rows and the columns of the box.

    Args:
        label: (H, W) integers; values outside [0, C), such as the ignore index, are not counted.
        boxes: (K, 4).

    Returns:
        (K, C) float32, exact up to 2^24 pixels.
    """
    height, width = label.shape
    y = torch.arange(height, device=label.device)
    x = torch.arange(width, device=label.device)
    rows = ((y >= boxes[:, :1]) & (y < boxes[:, 1:2])).float()
    columns = ((x >= boxes[:, 2:3]) & (x < boxes[:, 3:])).float()
    classes = torch.arange(num_classes, device=label.device)
    one_hot = (label == classes[:, None, None]).float()
    with without_autocast(label):  # half precision cannot represent the counts
        return ((rows @ one_hot) * columns).sum(-1).t()


def class_balance_score(counts: Tensor, cat_max_ratio: float) -> Tensor:
    """Score a box by the sum of log counts; 0 if one class fills ``cat_max_ratio`` of it or all.

    Args:
        counts: (..., C) pixels of each class.
        cat_max_ratio: share of the counted pixels.

    Returns:
        (...) float32.
    """
    diverse = (counts > 0).sum(-1) > 1
    balanced = counts.amax(-1) < cat_max_ratio * counts.sum(-1)
    return counts.clamp(min=1).log().sum(-1) * (diverse & balanced)


def crop_boxes(images: Tensor, boxes: Tensor, crop_size: tuple[int, int]) -> Tensor:
    """Crop each image of (B, ..., H, W) to a box, without copying the boxes to the host.

    Args:
        images: (B, ..., H, W).
        boxes: (B, 4), all of ``crop_size``.
        crop_size: (h, w).

    Returns:
        (B, ..., h, w), a copy.
    """
    h, w = crop_size
    y = boxes[:, 0, None] + torch.arange(h, device=boxes.device)
    x = boxes[:, 2, None] + torch.arange(w, device=boxes.device)
    crops = [
        image.index_select(-2, rows).index_select(-1, columns)
        for image, rows, columns in zip(images, y, x, strict=True)
    ]
    return torch.stack(crops)


class ClassBalancedCrop:
    """Class-balanced crop of the paper: the best of several random boxes on the pseudo-label.

    Args:
        crop_size: (h, w).
        num_classes: number of classes C.
        cat_max_ratio: a box in which a class has at least this share of the valid pixels scores 0.
        num_candidates: number K of boxes drawn for each image from torch's CPU generator.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        num_classes: int,
        cat_max_ratio: float = 0.75,
        num_candidates: int = 10,
    ) -> None:
        self.crop_size = (crop_size[0], crop_size[1])
        self.num_classes = num_classes
        self.cat_max_ratio = cat_max_ratio
        self.num_candidates = num_candidates

    def draw(self, batch: int, image_size: Sequence[int]) -> Tensor:
        """Draw random boxes (B, K, 4) on the CPU, uniformly over all positions.

        Raises:
            InputError: if the crop does not fit into the image.
        """
        room = [size - crop for size, crop in zip(image_size, self.crop_size, strict=True)]
        if min(room) < 0:
            raise InputError(
                f"crop size {self.crop_size} (h, w) is larger than the target images "
                f"{tuple(image_size)}: choose a smaller crop or resize the images less"
            )
        shape = (batch, self.num_candidates)
        y, x = (torch.randint(0, free + 1, shape) for free in room)
        return torch.stack([y, y + self.crop_size[0], x, x + self.crop_size[1]], dim=-1)

    def choose(self, label: Tensor, candidates: Tensor) -> Tensor:
        """Choose for each label the first of its boxes with the highest score.

        Args:
            label: (B, H, W).
            candidates: boxes (B, K, 4).

        Returns:
            (B, 4) boxes.
        """
        chosen = []
        for image_label, boxes in zip(label, candidates, strict=True):
            counts = box_class_counts(image_label, boxes, self.num_classes)
            score = class_balance_score(counts, self.cat_max_ratio)
            # argmax may return any of several maxima; this takes the first one.
            first = (score == score.amax()).int().cumsum(0).eq(0).sum()
            chosen.append(boxes.index_select(0, first[None])[0])
        return torch.stack(chosen)

    def __call__(self, label: Tensor) -> Tensor:
        """Choose a box for each pseudo-label.

        Args:
            label: (B, H, W).

        Returns:
            (B, 4) boxes on the device of the label.
        """
        candidates = self.draw(len(label), label.shape[-2:])
        return self.choose(label, candidates.to(label.device, non_blocking=True))
