"""Class statistics of projection features, the prototypes of all three variants.

Shapes: C classes, A feature dimensions, N pixels, L memory length.
"""

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils.distributed import sum_over_ranks
from mmseg.utils.memory import on_cpu

from .precision import without_autocast

# Number of rows to centre and square at a time: 2 MB at A = 512, which fit into the cache of a CPU
# core; on other devices few large kernels are better.
_CPU_CHUNK, _CHUNK = 1024, 16384


def class_moments(
    features: Tensor, labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute count, mean and biased variance of the features of each class, over all ranks.

    Sums over a class are products with the one-hot labels. A second pass computes the variance
    about the mean, which avoids cancellation.

    Args:
        features: (N, A) float.
        labels: (N,); values outside [0, C) are ignored.
        num_classes: number of classes C.

    Returns:
        (C,), (C, A) and (C, A) in the dtype of the features; zeros for classes without a pixel.
    """
    classes = torch.arange(num_classes, device=labels.device)
    one_hot = (labels[:, None] == classes).to(features.dtype)
    sums = torch.cat([one_hot.sum(0)[:, None], one_hot.t() @ features], dim=1)
    count, total = sum_over_ranks(sums).split([1, features.shape[1]], dim=1)
    divisor = count.clamp(min=1)
    mean = total / divisor
    variance = torch.zeros_like(mean)
    chunk = _CPU_CHUNK if on_cpu(features) else _CHUNK
    for rows, weight in zip(features.split(chunk), one_hot.split(chunk), strict=True):
        # Ignored pixels are centred on zero and have no weight.
        variance += weight.t() @ (rows - weight @ mean).square_()
    return count[:, 0], mean, sum_over_ranks(variance) / divisor


@MODELS.register_module()
class ProtoEstimator(nn.Module):
    """Running mean and diagonal variance of each class, and a bank of its batch means.

    DistCL needs mean and variance of all source pixels so far, ProtoCL the mean, BankCL the last
    ``memory_length`` batch means. All of them are buffers, so that they are saved with the model.

    Args:
        num_classes: number of classes C.
        feature_dim: number of feature dimensions A.
        memory_length: capacity L of the bank of each class; 0: no bank. A bank starts with one zero
            vector.
    """

    class_mean: Tensor
    class_variance: Tensor
    amount: Tensor
    bank: Tensor
    bank_count: Tensor

    def __init__(
        self,
        num_classes: PositiveInt,
        feature_dim: PositiveInt = 512,
        memory_length: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.memory_length = memory_length
        self.register_buffer("class_mean", torch.zeros(num_classes, feature_dim))
        self.register_buffer("class_variance", torch.zeros(num_classes, feature_dim))
        self.register_buffer("amount", torch.zeros(num_classes))
        self.register_buffer("bank", torch.zeros(num_classes, memory_length, feature_dim))
        # Number of vectors written to each bank so far; the next one goes to slot count % L.
        self.register_buffer("bank_count", torch.ones(num_classes, dtype=torch.long))

    @property
    def bank_length(self) -> Tensor:
        """Number of filled vectors in each class's bank, (C,) long."""
        return self.bank_count.clamp(max=self.memory_length)

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add the pixels of a batch to the statistics (the paper's online estimation).

        With w = n / (n + amount) the variance of old and new pixels together is
        ``(1 - w) old + w new + w (1 - w) (old mean - new mean)^2``.

        Args:
            features: (N, A) of any float dtype, accumulated in float32.
            labels: (N,); values outside [0, C) are ignored. N may be 0.
        """
        with without_autocast(features):
            count, mean, variance = class_moments(features.float(), labels, self.num_classes)
            total = count + self.amount
            weight = (count / total.clamp(min=1))[:, None]
            shift = self.class_mean - mean
            self.class_variance.lerp_(variance, weight).add_(weight * (1 - weight) * shift.square())
            self.class_mean.lerp_(mean, weight)
            self.amount.copy_(total)
            if self.memory_length:
                self._remember(mean, count > 0)

    def _remember(self, mean: Tensor, present: Tensor) -> None:
        """Write (C, A) batch means into the banks of the classes that are ``present`` (C,)."""
        rows = torch.arange(self.num_classes, device=mean.device)
        slot = self.bank_count % self.memory_length
        self.bank[rows, slot] = torch.where(present[:, None], mean, self.bank[rows, slot])
        self.bank_count += present
