import pytest
import torch
from torch import nn

from mmseg.models.backbones import ResNetV1c


@pytest.mark.parametrize(
    ("depth", "channels", "millions"),
    # torchvision's ResNets without classifier, plus 0.019 M for the deep stem.
    [(18, 64, 11.20), (34, 64, 21.30), (50, 256, 23.53), (101, 256, 42.52)],
)
def test_shapes_and_sizes(depth, channels, millions):
    with torch.device("meta"):
        backbone = ResNetV1c(depth)
        feats = backbone(torch.zeros(2, 3, 64, 96))
    assert [tuple(feat.shape) for feat in feats] == [
        (2, channels, 16, 24),
        (2, 2 * channels, 8, 12),
        (2, 4 * channels, 4, 6),
        (2, 8 * channels, 2, 3),
    ]
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_narrower_one_halves_all_widths():
    with torch.device("meta"):
        narrow, plain = ResNetV1c(18, base_channels=32), ResNetV1c(18)
    for small, large in zip(narrow.parameters(), plain.parameters(), strict=True):
        sides = [2 if n > 3 else 1 for n in large.shape[:2]]
        expected = [n // side for n, side in zip(large.shape, sides, strict=False)]
        assert list(small.shape) == [*expected, *large.shape[2:]]


def test_dilations_replace_strides_and_contract():
    with torch.device("meta"):
        backbone = ResNetV1c(
            50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True
        )
        feats = backbone(torch.zeros(1, 3, 32, 32))
    assert [feat.shape[-1] for feat in feats] == [8, 4, 4, 4]
    dilations = [
        [block.conv2.dilation[0] for block in layer]
        for layer in (backbone.layer2, backbone.layer3, backbone.layer4)
    ]
    assert dilations == [[1] * 4, [1] + [2] * 5, [2, 4, 4]]
    with torch.device("meta"):
        plain = ResNetV1c(18, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    assert [block.conv1.dilation[0] for block in plain.layer4] == [4, 4]


def test_style_decides_which_convolution_has_the_stride():
    with torch.device("meta"):
        blocks = [ResNetV1c(50, style=style).layer2[0] for style in ("pytorch", "caffe")]
    assert [(b.conv1.stride[0], b.conv2.stride[0]) for b in blocks] == [(1, 2), (2, 1)]


def test_out_indices_and_num_stages():
    with torch.device("meta"):
        backbone = ResNetV1c(
            18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 2)
        )
        feats = backbone(torch.zeros(1, 3, 32, 32))
    assert [feat.shape[1] for feat in feats] == [64, 256]
    assert not hasattr(backbone, "layer4")


@pytest.mark.parametrize(("norm_eval", "moved"), [(False, True), (True, False)])
def test_norm_eval_fixes_the_running_statistics(norm_eval, moved):
    backbone = ResNetV1c(
        18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), norm_eval=norm_eval
    )
    backbone.train()
    backbone(torch.randn(2, 3, 16, 16))
    assert bool(backbone.stem[1].running_mean.abs().sum() > 0) is moved


def test_norm_cfg_can_freeze_the_affine_parameters():
    with torch.device("meta"):
        backbone = ResNetV1c(18, norm_cfg={"type": "BN", "requires_grad": False})
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and not any(norm.weight.requires_grad for norm in norms)


def test_residual_branches_start_at_zero():
    backbone = ResNetV1c(18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)).eval()
    x = torch.rand(1, 64, 4, 4)
    torch.testing.assert_close(backbone.layer1(x), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": (1, 2)}, "strides and dilations must have 4 entries"),
        ({"out_indices": (4,)}, "out_indices must be among"),
        ({"out_indices": ()}, "out_indices must be among"),
        ({"init_cfg": {"type": "Kaiming"}}, "init_cfg must be None or"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ResNetV1c(**({"depth": 18} | options))
