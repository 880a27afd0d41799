"""Test inference, prediction and loss of segmentors, with simple networks for exact numbers."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from torch import nn

from mmseg.models.decode_heads import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder, EncoderDecoderProjector
from mmseg.models.segmentors.prediction import (
    predicted_classes,
    slide,
    unflip,
    weighted_probabilities,
    window_starts,
)
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError
from tests.apis import color_world  # noqa: F401 (registers ThePixels)
from tests.models.networks import TINY_TRANSFORMER, tiny


@MODELS.register_module()
class TwoChannels(BaseDecodeHead):
    """A head whose logits are the first two channels of every ``step``-th pixel."""

    def __init__(self, step: int = 1) -> None:
        super().__init__(in_channels=3, channels=None, num_classes=2)
        self.step = step

    def forward(self, feats: list[torch.Tensor]) -> torch.Tensor:
        return feats[0][:, :2, :: self.step, :: self.step]


def pixelwise(step: int = 1, **test_cfg: object) -> EncoderDecoder:
    """Build a segmentor whose logits are each pixel's first two channels, without context."""
    parts = {
        "backbone": {"type": "ThePixels"},
        "decode_head": {"type": "TwoChannels", "step": step},
    }
    return MODELS.build(tiny(**parts, test_cfg=test_cfg or None)).eval()


def sample(**meta: object) -> SegDataSample:
    return SegDataSample(metainfo=meta)


@pytest.mark.parametrize(
    ("length", "window", "stride", "starts"),
    [(10, 4, 3, [0, 3, 6]), (10, 4, 4, [0, 4, 6]), (4, 4, 3, [0]), (3, 4, 3, [0])],
)
def test_window_starts(length, window, stride, starts):
    assert list(window_starts(length, window, stride)) == starts


def test_slide_equals_whole_if_pixels_are_independent():
    image = torch.rand(2, 3, 11, 17)
    for crop_size, stride in (((4, 5), (3, 2)), ((11, 17), (1, 1)), ((20, 6), (20, 6))):
        model = pixelwise(mode="slide", crop_size=crop_size, stride=stride)
        torch.testing.assert_close(model.inference(image), image[:, :2])


def test_slide_averages_overlaps():
    """If a window's output is its mean, the overlap of two windows gets the mean of both."""
    image = torch.tensor([0.0, 2.0, 4.0, 6.0]).view(1, 1, 1, 4)
    ((top, means),) = slide(lambda x: x.mean().expand(1, 1, 1, 3), image, (1, 3), (1, 1))
    assert top == 0
    assert means.flatten().tolist() == [2, 3, 3, 4]


def test_whole_upsamples_the_head():
    model = pixelwise(step=2)
    image = torch.rand(1, 3, 4, 6)
    expected = F.interpolate(image[:, :2, ::2, ::2], (4, 6), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.inference(image), expected)


def test_predict_cuts_padding_unflips_and_resizes():
    """The right half of the original is class 1; flipped, it is the left half of the input."""
    image = torch.zeros(1, 3, 5, 6)
    image[:, 0] = 1
    image[:, 1, :, :2] = 2
    image[:, 1, :, 4:] = 9  # padding, as are the rows from 3 on
    image[:, 1, 3:] = 9
    meta = {"img_shape": (3, 4), "ori_shape": (6, 8), "flip": True, "flip_direction": "horizontal"}
    (result,) = pixelwise().predict(image, [sample(**meta)])
    assert result.pred_sem_seg.data.dtype == torch.uint8
    assert result.pred_sem_seg.data.shape == (1, 6, 8)
    assert result.pred_sem_seg.data[0].tolist() == [[0] * 4 + [1] * 4] * 6
    assert "seg_logits" not in result


