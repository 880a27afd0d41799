"""Time the operations on labels in each iteration."""

import torch
from torch import Tensor

from mmseg.models.utils import downscale_label
from mmseg.models.utils.dacs_transforms import class_mask, draw_mix_classes, mix
from mmseg.models.utils.ours_transforms import ClassBalancedCrop

C = 19


def blocks(batch: int, height: int, width: int) -> Tensor:
    """Make labels (batch, height, width) with blocks of 40 x 40 pixels of one class."""
    label = torch.randint(0, C, (batch, height // 40, width // 40))
    return label.repeat_interleave(40, 1).repeat_interleave(40, 2)


def unique_choice(label: Tensor, candidates: Tensor) -> Tensor:
    """Choose class-balanced crops by ``torch.unique`` of each candidate's pixels."""
    chosen = []
    for image_label, boxes in zip(label, candidates, strict=True):
        best, best_score = boxes[0], 0.0
        for box in boxes:
            y1, y2, x1, x2 = box.tolist()
            count = torch.unique(image_label[y1:y2, x1:x2], return_counts=True)[1].float()
            balanced = len(count) > 1 and count.max() < 0.75 * count.sum()
            score = count.log().sum().item() if balanced else 0.0
            if score > best_score:
                best, best_score = box, score
        chosen.append(best)
    return torch.stack(chosen)


def test_class_balanced_crop(measure):
    label = blocks(2, 640, 1280)
    crop = ClassBalancedCrop((640, 640), C)
    candidates = crop.draw(2, (640, 1280))
    assert torch.equal(crop.choose(label, candidates), unique_choice(label, candidates))
    measure(
        "choice of crops, 2 x 10 candidates of 640 x 640",
        lambda: crop.choose(label, candidates),
        than=("torch.unique of each", lambda: unique_choice(label, candidates)),
        rounds=5,
    )


def test_label_downscaling(measure):
    label = blocks(2, 640, 640)
    measure(
        "labels 2 x 640 x 640 to 160 x 160", lambda: downscale_label(label, (160, 160), 0.75, C)
    )


def test_class_mixing(measure):
    label, pseudo = blocks(2, 640, 640), blocks(2, 640, 640)
    source, target, weight = torch.randn(2, 3, 640, 640), torch.randn(2, 3, 640, 640), label.float()

    def mix_all() -> tuple[Tensor, ...]:
        mask = class_mask(label, draw_mix_classes(label))
        return mix(mask, source, target), mix(mask, label, pseudo), weight.masked_fill(mask, 1)

    measure("class mixing of 2 x 640 x 640", mix_all)
