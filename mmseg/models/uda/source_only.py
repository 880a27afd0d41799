"""Baseline without adaptation."""

from mmengine.optim import OptimWrapper
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils.distributed import mean_over_ranks

from .uda_decorator import UDADecorator


@MODELS.register_module()
class SourceOnly(UDADecorator):
    """Train the segmentor only on the labelled source images.

    Images, augmentation and optimizer are those of :class:`SePiCo`, so that the two differ only by
    the adaptation. For the arguments see :class:`UDADecorator`.
    """

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Run one iteration on ``data["source"]``; a target in the batch is ignored."""
        image, label = self.images_and_label(data["source"])
        self.draw_augmentation()
        losses = {"src": lambda: self.source_loss(image, label)}
        return mean_over_ranks(self.train_on(losses, optim_wrapper))
