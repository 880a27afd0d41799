"""Test plain ViTs as backbones: sizes of maps, taps, freezing, recomputation, export."""

import copy

import pytest
import torch
from torch.export import Dim

from mmseg.models.backbones import TIMMViT
from mmseg.models.uda.teacher import switch_off_dropout
from mmseg.registry import MODELS
from mmseg.utils import InputError
from tests.models.backbones.foreign import randomise
from tests.models.networks import TINY_VIT, TINY_VIT_OPTIONS
from tests.models.recomputing import kept_by_recomputing

DINOV2, DINOV3 = "vit_small_patch14_reg4_dinov2", "vit_tiny_patch16_dinov3_qkvb"
EVA02 = "eva02_tiny_patch14_224"


def vit(model_name: str = DINOV2, **options) -> TIMMViT:
    size = {"img_size": 56} if "patch14" in model_name else {}
    settings = {**TINY_VIT_OPTIONS, **size, **options.pop("options", {})}
    torch.manual_seed(0)
    return randomise(TIMMViT(model_name, options=settings, **options))


@pytest.mark.parametrize("name", [DINOV2, DINOV3, EVA02])
@torch.no_grad()
def test_maps_have_the_strides_of_the_given_image(name):
    backbone = vit(name)
    for height, width in ((64, 128), (90, 30)):
        feats = backbone(torch.rand(2, 3, height, width))
        sizes = [(2, 48, height // stride, max(width // stride, 1)) for stride in (4, 8, 16, 32)]
        assert [tuple(feat.shape) for feat in feats] == sizes
    assert backbone.channels == [48] * 4
    assert all(feat.std() > 0.1 for feat in feats)


@torch.no_grad()
def test_maps_are_normed_outputs_of_the_taps():
    backbone = vit(DINOV3, taps=(0, 3), strides=(16, 8))
    image = torch.rand(1, 3, 48, 64)
    model = backbone.timm_model
    tokens, blocks = [], model.blocks
    blocks[0].register_forward_hook(lambda *args: tokens.append(args[-1]))
    blocks[3].register_forward_hook(lambda *args: tokens.append(args[-1]))
    first, last = backbone(image)
    expected = [
        model.norm(each)[:, 5:]
        .unflatten(1, (3, 4))
        .permute(0, 3, 1, 2)  # after class and 4 registers
        for each in tokens
    ]
    torch.testing.assert_close(first, expected[0])
    twice = torch.nn.functional.interpolate(expected[1], scale_factor=2, mode="bilinear")
    torch.testing.assert_close(last, twice)


@pytest.mark.parametrize(
    ("name", "channels", "millions"),
    [  # the sizes that their authors give, without a mask token
        ("vit_base_patch14_dinov2", 768, 86.58),
        ("vit_large_patch14_reg4_dinov2", 1024, 304.37),
        ("vit_large_patch16_dinov3", 1024, 303.08),
    ],
)
def test_published_sizes(name, channels, millions):
    with torch.device("meta"):
        backbone = TIMMViT(name)
        assert backbone(torch.zeros(1, 3, 64, 64))[0].shape == (1, channels, 16, 16)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(
    ("depth", "taps"), [(4, (0, 1, 2, 3)), (12, (2, 5, 8, 11)), (24, (5, 11, 17, 23))]
)
def test_taps_are_even_quarters_by_default(depth, taps):
    with torch.device("meta"):
        assert vit(options={"depth": depth}).taps == taps


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (70, 98)),  # rounded up to multiples of 14
        ({"image_scale": 1.09375}, (70, 98)),  # exactly 1.09375 * (64, 89.6)
        ({"patch_size": 16}, (64, 96)),
    ],
)
def test_images_are_resized_to_whole_patches(settings, size):
    with torch.device("meta"):
        backbone = vit(**settings)
        seen = []
        backbone.timm_model.patch_embed.register_forward_hook(
            lambda _module, inputs, _output: seen.append(tuple(inputs[0].shape[2:]))
        )
        backbone(torch.rand(1, 3, 64, 89))
    assert seen == [size]


