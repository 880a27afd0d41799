"""Batches like those of a training data loader, drawn at random."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from torch import Tensor

from mmseg.structures import SegDataSample

# A label shows this many blocks of one class each in height and in width.
BLOCKS = 8


def synthetic_batch(
    num_classes: int,
    crop: int,
    batch: int,
    targets: Sequence[str] = ("target",),
    seed: int = 0,
    crops_target: bool = True,
) -> dict[str, dict[str, Any]]:
    """A batch of both domains, collated, on the CPU.

    Args:
        num_classes: every one of them is in each label, if there are not more than blocks.
        crop: side of the source images in pixels.
        batch: images of each domain.
        targets: names of the views of the target.
        seed: of the images and labels.
        crops_target: whether the method crops the target itself: its images are twice as wide.

    Returns:
        Under ``source`` and ``targets`` the ``inputs``, ``batch`` uint8 images each, and
        ``data_samples``, with a label in the source's.
    """
    generator = torch.Generator().manual_seed(seed)

    def images(width: int) -> list[Tensor]:
        shape = (batch, 3, crop, width)
        return list(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))

    where = torch.arange(crop) * BLOCKS // crop
    samples = []
    for _ in range(batch):
        order = torch.randperm(BLOCKS**2, generator=generator) % num_classes
        label = order.view(BLOCKS, BLOCKS)[where][:, where]
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=label[None].byte())))
    result = {"source": {"inputs": images(crop), "data_samples": samples}}
    for name in targets:
        unlabelled = [SegDataSample() for _ in range(batch)]
        result[name] = {
            "inputs": images(2 * crop if crops_target else crop),
            "data_samples": unlabelled,
        }
    return result


def pinned(batch: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The batch in page-locked memory, as a data loader for a GPU hands it over."""
    return {
        name: {key: [each.pin_memory() for each in values] for key, values in domain.items()}
        for name, domain in batch.items()
    }