def test_predict_resizes_logits_not_classes():
    """Between 3 and -1 the bilinear zero crossing lies beyond the nearest-neighbour border."""
    image = torch.zeros(1, 3, 1, 2)
    image[0, 0, 0] = torch.tensor([3.0, -1.0])
    (result,) = pixelwise(keep_logits=True).predict(image, [sample(ori_shape=(1, 8))])
    expected = [3, 3, 2.5, 1.5, 0.5, -0.5, -1, -1]
    assert result.seg_logits.data[0, 0].tolist() == pytest.approx(expected)
    assert result.pred_sem_seg.data[0, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_predict_without_samples():
    results = pixelwise().predict(torch.rand(2, 3, 4, 4))
    assert [tuple(r.pred_sem_seg.data.shape) for r in results] == [(1, 4, 4)] * 2


def test_unflip_directions():
    flips = {None: (), "horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}
    maps = torch.rand(1, 2, 3, 4)
    for direction, axes in flips.items():
        assert torch.equal(unflip(maps.flip(axes), direction), maps)


def test_many_classes_need_more_than_a_byte():
    assert predicted_classes(torch.zeros(256, 1, 1)).dtype == torch.uint8
    assert predicted_classes(torch.eye(300)[299].view(300, 1, 1)).item() == 299


def test_forward_modes_and_losses():
    torch.manual_seed(0)
    head = tiny()["decode_head"]
    model = MODELS.build(tiny(auxiliary_head=head)).eval()
    image = torch.rand(2, 3, 16, 16)
    samples = [sample(), sample()]
    for item in samples:
        item.gt_sem_seg = PixelData(data=torch.randint(0, 5, (1, 16, 16), dtype=torch.uint8))
    assert model(image).shape == (2, 5, 4, 4)
    assert len(model(image, samples, mode="predict")) == 2
    losses = model(image, samples, mode="loss")
    assert sorted(losses) == [
        "aux.acc_seg",
        "aux.loss_seg",
        "decode.acc_seg",
        "decode.loss_seg",
    ]
    label = torch.stack([item.gt_sem_seg.data[0] for item in samples]).long()
    expected = F.cross_entropy(model.encode_decode(image), label)
    torch.testing.assert_close(losses["decode.loss_seg"], expected)
    assert model.num_classes == 5
    with pytest.raises(ValueError, match=r"one of \['tensor', 'predict', 'loss'\]"):
        model(image, mode="train")


def test_a_projector_adds_features_and_no_loss():
    projector = {"type": "ProjHead", "in_channels": 64, "channels": 7, "norm_cfg": {"type": "BN"}}
    model = MODELS.build(tiny(type="EncoderDecoderProjector", auxiliary_head=projector))
    assert isinstance(model, EncoderDecoderProjector)
    image = torch.rand(1, 3, 16, 16)
    assert model.project(model.extract_feat(image)).shape == (1, 7, 4, 4)
    item = sample()
    item.gt_sem_seg = PixelData(data=torch.zeros(1, 16, 16, dtype=torch.uint8))
    assert sorted(model.loss(image, [item])) == ["decode.acc_seg", "decode.loss_seg"]


def test_preprocessor_from_config():
    preprocessor = {"type": "SegDataPreProcessor", "mean": [0, 0, 0], "std": [1, 1, 1]}
    model = MODELS.build(tiny(data_preprocessor=preprocessor)).eval()
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    (result,) = model.test_step({"inputs": [image], "data_samples": [sample(ori_shape=(4, 4))]})
    assert result.pred_sem_seg.data.shape == (1, 4, 4)
    assert not any(key.startswith("data_preprocessor") for key in model.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_cfg": {"mode": "slide", "stride": (1, 1)}}, "crop_size must be"),
        ({"test_cfg": {"mode": "slide", "crop_size": (4, 4), "stride": (0, 1)}}, "stride must"),
        ({"test_cfg": {"mode": "slide", "crop_size": (4, 4), "stride": (2, 5)}}, "larger than"),
        ({"test_cfg": {"mode": "whole", "crop_size": (4, 4)}}, "knows"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(tiny(**changes))


@pytest.mark.parametrize("changes", [{}, TINY_TRANSFORMER], ids=["convolutions", "transformer"])
def test_compiles_without_graph_breaks(changes):
    """In training, forward pass and loss compile into one graph."""
    model = MODELS.build(tiny(**changes)).train()
    head = model.decode_head

    def step(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return head.loss_by_feat(head(model.extract_feat(image)), label)["loss_seg"]

    image, label = torch.rand(2, 3, 32, 32), torch.randint(0, 5, (2, 32, 32))
    loss = torch.compile(step, backend="eager", fullgraph=True)(image, label)
    loss.backward()
    assert loss.isfinite() and head.conv_seg.weight.grad.abs().sum() > 0


def test_too_many_sizes_for_compiling_are_an_input_error(capture_only):
    model = MODELS.build(tiny()).eval()
    model.compile_parts()
    with torch.no_grad(), torch._dynamo.config.patch(recompile_limit=2):
        for side in (32, 40):
            model.predict(torch.zeros(1, 3, side, side))
        with pytest.raises(InputError, match="too many sizes .* leave out --compile"):
            model.predict(torch.zeros(1, 3, 48, 48))


@pytest.mark.parametrize("changes", [{}, TINY_TRANSFORMER], ids=["convolutions", "transformer"])
def test_channels_last_and_autocast(changes):
    """The memory format changes no number, and the loss is float32 under autocast."""
    torch.manual_seed(0)
    model = MODELS.build(tiny(**changes)).eval()
    image = torch.rand(2, 3, 32, 32)
    expected = model(image)
    model.use_channels_last()
    torch.testing.assert_close(model(image), expected, atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(image)
        losses = model.decode_head.loss_by_feat(logits, torch.zeros(2, 32, 32, dtype=torch.uint8))
    assert logits.dtype == torch.bfloat16
    assert losses["loss_seg"].dtype == losses["acc_seg"].dtype == torch.float32


def test_on_a_cpu_daformers_aspp_trains_with_contiguous_maps():
    model = MODELS.build(tiny(**TINY_TRANSFORMER))
    model.use_channels_last()
    aspp, maps = model.decode_head.fuse_layer, {}
    wide = [each for each in model.parameters() if each.dim() == 4 and min(each.shape) > 1]
    inside = {id(each) for each in aspp.parameters()}
    for weight in wide:
        last = weight.is_contiguous(memory_format=torch.channels_last)
        assert last == (id(weight) not in inside)
    for name, layer in aspp.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, inputs, out, name=name: maps.update({name: out}))
    model(torch.rand(2, 3, 64, 96))
    assert len(maps) > 3
    assert all(each.requires_grad and each.is_contiguous() for each in maps.values())


def weighted_example(class_weight: list[float] | None = None) -> SegDataSample:
    """Predict pixels of probabilities (0.75, 0.25) and (0.25, 0.75), upsampled from 1x2 to 1x4."""
    image = torch.zeros(1, 3, 1, 2)
    image[0, 0, 0] = torch.tensor([3.0, 1.0]).log()
    image[0, 1, 0] = torch.tensor([1.0, 3.0]).log()
    model = pixelwise(keep_logits=True)
    model.test_cfg["class_weight"] = class_weight
    model.class_weights = "on" if class_weight else "auto"
    model.keep_confidence = True
    return model.predict(image, [sample(ori_shape=(1, 4))])[0]


def test_class_weights_scale_probabilities_before_upsampling():
    """The expected values are (0.75, 0.25) x (1, 2) and its mirror, upsampled by hand."""
    result = weighted_example(class_weight=[1.0, 2.0])
    assert result.pred_sem_seg.data[0].tolist() == [[0, 1, 1, 1]]
    weighted = torch.tensor([[0.75, 0.625, 0.375, 0.25], [0.5, 0.75, 1.25, 1.5]])
    torch.testing.assert_close(result.seg_logits.data[:, 0].exp(), weighted)
    top = weighted.amax(0) / weighted.sum(0)
    torch.testing.assert_close(result.seg_confidence.data[0, 0], top)


def test_class_weights_are_not_rounded_in_half_precision():
    scores = weighted_probabilities(torch.zeros(2, 1, 1, dtype=torch.float16), [0.69325, 1.0])
    torch.testing.assert_close(scores.flatten(), torch.tensor([0.346625, 0.5]))


def test_class_weights_apply_to_each_image_separately():
    model = pixelwise()
    model.test_cfg["class_weight"] = [1.0, 100.0]
    image = torch.zeros(1, 3, 1, 1)
    image[0, 0] = 2.0  # class 0 by a factor of e^2
    batch = [sample(ori_shape=(1, 1), **meta) for meta in ({}, {"use_class_weight": True})]
    classes = [
        int(each.pred_sem_seg.data) for each in model.predict(image.repeat(2, 1, 1, 1), batch)
    ]
    assert classes == [0, 1]


def test_without_class_weights_logits_are_upsampled():
    result = weighted_example()
    assert result.pred_sem_seg.data[0].tolist() == [[0, 0, 1, 1]]
    third = torch.tensor(3.0**0.5)  # a quarter of the way, the logits differ by half of log 3
    expected = torch.tensor([0.75, third / (1 + third), third / (1 + third), 0.75])
    torch.testing.assert_close(result.seg_confidence.data[0, 0], expected)


def test_class_weights_must_fit_the_classes():
    with pytest.raises(ValueError, match="one factor for each of"):
        pixelwise(class_weight=[1.0])


def with_statistics(segmentor: EncoderDecoder) -> EncoderDecoder:
    """Give the BatchNorm layers statistics and affine parameters as after training."""
    for layer in segmentor.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.weight.data, layer.bias.data):
                values.normal_(std=0.3)
            layer.running_var.uniform_(0.5, 2.0)
    return segmentor.eval()


DAFORMER_ON_RESNET = {
    "backbone": {"type": "ResNetV1c", "depth": 50, "num_stages": 2, "strides": (1, 2),
                 "dilations": (1, 1), "out_indices": (0, 1)},
    "decode_head": {"type": "DAFormerHead", "in_channels": (256, 512), "in_index": (0, 1),
                    "embed_dims": 4, "channels": 8, "dilations": (1, 6), "num_classes": 5,
                    "norm_cfg": {"type": "BN"}},
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, DAFORMER_ON_RESNET], ids=["basic", "bottleneck"])
def test_batch_norm_folded_into_convolutions_predicts_the_same(changes):
    torch.manual_seed(0)
    segmentor = with_statistics(MODELS.build(tiny(**changes)))
    image = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        before = segmentor.encode_decode(image)
        segmentor.fold_batch_norm()
        after = segmentor.encode_decode(image)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in segmentor.modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * before.std().item())


@pytest.mark.parametrize(
    "changes",
    [
        {"conv_cfg": {"type": "ConvWS"}},  # standardises its weight, so a factor would be lost
        {"norm_cfg": {"type": "BN", "affine": False}},
        {"norm_cfg": {"type": "BN", "track_running_stats": False}},
    ],
)
def test_layers_that_cannot_be_folded_are_kept(changes):
    torch.manual_seed(0)
    head = {**tiny()["decode_head"], "norm_cfg": {"type": "BN"}, **changes}
    segmentor = MODELS.build(tiny(decode_head=head)).eval()
    image = torch.rand(1, 3, 32, 48)
    norm = segmentor.decode_head.convs[0].norm
    if norm.running_var is not None:
        norm.running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        before = segmentor.encode_decode(image)
        segmentor.fold_batch_norm()
        after = segmentor.encode_decode(image)
    assert segmentor.decode_head.convs[0].norm is norm
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * before.std().item())


def test_batch_norm_of_other_backbones_is_not_folded():
    """BatchNorm layers of timm are kept, because they may include the activation."""
    backbone = {"type": "TIMMBackbone", "model_name": "efficientnet_b0", "out_indices": (0,)}
    head = {**tiny()["decode_head"], "in_channels": 16, "norm_cfg": {"type": "BN"}}
    segmentor = MODELS.build(tiny(backbone=backbone, decode_head=head))
    count = sum(isinstance(layer, nn.BatchNorm2d) for layer in segmentor.modules())
    segmentor.fold_batch_norm()
    left = [layer for layer in segmentor.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(left) == count - 1 > 0
