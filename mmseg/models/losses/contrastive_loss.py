"""Semantic-guided pixel contrast and its regulariser (SePiCo, TPAMI 2023, arXiv 2204.08808).

Shapes: B images, C classes, A feature dimensions, N pixels, L vectors a class in the memory bank.
Features are unit-norm projections, labels are class ids or ``ignore_index``.

Nothing here waits for the device: ignored pixels are masked, not removed.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from mmseg.models.utils.label_downscale import downscale_label
from mmseg.models.utils.proto_estimator import ProtoEstimator
from mmseg.registry import MODELS
from mmseg.utils.distributed import sum_over_ranks
from mmseg.utils.setting_types import Fraction, LabelValue

from ..utils.precision import without_autocast

Variant = Literal["dist", "bank", "proto"]


def proto_contrast(
    features: Tensor, labels: Tensor, class_mean: Tensor, temperature: float, ignore_index: int
) -> Tensor:
    """Centroid-aware contrast (ProtoCL): cross-entropy of the similarities to the centroids.

    Args:
        features: (N, A). labels: (N,). class_mean: (C, A). temperature: tau.

    Returns:
        (N,) loss of each pixel, 0 where the label is ``ignore_index``.
    """
    logits = features @ class_mean.t() / temperature
    return F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="none")


def dist_contrast(
    features: Tensor,
    labels: Tensor,
    class_mean: Tensor,
    class_variance: Tensor,
    temperature: float,
    ignore_index: int,
) -> Tensor:
    """Distribution-aware contrast (DistCL): the closed form for infinitely many pairs.

    Each class is a Gaussian with a diagonal covariance; the expectation over its samples adds
    ``0.5 q^2 . variance / tau^2`` to the logits and, for the positive class, to the loss.

    Args:
        features: (N, A). labels: (N,). class_mean, class_variance: (C, A). temperature: tau.

    Returns:
        (N,) loss of each pixel, 0 where the label is ``ignore_index``.
    """
    spread = features.square() @ class_variance.t() * (0.5 / temperature**2)
    logits = features @ class_mean.t() / temperature + spread
    own_spread = _take_class(spread, labels, ignore_index)
    loss = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="none")
    return loss + own_spread


def bank_contrast(
    features: Tensor,
    labels: Tensor,
    bank: Tensor,
    bank_length: Tensor,
    temperature: float,
    ignore_index: int,
) -> Tensor:
    """Memory-bank contrast (BankCL): each vector in the bank of a pixel's class is a positive.

    The negative of another class is ``exp`` of the mean similarity to its bank, which is the
    similarity to the bank's mean, and a pixel meets the vectors of its own class alone.

    Args:
        features: (N, A). labels: (N,). bank: (C, L, A), of which the first ``bank_length`` (C,)
            vectors of each class are filled and the rest are zero. temperature: tau.

    Returns:
        (N,) loss of each pixel, 0 where the label is ``ignore_index``.
    """
    num_classes, capacity, _ = bank.shape
    valid = labels != ignore_index
    row, class_of_block, block = class_blocks(labels.where(valid, 0), num_classes)
    pixels = features.new_zeros(len(class_of_block) * block, features.shape[1])
    pixels = pixels.index_copy_(0, row, features).unflatten(0, (-1, block))

    # Each block of pixels meets the bank of its own class and the means of all banks.
    bank = bank / temperature
    bank_mean = bank.sum(1) / bank_length[:, None]
    vectors = torch.cat([bank, bank_mean.expand(num_classes, -1, -1)], dim=1)
    similarity = pixels @ vectors.index_select(0, class_of_block).transpose(1, 2)
    own, all_means = similarity.split([capacity, num_classes], dim=2)
    is_own = F.one_hot(class_of_block, num_classes).bool()[:, None]
    negatives = all_means.masked_fill(is_own, -math.inf).logsumexp(2, keepdim=True)

    # -log(e^s / (e^s + n)) = softplus(log n - s), averaged over the filled vectors
    filled = torch.arange(capacity, device=bank.device) < bank_length[:, None]
    share = filled.to(bank.dtype) / bank_length[:, None]
    loss = F.softplus(negatives - own) @ share[class_of_block][:, :, None]
    return loss.flatten().index_select(0, row) * valid


def class_blocks(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, int]:
    """Places for pixels in equally long blocks of one class each.

    In blocks, one batched matrix product of pixels with their own class's bank does N * L * A work
    instead of N * C * L * A. On a device the number of blocks depends on N and C alone, so that no
    count has to come back from it.

    Args:
        labels: (N,) in [0, C).

    Returns:
        Each pixel's row (N,) among the K * block rows, the class of each of the K blocks (K,), and
        the length of a block.
    """
    num_pixels = len(labels)
    block = max(16, num_pixels // 64)
    # Blocks that each class fills, and the first of them.
    count = torch.zeros(num_classes, dtype=torch.long, device=labels.device)
    count.scatter_add_(0, labels, torch.ones_like(labels))
    blocks_end = ((count + block - 1) // block).cumsum(0)
    blocks_start = F.pad(blocks_end, (1, 0))[:-1]
    # As many as there can be; on a CPU, which has not to be waited for, as many as there are.
    on_cpu = labels.device.type == "cpu"
    num_blocks = int(blocks_end[-1]) if on_cpu else num_pixels // block + num_classes
    # A pixel's row: its class's first block, then its rank in the class.
    order = labels.argsort(stable=True)
    sorted_labels = labels[order]
    rank = torch.arange(num_pixels, device=labels.device) - (count.cumsum(0) - count)[sorted_labels]
    row = torch.empty_like(labels)
    row[order] = blocks_start[sorted_labels] * block + rank

    class_of_block = torch.searchsorted(
        blocks_end, torch.arange(num_blocks, device=labels.device), right=True
    ).clamp_(max=num_classes - 1)
    return row, class_of_block, block


def prototype_regularizer(mean_feature: Tensor, class_mean: Tensor, temperature: float) -> Tensor:
    """Keep the mean feature Q of a batch equally far from all centroids (diversity regulariser).

    ``sum_c log softmax_c(Q . mean_c / tau) / (C log C)``: -1 where Q prefers no class.

    Args:
        mean_feature: Q, (A,). class_mean: (C, A). temperature: tau.

    Returns:
        Scalar.
    """
    num_classes = len(class_mean)
    log_prob = F.log_softmax(class_mean @ mean_feature / temperature, dim=0)
    return log_prob.sum() / (num_classes * math.log(num_classes))


@MODELS.register_module()
class ContrastiveLoss(nn.Module):
    """Contrast the pixels of an image with the class prototypes (the paper's L_cl and L_reg).

    Args:
        variant: ``"dist"`` (DistCL), ``"bank"`` (BankCL) or ``"proto"`` (ProtoCL).
        temperature: tau, 100 in the paper.
        regularizer_weight: weight of :func:`prototype_regularizer` relative to the contrast;
            0 leaves it out.
        min_ratio: share of a cell that its largest class must fill when the labels are brought to
            the resolution of the features, else the cell is ignored.
        loss_weight: weight of the whole; a list for several feature levels, one each.
        ignore_index: label of pixels that count for nothing.
    """

    def __init__(
        self,
        variant: Variant = "dist",
        temperature: PositiveFloat = 100.0,
        regularizer_weight: NonNegativeFloat = 1.0,
        min_ratio: Fraction = 0.75,
        loss_weight: NonNegativeFloat | Sequence[NonNegativeFloat] = 1.0,
        ignore_index: LabelValue = 255,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.temperature = temperature
        self.regularizer_weight = regularizer_weight
        self.min_ratio = min_ratio
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index

    def forward(
        self, features: list[Tensor], label: Tensor, prototypes: list[ProtoEstimator]
    ) -> Tensor:
        """Sum the weighted loss over the feature levels (one level in the paper).

        Args:
            features: per level (B, A, h, w), unit norm over A.
            label: (B, H, W) long, at image resolution.
            prototypes: per level the class statistics to contrast with.

        Returns:
            Scalar float32; 0, and still differentiable, where no pixel is left.
        """
        weights = self.loss_weight
        if not isinstance(weights, list | tuple):
            weights = [weights] * len(features)
        if not len(features) == len(prototypes) == len(weights):
            raise ValueError(
                f"{len(features)} feature levels need as many prototypes ({len(prototypes)}) "
                f"and loss weights ({len(weights)})"
            )
        with without_autocast(label):
            levels = [
                weight * self.level_loss(feature.float(), label, prototype)
                for feature, prototype, weight in zip(features, prototypes, weights, strict=True)
            ]
        return torch.stack(levels).sum()

    def level_loss(self, feature: Tensor, label: Tensor, prototypes: ProtoEstimator) -> Tensor:
        """Contrast plus regulariser of one level: (B, A, h, w) and (B, H, W) to a scalar.

        The means are over the pixels of all ranks, and so is the loss.
        """
        label = downscale_label(
            label, feature.shape[-2:], self.min_ratio, prototypes.num_classes, self.ignore_index
        ).flatten()
        pixels = feature.permute(0, 2, 3, 1).flatten(0, 2)
        loss = self.contrast(pixels, label, prototypes).sum()
        valid = (label != self.ignore_index).to(pixels.dtype)
        sums = torch.cat([loss[None], valid.sum()[None], valid @ pixels])
        loss, count, feature = sum_over_ranks(sums).split([1, 1, pixels.shape[1]])
        divisor = count.clamp(min=1)
        total = (loss / divisor).squeeze()
        if self.regularizer_weight:
            regularizer = prototype_regularizer(
                feature / divisor, prototypes.class_mean, self.temperature
            )
            total = total + self.regularizer_weight * regularizer * (count > 0).squeeze()
        return total

    def contrast(self, pixels: Tensor, label: Tensor, prototypes: ProtoEstimator) -> Tensor:
        """(N, A) features and (N,) labels to the (N,) losses of this variant."""
        shared = {"temperature": self.temperature, "ignore_index": self.ignore_index}
        if self.variant == "dist":
            return dist_contrast(
                pixels, label, prototypes.class_mean, prototypes.class_variance, **shared
            )
        if self.variant == "bank":
            return bank_contrast(pixels, label, prototypes.bank, prototypes.bank_length, **shared)
        return proto_contrast(pixels, label, prototypes.class_mean, **shared)


def _take_class(values: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """(N, C) values at (N,) labels; 0 where the label is ignored."""
    valid = labels != ignore_index
    index = labels.where(valid, torch.zeros_like(labels))
    return values.gather(1, index[:, None])[:, 0] * valid
