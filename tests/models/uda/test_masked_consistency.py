"""MIC's masks against those recorded from its release."""

import numpy as np
import pytest
import torch

from mmseg.models.uda.masked_consistency import MaskedConsistency, mask_blocks
from tests.golden import load_golden

GOLDEN = load_golden("baselines/mic_masks.npz")


@pytest.mark.parametrize("case", range(6))
def test_masks_equal_the_release(case):
    shape = tuple(GOLDEN[f"mask_shape_{case}"])
    kept = np.unpackbits(GOLDEN[f"mask_{case}"], count=np.prod(shape)).reshape(shape)
    height, width, block_size, ratio = GOLDEN[f"size_block_ratio_{case}"].tolist()
    u = torch.from_numpy(GOLDEN[f"u_{case}"]).float()
    image = torch.ones(len(u), 3, int(height), int(width))
    assert np.array_equal(mask_blocks(image, u, ratio), np.repeat(kept, 3, axis=1))
    term = MaskedConsistency(block_size=int(block_size), mask_ratio=ratio)
    assert term.draw_blocks(image).shape == u.shape


@pytest.mark.parametrize("case", range(3))
def test_hidden_pixels_are_zero_and_others_unchanged(case):
    image, u = (torch.from_numpy(GOLDEN[f"{name}_{case}"]).float() for name in ("image", "u"))
    ratio = GOLDEN[f"size_block_ratio_{case}"][3].item()
    assert np.array_equal(mask_blocks(image, u, ratio), GOLDEN[f"masked_{case}"])
