"""Test that SePiCo trains a ViT with patches of 14 pixels, also frozen in part."""

import copy

import pytest
import torch

from mmseg.engine.optim import StudentOptimWrapperConstructor
from mmseg.engine.performance import Performance
from mmseg.models.uda import SePiCo
from tests.models.backbones.foreign import randomise
from tests.models.networks import TINY_VIT
from tests.models.uda.small_methods import batch, optimizer_of, sepico


def sepico_of_vit(**backbone) -> SePiCo:
    torch.manual_seed(0)
    segmentor = copy.deepcopy(TINY_VIT)
    segmentor["backbone"] |= backbone
    model = sepico(segmentor=segmentor, crop_size=(64, 64))
    randomise(model.model.backbone).train()  # a new ViT scales its layers by 1e-5
    return model


@pytest.mark.parametrize(
    "performance",
    [Performance(), Performance(precision="bf16", activation_checkpointing=True)],
    ids=["plain", "bf16, recomputed"],
)
def test_sepico_trains_patches_of_14_pixels(performance):
    model = sepico_of_vit(drop_path_rate=0.2)
    performance.apply(model)
    optimizer = performance.optim_wrapper({"optimizer": {"type": "SGD", "lr": 0.1}})
    optim_wrapper = StudentOptimWrapperConstructor(optimizer)(model)
    before = copy.deepcopy(model.model.state_dict())
    for t in range(2):
        log = model.train_step(batch(t, width=96, height=64), optim_wrapper)
    # The contrast compares the features of the projection with labels, at a quarter of the crop.
    assert {"src.loss", "mix.loss"} <= log.keys()
    assert all(value.isfinite() for value in log.values())
    assert model.prototypes[0].amount.sum() > 0
    after = model.model.state_dict()
    learnt = [name for name in before if name.startswith("backbone.")]
    assert not [name for name in learnt if torch.equal(before[name], after[name])]


def test_frozen_blocks_do_not_change_nor_does_the_teacher():
    model = sepico_of_vit(freeze=3)
    optim_wrapper = optimizer_of(model, lr=0.1)
    before = copy.deepcopy(model.model.backbone.state_dict())
    for t in range(2):
        model.train_step(batch(t, width=96, height=64), optim_wrapper)
    for network in (model.model, model.ema_model):
        state = network.backbone.state_dict()
        changed = {name for name in before if not torch.equal(before[name], state[name])}
        assert changed and all(
            name.startswith(("timm_model.blocks.3", "timm_model.norm")) for name in changed
        )
    trained = sum(p.numel() for group in optim_wrapper.param_groups for p in group["params"])
    assert trained == sum(p.numel() for p in model.model.parameters() if p.requires_grad)
