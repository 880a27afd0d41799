"""Class-balanced cropping (CBC): choose where to learn by what the pseudo-label shows.

Shapes: B images, K candidate boxes, C classes; a box is (y1, y2, x1, x2), end exclusive.
"""

import torch
from torch import Tensor

from mmseg.utils import InputError

from .precision import without_autocast


def box_class_counts(label: Tensor, boxes: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class in each box, without a pass over the label for every box.

    With the one-hot label as a matrix per class, a box is a product with an indicator of its rows
    and one of its columns.

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
    with without_autocast(label):  # half precision cannot count
        return ((rows @ one_hot) * columns).sum(-1).t()


def class_balance_score(counts: Tensor, cat_max_ratio: float) -> Tensor:
    """Sum of log counts; 0 for a box of one class, or with one that fills ``cat_max_ratio`` of it.

    Args:
        counts: (..., C) pixels of each class.

    Returns:
        (...) float32.
    """
    diverse = (counts > 0).sum(-1) > 1
    balanced = counts.amax(-1) < cat_max_ratio * counts.sum(-1)
    return counts.clamp(min=1).log().sum(-1) * (diverse & balanced)


def crop_boxes(images: Tensor, boxes: Tensor, crop_size: tuple[int, int]) -> Tensor:
    """Cut one box out of each image of (B, ..., H, W) without the boxes leaving the device.

    Args:
        images: (B, ..., H, W).
        boxes: (B, 4), all of ``crop_size``.

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
    """The class-balanced crop of the paper: the best of several random boxes on the pseudo-label.

    Args:
        crop_size: (h, w).
        num_classes: C.
        cat_max_ratio: a box with a class of at least this share of its valid pixels scores 0.
        num_candidates: K, boxes drawn for each image from torch's CPU generator.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        num_classes: int,
        cat_max_ratio: float = 0.75,
        num_candidates: int = 10,
    ) -> None:
        self.crop_size = tuple(crop_size)
        self.num_classes = num_classes
        self.cat_max_ratio = cat_max_ratio
        self.num_candidates = num_candidates

    def draw(self, batch: int, image_size: tuple[int, int]) -> Tensor:
        """(B, K, 4) random boxes on the CPU, uniform over all positions.

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
        """For each (H, W) label of (B, H, W) the first of its (B, K, 4) boxes that scores highest.

        Returns:
            (B, 4) boxes.
        """
        chosen = []
        for image_label, boxes in zip(label, candidates, strict=True):
            counts = box_class_counts(image_label, boxes, self.num_classes)
            score = class_balance_score(counts, self.cat_max_ratio)
            # argmax may return any of several maxima; the first one is wanted.
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
