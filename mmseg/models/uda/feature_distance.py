"""Thing-class ImageNet feature distance (Hoyer et al., DAFormer, CVPR 2022)."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import BaseModule
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from mmseg.models.segmentors.weight_casting import cast_frozen_weights
from mmseg.models.utils.label_downscale import downscale_label
from mmseg.models.utils.precision import without_autocast
from mmseg.registry import MODELS
from mmseg.utils.distributed import sum_over_ranks
from mmseg.utils.logs import warn_user
from mmseg.utils.setting_types import Fraction

from .self_training import LossTerm
from .uda_decorator import Losses

if TYPE_CHECKING:
    from .self_training import SelfTraining

#: Traffic light and sign, and person to bicycle, of the Cityscapes classes.
THINGS = (6, 7, 11, 12, 13, 14, 15, 16, 17, 18)


def feature_distance(student: Tensor, frozen: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean Euclidean distance of features over the masked positions of all ranks.

    Args:
        student: (B, A, h, w).
        frozen: (B, A, h, w).
        mask: (B, h, w) bool.

    Returns:
        float32 scalar; 0, with a gradient of 0, if no position is masked.
    """
    with without_autocast(student):  # half precision would round small differences
        distance = torch.linalg.vector_norm(student.float() - frozen.float(), dim=1)
    sums = torch.stack([distance.where(mask, 0).sum(), mask.sum().to(distance)])
    total, count = sum_over_ranks(sums)
    return total / count.clamp_min(1)


@MODELS.register_module()
class FeatureDistance(LossTerm):
    """Keep the student's features of things close to those of its ImageNet weights.

    The frozen backbone holds the pretrained weights that the student's names, and runs in
    evaluation mode. It sees the student's input of the source; the last maps of both are compared.
    Checkpoints do not contain it: resumed runs read the pretrained weights again.

    Args:
        loss_weight: lambda_FD, factor of the loss.
        classes: classes to compare the features of; None: all positions, labelled or not.
        min_ratio: see :func:`~mmseg.models.utils.label_downscale.downscale_label`.
    """

    NEEDS_PRETRAINED = True

    imagenet_backbone: BaseModule
    things: Tensor

    def __init__(
        self,
        loss_weight: NonNegativeFloat = 0.005,
        classes: Sequence[NonNegativeInt] | None = THINGS,
        min_ratio: Fraction = 0.75,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.classes = None if classes is None else tuple(classes)
        self.min_ratio = min_ratio
        things = torch.zeros(256, dtype=torch.bool)
        things[list(self.classes or ())] = True
        self.register_buffer("things", things, persistent=False)
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_post_hook(_expect_none)

    def attach(self, method: "SelfTraining") -> None:
        """Copy the student's backbone."""
        self.imagenet_backbone = copy.deepcopy(method.model.backbone).requires_grad_(False)

    def init_weights(self, method: "SelfTraining") -> None:
        """Copy the weights that the student's backbone starts from."""
        if method.model.backbone.init_cfg is None:
            warn_user(
                "FeatureDistance compares with a backbone without pretrained weights: its features "
                "are random"
            )
        self.imagenet_backbone.load_state_dict(method.model.backbone.state_dict())

    def set_up(self, method: "SelfTraining", compiled: bool) -> None:
        """Give the frozen backbone the student's memory format and precision; compile it."""
        student = method.model
        self.imagenet_backbone.to(memory_format=student.memory_format)
        if student.autocast_dtype is not None:
            cast_frozen_weights(self.imagenet_backbone, student.autocast_dtype)
        if compiled:
            self.imagenet_backbone.compile(fullgraph=True, dynamic=False)

    def on_source(
        self, method: "SelfTraining", image: Tensor, feats: list[Tensor], label: Tensor
    ) -> Losses:
        """Compute ``loss_imnet_feat_dist``, to be propagated together with the source's losses."""
        with torch.no_grad():
            frozen = method.model.extract_feat(image, self.imagenet_backbone)[-1]
            mask = self.mask(label, frozen.shape[-2:], method.model.num_classes)
        distance = feature_distance(feats[-1], frozen, mask)
        return {"loss_imnet_feat_dist": self.loss_weight * distance}

    def mask(self, label: Tensor, size: Sequence[int], num_classes: int) -> Tensor:
        """Find the positions of things in a map.

        Args:
            label: (B, H, W) long.
            size: (h, w) of the map.
            num_classes: number of classes C.

        Returns:
            (B, h, w) bool.
        """
        if self.classes is None:
            return torch.ones(len(label), *size, dtype=torch.bool, device=label.device)
        return self.things[downscale_label(label, size, self.min_ratio, num_classes)]

    def train(self, mode: bool = True) -> "FeatureDistance":
        """Set the mode; the frozen backbone stays in evaluation mode."""
        super().train(mode)
        self.imagenet_backbone.eval()
        return self


def _is_frozen(name: str) -> bool:
    return ".imagenet_backbone." in f".{name}"


def _leave_out(term: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in filter(_is_frozen, list(state)):
        del state[name]


def _expect_none(term: nn.Module, keys: Any) -> None:
    keys.missing_keys[:] = [name for name in keys.missing_keys if not _is_frozen(name)]
