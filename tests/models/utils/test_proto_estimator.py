"""Test the class statistics against recorded numbers and a plain computation."""

import torch

from mmseg.models.utils import ProtoEstimator, class_moments
from tests.golden import load_golden


def ordered_banks(prototypes: ProtoEstimator) -> list[torch.Tensor]:
    """Return the vectors of each bank, oldest first."""
    banks = []
    for bank, count in zip(prototypes.bank, prototypes.bank_count.tolist(), strict=True):
        length = len(bank)
        newest_last = bank[:count] if count <= length else bank.roll(-(count % length), 0)
        banks.append(newest_last)
    return banks


def test_eight_updates_equal_the_release():
    golden = load_golden("prototypes.npz")
    prototypes = ProtoEstimator(19, 64, memory_length=6)
    for t in range(8):
        prototypes.update(
            torch.tensor(golden[f"features_{t}"]), torch.tensor(golden[f"labels_{t}"])
        )
        close = {"rtol": 1e-5, "atol": 1e-6}
        torch.testing.assert_close(
            prototypes.class_mean, torch.tensor(golden[f"mean_{t}"]), **close
        )
        torch.testing.assert_close(
            prototypes.class_variance, torch.tensor(golden[f"covariance_{t}"]), **close
        )
        assert prototypes.amount.tolist() == golden[f"amount_{t}"].tolist()
        assert prototypes.bank_length.tolist() == golden[f"bank_len_{t}"].tolist()
        bank = torch.cat(ordered_banks(prototypes))
        torch.testing.assert_close(bank, torch.tensor(golden[f"bank_{t}"]), **close)


def test_statistics_of_batches_equal_those_of_all_pixels():
    features = torch.randn(20000, 4, generator=torch.Generator().manual_seed(0)) + 3
    labels = torch.arange(20000) % 5
    labels[labels == 4] = 255
    prototypes = ProtoEstimator(6, 4)
    for rows in torch.arange(20000).split(9000):
        prototypes.update(features[rows], labels[rows])
    for c in range(4):
        pixels = features[labels == c].double()
        torch.testing.assert_close(
            prototypes.class_mean[c].double(), pixels.mean(0), rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(
            prototypes.class_variance[c].double(),
            pixels.var(0, unbiased=False),
            rtol=1e-4,
            atol=1e-5,
        )
    assert prototypes.amount.tolist() == [4000.0] * 4 + [0.0, 0.0]


def test_moments_worked_out_by_hand():
    features = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 7.0]])
    count, mean, variance = class_moments(features, torch.tensor([1, 1, 255]), 2)
    assert count.tolist() == [0, 2]
    assert mean.tolist() == [[0, 0], [2, 0]]
    assert variance.tolist() == [[0, 0], [1, 0]]


def test_everything_is_in_the_state_dict():
    first = ProtoEstimator(3, 4, memory_length=2)
    first.update(torch.randn(30, 4), torch.arange(30) % 3)
    second = ProtoEstimator(3, 4, memory_length=2)
    second.load_state_dict(first.state_dict())
    more = torch.randn(6, 4)
    for prototypes in (first, second):
        prototypes.update(more, torch.arange(6) % 2)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
