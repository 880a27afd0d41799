"""Test the contrastive losses against recorded numbers and the plain definition."""

import pytest
import torch

from mmseg.models.losses.contrastive_loss import ContrastiveLoss, bank_contrast, class_blocks
from mmseg.models.utils import ProtoEstimator
from tests.golden import load_golden

GOLDEN = load_golden("contrastive_losses.npz")
CASES = [
    (statistics, variant, regularized, temperature)
    for statistics in ("unit", "large")
    for variant in ("dist", "bank", "proto")
    for regularized in (0, 1)
    for temperature in (100, 1)
]


def golden_prototypes(statistics: str) -> ProtoEstimator:
    length = torch.tensor(GOLDEN[f"{statistics}_bank_len"])
    prototypes = ProtoEstimator(19, 64, memory_length=int(length.max()))
    prototypes.class_mean.copy_(torch.tensor(GOLDEN[f"{statistics}_mean"]))
    prototypes.class_variance.copy_(torch.tensor(GOLDEN[f"{statistics}_covariance"]))
    banks = torch.tensor(GOLDEN[f"{statistics}_bank"]).split(length.tolist())
    for slot, vectors in zip(prototypes.bank, banks, strict=True):
        slot[: len(vectors)] = vectors
    prototypes.bank_count.copy_(length)
    return prototypes


@pytest.mark.parametrize(("statistics", "variant", "regularized", "temperature"), CASES)
def test_loss_and_gradient_equal_the_release(statistics, variant, regularized, temperature):
    name = f"{statistics}_{variant}_reg{regularized}_temp{temperature}"
    features = torch.tensor(GOLDEN["features"], requires_grad=True)
    labels = torch.tensor(GOLDEN["labels"])[:, 0]
    loss_module = ContrastiveLoss(variant, temperature, regularizer_weight=0.7 * regularized)
    loss = loss_module([features], labels, [golden_prototypes(statistics)])
    loss.backward()
    assert loss.item() == pytest.approx(float(GOLDEN[f"{name}_loss"]), rel=1e-5)
    if f"{name}_grad" in GOLDEN:
        expected = torch.tensor(GOLDEN[f"{name}_grad"])
        scale = expected.abs().max().item()
        torch.testing.assert_close(features.grad, expected, rtol=1e-4, atol=1e-5 * scale)


def test_all_recorded_gradients_are_compared():
    names = {f"{s}_{v}_reg{r}_temp{t}_grad" for s, v, r, t in CASES}
    assert {key for key in GOLDEN if key.endswith("_grad")} <= names


@pytest.mark.parametrize("variant", ["dist", "bank", "proto"])
def test_no_valid_pixel_gives_zero_that_backpropagates(variant):
    features = torch.tensor(GOLDEN["features"], requires_grad=True)
    labels = torch.full_like(torch.tensor(GOLDEN["labels"])[:, 0], 255)
    loss = ContrastiveLoss(variant)([features], labels, [golden_prototypes("unit")])
    loss.backward()
    assert loss.item() == 0
    assert features.grad.abs().max() == 0


def test_levels_are_summed_with_their_weights():
    features = torch.tensor(GOLDEN["features"])
    labels = torch.tensor(GOLDEN["labels"])[:, 0]
    unit, large = golden_prototypes("unit"), golden_prototypes("large")
    parts = [
        ContrastiveLoss(temperature=1.0)([features], labels, [p]).item() for p in (unit, large)
    ]
    both = ContrastiveLoss(temperature=1.0, loss_weight=[0.5, 2.0])
    total = both([features, features], labels, [unit, large]).item()
    assert total == pytest.approx(0.5 * parts[0] + 2.0 * parts[1], rel=1e-6)
    with pytest.raises(ValueError, match="2 feature levels"):
        both([features, features], labels, [unit])


@pytest.mark.parametrize("num_pixels", [1, 37, 400, 3000])
def test_blocks_hold_every_pixel_once_and_one_class_each(num_pixels):
    generator = torch.Generator().manual_seed(num_pixels)
    labels = torch.randint(0, 5, (num_pixels,), generator=generator) // 2
    row, class_of_block, block = class_blocks(labels, 6)
    assert len(row.unique()) == num_pixels
    assert row.min() >= 0 and row.max() < len(class_of_block) * block
    assert torch.equal(class_of_block[row // block], labels)


@pytest.mark.parametrize("num_pixels", [1, 37, 400])
def test_bank_contrast_equals_the_plain_definition(num_pixels):
    generator = torch.Generator().manual_seed(num_pixels)
    features = torch.randn(num_pixels, 8, generator=generator).double()
    labels = torch.randint(0, 5, (num_pixels,), generator=generator) // 2
    bank = torch.randn(5, 7, 8, generator=generator).double()
    length = torch.tensor([1, 7, 3, 6, 2])
    bank *= (torch.arange(7) < length[:, None])[:, :, None]
    expected = []
    for q, y in zip(features, labels.tolist(), strict=True):
        similarity = [bank[c, : length[c]] @ q / 0.5 for c in range(5)]
        negative = sum(similarity[c].mean().exp() for c in range(5) if c != y)
        own = similarity[y].exp()
        expected.append(-(own / (own + negative)).log().mean())
    loss = bank_contrast(features, labels, bank, length, 0.5, 255)
    torch.testing.assert_close(loss, torch.stack(expected), rtol=1e-7, atol=1e-8)


def test_the_loss_stays_in_float32_under_autocast():
    features = torch.tensor(GOLDEN["features"])
    labels = torch.tensor(GOLDEN["labels"])[:, 0]
    loss_module, prototypes = ContrastiveLoss(temperature=1.0), [golden_prototypes("unit")]
    expected = loss_module([features], labels, prototypes)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_module([features], labels, prototypes)
    assert loss.dtype == torch.float32
    assert loss == expected
