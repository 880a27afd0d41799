"""Check that our backbones compute the same features with weights of other libraries."""

import logging

import pytest
import timm
import torch
from timm.models.resnet import BasicBlock, ResNet

from mmseg.models.backbones import (
    MixVisionTransformer,
    ResNetV1c,
    load_pretrained,
    mit_b0,
)
from mmseg.models.backbones.convert import (
    LAYOUTS,
    convert,
    describe_difference,
    find_layout,
)
from mmseg.utils import InputError
from tests.models.backbones.foreign import OpenMMLabMiT, randomise

SMALL = {"embed_dims": (8, 16), "depths": (1, 2), "num_heads": (1, 2), "sr_ratios": (4, 1)}


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_same_features(backbone, state_dict, expected, image, atol=1e-4) -> None:
    """Check that ``backbone`` computes the features ``expected`` with all converted weights."""
    conversion = convert(state_dict)
    counters = {key for key in backbone.state_dict() if key.endswith("num_batches_tracked")}
    missing = backbone.state_dict().keys() - conversion.weights.keys()
    assert missing <= counters
    backbone.load_state_dict(conversion.weights, strict=False)
    features = backbone.eval()(image)
    assert len(features) == len(expected)
    for own, other in zip(features, expected, strict=True):
        assert other.std() > 0.1
        torch.testing.assert_close(own, other, atol=atol, rtol=1e-4)


@pytest.fixture(scope="module")
def hugging_face():
    """Build a classifier with MiT-B0's shape."""
    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(
        hidden_sizes=[32, 64, 160, 256], depths=[2, 2, 2, 2], num_labels=5
    )
    return randomise(transformers.SegformerForImageClassification(config))


@torch.no_grad()
def features_of(segformer, image) -> tuple[torch.Tensor, ...]:
    return segformer.segformer(image, output_hidden_states=True).hidden_states


def test_hugging_face_in_memory(hugging_face, image):
    """Weights in memory are converted, although Transformers 5 renamed the modules."""
    state_dict = hugging_face.state_dict()
    assert_same_features(mit_b0(), state_dict, features_of(hugging_face, image), image)
    assert convert(state_dict).dropped == ("classifier.weight", "classifier.bias")


def test_hugging_face_on_disk(hugging_face, image, tmp_path):
    """Weights in files are converted; they keep the names that ``nvidia/mit-b5`` has on the hub."""
    hugging_face.save_pretrained(tmp_path / "mit-b0")
    backbone = mit_b0(init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "mit-b0")})
    backbone.init_weights()
    expected = features_of(hugging_face, image)
    with torch.no_grad():
        for own, other in zip(backbone.eval()(image), expected, strict=True):
            torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)
    from safetensors.torch import load_file

    stored = load_file(tmp_path / "mit-b0" / "model.safetensors")
    assert "segformer.encoder.block.1.0.attention.self.value.bias" in stored
    assert convert(stored).title == "Hugging Face's SegFormer encoder"


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_openmmlab_mit(image, prefix):
    other = randomise(OpenMMLabMiT(**SMALL))
    state_dict = {prefix + key: value for key, value in other.state_dict().items()}
    assert f"{prefix}layers.1.1.1.attn.attn.in_proj_weight" in state_dict
    extra = {"decode_head.conv_seg.weight": torch.zeros(1), "head.bias": torch.zeros(1)}
    conversion = convert(state_dict | extra)
    assert conversion.title == "OpenMMLab's MiT"
    assert conversion.dropped == tuple(extra)
    assert conversion.dropped_parts == ["decode_head", "head"]
    backbone = MixVisionTransformer(**SMALL, out_indices=(0, 1))
    assert conversion.weights.keys() == backbone.state_dict().keys()
    with torch.no_grad():
        assert_same_features(backbone, state_dict, other(image), image, atol=1e-5)


def test_openmmlab_queries_come_first():
    in_proj = torch.arange(24.0).view(12, 2)
    marks = {"layers.0.0.projection.weight": torch.zeros(1)}
    keys = {"layers.3.1.2.attn.attn.in_proj_weight": in_proj}
    weights = convert(marks | keys).weights
    assert weights.keys() == {
        "patch_embed1.proj.weight",
        "block4.2.attn.q.weight",
        "block4.2.attn.kv.weight",
    }
    assert weights["block4.2.attn.q.weight"].tolist() == in_proj[:4].tolist()
    assert weights["block4.2.attn.kv.weight"].tolist() == in_proj[4:].tolist()


def test_timm_resnet_50(image):
    other = randomise(timm.create_model("resnet50c", num_classes=5))
    conversion = convert(other.state_dict())
    assert conversion.title == "timm's ResNet with a deep stem"
    assert conversion.dropped == ("fc.weight", "fc.bias")
    own = ResNetV1c(50)
    assert conversion.weights.keys() == own.state_dict().keys()
    with torch.no_grad():
        expected = other.forward_intermediates(image, indices=[1, 2, 3, 4], intermediates_only=True)
    assert_same_features(own, other.state_dict(), expected, image, atol=1e-3)


