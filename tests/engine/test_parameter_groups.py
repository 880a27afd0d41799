"""Check learning rate and weight decay of parameters by their names and layers."""

import pytest
import timm
import torch
from torch import nn

from mmseg.engine.parameter_groups import parameter_groups
from mmseg.utils import InputError

KEYS = {"head": {"lr_mult": 10.0}, "norm": {"decay_mult": 0.0}}


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1)
        self.decode_head = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 1), "norm": nn.BatchNorm2d(1)})
        self.frozen = nn.Conv2d(1, 1, 1).requires_grad_(False)


def names_by_setting(module: nn.Module, groups: list[dict]) -> dict[tuple, set[str]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        (group["lr"], group["weight_decay"]): {names[id(p)] for p in group["params"]}
        for group in groups
    }


def test_groups_by_learning_rate_and_decay():
    module = Student()
    groups = parameter_groups(module, 0.1, 0.01, KEYS)
    assert len(groups) == 3
    # "head" and "norm" are equally long: the alphabetically first one applies to the head's norm.
    head = {
        f"decode_head.{part}.{name}" for part in ("conv", "norm") for name in ("weight", "bias")
    }
    assert names_by_setting(module, groups) == {
        (0.1, 0.01): {"conv.weight", "conv.bias"},
        (0.1, 0.0): {"norm.weight", "norm.bias"},
        (1.0, 0.01): head,
    }


def test_the_longest_key_counts():
    keys = {"head": {"lr_mult": 10.0}, "decode_head.norm": {"lr_mult": 2.0}}
    module = Student()
    groups = names_by_setting(module, parameter_groups(module, 0.1, 0.0, keys))
    assert groups[(0.2, 0.0)] == {"decode_head.norm.weight", "decode_head.norm.bias"}


def test_without_keys_there_is_one_group():
    (group,) = parameter_groups(Student(), 0.1, 0.01, {})
    assert len(group["params"]) == 8


def student_of(model_name: str, **options) -> nn.Module:
    """Return a backbone of timm and a head without values."""
    with torch.device("meta"):
        backbone = timm.create_model(model_name, **options)
        return nn.ModuleDict({"backbone": backbone, "decode_head": nn.Conv2d(32, 5, 1)})


def vit() -> nn.Module:
    """Return a ViT of 4 blocks with all tokens, and a head."""
    return student_of(
        "vit_tiny_patch16_224", depth=4, embed_dim=32, num_heads=2, reg_tokens=1, num_classes=0
    )


def rates(student: nn.Module, rate: float, keys: dict | None = None) -> dict[str, tuple]:
    """Return the learning rate, of 1 for the top, and the weight decay, of 1, of each parameter."""
    groups = parameter_groups(student, 1.0, 1.0, keys or {}, {"rate": rate})
    by_setting = names_by_setting(student, groups)
    assert len(by_setting) == len(groups)  # one group for each pair
    return {name: setting for setting, names in by_setting.items() for name in names}


def test_layers_of_a_vit_decay_from_the_top():
    lr = {name: each[0] for name, each in rates(vit(), 0.5).items()}
    embedding = ("cls_token", "reg_token", "pos_embed", "patch_embed.proj.weight")
    assert {lr[f"backbone.{name}"] for name in embedding} == {1 / 32}
    of_block = [
        {each for name, each in lr.items() if name.startswith(f"backbone.blocks.{block}.")}
        for block in range(4)
    ]
    assert of_block == [{1 / 16}, {1 / 8}, {1 / 4}, {1 / 2}]
    assert lr["backbone.norm.weight"] == lr["decode_head.weight"] == 1
    assert len(set(lr.values())) == 6


def test_layer_decay_multiplies_with_keys():
    keys = KEYS | {"blocks.1.norm": {"lr_mult": 3.0, "decay_mult": 0.5}, "token": {"lr_mult": 4.0}}
    found = rates(vit(), 0.5, keys)
    assert found["backbone.blocks.0.norm1.weight"] == (1 / 16, 0)
    assert found["backbone.blocks.1.norm1.weight"] == (3 / 8, 0.5)
    assert found["backbone.blocks.1.attn.qkv.weight"] == (1 / 8, 1)
    assert found["backbone.cls_token"] == (4 / 32, 1)
    assert found["backbone.norm.weight"] == (1, 0)
    assert found["decode_head.weight"] == (10, 1)


def test_frozen_blocks_have_no_group_but_count_as_layers():
    student = vit()
    student["backbone"].blocks[:2].requires_grad_(False)
    found = rates(student, 0.5)
    assert not any("blocks.0." in name or "blocks.1." in name for name in found)
    assert found["backbone.blocks.2.norm1.weight"] == (1 / 4, 1)


@pytest.mark.parametrize("features_only", [True, False])
def test_blocks_of_a_convnext_count_over_its_stages(features_only):
    student = student_of(
        "convnext_atto", depths=(1, 1, 2, 1), dims=(8, 8, 8, 8), features_only=features_only
    )
    found = rates(student, 0.5)
    dot = "_" if features_only else "."
    lr = {name: found[f"backbone.{name}.weight"][0] for name in (f"stem{dot}0", f"stem{dot}1")}
    assert set(lr.values()) == {1 / 64}
    names = ("0.blocks.0", "1.blocks.0", "2.blocks.0", "2.blocks.1", "3.blocks.0")
    lr = [found[f"backbone.stages{dot}{name}.norm.weight"][0] for name in names]
    assert lr == [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]
    assert found[f"backbone.stages{dot}2.downsample.1.weight"][0] == 1 / 8


def test_a_rate_of_one_changes_nothing():
    student = vit()
    plain = parameter_groups(student, 0.1, 0.01, KEYS)
    same = parameter_groups(student, 0.1, 0.01, KEYS, {"rate": 1.0})
    assert [(g["lr"], g["weight_decay"]) for g in plain] == [
        (g["lr"], g["weight_decay"]) for g in same
    ]
    for one, other in zip(plain, same, strict=True):
        assert all(a is b for a, b in zip(one["params"], other["params"], strict=True))


@pytest.mark.parametrize(
    "model_name", ["swin_tiny_patch4_window7_224", "resnet18", "efficientnet_b0"]
)
def test_unknown_layers_are_refused(model_name):
    with pytest.raises(InputError, match="takes a plain ViT or a ConvNeXt of timm; leave it out"):
        rates(student_of(model_name), 0.9)


def test_what_layer_decay_needs():
    with pytest.raises(InputError, match="layer_decay needs a rate"):
        parameter_groups(vit(), 1.0, 0.0, {}, {"prefix": "backbone"})
    with pytest.raises(InputError, match="prefix is 'encoder', but no parameter's name begins"):
        parameter_groups(vit(), 1.0, 0.0, {}, {"rate": 0.9, "prefix": "encoder"})
