"""Test labels at feature resolution."""

import pytest
import torch

from mmseg.models.utils import downscale_label
from tests.golden import load_golden


@pytest.mark.parametrize("case", range(4))
def test_labels_equal_the_release(case):
    golden = load_golden("label_downscale.npz")
    label = torch.tensor(golden[f"labels_{case}"]).long()[:, 0]
    expected = torch.tensor(golden[f"out_{case}"]).long()[:, 0]
    out = downscale_label(label, expected.shape[-2:], float(golden[f"ratio_{case}"]), 19)
    assert torch.equal(out, expected)


def test_labels_worked_out_by_hand():
    label = torch.tensor([[0, 0, 1, 255], [0, 1, 255, 255]])[None]
    assert downscale_label(label, (1, 2), 0.75, 2).tolist() == [[[0, 255]]]
    assert downscale_label(label, (1, 2), 0.8, 2).tolist() == [[[255, 255]]]


def test_features_that_do_not_tile_the_label_are_refused():
    with pytest.raises(ValueError, match="8x8 label does not scale down to"):
        downscale_label(torch.zeros(1, 8, 8).long(), (3, 4), 0.75, 2)
    with pytest.raises(ValueError, match="does not scale"):
        downscale_label(torch.zeros(1, 8, 8).long(), (16, 16), 0.75, 2)