def test_timm_resnet_18(image):
    other = randomise(ResNet(BasicBlock, (2, 2, 2, 2), stem_width=32, stem_type="deep"))
    with torch.no_grad():
        expected = other.forward_intermediates(image, indices=[1, 2, 3, 4], intermediates_only=True)
    assert_same_features(ResNetV1c(18), other.state_dict(), expected, image, atol=1e-3)


def test_mmpretrain_resnet():
    own = randomise(ResNetV1c(18)).state_dict()
    renamed = {}
    for key, value in own.items():
        part, index, rest = (key.split(".", 2) + [""])[:3]
        if part == "stem":
            kind = "bn" if int(index) % 3 else "conv"
            key = f"stem.{int(index) // 3}.{kind}.{rest}"
        renamed[f"backbone.{key}"] = value
    assert {"backbone.stem.0.conv.weight", "backbone.stem.2.bn.running_var"} <= renamed.keys()
    conversion = convert(renamed | {"head.fc.weight": torch.zeros(5, 512)})
    assert conversion.title == "MMPretrain's ResNet-V1c"
    assert conversion.dropped == ("head.fc.weight",)
    assert conversion.weights.keys() == own.keys()
    assert all(torch.equal(conversion.weights[key], own[key]) for key in own)


@pytest.mark.parametrize("build", [mit_b0, lambda: ResNetV1c(18)])
def test_our_own_names_are_kept(build):
    own = build().state_dict()
    conversion = convert(own)
    assert conversion.layout is not None and "our names" in conversion.title
    assert conversion.weights.keys() == own.keys()
    assert conversion.dropped == ()


def test_a_backbone_with_another_librarys_names_keeps_them(tmp_path):
    state_dict = randomise(OpenMMLabMiT(**SMALL)).state_dict()
    wrapped = {f"backbone.{key}": value for key, value in state_dict.items()}
    torch.save(wrapped | {"decode_head.bias": torch.zeros(1)}, tmp_path / "mit.pth")
    other = OpenMMLabMiT(**SMALL)
    load_pretrained(other, tmp_path / "mit.pth")
    assert all(torch.equal(value, state_dict[key]) for key, value in other.state_dict().items())


def test_half_precision_becomes_float32():
    half = {key: value.half() for key, value in OpenMMLabMiT(**SMALL).state_dict().items()}
    assert {value.dtype for value in convert(half).weights.values()} == {torch.float32}


def test_each_mark_identifies_one_layout():
    for layout in LAYOUTS:
        for prefix in ("", "segformer.", "backbone.", "module."):
            assert find_layout({prefix + layout.mark: None}) == (layout, prefix)
    assert find_layout({"backbone.a": None, "decode_head.b": None}) == (None, "backbone.")
    assert find_layout({"a": None}) == (None, "")


def test_missing_and_unexpected_entries_are_named(tmp_path):
    state_dict = OpenMMLabMiT(**SMALL).state_dict()
    del state_dict["layers.1.1.0.attn.attn.in_proj_bias"]
    state_dict["layers.1.1.0.attn.gate"] = torch.zeros(1)
    torch.save(state_dict, tmp_path / "mit.pth")
    with pytest.raises(InputError) as error:
        load_pretrained(MixVisionTransformer(**SMALL, out_indices=(1,)), tmp_path / "mit.pth")
    assert str(error.value) == (
        f"the pretrained weights {tmp_path / 'mit.pth'} (OpenMMLab's MiT) are not those of this "
        "backbone: 2 missing (block2.0.attn.q.bias, block2.0.attn.kv.bias); "
        "1 unexpected (layers.1.1.0.attn.gate)"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet18", "its stem is one convolution of 7x7 (ResNet-V1c has three of 3x3)"),
        ("resnet18d", "its shortcuts pool before they convolve (ResNet-V1d; ResNet-V1c does not)"),
        ("resnet50s", "the first convolution of its stem has 64 channels (ResNet-V1c has 32)"),
        ("resnet50c", ""),
    ],
)
def test_why_a_resnet_does_not_fit(name, reason):
    with torch.device("meta"):
        weights = convert(timm.create_model(name).state_dict()).weights
        own = ResNetV1c(50 if "50" in name else 18).state_dict()
    assert describe_difference(own, weights) == reason
    assert describe_difference(mit_b0().state_dict(), weights) == ""


def test_loading_reports_what_was_recognised(tmp_path, logged):
    state_dict = OpenMMLabMiT(**SMALL).state_dict() | {"head.bias": torch.zeros(1)}
    torch.save({"state_dict": state_dict}, tmp_path / "mit.pth")
    backbone = MixVisionTransformer(**SMALL, out_indices=(1,))
    load_pretrained(backbone, tmp_path / "mit.pth")
    weight = state_dict["layers.1.1.1.ffn.layers.4.weight"][:, :, 0, 0]
    assert torch.equal(backbone.block2[1].mlp.fc2.weight, weight)
    assert logged.messages(logging.INFO) == [
        f"pretrained weights: {tmp_path / 'mit.pth'} (OpenMMLab's MiT), "
        f"{len(backbone.state_dict())} entries; left out: head"
    ]
