"""Let a single process act as one rank of several."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore  # registers its backend


@contextmanager
def as_rank(rank: int, world_size: int) -> Iterator[None]:
    """Act as this rank within the block; communication in its group does nothing."""
    distributed.init_process_group("fake", rank=rank, world_size=world_size, store=FakeStore())
    try:
        yield
    finally:
        distributed.destroy_process_group()
