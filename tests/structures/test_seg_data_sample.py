import pytest
import torch
from mmengine.structures import PixelData
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

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


def test_sample_moves_with_its_labels():
    moved = labelled(4).to("meta")
    assert moved.gt_sem_seg.data.device.type == "meta"


def test_stack_labels_adds_a_batch_dimension():
    labels = stack_labels([labelled(1), labelled(2)])
    assert labels.shape == (2, 1, 2, 3) and labels.dtype == torch.uint8
    assert labels[:, 0, 0, 0].tolist() == [1, 2]


def test_pinning_reaches_the_labels(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: pinned.append(t) or t.clone())
    sample = labelled(4)
    copied = pin_memory({"source": {"data_samples": [sample]}})["source"]["data_samples"][0]
    assert [each.data_ptr() for each in pinned] == [sample.gt_sem_seg.data.data_ptr()]
    assert torch.equal(copied.gt_sem_seg.data, sample.gt_sem_seg.data)
    assert copied.gt_sem_seg.data is not sample.gt_sem_seg.data
    assert copied.metainfo == sample.metainfo


@pytest.mark.gpu
def test_loader_pins_labels():
    loader = DataLoader([labelled(4)], collate_fn=list, pin_memory=True)
    (sample,) = next(iter(loader))
    assert sample.gt_sem_seg.data.is_pinned()
