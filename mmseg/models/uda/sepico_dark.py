"""SePiCo for night images with a day image of the same place (Cityscapes to Dark Zurich).

Shapes: B images, C classes, H x W pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.setting_types import ClassFactors, Fraction

from .self_training import PseudoLabel
from .sepico import SePiCo

DAY_THRESHOLD = 0.4
"""Probability in the day image above which a class counts as visible by day."""


def mix_day_and_night(
    day: Tensor,
    night: Tensor,
    day_ratio: float,
    shift_insensitive: Tensor,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Combine the probabilities of a night image with those of the same place by day.

    Static classes, such as building, are where they are by day: for them the day image has the
    weight ``day_ratio`` where the class is visible by day and ``1 - day_ratio`` elsewhere. For
    moving classes only the night image counts.

    Args:
        day: (B, C, H, W) probabilities.
        night: (B, C, H, W) probabilities.
        day_ratio: weight in [0, 1].
        shift_insensitive: (C,) bool, the static classes.
        class_weight: (C,), factor of each class.

    Returns:
        (B, C, H, W), not normalised.
    """
    weight = torch.where(day > DAY_THRESHOLD, day_ratio, 1 - day_ratio)
    weight = weight * shift_insensitive.view(-1, 1, 1)
    mixed = night.lerp(day, weight)
    return mixed if class_weight is None else mixed * class_weight.view(-1, 1, 1)


@MODELS.register_module()
class SePiCoDark(SePiCo):
    """SePiCo with pseudo-labels from the night image and its day image.

    Next to ``target`` (night) a batch holds ``target_day``: the same places by day, resized and
    flipped alike. Apart from the pseudo-labels this is SePiCo on the night image.

    Args:
        day_ratio: see :func:`mix_day_and_night`.
        shift_insensitive_classes: ranges (first, last + 1) of static classes.
        class_weight: factor of each class on the combined probabilities, above 1 for rare ones;
            None: 1 for all. The decoder's ``loss_decode`` has separate weights.
        sepico: the arguments of :class:`SePiCo`.
    """

    shift_insensitive: Tensor
    class_weight: Tensor | None

    TARGET_VIEWS = ("target", "target_day")
    PANEL = (*SePiCo.PANEL[:2], ("day_image", *SePiCo.PANEL[2]))

    def __init__(
        self,
        day_ratio: Fraction = 0.8,
        shift_insensitive_classes: Sequence[tuple[NonNegativeInt, PositiveInt]] = ((0, 5), (8, 11)),
        class_weight: ClassFactors | None = None,
        **sepico: Any,
    ) -> None:
        super().__init__(**sepico)
        num_classes = self.prototypes[0].num_classes
        if class_weight is not None and len(class_weight) != num_classes:
            raise ValueError(f"class_weight needs {num_classes} factors, got {len(class_weight)}")
        still = torch.zeros(num_classes, dtype=torch.bool)
        for first, end in shift_insensitive_classes:
            if not 0 <= first < end <= num_classes:
                raise ValueError(
                    f"shift_insensitive_classes must be ranges (first, last + 1) within "
                    f"{num_classes} classes, got {(first, end)}"
                )
            still[first:end] = True
        self.day_ratio = day_ratio
        # Settings, not weights: checkpoints do not contain them.
        self.register_buffer("shift_insensitive", still, persistent=False)
        weight = None if class_weight is None else torch.as_tensor(class_weight).float()
        self.register_buffer("class_weight", weight, persistent=False)

    def pseudo_label(self, views: list[Tensor]) -> PseudoLabel:
        """Take the arg-max of the teacher's combined probabilities by night and by day.

        Raises:
            InputError: if the batch has no day images.
        """
        if len(views) != 2:
            raise InputError(
                "SePiCoDark needs the day image of each target image: set corresp of the target's "
                "DarkZurichDataset to the folder of its csv files"
            )
        night, day = (self.teacher_probability(view) for view in views)
        mixed = mix_day_and_night(
            day, night, self.day_ratio, self.shift_insensitive, self.class_weight
        )
        self.show(day_image=views[1])
        return self.confident_label(mixed)
