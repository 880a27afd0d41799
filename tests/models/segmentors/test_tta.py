import numpy as np
import pytest
import torch
from mmcv.transforms import TestTimeAug as TimeAug
from mmcv.transforms import to_tensor
from mmengine.dataset import pseudo_collate
from torch import nn

from mmseg.models.segmentors import EncoderDecoder, SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.models.networks import tiny

PREPROCESSOR = {"type": "SegDataPreProcessor", "mean": [0, 0, 0], "std": [1, 1, 1]}


def views() -> dict:
    """Return a 2 x 4 image with a bright left half and its mirror image, as mmcv makes them."""
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, :2] = 4

    def pack(results: dict) -> dict:
        names = ("ori_shape", "img_shape", "flip", "flip_direction", "condition")
        meta = {name: results[name] for name in names if name in results}
        inputs = to_tensor(np.ascontiguousarray(results["img"].transpose(2, 0, 1)))
        return {"inputs": inputs, "data_samples": SegDataSample(metainfo=meta)}

    flips = [{"type": "RandomFlip", "prob": p, "direction": "horizontal"} for p in (0.0, 1.0)]
    augment = TimeAug(transforms=[flips, [pack]])
    results = {"img": image, "img_shape": (2, 4), "ori_shape": (2, 4), "condition": "fog"}
    return pseudo_collate([augment(results)])


@MODELS.register_module()
class Brightness(EncoderDecoder):
    """A segmentor with logits (0, brightness + column), so that the two views differ."""

    def inference(self, inputs: torch.Tensor, metas: object = None) -> torch.Tensor:
        bright = inputs[:, :1] + torch.arange(4.0)
        return torch.cat([torch.zeros_like(bright), bright - 3.6], dim=1)


def segmentor() -> nn.Module:
    return MODELS.build(tiny(type="Brightness", data_preprocessor=PREPROCESSOR)).eval()


def test_probabilities_of_the_views_are_averaged():
    tta = SegTTAModel(segmentor())
    (merged,) = tta.test_step(views())
    # Left to right: plain logits 4, 5, 2, 3; mirrored 0, 1, 6, 7 mirrored back 7, 6, 1, 0.
    plain = torch.tensor([4.0, 5, 2, 3]) - 3.6
    mirrored = torch.tensor([7.0, 6, 1, 0]) - 3.6
    mean = (plain.sigmoid() + mirrored.sigmoid()) / 2
    probability = merged.seg_logits.data.softmax(dim=0)
    torch.testing.assert_close(probability[1], mean.expand(2, 4))
    assert merged.pred_sem_seg.data[0].tolist() == [[1, 1, 0, 0]] * 2
    assert merged.ori_shape == (2, 4) and "flip" not in merged
    assert merged.condition == "fog"


def test_it_reaches_a_segmentor_inside_a_method():
    method = nn.Module()
    method.model = segmentor()
    method.test_step = method.model.test_step
    SegTTAModel(method)
    assert method.model.keep_logits


def test_it_is_built_from_a_config():
    tta = MODELS.build({"type": "SegTTAModel", "module": tiny(), "data_preprocessor": PREPROCESSOR})
    assert type(tta.module.data_preprocessor).__name__ == "SegDataPreProcessor"


def test_it_needs_a_segmentor():
    other = nn.Identity()
    other.test_step = None
    with pytest.raises(ValueError, match="Identity holds no EncoderDecoder"):
        SegTTAModel(other)
