"""Losses of semantic-guided pixel contrast (SePiCo, TPAMI 2023, arXiv 2204.08808).

Shapes: B images, C classes, A feature dimensions, N pixels, L vectors per class in the memory
bank. Features are unit-norm projections, labels are class ids or ``ignore_index``.

To avoid synchronisation with the device, ignored pixels are masked, not removed.
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
from mmseg.utils.memory import on_cpu
from mmseg.utils.setting_types import Fraction, LabelValue

from ..utils.precision import without_autocast

Variant = Literal["dist", "bank", "proto"]


def proto_contrast(
    features: Tensor, labels: Tensor, class_mean: Tensor, temperature: float, ignore_index: int
) -> Tensor:
    """Centroid-aware contrast (ProtoCL): cross-entropy of the similarities to the centroids.

    Args:
        features: (N, A).
        labels: (N,).
        class_mean: (C, A).
        temperature: tau.
        ignore_index: label of pixels without a loss.

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
        features: (N, A).
        labels: (N,).
        class_mean: (C, A).
        class_variance: (C, A).
        temperature: tau.
        ignore_index: label of pixels without a loss.

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
    similarity to the bank's mean. So a pixel is compared only with the vectors of the same class.

    Args:
        features: (N, A).
        labels: (N,).
        bank: (C, L, A); the first ``bank_length`` vectors of each class are filled, the rest zero.
        bank_length: (C,).
        temperature: tau.
        ignore_index: label of pixels without a loss.

    Returns:
        (N,) loss of each pixel, 0 where the label is ``ignore_index``.
    """
    num_classes, capacity, _ = bank.shape
    valid = labels != ignore_index
    row, class_of_block, block = class_blocks(labels.where(valid, 0), num_classes)
    pixels = features.new_zeros(len(class_of_block) * block, features.shape[1])
    pixels = pixels.index_copy_(0, row, features).unflatten(0, (-1, block))

    # Compare each block of pixels with the bank of the same class and the means of all banks.
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
    """Assign pixels to blocks of equal length that contain one class each.

    With blocks, one batched matrix product of pixels with the bank of their own class costs
    N * L * A instead of N * C * L * A. On a GPU the number of blocks depends only on N and C, so
    that no count has to be copied to the host.

    Args:
        labels: (N,) in [0, C).

    Returns:
        Each pixel's row (N,) among the K * block rows, the class of each of the K blocks (K,), and
        the length of a block.
    """
    num_pixels = len(labels)
    block = max(16, num_pixels // 64)
    # Number of blocks that each class fills, as the ends and starts of its range.
    count = torch.zeros(num_classes, dtype=torch.long, device=labels.device)
    count.scatter_add_(0, labels, torch.ones_like(labels))
    blocks_end = ((count + block - 1) // block).cumsum(0)
    blocks_start = F.pad(blocks_end, (1, 0))[:-1]
    # The largest possible number; on a CPU, which needs no synchronisation, the actual number.
    most_blocks = num_pixels // block + num_classes
    num_blocks = int(blocks_end[-1]) if on_cpu(labels) else most_blocks
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
        mean_feature: Q, (A,).
        class_mean: (C, A).
        temperature: tau.

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
        min_ratio: share of a cell that its largest class must fill when the labels are scaled down
            to the resolution of the features; otherwise the cell is ignored.
        loss_weight: weight of the loss; for several feature levels it may be a list, one each.
        ignore_index: label of pixels without a loss.
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
            features: of each level (B, A, h, w), of unit norm over A.
            label: (B, H, W) long, at image resolution.
            prototypes: class statistics of each level.

        Returns:
            Scalar float32; 0, and still differentiable, if all pixels are ignored.
        """
        weights = self.loss_weight
        if not isinstance(weights, Sequence):
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
        """Compute contrast plus regulariser of one level, a scalar, over the pixels of all ranks.

        Args:
            feature: (B, A, h, w).
            label: (B, H, W).
            prototypes: class statistics of the level.
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
        """Compute the (N,) losses of this variant for features (N, A) and labels (N,)."""
        tau, ignored, mean = self.temperature, self.ignore_index, prototypes.class_mean
        if self.variant == "dist":
            return dist_contrast(pixels, label, mean, prototypes.class_variance, tau, ignored)
        if self.variant == "bank":
            bank, length = prototypes.bank, prototypes.bank_length
            return bank_contrast(pixels, label, bank, length, tau, ignored)
        return proto_contrast(pixels, label, mean, tau, ignored)


def _take_class(values: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Take from values (N, C) those at labels (N,); 0 where the label is ignored."""
    valid = labels != ignore_index
    index = labels.where(valid, torch.zeros_like(labels))
    return values.gather(1, index[:, None])[:, 0] * valid
