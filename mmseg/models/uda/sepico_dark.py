"""SePiCo for night targets whose places are known by day (Cityscapes to Dark Zurich).

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
"""Probability by day above which a class counts as seen by day."""


def mix_day_and_night(
    day: Tensor,
    night: Tensor,
    day_ratio: float,
    shift_insensitive: Tensor,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Probabilities of a night image, helped by those of the same place by day.

    What stands still (buildings, say) is where it is by day: for these classes the day weighs
    ``day_ratio`` where it sees the class and ``1 - day_ratio`` elsewhere. What moves is taken from
    the night alone.

    Args:
        day, night: (B, C, H, W) probabilities.
        day_ratio: in [0, 1].
        shift_insensitive: (C,) bool: the classes that stand still.
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
    """SePiCo that makes its pseudo-labels of the night image and its day image.

    A batch brings, beside ``target`` (night), ``target_day``: the same places by day, resized and
    flipped alike. Everything but the pseudo-labels is SePiCo on the night image.

    Args:
        day_ratio: see :func:`mix_day_and_night`.
        shift_insensitive_classes: ranges (first, last + 1) of the classes that stand still.
        class_weight: factor of each class on the mixed probabilities, above 1 for rare ones; None
            for none. The decoder's ``loss_decode`` has its own.
        sepico: the arguments of :class:`SePiCo`.
    """

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
        # Settings, not weights: they stay out of checkpoints.
        self.register_buffer("shift_insensitive", still, persistent=False)
        weight = None if class_weight is None else torch.as_tensor(class_weight).float()
        self.register_buffer("class_weight", weight, persistent=False)

    def pseudo_label(self, views: list[Tensor]) -> PseudoLabel:
        """Arg-max of the mixture of night and day, and its share above the threshold.

        Raises:
            InputError: if the batch brings no day images.
        """
        if len(views) != 2:
            raise InputError(
                "SePiCoDark needs the day image of each target image: set corresp of the target's "
                "DarkZurichDataset to the folder of its csv files"
            )
        night, day = (self.ema_model.encode_decode(view).softmax(1) for view in views)
        mixed = mix_day_and_night(
            day, night, self.day_ratio, self.shift_insensitive, self.class_weight
        )
        self.show(day_image=views[1])
        return self.confident_label(mixed)
