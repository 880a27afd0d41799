import pytest
import torch
import torch.nn.functional as F
from timm.layers import DropPath as TimmDropPath

from mmseg.models.backbones import MixVisionTransformer
from mmseg.models.backbones.mix_transformer import DropPath, EfficientAttention
from mmseg.registry import MODELS


@pytest.mark.parametrize(
    ("variant", "millions"),
    # Table 6 of the SegFormer paper; B0 has its own widths.
    [(0, 3.3), (1, 13.2), (2, 24.2), (3, 44.1), (4, 60.8), (5, 81.4)],
)
def test_shapes_and_sizes(variant, millions):
    with torch.device("meta"):
        backbone = MODELS.build({"type": f"mit_b{variant}"})
        feats = backbone(torch.zeros(2, 3, 64, 96))
    channels = (32, 64, 160, 256) if variant == 0 else (64, 128, 320, 512)
    assert [tuple(feat.shape) for feat in feats] == [
        (2, channels[0], 16, 24),
        (2, channels[1], 8, 12),
        (2, channels[2], 4, 6),
        (2, channels[3], 2, 3),
    ]
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.1)


def test_indivisible_sides_and_out_indices():
    backbone = MixVisionTransformer((8, 8), (1, 1), (1, 2), (8, 4), out_indices=(1,)).eval()
    (feat,) = backbone(torch.rand(1, 3, 45, 70))
    assert feat.shape == (1, 8, 6, 9)  # ceil(ceil(45 / 4) / 2), ceil(ceil(70 / 4) / 2)


@pytest.mark.parametrize("images", [1, 2])
def test_maps_are_channels_last(images):
    backbone = MixVisionTransformer((8, 12), (1, 1), (1, 2), (8, 4), out_indices=(0, 1)).eval()
    seen = []
    for block in backbone.block1:
        block.mlp.dwconv.dwconv.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    first, last = backbone(torch.rand(images, 3, 32, 64))
    assert seen[0].stride() == (8 * 16 * 32, 1, 16 * 32, 32)
    assert first.stride() == (8 * 16 * 8, 1, 16 * 8, 8)
    assert last.stride() == (4 * 8 * 12, 1, 8 * 12, 12)


def test_drop_path_grows_linearly():
    with torch.device("meta"):
        backbone = MODELS.build({"type": "mit_b0", "drop_path_rate": 0.7})
    blocks = [block for stage in range(1, 5) for block in getattr(backbone, f"block{stage}")]
    rates = [block.drop_path.p for block in blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drop_path_drops_whole_samples_as_timm_does(dtype):
    tokens = torch.rand(8, 5, 3).to(dtype) + 1
    kept = []
    for layer in (DropPath(0.5), TimmDropPath(0.5)):
        torch.manual_seed(3)
        kept.append(layer.train()(tokens))
    assert torch.equal(*kept)
    dropped = kept[0].eq(0).flatten(1)
    assert torch.equal(dropped.all(1), dropped.any(1))
    assert 0 < dropped.all(1).sum() < 8
    assert torch.equal(kept[0][~dropped.all(1)], 2 * tokens[~dropped.all(1)])


@pytest.mark.parametrize("sr_ratio", [1, 2])
def test_attention_is_softmax_of_scaled_products(sr_ratio):
    torch.manual_seed(0)
    attention = EfficientAttention(6, num_heads=2, sr_ratio=sr_ratio)
    tokens, size = torch.randn(1, 8, 6), (2, 4)
    reduced = tokens
    if sr_ratio == 2:
        shrunk = attention.sr(tokens[0].t().reshape(1, 6, 2, 4))
        reduced = attention.norm(shrunk.reshape(6, 2).t())[None]
    query, both = attention.q(tokens)[0], attention.kv(reduced)[0]
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = query[:, head] @ both[:, :6][:, head].t() / 3**0.5
        heads.append(F.softmax(scores, dim=1) @ both[:, 6:][:, head])
    torch.testing.assert_close(attention(tokens, size)[0], attention.proj(torch.cat(heads, dim=1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": (1,)}, "equally long"),
        ({"out_indices": (2,)}, "out_indices must be among"),
        ({"out_indices": ()}, "out_indices must be among"),
    ],
)
def test_bad_settings_are_refused(options, message):
    good = {"embed_dims": (8, 8), "depths": (1, 1), "num_heads": (1, 1), "sr_ratios": (1, 1)}
    with pytest.raises(ValueError, match=message):
        MixVisionTransformer(**(good | {"out_indices": (0, 1)} | options))
