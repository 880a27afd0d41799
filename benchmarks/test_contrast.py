"""Time the contrastive losses, forward and backward."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.models.losses.contrastive_loss import ContrastiveLoss, bank_contrast
from mmseg.models.utils import ProtoEstimator

A, C, L = 512, 19, 200
TEMPERATURE, IGNORE = 100.0, 255
MIN_RATIO = 8


def bank_loop(features: Tensor, labels: Tensor, bank: Tensor) -> Tensor:
    """Compute BankCL by its definition: the pixels of each class against the bank of each class."""
    total = features.new_zeros(())
    for i in range(C):
        pixels = features[labels == i]
        positive = torch.exp(pixels @ bank[i].t() / TEMPERATURE)
        negative = features.new_zeros(len(pixels), 1)
        for j in range(C):
            if j != i:
                similarity = pixels @ bank[j].t() / TEMPERATURE
                negative = negative + torch.exp(similarity.mean(1, keepdim=True))
        total = total - torch.log(positive / (positive + negative)).mean(1).sum()
    return total / len(features)


def step(features: Tensor, loss: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the loss and its gradient with respect to the features."""
    features.grad = None
    value = loss()
    value.backward()
    return value.detach(), features.grad


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


def test_bank_against_the_double_loop(measure):
    features, labels = unit(12800, A).requires_grad_(), torch.randint(0, C, (12800,))
    bank, length = unit(C, L, A), torch.full((C,), L)

    def ours() -> Tensor:
        return bank_contrast(features, labels, bank, length, TEMPERATURE, IGNORE).mean()

    def loop() -> Tensor:
        return bank_loop(features, labels, bank)

    (loss, gradient), (expected, expected_gradient) = step(features, ours), step(features, loop)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    scale = expected_gradient.abs().max().item()
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5 * scale)
    row = measure(
        f"BankCL, N = 12800, {C} x {L} vectors, A = {A}",
        lambda: step(features, ours),
        than=("loop over pairs of classes", lambda: step(features, loop)),
        rounds=5,
    )
    assert row.ratio > MIN_RATIO


@pytest.mark.parametrize("variant", ["dist", "proto", "bank"])
def test_variants_with_regulariser(measure, variant):
    """Use two crops at a quarter of 640 x 640, with labels downscaled from full size."""
    prototypes = ProtoEstimator(C, A, memory_length=L)
    for _ in range(2):
        prototypes.update(unit(2000, A), torch.randint(0, C, (2000,)))
    features = F.normalize(torch.randn(2, A, 160, 160), dim=1).requires_grad_()
    label = torch.randint(0, C, (2, 160, 160))
    label = label.repeat_interleave(4, 1).repeat_interleave(4, 2)
    contrast = ContrastiveLoss(variant)
    measure(
        f"{variant.capitalize()}CL with regulariser, N = 51200, A = {A}",
        lambda: step(features, lambda: contrast([features], label, [prototypes])),
        rounds=5,
    )
