"""Sampler for training."""

from collections.abc import Iterator, Sized

from mmengine.dist import get_dist_info, sync_random_seed
from pydantic import NonNegativeInt
from torch.utils.data import Sampler

from mmseg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class UDASampler(Sampler[tuple[int, int]]):
    """Endless sampler of ``(seed, position)``, the indices of :class:`~mmseg.datasets.UDADataset`.

    Rank r of R takes the positions r, r + R, r + 2R, ..., so that all ranks together draw the same
    samples as one process.

    Args:
        dataset: data set that determines the length of the sampler.
        seed: seed of all samples; None: a random one, the same on all ranks.
    """

    def __init__(self, dataset: Sized, seed: NonNegativeInt | None = None) -> None:
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.start = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        position = self.start * self.world_size + self.rank
        while True:
            yield self.seed, position
            position += self.world_size

    def __len__(self) -> int:
        """Return the length of the data set, although the sampler is endless."""
        return len(self.dataset)

    def skip(self, num_samples: int) -> None:
        """Skip the first ``num_samples`` of this rank; mmengine calls this on resuming."""
        if num_samples < 0:
            raise ValueError(f"num_samples must not be negative, got {num_samples}")
        self.start = num_samples
