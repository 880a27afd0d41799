"""Check that predicting several images at once does not change the predictions."""

import pytest
import torch

from mmseg.models.segmentors.prediction import groups_of_one_size, predicted_classes
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.models.networks import tiny

# Height and width of the images in a batch, and of their predictions.
SIZES = [(16, 24), (24, 16), (16, 24), (8, 40), (24, 16)]
ORIGINAL_SIZES = [(20, 30), (24, 16), (31, 47), (9, 41), (12, 8)]
PREPROCESSOR = {"type": "SegDataPreProcessor", "mean": [120.0] * 3, "std": [60.0] * 3}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = MODELS.build(tiny(data_preprocessor=PREPROCESSOR)).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


def batch(places):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (3, *size), generator=generator).byte() for size in SIZES]
    samples = [SegDataSample(metainfo={"img_path": i, "ori_shape": s}) for i, s in ORIGINALS]
    return {
        "inputs": [images[place] for place in places],
        "data_samples": [samples[place] for place in places],
    }


ORIGINALS = [(f"{place}.png", size) for place, size in enumerate(ORIGINAL_SIZES)]


def test_a_batch_of_several_sizes_equals_single_images(model):
    with torch.no_grad():
        together = model.test_step(batch(range(len(SIZES))))
        alone = [model.test_step(batch([place]))[0] for place in range(len(SIZES))]
    for place, (one, other) in enumerate(zip(together, alone, strict=True)):
        assert one.img_path == f"{place}.png" and one.img_shape == SIZES[place]
        assert one.pred_sem_seg.data.shape == (1, *ORIGINAL_SIZES[place])
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
        assert one.pred_sem_seg.data.unique().numel() > 1


def test_a_cpu_takes_one_image_at_a_time(model):
    shapes = []
    handle = model.backbone.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))
    with torch.no_grad():
        model.predict(torch.zeros(2, 3, 16, 24))
    handle.remove()
    assert [tuple(shape) for shape in shapes] == [(1, 3, 16, 24)] * 2


def test_other_devices_take_images_of_one_size_together():
    """The meta device stands for a GPU."""
    whole = torch.zeros(3, 3, 2, 2, device="meta")
    ((places, same),) = groups_of_one_size(whole)
    assert places == [0, 1, 2] and same is whole
    images = [torch.zeros(3, 1, 1 + place % 2, device="meta") for place in range(3)]
    found = [(places, tuple(group.shape)) for places, group in groups_of_one_size(images)]
    assert found == [([0, 2], (2, 3, 1, 1)), ([1], (1, 3, 1, 2))]


@pytest.mark.parametrize("ori_size", [(37, 61), (13, 24), (9, 11)])
@pytest.mark.parametrize("flip", [None, "horizontal"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_classes_one_by_one_equal_the_arg_max_of_all(model, ori_size, flip, memory_format):
    scores = torch.randn(1, 19, 13, 24, generator=torch.Generator().manual_seed(2))
    scores = scores.round(decimals=1)  # so that there are ties: the first class wins
    scores = scores.contiguous(memory_format=memory_format)
    meta = {"img_shape": (9, 20), "ori_shape": ori_size, "flip": bool(flip), "flip_direction": flip}
    before = scores.clone()
    whole = model.restore(scores.contiguous(), meta)[0]
    expected = whole.argmax(0, keepdim=True)
    classes = predicted_classes(scores[0], lambda maps: model.restore(maps, meta))
    assert classes.dtype == torch.uint8
    assert torch.equal(classes.long(), expected)
    assert torch.equal(scores, before)


@pytest.mark.gpu
def test_a_gpu_predicts_the_same(model):
    with torch.no_grad():
        expected = model.test_step(batch(range(len(SIZES))))
        try:
            found = model.cuda().test_step(batch(range(len(SIZES))))
        finally:
            model.cpu()
    for one, other in zip(found, expected, strict=True):
        same = one.pred_sem_seg.data.cpu() == other.pred_sem_seg.data
        assert same.float().mean() > 0.99
