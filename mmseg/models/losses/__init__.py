"""Losses, and the accuracy that is logged with them."""

from .accuracy import pixel_accuracy
from .contrastive_loss import ContrastiveLoss
from .cross_entropy_loss import CrossEntropyLoss, pixel_cross_entropy

__all__ = ["ContrastiveLoss", "CrossEntropyLoss", "pixel_accuracy", "pixel_cross_entropy"]
