"""Test the class-balanced crop."""

import pytest
import torch

from mmseg.models.utils.ours_transforms import (
    ClassBalancedCrop,
    box_class_counts,
    class_balance_score,
    crop_boxes,
)
from mmseg.utils import InputError
from tests.golden import load_golden


@pytest.mark.parametrize("case", range(6))
def test_scores_and_choice_equal_the_release(case):
    golden = load_golden("class_balanced_crop.npz")
    label = torch.tensor(golden[f"labels_{case}"]).long()
    boxes = torch.tensor(golden[f"boxes_{case}"])
    score = class_balance_score(box_class_counts(label, boxes, 19), 0.75)
    torch.testing.assert_close(
        score.double(), torch.tensor(golden[f"scores_{case}"]), rtol=1e-5, atol=1e-6
    )
    chosen = ClassBalancedCrop((64, 64), 19).choose(label[None], boxes[None])[0]
    assert chosen.tolist() == golden[f"chosen_{case}"].tolist()


def test_counts_are_exact_under_autocast():
    label = torch.zeros(1000, 700).long()
    boxes = torch.tensor([[0, 999, 0, 697]])
    with torch.autocast("cpu", torch.bfloat16):
        assert box_class_counts(label, boxes, 2).tolist() == [[999 * 697, 0]]


def test_the_first_of_equal_boxes_wins():
    label = torch.zeros(1, 8, 8).long()
    boxes = torch.tensor([[[0, 4, 0, 4], [2, 6, 2, 6]]])
    assert ClassBalancedCrop((4, 4), 3).choose(label, boxes).tolist() == [[0, 4, 0, 4]]


def test_boxes_cover_all_positions_and_fit():
    torch.manual_seed(0)
    boxes = ClassBalancedCrop((4, 6), 3, num_candidates=500).draw(2, (6, 7)).flatten(0, 1)
    assert {tuple(box) for box in boxes.tolist()} == {
        (y, y + 4, x, x + 6) for y in range(3) for x in range(2)
    }


def test_crop_boxes_cut_images_and_labels():
    images = torch.arange(2 * 3 * 5 * 6).view(2, 3, 5, 6)
    boxes = torch.tensor([[1, 3, 2, 6], [0, 2, 0, 4]])
    out = crop_boxes(images, boxes, (2, 4))
    assert torch.equal(out[0], images[0, :, 1:3, 2:6])
    assert torch.equal(out[1], images[1, :, 0:2, 0:4])
    assert torch.equal(crop_boxes(images[:, 0], boxes, (2, 4)), out[:, 0])


def test_a_crop_larger_than_the_image_is_an_input_error():
    with pytest.raises(InputError, match=r"crop size \(8, 8\).*\(4, 16\)"):
        ClassBalancedCrop((8, 8), 3)(torch.zeros(1, 4, 16).long())
