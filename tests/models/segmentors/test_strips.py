"""Test class scores computed in strips for large images and in bands for sliding windows."""

import pytest
import torch
import torch.nn.functional as F

from mmseg.models.decode_heads.feature_select import resize_rows
from mmseg.models.segmentors.prediction import slide
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.models.networks import tiny


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(90, 150), (31, 41), (37, 50), (1, 7), (1000, 61)])
def test_resized_rows_equal_those_of_the_whole_map(size, align_corners):
    maps = torch.randn(2, 3, 37, 61, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)
    height = size[0]
    for rows in (slice(0, 1), slice(0, height), slice(height // 3, height // 2 + 1)):
        found = resize_rows(maps, size, rows, align_corners)
        torch.testing.assert_close(found, whole[:, :, rows], rtol=0, atol=2e-5)


@pytest.mark.parametrize("strip_scores", [1, 19 * 240 * 37, 2**26])  # rows: 1, 37, all
def test_prediction_in_strips_equals_that_in_one_piece(strip_scores):
    size = (150, 240)
    torch.manual_seed(0)
    model = MODELS.build(tiny(decode_head={**tiny()["decode_head"], "num_classes": 19})).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    model.strip_scores = strip_scores
    image = torch.rand(1, 3, 40, 64)
    meta = {"img_shape": (37, 60), "ori_shape": size, "flip": True, "flip_direction": "horizontal"}
    with torch.no_grad():
        small = model.encode_decode(image)[:, :, :37, :60].flip(-1)
        whole = F.interpolate(small, size, mode="bilinear")[0]
        (plain,) = model.predict(image, [SegDataSample(metainfo=meta)])
        model.keep_confidence = True
        (sure,) = model.predict(image, [SegDataSample(metainfo=meta)])
    expected = whole.argmax(0, keepdim=True)
    for found in (plain.pred_sem_seg.data, sure.pred_sem_seg.data):
        assert found.dtype == torch.uint8
        assert (found != expected).sum() <= 2  # of 36 000: rounding decides near-ties
    assert expected.unique().numel() > 1
    top = whole.softmax(0).amax(0, keepdim=True)
    torch.testing.assert_close(sure.seg_confidence.data, top, rtol=0, atol=1e-5)


def test_bands_of_windows_equal_the_mean_over_the_whole():
    """The expected mean is computed pixel by pixel; windows overlap unevenly at the borders."""
    torch.manual_seed(0)
    image, crop, stride = torch.rand(2, 3, 23, 17), (8, 6), (5, 4)
    total, count = torch.zeros(2, 3, 23, 17), torch.zeros(23, 17)
    for top in (0, 5, 10, 15):
        for left in (0, 4, 8, 11):
            window = (..., slice(top, top + 8), slice(left, left + 6))
            total[window] += image[window] * (top + left)
            count[window] += 1
    starts = iter([top + left for top in (0, 5, 10, 15) for left in (0, 4, 8, 11)])
    bands = list(slide(lambda part: part * next(starts), image, crop, stride))
    assert [top for top, _ in bands] == [0, 5, 10, 15]
    assert [band.shape[2] for _, band in bands] == [5, 5, 5, 8]
    torch.testing.assert_close(torch.cat([band for _, band in bands], 2), total / count)


@pytest.mark.parametrize("class_weight", [None, [1.0, 2.0, 1.0, 0.5, 1.0]])
def test_prediction_in_bands_equals_that_from_all_scores(class_weight):
    torch.manual_seed(0)
    test_cfg = {"mode": "slide", "crop_size": (16, 16), "stride": (12, 9)}
    model = MODELS.build(tiny(test_cfg=test_cfg)).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    model.test_cfg["class_weight"] = class_weight
    model.keep_confidence = True
    image = torch.rand(2, 3, 45, 37)
    with torch.no_grad():
        banded = model.predict(image)
        model.keep_logits = True
        whole = model.predict(image)
        model.keep_logits, model.keep_confidence = False, False
        plain = model.predict(image)
    for one, other, third in zip(banded, whole, plain, strict=True):
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
        assert torch.equal(one.pred_sem_seg.data, third.pred_sem_seg.data)
        torch.testing.assert_close(one.seg_confidence.data, other.seg_confidence.data)
        assert one.pred_sem_seg.data.unique().numel() > 1
