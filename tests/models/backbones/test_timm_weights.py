"""Check that ViTs and ConvNeXts compute the same features with the files of all publishers."""

import re

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmseg.models.backbones import TIMMBackbone, TIMMViT
from mmseg.models.backbones.timm_weights import convert_vit
from mmseg.utils import InputError
from tests.models.backbones.foreign import randomise
from tests.models.networks import TINY_VIT_OPTIONS

transformers = pytest.importorskip("transformers")

DINOV2, DINOV3 = "vit_small_patch14_reg4_dinov2", "vit_tiny_patch16_dinov3_qkvb"
EVA02 = "eva02_tiny_patch14_224"
SIZES = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2}
DINOV2_SIZES = {**SIZES, "image_size": 56, "patch_size": 14}
DINOV3_SIZES = {**SIZES, "intermediate_size": 192, "num_register_tokens": 4}
NETWORKS = {
    "vit_small_patch14_dinov2": ("Dinov2", DINOV2_SIZES),
    DINOV2: ("Dinov2WithRegisters", DINOV2_SIZES),
    "vit_giant_patch14_reg4_dinov2": (
        "Dinov2WithRegisters",
        {**DINOV2_SIZES, "use_swiglu_ffn": True},
    ),
    DINOV3: ("DINOv3ViT", DINOV3_SIZES),
    "vit_huge_plus_patch16_dinov3_qkvb": (
        "DINOv3ViT",
        {**DINOV3_SIZES, "use_gated_mlp": True, "hidden_act": "silu"},
    ),
}


def of_transformers(name: str) -> nn.Module:
    """Build transformers' network of a family with random weights."""
    kind, sizes = NETWORKS[name]
    config = getattr(transformers, f"{kind}Config")(**sizes)
    return randomise(getattr(transformers, f"{kind}Model")(config))


def of_timm(name: str, **options) -> nn.Module:
    """Build timm's network of a family with random weights."""
    return randomise(timm.create_model(name, **TINY_VIT_OPTIONS, **options))


def vit(name: str, path=None, **options) -> TIMMViT:
    """Build our network, whose maps are the blocks' outputs as they are, and load a file."""
    patch = 16 if "patch16" in name else 14
    options = ({} if patch == 16 else {"img_size": 56}) | options
    init_cfg = path and {"type": "Pretrained", "checkpoint": str(path)}
    backbone = TIMMViT(
        name, strides=(patch,) * 4, options={**TINY_VIT_OPTIONS, **options}, init_cfg=init_cfg
    )
    backbone.init_weights()
    return backbone.eval()


@torch.no_grad()
def assert_same_maps(own: list[Tensor], other: list[Tensor], atol: float) -> None:
    assert len(own) == len(other) == 4
    for one, expected in zip(own, other, strict=True):
        assert expected.std() > 0.5
        torch.testing.assert_close(one, expected, atol=atol, rtol=0)


