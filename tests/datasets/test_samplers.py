"""Test the order of the training images."""

from itertools import islice

import pytest

from mmseg.datasets import UDASampler
from mmseg.registry import DATA_SAMPLERS
from tests.ranks import as_rank


def test_positions_count_up_forever():
    sampler = DATA_SAMPLERS.build({"type": "UDASampler", "dataset": range(3), "seed": 7})
    assert list(islice(sampler, 5)) == [(7, 0), (7, 1), (7, 2), (7, 3), (7, 4)]
    assert len(sampler) == 3
    assert list(islice(sampler, 1)) == [(7, 0)]


def test_ranks_share_the_positions():
    streams = []
    for rank in range(3):
        with as_rank(rank, 3):
            sampler = UDASampler(range(10), seed=1)
        streams.append([position for _, position in islice(sampler, 3)])
        sampler.skip(2)
        assert next(iter(sampler)) == (1, 6 + rank)
    assert streams == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_ranks_together_see_the_batches_of_one_process():
    def batches(rank: int, ranks: int, size: int) -> list[set[tuple[int, int]]]:
        with as_rank(rank, ranks):
            stream = iter(UDASampler(range(10), seed=1))
        return [set(islice(stream, size)) for _ in range(3)]

    together = zip(batches(0, 2, 2), batches(1, 2, 2), strict=True)
    assert [first | second for first, second in together] == batches(0, 1, 4)


def test_skip_is_absolute():
    sampler = UDASampler(range(10), seed=1)
    sampler.skip(2)
    sampler.skip(5)
    assert next(iter(sampler)) == (1, 5)
    with pytest.raises(ValueError, match="negative"):
        sampler.skip(-1)


def test_seed_is_drawn_if_none_is_given():
    assert UDASampler(range(10)).seed >= 0
