"""Masked image consistency (Hoyer et al., MIC, CVPR 2023)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from mmseg.models.utils.dacs_transforms import StrongAugmentation
from mmseg.registry import MODELS
from mmseg.utils.setting_types import Fraction

from .self_training import Batch, LossTerm
from .uda_decorator import Losses

if TYPE_CHECKING:
    from .self_training import SelfTraining

MaskMode = Literal[
    "separatetrg", "separatetrgaug", "separatesrc", "separatesrcaug", "separate", "separateaug"
]


def mask_blocks(image: Tensor, u: Tensor, mask_ratio: float) -> Tensor:
    """Hide square blocks of images.

    Args:
        image: (B, 3, H, W), normalised: hidden pixels become the mean colour 0.
        u: (B, 1, h, w), values in [0, 1), one per block; a block is hidden if its value is at most
            ``mask_ratio``.
        mask_ratio: share of hidden blocks.

    Returns:
        (B, 3, H, W).
    """
    kept = (u > mask_ratio).to(image.dtype)
    return image * F.interpolate(kept, size=image.shape[2:], mode="nearest")


@MODELS.register_module()
class MaskedConsistency(LossTerm):
    """Learn the pseudo-label of the whole target image from an image with hidden blocks.

    Args:
        block_size: side of a block in pixels; blocks are adapted to tile the image.
        mask_ratio: share of hidden blocks.
        mask_mode: which images, as the release names them: "separatetrg" the target images,
            "separatesrc" the source images with their labels, "separate" the first image of each;
            with "aug" they are jittered and blurred before, by draws separate from the method's.
        loss_weight: factor of the losses.
    """

    def __init__(
        self,
        block_size: PositiveInt = 64,
        mask_ratio: Fraction = 0.7,
        mask_mode: MaskMode = "separatetrgaug",
        loss_weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.block_size = block_size
        self.mask_ratio = mask_ratio
        self.augments = mask_mode.endswith("aug")
        self.images = mask_mode.removesuffix("aug")
        self.loss_weight = loss_weight

    def attach(self, method: "SelfTraining") -> None:
        """Take the settings of the method's augmentation, but for ``blur``: masked images are."""
        settings = method.augmentation
        self.augmentation = StrongAugmentation(settings.jitter_strength, settings.jitter_threshold)

    def losses(self, method: "SelfTraining", batch: Batch) -> dict[str, Callable[[], Losses]]:
        """Return the pass of the masked images, ``masked``."""
        return {"masked": lambda: self.masked_loss(method, batch)}

    def masked_loss(self, method: "SelfTraining", batch: Batch) -> Losses:
        """Compute the segmentor's losses of the masked images."""
        image, label, weight = self.choose(batch)
        if self.augments:
            self.augmentation.draw()
            image = method.jitter_and_blur(image, self.augmentation)
        image = mask_blocks(image, self.draw_blocks(image), self.mask_ratio)
        method.show(masked_image=image)
        losses = method.model.losses_of(image, label, weight)[1]
        return {
            name: value * self.loss_weight if "loss" in name else value
            for name, value in losses.items()
        }

    def choose(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Choose the images to mask, with their label and pixel weight; None: 1 everywhere."""
        target = (batch.target, batch.pseudo_label, batch.weight)
        if self.images == "separatetrg":
            return target
        if self.images == "separatesrc":
            return batch.source, batch.source_label, None
        source = (batch.source, batch.source_label, torch.ones_like(batch.weight))
        image, label, weight = (
            torch.cat([one[:1], other[:1]]) for one, other in zip(source, target, strict=True)
        )
        return image, label, weight

    def draw_blocks(self, image: Tensor) -> Tensor:
        """Draw u ~ U(0, 1) for each block of images (B, 3, H, W), on their device: (B, 1, h, w)."""
        height, width = (max(1, round(side / self.block_size)) for side in image.shape[2:])
        return torch.rand(len(image), 1, height, width, device=image.device)

    @classmethod
    def scale_crops(cls, config: dict[str, Any], factor: float) -> None:
        """Scale the blocks, see :meth:`LossTerm.scale_crops`."""
        if "block_size" in config:
            config["block_size"] = max(1, round(config["block_size"] * factor))
