import pytest
import torch
from mmengine.structures import PixelData

from mmseg.structures import SegDataSample, stack_labels


def labelled(value: int) -> SegDataSample:
    sample = SegDataSample(metainfo={"img_path": "a.png"})
    sample.gt_sem_seg = PixelData(data=torch.full((1, 2, 3), value, dtype=torch.uint8))
    return sample


def test_fields_hold_pixel_data_only():
    sample = labelled(4)
    assert "gt_sem_seg" in sample and "pred_sem_seg" not in sample
    assert sample.img_path == "a.png"
    with pytest.raises(AssertionError):
        sample.pred_sem_seg = torch.zeros(1, 2, 3)
    del sample.gt_sem_seg
    assert "gt_sem_seg" not in sample


def test_moves_as_one():
    moved = labelled(4).to("meta")
    assert moved.gt_sem_seg.data.device.type == "meta"


def test_stack_labels():
    labels = stack_labels([labelled(1), labelled(2)])
    assert labels.shape == (2, 1, 2, 3) and labels.dtype == torch.uint8
    assert labels[:, 0, 0, 0].tolist() == [1, 2]
