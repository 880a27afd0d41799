"""Test cross-entropy and accuracy against values worked out by hand."""

import math

import torch

from mmseg.models.losses import CrossEntropyLoss, pixel_accuracy, pixel_cross_entropy
from mmseg.registry import MODELS

# One image of 1 x 4 pixels and two classes; the logit gap makes p(class 0) = 3/4 everywhere.
LOGITS = torch.tensor([math.log(3.0), 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4).contiguous()
LABEL = torch.tensor([[[0, 1, 255, 0]]], dtype=torch.uint8)
RIGHT, WRONG = -math.log(3 / 4), -math.log(1 / 4)


def assert_near(actual: torch.Tensor, expected: float) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected), atol=1e-6, rtol=1e-6)


def test_ignored_pixels_count_in_the_mean():
    assert_near(pixel_cross_entropy(LOGITS, LABEL), (RIGHT + WRONG + RIGHT) / 4)


def test_pixel_weights_do_not_change_the_denominator():
    weight = torch.tensor([[[0.5, 2.0, 7.0, 0.0]]])
    assert_near(pixel_cross_entropy(LOGITS, LABEL, weight), (0.5 * RIGHT + 2 * WRONG) / 4)


def test_class_weights_do_not_change_the_denominator():
    loss = MODELS.build({"type": "CrossEntropyLoss", "class_weight": [3.0, 0.5]})
    assert_near(loss(LOGITS, LABEL), (3 * RIGHT + 0.5 * WRONG + 3 * RIGHT) / 4)
    assert loss.state_dict() == {}


def test_loss_weight_and_other_ignore_index():
    label = torch.tensor([[[0, 9, 9, 9]]])
    assert_near(CrossEntropyLoss(loss_weight=2.0)(LOGITS, label, ignore_index=9), 2 * RIGHT / 4)


def test_all_pixels_ignored_is_zero_and_backpropagates():
    logits = LOGITS.clone().requires_grad_()
    loss = pixel_cross_entropy(logits, torch.full((1, 1, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_the_loss_is_float32_under_autocast():
    logits = LOGITS.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = pixel_cross_entropy(logits, LABEL)
    assert loss.dtype == torch.float32
    expected = torch.nn.functional.cross_entropy(logits.float()[..., :1], LABEL[..., :1].long())
    assert_near(pixel_cross_entropy(logits[..., :1], LABEL[..., :1]), expected.item())


def test_accuracy_counts_ignored_pixels():
    assert_near(pixel_accuracy(LOGITS, LABEL), 50.0)
