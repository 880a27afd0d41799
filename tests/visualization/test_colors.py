import numpy as np
import pytest
import torch

from mmseg.visualization import colorize, denormalize, heatmap, overlay

PALETTE = [(10, 20, 30), (200, 100, 0)]
LABEL = np.array([[0, 1], [255, 2]], dtype=np.uint8)


def test_colorize_paints_classes_and_ignored_pixels():
    picture = colorize(LABEL, PALETTE, ignore_color=(1, 2, 3))
    assert picture.tolist() == [[[10, 20, 30], [200, 100, 0]], [[1, 2, 3], [1, 2, 3]]]
    assert picture.dtype == np.uint8
    assert colorize(np.array([[-1]]), PALETTE).tolist() == [[[0, 0, 0]]]


def test_overlay_shows_the_image_where_there_is_no_class():
    image = np.full((2, 2, 3), 100, np.uint8)
    picture = overlay(image, LABEL, PALETTE, opacity=0.25)
    # 0.75 * 100 + 0.25 * colour, with halves rounded to even
    assert picture.tolist() == [[[78, 80, 82], [125, 100, 75]], [[100] * 3, [100] * 3]]
    np.testing.assert_array_equal(overlay(image, LABEL, PALETTE, 0), image)


def test_overlay_refuses_bad_opacities_and_sizes():
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="opacity"):
        overlay(image, LABEL, PALETTE, 1.5)
    with pytest.raises(ValueError, match="size"):
        overlay(image[:1], LABEL, PALETTE, 0.5)


def test_denormalize_undoes_the_normalisation_and_clips():
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    rgb = torch.tensor([[[0.0, 255, 128]], [[1, 2, 3]], [[250, 251, 252]]])
    view = (3, 1, 1)
    normal = (rgb - torch.tensor(mean).view(view)) / torch.tensor(std).view(view)
    picture = denormalize(normal, mean, std)
    assert picture.tolist() == rgb.permute(1, 2, 0).int().tolist()
    assert denormalize(torch.full((3, 1, 1), 9.0), mean, std).tolist() == [[[255, 255, 255]]]
    assert denormalize(torch.full((3, 1, 1), -9.0), mean, std).tolist() == [[[0, 0, 0]]]


def test_heatmap_runs_from_dark_blue_to_yellow():
    low, high, above = heatmap(np.array([[0.0, 1.0, 7.0]]))[0].tolist()
    assert low == [68, 1, 84] and high == above == [253, 231, 37]  # the ends of viridis
