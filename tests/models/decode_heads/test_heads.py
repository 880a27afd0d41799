"""Test which maps heads select, how they classify, and their loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.decode_heads import BaseDecodeHead, DAFormerHead, ProjHead
from mmseg.models.decode_heads.daformer_head import DilatedConv2d
from mmseg.registry import MODELS
from tests.models.fcn_head import FCNHead

BN = {"type": "BN"}


class PassThrough(BaseDecodeHead):
    """A head that returns the selected map as its logits."""

    def forward(self, feats):
        return self.select(feats)


def pyramid(*channels: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, c, 8 >> i, 16 >> i) for i, c in enumerate(channels)]


def test_selects_by_index():
    feats = pyramid(3, 4)
    assert PassThrough(4, None, 2)(feats) is feats[1]
    assert PassThrough(3, None, 2, in_index=0)(feats) is feats[0]


def test_resize_concat_and_multiple_select():
    feats = pyramid(3, 4, 5)
    options = {"in_channels": (3, 5), "channels": None, "num_classes": 2, "in_index": (0, 2)}
    joined = PassThrough(**options, input_transform="resize_concat")(feats)
    assert torch.equal(joined[:, :3], feats[0])
    expected = F.interpolate(feats[2], size=(8, 16), mode="bilinear", align_corners=False)
    assert torch.equal(joined[:, 3:], expected)
    chosen = PassThrough(**options, input_transform="multiple_select")(feats)
    assert chosen[0] is feats[0] and chosen[1] is feats[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": (3, 4)}, "must be integers"),
        ({"input_transform": "resize_concat"}, "must be sequences"),
        (
            {"input_transform": "multiple_select", "in_channels": (3,), "in_index": (0, 1)},
            "equally long",
        ),
    ],
)
@pytest.mark.parametrize("head", [PassThrough, ProjHead])
def test_bad_selections_are_refused(head, options, message):
    good = {"in_channels": 3} | ({} if head is ProjHead else {"channels": None, "num_classes": 2})
    with pytest.raises(ValueError, match=message):
        head(**(good | options))


@pytest.mark.parametrize("label_dims", [3, 4])
def test_loss_upsamples_the_logits_and_counts_all_pixels(label_dims):
    head = PassThrough(2, None, num_classes=2)
    logits = torch.tensor([math.log(3.0), 0.0]).view(1, 2, 1, 1)
    label = torch.tensor([[[0, 1], [255, 0]]], dtype=torch.uint8)
    weight = torch.tensor([[[1.0, 2.0], [1.0, 0.0]]])
    expected = (-math.log(3 / 4) - 2 * math.log(1 / 4)) / 4
    losses = head.loss_by_feat(logits, label if label_dims == 3 else label[:, None], weight)
    assert losses["loss_seg"].item() == pytest.approx(expected, rel=1e-6)
    assert losses["acc_seg"].item() == 50


def test_loss_config_and_ignore_index():
    loss = {"type": "CrossEntropyLoss", "loss_weight": 3.0}
    head = PassThrough(2, None, num_classes=2, loss_decode=loss, ignore_index=7)
    losses = head.loss_by_feat(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 7]]]))
    assert losses["loss_seg"].item() == pytest.approx(3 * math.log(2) / 2)


def test_dropout_before_the_classifier_drops_whole_channels():
    head = FCNHead(3, 64, 2, num_convs=1, concat_input=False, dropout_ratio=0.5)
    assert isinstance(head.dropout, nn.Dropout2d) and head.dropout.p == 0.5
    head.eval()
    features = torch.randn(1, 64, 2, 2)
    assert torch.equal(head.classify(features), head.conv_seg(features))


def test_fcn_head_joins_levels_and_its_input():
    head = FCNHead((3, 4), 6, 5, in_index=(0, 1), input_transform="resize_concat", norm_cfg=BN)
    assert head(pyramid(3, 4)).shape == (2, 5, 8, 16)
    assert head.conv_cat.in_channels == 13
    assert "convs.1.bn.weight" in head.state_dict()


def test_dlv2_head_sums_dilated_convolutions():
    head = MODELS.build({"type": "DLV2Head", "in_channels": 4, "num_classes": 3})
    head.init_weights()
    (feat,) = pyramid(4)
    expected = sum(
        F.conv2d(feat, m.conv.weight, m.conv.bias, padding=d, dilation=d)
        for m, d in zip(head.aspp_modules, (6, 12, 18, 24), strict=True)
    )
    torch.testing.assert_close(head([feat]), expected)
    weights = torch.cat([m.conv.weight.flatten() for m in head.aspp_modules])
    assert weights.std().item() == pytest.approx(0.01, rel=0.2)
    assert not hasattr(head, "conv_seg") and not hasattr(head, "dropout")


@pytest.mark.parametrize("images", [1, 2])
def test_daformer_head_keeps_maps_channels_last(images):
    head = DAFormerHead((8, 12), 6, 3, in_index=(0, 1), embed_dims=4, norm_cfg=BN).eval()
    fused = []
    head.fuse_layer.register_forward_pre_hook(lambda _, inputs: fused.extend(inputs))
    with torch.no_grad():
        head([feat[:images] for feat in pyramid(8, 12)])
    assert fused[0].stride() == (8 * 8 * 16, 1, 8 * 16, 8)


def test_daformer_head_resizes_in_float32_and_fuses_in_half():
    """The joined map is cast once; left in float32, every branch would cast it again."""
    head = DAFormerHead((8, 12), 6, 3, in_index=(0, 1), embed_dims=4, norm_cfg=BN).eval()
    fused = []
    head.fuse_layer.register_forward_pre_hook(lambda _, inputs: fused.extend(inputs))
    feats = pyramid(8, 12)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        head(feats)
        coarse = head.embed_layers[1](feats[1])
    assert coarse.dtype == fused[0].dtype == torch.bfloat16
    fine = F.interpolate(coarse.float(), size=(8, 16), mode="bilinear", align_corners=False)
    assert torch.equal(fused[0][:, 4:], fine.bfloat16())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dilated_conv_pads_as_conv2d_does(memory_format):
    torch.manual_seed(0)
    options = {"padding": (5, 3), "dilation": (5, 3), "stride": (1, 2), "groups": 4}
    plain = nn.Conv2d(4, 8, 3, **options)
    dilated = DilatedConv2d(4, 8, 3, **options)
    dilated.load_state_dict(plain.state_dict())
    maps = torch.randn(2, 4, 11, 14).contiguous(memory_format=memory_format)
    learning = dilated(maps)
    assert learning.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(dilated(maps), plain(maps))
    torch.testing.assert_close(learning, plain(maps))


def test_daformer_head_takes_any_levels_and_dilations():
    head = DAFormerHead(
        (3, 4), 6, 5, in_index=(0, 1), embed_dims=7, dilations=(1, 2), norm_cfg=BN
    ).eval()
    assert head(pyramid(3, 4)).shape == (2, 5, 8, 16)
    assert head.fuse_layer.aspp_modules[0].conv.kernel_size == (1, 1)
    assert head.fuse_layer.aspp_modules[1].depthwise_conv.conv.groups == 14


def test_classifier_is_initialised_with_small_weights():
    head = FCNHead(3, 256, 19)
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.1)


def norms(features: torch.Tensor) -> torch.Tensor:
    return features.norm(dim=1)


def test_proj_head_without_layers_only_normalises():
    (feat,) = pyramid(6)
    features = ProjHead(6, channels=6, num_convs=0)([feat])
    torch.testing.assert_close(features, feat / norms(feat)[:, None])


@pytest.mark.parametrize(("num_convs", "widths"), [(1, [(6, 64)]), (2, [(6, 6), (6, 64)])])
def test_proj_head_of_one_level(num_convs, widths):
    torch.manual_seed(0)
    head = ProjHead(6, channels=64, num_convs=num_convs, norm_cfg=BN)
    assert [(m.in_channels, m.out_channels) for m in head.convs] == widths
    features = head(pyramid(6))
    assert features.shape == (2, 64, 8, 16) and features.min() == 0, "the last layer is a ReLU"
    torch.testing.assert_close(norms(features), torch.ones(2, 8, 16))


def test_proj_head_of_joined_levels():
    head = ProjHead((2, 4, 6), 5, in_index=(0, 1, 2), input_transform="resize_concat", norm_cfg=BN)
    assert [(m.in_channels, m.out_channels) for m in head.convs] == [(12, 4), (4, 5)]
    assert head(pyramid(2, 4, 6)).shape == (2, 5, 8, 16)


def test_proj_head_of_separate_levels():
    head = ProjHead((2, 4), 5, in_index=(0, 1), input_transform="multiple_select", norm_cfg=BN)
    features = head(pyramid(2, 4))
    assert [tuple(f.shape) for f in features] == [(2, 5, 8, 16), (2, 5, 4, 8)]
    assert [head.convs[i][0].in_channels for i in (0, 1)] == [2, 4]


def test_proj_head_normalises_in_float32():
    head = ProjHead(4, channels=4, num_convs=0)
    (feat,) = pyramid(4)
    features = head([feat.half() * 1e-3])
    assert features.dtype == torch.float32
    torch.testing.assert_close(norms(features), torch.ones(2, 8, 16))
    assert head([feat.double()]).dtype == torch.float64


def test_proj_head_without_layers_keeps_the_channels():
    with pytest.raises(ValueError, match="num_convs=0 changes no channels"):
        ProjHead(4, channels=5, num_convs=0)
