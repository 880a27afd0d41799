"""The ImageNet feature distance against numbers recorded from DAFormer's release."""

import pytest
import torch

from mmseg.models.uda.feature_distance import FeatureDistance, feature_distance
from tests.golden import load_golden

GOLDEN = load_golden("baselines/feature_distance.npz")
WEIGHT = 0.005


def case(i: int) -> dict[str, torch.Tensor]:
    return {
        key.rsplit("_", 1)[0]: torch.tensor(value)
        for key, value in GOLDEN.items()
        if key.endswith(f"_{i}")
    }


@pytest.mark.parametrize("i", range(5))
def test_mask_value_and_gradient_equal_the_release(i):
    recorded = case(i)
    term = FeatureDistance(min_ratio=float(recorded["ratio"]))
    mask = term.mask(recorded["label"][:, 0], recorded["student"].shape[-2:], 19)
    assert torch.equal(mask, recorded["mask"][:, 0])
    student = recorded["student"].requires_grad_()
    loss = WEIGHT * feature_distance(student, recorded["imnet"], mask)
    loss.backward()
    if mask.any():
        torch.testing.assert_close(loss.detach(), recorded["loss"], rtol=1e-5, atol=0)
    else:
        assert loss == 0
    torch.testing.assert_close(student.grad, recorded["grad"], rtol=1e-5, atol=1e-9)


def test_without_classes_all_positions_count():
    recorded = case(4)
    mask = FeatureDistance(classes=None).mask(recorded["label"][:, 0], (4, 4), 19)
    distance = feature_distance(recorded["student"], recorded["imnet"], mask)
    expected = GOLDEN["distance_4_all_positions"].item()
    assert distance.item() == pytest.approx(expected, rel=1e-5)
