"""Test normalisation, channel order and padding with values worked out by hand."""

import pytest
import torch
from mmengine.structures import PixelData

from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample
from mmseg.utils import InputError

MEAN, STD = [10.0, 20.0, 30.0], [2.0, 4.0, 5.0]


def image(blue: int, green: int, red: int, height: int = 2, width: int = 2) -> torch.Tensor:
    colour = torch.tensor([blue, green, red], dtype=torch.uint8).view(3, 1, 1)
    return colour.expand(3, height, width).clone()


def sample(height: int, width: int, path: str = "a.png", value: int = 1) -> SegDataSample:
    result = SegDataSample(metainfo={"img_path": path, "ori_shape": (height, width)})
    label = torch.full((1, height, width), value, dtype=torch.uint8)
    result.gt_sem_seg = PixelData(data=label)
    return result


def test_normalises_as_rgb():
    batch = SegDataPreProcessor(MEAN, STD)({"inputs": [image(0, 28, 14), image(30, 20, 10)]})
    expected = torch.tensor([[2.0, 2.0, -6.0], [0.0, 0.0, 0.0]])
    assert batch["inputs"].dtype == torch.float32
    assert batch["data_samples"] is None
    torch.testing.assert_close(batch["inputs"][:, :, 0, 0], expected)
    torch.testing.assert_close(batch["inputs"][:, :, 1, 1], expected)


def test_keeps_channel_order():
    batch = SegDataPreProcessor(MEAN, STD, bgr_to_rgb=False)({"inputs": image(14, 28, 0)[None]})
    torch.testing.assert_close(batch["inputs"][0, :, 0, 0], torch.tensor([2.0, 2.0, -6.0]))


def test_pads_after_normalising():
    preprocessor = SegDataPreProcessor(MEAN, STD, size=(3, 4))
    data = {"inputs": [image(30, 20, 14)], "data_samples": [sample(2, 2)]}
    batch = preprocessor(data, training=True)
    red = torch.tensor([[2.0, 2, 0, 0], [2, 2, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(batch["inputs"][0, 0], red)
    label = batch["data_samples"][0].gt_sem_seg.data
    assert label.dtype == torch.uint8
    assert label[0].tolist() == [[1, 1, 255, 255], [1, 1, 255, 255], [255] * 4]
    assert data["data_samples"][0].gt_sem_seg.data.shape == (1, 2, 2), "the input must not change"


def test_training_images_above_size_keep_it_and_need_no_label():
    preprocessor = SegDataPreProcessor(MEAN, STD, size=(2, 2))
    data = {"inputs": [image(0, 0, 0, 4, 3)], "data_samples": [SegDataSample()]}
    assert preprocessor(data, training=True)["inputs"].shape == (1, 3, 4, 3)


def test_padding_makes_small_training_images_equal():
    data = {
        "inputs": [image(0, 0, 0, 2, 2), image(0, 0, 0, 1, 3)],
        "data_samples": [sample(2, 2), sample(1, 3)],
    }
    batch = SegDataPreProcessor(MEAN, STD, size=(3, 3))(data, training=True)
    assert batch["inputs"].shape == (2, 3, 3, 3)
    assert (batch["data_samples"][1].gt_sem_seg.data == 255).sum() == 6


def test_training_images_of_two_sizes_are_named_in_an_error():
    data = {
        "inputs": [image(0, 0, 0, 2, 2), image(0, 0, 0, 4, 2)],
        "data_samples": [sample(2, 2, "first.png"), sample(4, 2, "second.png")],
    }
    with pytest.raises(InputError, match=r"first\.png has 2x2 and second\.png has 4x2"):
        SegDataPreProcessor(MEAN, STD, size=(2, 2))(data, training=True)


def test_test_images_of_two_sizes_are_not_stacked():
    preprocessor = SegDataPreProcessor(MEAN, STD, size=(9, 9))
    data = {
        "inputs": [image(30, 20, 14, 2, 3), image(30, 20, 14, 3, 2)],
        "data_samples": [sample(5, 5), sample(6, 6)],
    }
    batch = preprocessor(data, training=False)
    assert [tuple(each.shape) for each in batch["inputs"]] == [(3, 2, 3), (3, 3, 2)]
    assert batch["inputs"][0][0].tolist() == [[2, 2, 2], [2, 2, 2]]
    assert [s.img_shape for s in batch["data_samples"]] == [(2, 3), (3, 2)]
    assert [s.gt_sem_seg.data.shape[1] for s in batch["data_samples"]] == [5, 6]


def test_statistics_are_settings_not_weights():
    preprocessor = SegDataPreProcessor(MEAN, STD)
    assert preprocessor.state_dict() == {}
    with pytest.raises(ValueError, match="equally long"):
        SegDataPreProcessor(MEAN, STD[:2])
