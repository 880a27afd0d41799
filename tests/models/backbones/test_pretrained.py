"""Test loading ImageNet weights: those that fit are loaded, others are named in the error."""

import pytest
import torch

from mmseg.models.backbones import MixVisionTransformer, ResNetV1c, load_pretrained
from mmseg.registry import MODELS
from mmseg.utils import InputError
from tests.models.fcn_head import FCNHead
from tests.models.networks import tiny

ONE_STAGE = {"num_stages": 1, "strides": (1,), "dilations": (1,), "out_indices": (0,)}


def resnet(path=None) -> ResNetV1c:
    init_cfg = path and {"type": "Pretrained", "checkpoint": str(path)}
    return ResNetV1c(18, **ONE_STAGE, init_cfg=init_cfg)


def weights() -> dict[str, torch.Tensor]:
    return {
        name: torch.full_like(value, 0.5)
        for name, value in resnet().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def is_loaded(backbone: ResNetV1c) -> bool:
    return bool(
        (backbone.stem[0].weight == 0.5).all() and (backbone.stem[1].running_var == 0.5).all()
    )


@pytest.mark.parametrize(
    "layout", ["plain", "state_dict", "model", "prefix", "method", "classifier"]
)
def test_weights_are_loaded_from_files_of_all_layouts(tmp_path, layout):
    content = weights()
    if layout in ("state_dict", "model"):
        content = {layout: content, "meta": {"epoch": 3}}
    elif layout == "prefix":
        content = {f"backbone.{name}": value for name, value in content.items()}
        content["decode_head.conv_seg.weight"] = torch.zeros(1)
    elif layout == "method":  # its student counts
        student = {f"model.backbone.{name}": value for name, value in content.items()}
        teacher = {f"ema_model.backbone.{name}": value + 1 for name, value in content.items()}
        content = {"state_dict": teacher | student | {"_extra_state": {"iteration": 3}}}
    elif layout == "classifier":
        content |= {"fc.weight": torch.zeros(10, 64), "fc.bias": torch.zeros(10)}
    torch.save(content, tmp_path / "weights.pth")
    backbone = resnet(tmp_path / "weights.pth")
    assert not is_loaded(backbone)
    backbone.init_weights()
    assert is_loaded(backbone)


def test_mit_with_classifier_named_head(tmp_path):
    options = {"embed_dims": (8,), "depths": (1,), "num_heads": (1,), "sr_ratios": (2,)}
    backbone = MixVisionTransformer(**options, out_indices=(0,))
    content = {name: torch.ones_like(value) for name, value in backbone.state_dict().items()}
    torch.save(content | {"head.weight": torch.zeros(2)}, tmp_path / "mit.pth")
    load_pretrained(backbone, tmp_path / "mit.pth")
    assert (backbone.block1[0].attn.sr.weight == 1).all()


def test_segmentor_loads_its_backbone_once(tmp_path):
    torch.save(weights(), tmp_path / "weights.pth")
    config = tiny()
    config["backbone"]["init_cfg"] = {
        "type": "Pretrained",
        "checkpoint": str(tmp_path / "weights.pth"),
    }
    segmentor = MODELS.build(config)
    segmentor.init_weights()
    assert is_loaded(segmentor.backbone)
    assert isinstance(segmentor.decode_head, FCNHead)
    assert segmentor.decode_head.conv_seg.weight.std() < 0.02
    torch.nn.init.zeros_(segmentor.backbone.stem[0].weight)
    segmentor.backbone.init_weights()
    assert not is_loaded(segmentor.backbone)


def test_without_init_cfg_no_file_is_needed():
    before = resnet()
    weight = before.stem[0].weight.clone()
    before.init_weights()
    assert torch.equal(before.stem[0].weight, weight)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("mit_b5.pth", "SegFormer's ImageNet-1k weights of MiT-B5"),
        ("resnet101_v1c.pth", "OpenMMLab's ImageNet weights resnet101_v1c"),
        ("vit_base_patch14_dinov2.pth", "Meta's DINOv2 weights vit_base_patch14_dinov2"),
        ("vit_large_patch16_dinov3", "Meta's DINOv3 weights vit_large_patch16_dinov3"),
        ("eva02_base.pth", "BAAI's EVA-02 weights eva02_base"),
        ("other.pth", "fetch the weights"),
    ],
)
def test_a_missing_file_is_refused_with_its_source(tmp_path, name, what):
    with pytest.raises(InputError) as error:
        resnet(tmp_path / name).init_weights()
    message = str(error.value)
    assert str(tmp_path / name) in message and what in message and "--from-scratch" in message
    assert "\n" not in message


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"patch_embed1.proj.weight": torch.zeros(1)}, tmp_path / "mit_b5.pth")
    with pytest.raises(InputError) as error:
        resnet(tmp_path / "mit_b5.pth").init_weights()
    message = str(error.value)
    assert (
        "missing (stem.0.weight, stem.1.weight, stem.1.bias, stem.1.running_mean, ...)" in message
    )
    assert "1 unexpected (patch_embed1.proj.weight)" in message


def test_a_file_of_another_width_is_refused(tmp_path):
    content = weights()
    content["stem.0.weight"] = torch.zeros(32, 4, 3, 3)
    torch.save(content, tmp_path / "w.pth")
    shapes = r"stem\.0\.weight \(32, 4, 3, 3\) instead of \(32, 3, 3, 3\)"
    with pytest.raises(InputError, match=shapes):
        resnet(tmp_path / "w.pth").init_weights()


class Arbitrary:
    """A class that only trusting code would unpickle."""


@pytest.mark.parametrize("layout", ["garbage", "empty", "cut", "object", "list"])
def test_unreadable_files_are_refused_in_one_line(tmp_path, layout):
    path = tmp_path / "w.pth"
    if layout == "garbage":
        path.write_bytes(b"<html>404 not found</html>")
    elif layout == "empty":
        path.write_bytes(b"")
    else:
        content = {"object": weights() | {"extra": Arbitrary()}, "list": [1, 2]}.get(
            layout, weights()
        )
        torch.save(content, path)
    if layout == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"w\.pth") as error:
        resnet(path).init_weights()
    assert "\n" not in str(error.value)
