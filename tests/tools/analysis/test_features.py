import sys

import pytest
import torch

from mmseg.utils import InputError
from tools.analysis.features import (
    check_tsne,
    class_centroids,
    pixel_discrimination_distance,
    sample_equally,
    sample_per_class,
    tsne,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_pixels_of_each_class_are_drawn_but_no_ignored_ones():
    label = torch.tensor([0] * 50 + [255] * 50 + [3] * 2 + [7] * 50)
    chosen = sample_per_class(label, 5, generator())
    assert label[chosen].tolist() == [0] * 5 + [3] * 2 + [7] * 5
    assert len(set(chosen.tolist())) == 12
    assert chosen.tolist() == sample_per_class(label, 5, generator()).tolist()
    assert chosen.tolist() != sample_per_class(label, 5, generator(1)).tolist()
    assert len(sample_per_class(torch.full((4,), 255), 5, generator())) == 0


def test_domains_give_the_same_number_of_pixels_of_a_class():
    """Class 0 gives 3 pixels, class 1 the one of the second domain, classes 2 and 4 none."""
    first = torch.tensor([0, 0, 0, 0, 1, 1, 2, 0])
    second = torch.tensor([1, 4, 0, 0, 0, 0])
    a, b = sample_equally([first, second], 3, generator())
    assert first[a].tolist() == second[b].tolist() == [0, 0, 0, 1]
    assert len(set(a.tolist())) == len(set(b.tolist())) == 4
    assert [len(each) for each in sample_equally([first, second + 5], 3, generator())] == [0, 0]


def test_centroids():
    features = torch.tensor([[1.0, 0], [3, 2], [5, 5]])
    centroids = class_centroids(features, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(centroids[[0, 2]], torch.tensor([[2.0, 1], [5, 5]]))
    assert centroids[1].isnan().all()


def test_discrimination_distance_by_hand():
    """The centroids of classes 0, 1 and 3 are at 0, 90 and 45 degrees; class 2 is absent."""
    half = 0.5**0.5  # cosine of 45 degrees
    features = torch.tensor([[2.0, 0], [0, 1], [half, half], [1, 1], [0.5, 0.5]])
    label = torch.tensor([0, 1, 3, 3, 3])
    result = pixel_discrimination_distance(features, label, 4)
    expected = torch.tensor([1 / half, 1 / half, torch.nan, 1 / (2 * half)]).double()
    torch.testing.assert_close(result, expected, equal_nan=True)


def test_the_distance_is_the_mean_over_pixels_not_of_the_mean():
    """Class 0 has pixels at 0 and 60 degrees, its centroid at 30; class 1 is at 90."""
    angle = torch.deg2rad(torch.tensor([0.0, 60, 90]))
    features = torch.stack([angle.cos(), angle.sin()], 1)
    features[0, 1] = 0.01  # so that its cosine to class 1 is not 0
    result = pixel_discrimination_distance(features, torch.tensor([0, 0, 1]), 2)
    cos30 = 3**0.5 / 2
    expected = torch.tensor([(cos30 / 0.01 + 1) / 2, 2.0]).double()  # cos 30 / cos 30 is 1
    torch.testing.assert_close(result, expected, rtol=2e-2, atol=0)


def test_a_class_alone_has_no_distance():
    result = pixel_discrimination_distance(torch.eye(2), torch.tensor([1, 1]), 2)
    assert result.isnan().all()


def test_the_plane_keeps_neighbours_and_is_the_same_for_a_seed():
    centres = torch.eye(3).repeat_interleave(40, 0) * 10
    features = centres + torch.rand(120, 3, generator=generator())
    plane = tsne(features, seed=0)
    assert plane.shape == (120, 2)
    nearest = (torch.cdist(plane, plane) + 1e6 * torch.eye(120)).argmin(1)
    assert (nearest // 40 == torch.arange(120) // 40).all()
    torch.testing.assert_close(plane, tsne(features, seed=0))


def test_without_scikit_learn(monkeypatch):
    check_tsne()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match="pip install scikit-learn, or leave it out with --what"):
        check_tsne()