def maps_of_transformers(network: nn.Module, image: Tensor, patch: int) -> list[Tensor]:
    """Compute the normed outputs of all blocks as maps, without class and register tokens."""
    norm = network.layernorm if hasattr(network, "layernorm") else network.norm
    height, width = (side // patch for side in image.shape[2:])
    states = network(image, output_hidden_states=True).hidden_states[1:]
    tokens = [norm(state)[:, -height * width :] for state in states]
    return [each.transpose(1, 2).unflatten(2, (height, width)) for each in tokens]


@pytest.mark.parametrize("stored", ["folder", "in memory"])
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_networks_of_transformers(tmp_path, name, stored):
    """Transformers 5 renames modules of DINOv2, but its files keep the old names."""
    network, path = of_transformers(name), tmp_path / "folder"
    if stored == "folder":
        network.save_pretrained(path)
    else:
        torch.save(network.state_dict(), path := tmp_path / "weights.pth")
    own = vit(name, path)
    patch = own.strides[0]
    # Without registers, DINOv2 resizes positions in another way than with them.
    sizes = [(4, 4)] if name == "vit_small_patch14_dinov2" else [(4, 4), (3, 6)]
    for size in sizes:
        image = torch.randn(1, 3, *(side * patch for side in size))
        assert_same_maps(own(image), maps_of_transformers(network, image, patch), atol=2e-6)


def test_classifiers_of_transformers(tmp_path):
    _, sizes = NETWORKS["vit_small_patch14_dinov2"]
    config = transformers.Dinov2Config(**sizes, num_labels=3)
    network = randomise(transformers.Dinov2ForImageClassification(config))
    network.save_pretrained(tmp_path)
    own = vit("vit_small_patch14_dinov2", tmp_path)
    assert torch.equal(own.timm_model.norm.weight, network.dinov2.layernorm.weight)


def meta_dinov3(network: nn.Module) -> dict[str, Tensor]:
    """Give timm's weights the names that Meta's files of DINOv3 have."""
    weights = {
        re.sub(r"gamma_(\d)$", r"ls\1.gamma", name).replace("reg_token", "storage_tokens"): value
        for name, value in network.state_dict().items()
    }
    for index, block in enumerate(network.blocks):
        query = weights.pop(f"blocks.{index}.attn.q_bias", None)
        value = weights.pop(f"blocks.{index}.attn.v_bias", None)
        zeros = torch.zeros(block.attn.proj.out_features)
        query, value = (zeros if each is None else each for each in (query, value))
        # The biases of keys, which are masked, may be anything.
        weights[f"blocks.{index}.attn.qkv.bias"] = torch.cat([query, zeros + 7, value])
        weights[f"blocks.{index}.attn.qkv.bias_mask"] = torch.full((3 * len(zeros),), torch.nan)
    periods, mask = torch.ones(6), torch.zeros(1, 1, 48)
    return weights | {"rope_embed.periods": periods, "mask_token": mask}


def timm_maps(network: nn.Module, image: Tensor) -> list[Tensor]:
    return network.forward_intermediates(image, norm=True, intermediates_only=True)


@pytest.mark.parametrize("name", [DINOV3, "vit_small_patch16_dinov3"])
@torch.no_grad()
def test_dinov3_files_of_meta(tmp_path, name):
    network = of_timm(name, dynamic_img_size=True, num_classes=0, global_pool="")
    torch.save(meta_dinov3(network), tmp_path / "dinov3.pth")
    image = torch.randn(1, 3, 48, 80)
    own = vit(name, tmp_path / "dinov3.pth")
    assert_same_maps(own(image), timm_maps(network, image), atol=0)


def test_biases_that_a_model_lacks_are_not_dropped(tmp_path):
    torch.save(meta_dinov3(of_timm(DINOV3)), tmp_path / "dinov3.pth")
    message = r"dinov3\.pth have biases of queries and values \(blocks\.0\.attn\.qkv\.bias\)"
    with pytest.raises(InputError, match=f"{message}.*take timm's model with _qkvb at the end"):
        vit("vit_small_patch16_dinov3", tmp_path / "dinov3.pth")


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_reg4_dinov2", DINOV3, "eva02_tiny_patch14_224"]
)
@torch.no_grad()
def test_files_of_timm_with_a_classifier(tmp_path, name):
    size = {"img_size": 56} if "patch14" in name else {"dynamic_img_size": True}
    network = of_timm(name, **size, num_classes=3)
    save_file(network.state_dict(), tmp_path / "timm.safetensors")
    own = vit(name, tmp_path / "timm.safetensors")
    image = torch.randn(1, 3, 56, 56) if "patch14" in name else torch.randn(1, 3, 48, 80)
    if name.startswith("eva02"):  # its norm follows the average of the tokens
        network.norm = network.fc_norm
    assert_same_maps(own(image), timm_maps(network, image), atol=0)


@torch.no_grad()
def test_files_of_eva02_before_finetuning(tmp_path):
    name = "eva02_base_patch14_224"
    network = of_timm(name, img_size=56, num_classes=0, global_pool="")
    weights = network.state_dict() | {
        "mask_token": torch.zeros(1, 1, 48),
        "lm_head.weight": torch.zeros(9, 48),
        "lm_head.bias": torch.zeros(9),
        "rope.freqs_cos": torch.zeros(16, 24),
    }
    names = {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.fc2": "mlp.w3"}
    names |= {"mlp.norm": "mlp.ffn_ln", "q_proj.bias": "q_bias", "v_proj.bias": "v_bias"}
    pattern = re.compile("|".join(map(re.escape, names)))
    weights = {pattern.sub(lambda m: names[m[0]], key): value for key, value in weights.items()}
    torch.save({"module": weights}, tmp_path / "eva02.pt")
    assert "blocks.0.mlp.w3.weight" in weights and "blocks.3.attn.q_bias" in weights
    image = torch.randn(1, 3, 56, 56)
    own = vit(name, tmp_path / "eva02.pt")
    assert_same_maps(own(image), timm_maps(network, image), atol=0)


@torch.no_grad()
def test_positions_and_patches_are_resampled(tmp_path):
    name = "vit_small_patch14_dinov2"
    torch.save(of_timm(name, img_size=56).state_dict(), tmp_path / "w.pth")
    own, larger = vit(name, tmp_path / "w.pth"), vit(name, tmp_path / "w.pth", img_size=112)
    assert larger.timm_model.pos_embed.shape == (1, 65, 48)
    image = torch.randn(1, 3, 112, 112)
    assert_same_maps(own(image), larger(image), atol=1e-5)
    options = {**TINY_VIT_OPTIONS, "img_size": 56}
    init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "w.pth")}
    coarse = TIMMViT(name, patch_size=28, options=options, init_cfg=init_cfg)
    coarse.init_weights()
    assert torch.equal(coarse.timm_model.pos_embed, own.timm_model.pos_embed)
    smooth = torch.ones(1, 3, 28, 28) * torch.tensor([0.1, 0.5, 0.9])[:, None, None]
    half = nn.functional.interpolate(smooth, scale_factor=0.5)
    expected = own.timm_model.patch_embed(half)
    torch.testing.assert_close(coarse.timm_model.patch_embed(smooth), expected)


