import copy

import pytest
import timm
import torch

from mmseg.models.backbones import TIMMBackbone
from mmseg.registry import MODELS
from mmseg.utils import InputError
from tests.models.recomputing import kept_by_recomputing


def test_all_levels_of_the_pyramid_are_returned():
    backbone = MODELS.build({"type": "TIMMBackbone", "model_name": "resnet18"})
    feats = backbone(torch.rand(1, 3, 64, 64))
    assert [tuple(feat.shape[1:]) for feat in feats] == [
        (64, 32, 32),
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
        (512, 2, 2),
    ]


@pytest.mark.parametrize("name", ["swin_s3_tiny_224", "test_convnext"])
def test_maps_of_any_family_are_channels_first(name):
    backbone = TIMMBackbone(name)
    feats = backbone(torch.rand(1, 3, 64, 96))
    strides = [4, 8, 16, 32]
    assert [tuple(feat.shape[2:]) for feat in feats] == [(64 // s, 96 // s) for s in strides]
    assert [feat.shape[1] for feat in feats] == backbone.channels


def test_maps_of_swin_are_those_of_timm():
    torch.manual_seed(0)
    backbone = TIMMBackbone("swin_s3_tiny_224", out_indices=(1,)).eval()
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(backbone(image)[0].permute(0, 2, 3, 1), backbone.timm_model(image)[0])


def test_levels_and_input_channels_can_be_chosen():
    backbone = TIMMBackbone("resnet18", in_channels=1, out_indices=(1, 3))
    feats = backbone(torch.rand(1, 1, 32, 32))
    assert [feat.shape[1] for feat in feats] == [64, 256]


def test_without_features_only_the_last_map_is_returned():
    feats = TIMMBackbone("resnet18", features_only=False)(torch.rand(1, 3, 64, 64))
    assert [tuple(feat.shape) for feat in feats] == [(1, 512, 2, 2)]


def test_local_file_with_classifier_and_unused_levels(tmp_path):
    torch.manual_seed(1)
    whole = timm.create_model("resnet18").eval()
    torch.save(whole.state_dict(), tmp_path / "r18.pth")
    path = str(tmp_path / "r18.pth")
    backbone = TIMMBackbone("resnet18", checkpoint_path=path, out_indices=(3,)).eval()
    image = torch.rand(1, 3, 32, 32)
    expected = whole.layer3(
        whole.layer2(whole.layer1(whole.maxpool(whole.act1(whole.bn1(whole.conv1(image))))))
    )
    torch.testing.assert_close(backbone(image)[0], expected)


def test_missing_and_partial_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there are no pretrained weights at"):
        TIMMBackbone("resnet18", checkpoint_path=str(tmp_path / "none.pth"))
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pth")
    with pytest.raises(InputError, match=r"missing \(bn1\.weight"):
        TIMMBackbone("resnet18", checkpoint_path=str(tmp_path / "part.pth"))


def test_an_unknown_model_is_refused():
    with pytest.raises(InputError, match="no model named 'resnet17'"):
        TIMMBackbone("resnet17")


def test_a_failed_download_is_an_input_error(monkeypatch):
    def offline(*_args, **_kwargs):
        raise ConnectionError("name resolution\nfailed")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match=r"ConnectionError: name resolution failed.*network"):
        TIMMBackbone("resnet18", pretrained=True)


def test_nothing_is_downloaded_by_default(monkeypatch):
    asked = []
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **k: asked.append(k["pretrained"]) or create(*a, **k)
    )
    TIMMBackbone("resnet18")
    assert asked and not any(asked)


def test_levels_need_the_pyramid():
    with pytest.raises(ValueError, match="out_indices needs features_only"):
        TIMMBackbone("resnet18", features_only=False, out_indices=(0,))


@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_recomputed_activations_give_the_same_gradients(name):
    torch.manual_seed(0)
    plain = TIMMBackbone(name, drop_path_rate=0.5)
    recomputed = copy.deepcopy(plain)
    recomputed.with_cp = True
    assert recomputed.with_cp and not plain.with_cp
    image = torch.rand(2, 3, 160, 160)
    assert kept_by_recomputing(plain, recomputed, image) < 0.7


def test_batch_norm_is_not_recomputed():
    with pytest.raises(InputError, match="resnet18 has BatchNorm, whose statistics"):
        TIMMBackbone("resnet18", with_cp=True)


def test_the_rate_of_drop_path_can_be_set():
    rates = {
        layer.drop_prob
        for layer in TIMMBackbone("test_convnext", drop_path_rate=0.3).modules()
        if type(layer).__name__ == "DropPath"
    }
    assert max(rates) == pytest.approx(0.3)
    with pytest.raises(InputError, match="timm's vgg11 has no drop_path_rate: leave it out"):
        TIMMBackbone("vgg11", drop_path_rate=0.1)


def test_weights_of_init_cfg_are_loaded_by_init_weights(tmp_path):
    torch.save(timm.create_model("test_convnext").state_dict(), tmp_path / "w.pth")
    init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "w.pth")}
    backbone = TIMMBackbone("test_convnext", init_cfg=init_cfg)
    other = TIMMBackbone("test_convnext", checkpoint_path=str(tmp_path / "w.pth")).state_dict()
    assert any(not torch.equal(v, other[name]) for name, v in backbone.state_dict().items())
    backbone.init_weights()
    assert all(torch.equal(v, other[name]) for name, v in backbone.state_dict().items())
    student = {f"model.backbone.{name}": value for name, value in other.items()}
    torch.save({"state_dict": student}, tmp_path / "w.pth")
    trained = TIMMBackbone("test_convnext", init_cfg=init_cfg)
    trained.init_weights()
    assert all(torch.equal(v, other[name]) for name, v in trained.state_dict().items())
