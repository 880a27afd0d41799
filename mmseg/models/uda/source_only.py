"""The baseline without adaptation."""

from mmengine.optim import OptimWrapper
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils.distributed import mean_over_ranks

from .uda_decorator import UDADecorator


@MODELS.register_module()
class SourceOnly(UDADecorator):
    """Train the segmentor on the labelled source images alone.

    The same images, augmentation and optimizer as :class:`SePiCo`, so that the difference between
    the two is the adaptation. Arguments: see :class:`UDADecorator`.
    """

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One iteration on ``data["source"]``; a target in the batch is not looked at."""
        image, label = self.images_and_label(data["source"])
        self.draw_augmentation()
        losses = {"src": lambda: self.source_loss(image, label)}
        return mean_over_ranks(self.train_on(losses, optim_wrapper))
