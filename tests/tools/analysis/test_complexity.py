"""Compare counted parameters and FLOPs with numbers worked out by hand."""

import pytest

from mmseg.utils import InputError
from tests.models.networks import DLV2, tiny
from tools.analysis.complexity import PartCost, cost_comparison, cost_table, count_cost

#: Multiplications per pixel: the stem (1/2 of the side), four convolutions (1/4), the head's two.
STEM = 9 * (3 * 32 + 32 * 32 + 32 * 64)
STAGE = 4 * 9 * 64 * 64
HEAD = 9 * 64 * 8 + 8 * 5


def test_convolutions():
    """A multiply-add counts as two FLOPs; BatchNorm has two parameters per channel and no FLOPs."""
    backbone, head = count_cost(tiny(), (32, 64))
    assert backbone == PartCost(
        "backbone",
        STEM + 2 * (32 + 32 + 64) + STAGE + 4 * 2 * 64,
        2 * (16 * 32 * STEM + 8 * 16 * STAGE),
    )
    assert (backbone.parameters, backbone.flops) == (176736, 66945024)
    # Both convolutions have a bias (the first has no norm), which FLOPs leave out.
    assert head == PartCost("decode head", HEAD + 8 + 5, 2 * 8 * 16 * HEAD)


def test_attention():
    """A block of 8 channels on 4x4 tokens costs its projections, attention products and MLP."""
    backbone = {"type": "MixVisionTransformer", "embed_dims": (8,), "depths": (1,)}
    backbone |= {"num_heads": (2,), "sr_ratios": (1,), "out_indices": (0,)}
    head = tiny()["decode_head"] | {"in_channels": 8}
    cost = count_cost(tiny(backbone=backbone, decode_head=head), (16, 16))[0]
    embed, linear, mlp = 7 * 7 * 3 * 8, 4 * 8 * 8, 8 * 32 + 9 * 32 + 32 * 8
    products = 2 * 16 * 8  # per token, with 16 tokens: scores, then weighted values
    assert cost.flops == 2 * 16 * (embed + linear + products + mlp) == 79616
    biases, norms = 8 + 4 * 8 + 32 + 32 + 8, 2 * 4 * 8
    assert cost.parameters == embed + linear + mlp + biases + norms


def test_method_counts_its_student_once():
    preprocessor = {"type": "SegDataPreProcessor", "mean": (0, 0, 0), "std": (1, 1, 1)}
    model = {"type": "SourceOnly", "segmentor": tiny(), "data_preprocessor": preprocessor}
    assert count_cost(model, (32, 64)) == count_cost(tiny(), (32, 64))


def test_published_network():
    """ResNet-101 with a deep stem and without its classifier has 42.5 M parameters."""
    backbone, head, projection = count_cost(DLV2, (64, 64))
    assert [part.name for part in (backbone, head, projection)] == [
        "backbone",
        "decode head",
        "projection head",
    ]
    # torchvision's 44549160, without the classifier and the 7x7 stem, with three 3x3 convolutions
    assert backbone.parameters == 44549160 - 2049000 - 7 * 7 * 3 * 64 + STEM + 2 * (32 + 32)
    assert head.parameters == 4 * (9 * 2048 * 19 + 19)
    assert head.flops == 2 * 8 * 8 * 4 * 9 * 2048 * 19
    assert projection.parameters == 2048 * 2048 + 2 * 2048 + 2048 * 512 + 2 * 512
    assert projection.flops == 2 * 8 * 8 * 2048 * (2048 + 512)


def test_mistakes():
    with pytest.raises(InputError, match=r"cannot take images of 2x2 \(height x width\): "):
        backbone = {"type": "mit_b0", "init_cfg": {"type": "Pretrained", "checkpoint": "/none"}}
        head = tiny()["decode_head"] | {"in_channels": 256, "in_index": 3}
        count_cost(tiny(backbone=backbone, decode_head=head), (2, 2))
    with pytest.raises(InputError, match=r"model \(FCNHead\) holds no segmentor"):
        count_cost(tiny()["decode_head"], (32, 64))
    with pytest.raises(InputError, match="model has no type"):
        count_cost({"a": 1}, (32, 64))
    with pytest.raises(InputError, match="did you mean 'ResNetV1c'"):
        count_cost(tiny(backbone={"type": "ResNetV1d", "depth": 18}), (32, 64))
    with pytest.raises(InputError, match="model.backbone.depth is 7, but it takes 18 or 34"):
        count_cost(tiny(backbone={"type": "ResNetV1c", "depth": 7}), (32, 64))


def test_tables():
    small = [PartCost("backbone", 1234567, 3 * 10**9), PartCost("decode head", 89, 456 * 10**7)]
    lines = cost_table(small, (32, 64)).splitlines()
    assert lines[:6] == [
        "part         parameters  GFLOPs",
        "-------------------------------",
        "backbone      1,234,567    3.00",
        "decode head          89    4.56",
        "-------------------------------",
        "total         1,234,656    7.56",
    ]
    assert "32x64 (height x width).\nA multiply-add is two operations" in "\n".join(lines)
    large = [PartCost("backbone", 2 * 10**6, 0), PartCost("projection head", 10**6, 10**7)]
    assert cost_comparison({"small": small, "large": large}, (32, 64)).splitlines()[:4] == [
        "parameters in millions  backbone  decode head  projection head  total  GFLOPs",
        "-----------------------------------------------------------------------------",
        "small                       1.23         0.00                -   1.23    7.56",
        "large                       2.00            -             1.00   3.00    0.01",
    ]