def test_dinov3_creates_nothing_on_another_device():
    """A copy from the CPU would make each forward pass wait for the device."""
    from torch.utils._python_dispatch import TorchDispatchMode

    devices = set()

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                devices.add(result.device.type)
            return result

    with torch.device("meta"):
        backbone, image = vit(DINOV3), torch.rand(1, 3, 64, 64)
    with Record():
        backbone(image)
    assert devices == {"meta"}


def test_frozen_blocks_and_embeddings_get_no_gradient():
    backbone = vit(freeze=3)
    sum(feat.sum() for feat in backbone(torch.rand(1, 3, 28, 28))).backward()
    learning = {name for name, each in backbone.named_parameters() if each.grad is not None}
    assert learning == {name for name, p in backbone.named_parameters() if p.requires_grad}
    prefixes = {".".join(name.split(".")[1:3]) for name in learning}
    assert prefixes == {"blocks.3", "norm.weight", "norm.bias"}


@pytest.mark.parametrize("name", [DINOV2, DINOV3, EVA02])
def test_all_parameters_learn(name):
    backbone = vit(name)
    sum(feat.square().sum() for feat in backbone(torch.rand(1, 3, 28, 28))).backward()
    assert not [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]


def test_recomputed_activations_give_the_same_gradients():
    plain = vit(drop_path_rate=0.5).train()
    segmentor = MODELS.build(TINY_VIT)
    segmentor.use_activation_checkpointing()
    assert segmentor.backbone.with_cp and not plain.with_cp
    recomputed = copy.deepcopy(plain)
    recomputed.with_cp = True
    assert kept_by_recomputing(plain, recomputed, torch.rand(2, 3, 56, 56)) < 0.6


def test_drop_path_is_switched_off_in_the_teacher():
    teacher = vit(EVA02, drop_path_rate=0.9).train()
    image = torch.rand(4, 3, 28, 28)
    assert not torch.equal(teacher(image)[-1], teacher(image)[-1])
    switch_off_dropout(teacher)
    assert torch.equal(teacher(image)[-1], teacher(image)[-1])


@pytest.mark.parametrize("name", [DINOV2, DINOV3])
def test_a_compiled_backbone_is_one_graph(name):
    backbone = vit(
        name,
        with_cp=True,
        drop_path_rate=0.1,
        image_scale=1.1,
        options={"depth": 2},
        strides=(4, 8),
    )
    image = torch.rand(1, 3, 64, 64)
    expected = backbone(image)
    compiled = torch.compile(backbone, fullgraph=True, dynamic=False, backend="eager")
    for one, other in zip(compiled(image), expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", [DINOV2, DINOV3])
@torch.no_grad()
def test_an_exported_backbone_takes_any_size(name):
    backbone = vit(name, image_scale=1.09375, strides=(32,), options={"depth": 1})
    sides = {2: Dim.DYNAMIC(min=64), 3: Dim.DYNAMIC(min=64)}
    example = torch.zeros(1, 3, 168, 216)
    exported = torch.export.export(backbone, (example,), dynamic_shapes=(sides,)).module()
    for size in ((64, 64), (165, 131)):
        image = torch.rand(1, 3, *size)
        torch.testing.assert_close(exported(image), backbone(image))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"taps": (0, 1, 2)}, "taps must be 4 rising indices of the 4 blocks"),
        ({"taps": (0, 1, 1, 3)}, r"that end with 3; got \(0, 1, 1, 3\)"),
        ({"taps": (0, 1), "strides": (8, 16)}, "that end with 3"),
        ({"strides": (4,) * 5}, "taps must be 5 rising indices of the 4 blocks"),
        ({"freeze": 5}, "freeze must be at most 4, the number of blocks, got 5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        vit(**settings)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_small", "has no model named 'vit_small'"),
        ("resnet18", "resnet18 does not take the arguments of a plain ViT.*use TIMMBackbone"),
    ],
)
def test_networks_that_are_no_plain_vit_are_refused(name, message):
    with torch.device("meta"), pytest.raises(InputError, match=message):
        TIMMViT(name)