def test_a_checkpoint_of_a_method_is_loaded(tmp_path):
    trained = randomise(vit(DINOV3)).state_dict()
    student = {f"model.backbone.{name}": value for name, value in trained.items()}
    teacher = {f"ema_model.backbone.{name}": value + 1 for name, value in trained.items()}
    torch.save({"state_dict": teacher | student}, tmp_path / "iter_9.pth")
    state = vit(DINOV3, tmp_path / "iter_9.pth").state_dict()
    assert all(torch.equal(value, state[name]) for name, value in trained.items())


def test_files_of_other_networks_are_refused(tmp_path):
    torch.save(of_timm(DINOV3).state_dict(), tmp_path / "dinov3.pth")
    with pytest.raises(
        InputError, match=r"dinov3\.pth \(timm's names\).*missing \(timm_model\.pos_emb"
    ):
        vit(EVA02, tmp_path / "dinov3.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"1 unexpected \(timm_model\.a\)"):
        vit(DINOV3, tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("mark", "title"),
    [
        ("embeddings.position_embeddings", "Hugging Face's DINOv2"),
        ("mask_token", "Meta's DINOv2"),
        ("lm_head.weight", "BAAI's EVA-02"),
        ("blocks.0.norm1.weight", "timm's names"),
    ],
)
def test_publishers_are_told_apart_by_their_keys(mark, title):
    network = of_timm("vit_small_patch14_dinov2", img_size=56)
    shape = (1, 17, 48) if "position" in mark else (48, 3, 14, 14)
    weights = {mark: torch.zeros(shape)}
    assert convert_vit(weights, network, "file").title == title


def meta_convnext(network: nn.Module) -> dict[str, Tensor]:
    """Give transformers' weights the names that Meta's files of DINOv3's ConvNeXt have."""
    weights = {}
    for name, value in network.state_dict().items():
        name = name.removeprefix("model.")  # of newer versions
        name = re.sub(r"^stages.(\d).downsample_layers.", r"downsample_layers.\1.", name)
        name = re.sub(r"^stages.(\d).layers.", r"stages.\1.", name)
        name = name.replace("depthwise_conv", "dwconv").replace("pointwise_conv", "pwconv")
        weights[name.replace("layer_norm", "norm")] = value
    assert "stages.2.3.pwconv1.weight" in weights and "downsample_layers.0.0.weight" in weights
    return weights | {f"norms.3.{each}": weights[f"norm.{each}"] for each in ("weight", "bias")}


@torch.no_grad()
def test_dinov3_convnext_of_transformers_and_meta(tmp_path):
    sizes = {"hidden_sizes": [24, 32, 48, 64], "depths": [1, 2, 4, 2], "layer_norm_eps": 1e-5}
    config = transformers.DINOv3ConvNextConfig(**sizes, hidden_act="gelu_pytorch_tanh")
    convnext = randomise(transformers.DINOv3ConvNextModel(config))
    convnext.save_pretrained(tmp_path / "transformers")
    torch.save(meta_convnext(convnext), tmp_path / "meta.pth")
    image = torch.randn(1, 3, 64, 64)
    expected = list(convnext(image, output_hidden_states=True).hidden_states[1:])
    path = str(tmp_path / "meta.pth")
    own = TIMMBackbone("test_convnext", checkpoint_path=path, drop_path_rate=0.1).eval()
    assert_same_maps(own(image), expected, atol=1e-5)
    init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "transformers")}
    own = TIMMBackbone("test_convnext", init_cfg=init_cfg).eval()
    own.init_weights()
    assert_same_maps(own(image), expected, atol=1e-5)


def test_weights_that_timm_cannot_convert_are_refused(tmp_path):
    torch.save({"blocks.0.weight": torch.zeros(2, 2)}, tmp_path / "vit.pth")
    message = r"vit\.pth are not those of this backbone: timm cannot convert them \(KeyError"
    with pytest.raises(InputError, match=message):
        TIMMBackbone("test_convnext", checkpoint_path=str(tmp_path / "vit.pth"))
