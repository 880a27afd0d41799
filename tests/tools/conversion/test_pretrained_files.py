"""Convert pretrained weights of other libraries to our layout."""

import sys

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file

from mmseg.models.backbones import (
    ResNetV1c,
    TIMMBackbone,
    TIMMViT,
    load_pretrained,
    mit_b0,
    mit_b1,
)
from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint
from tools.conversion.pretrained_files import convert_file, download


@pytest.fixture(scope="module")
def resnet18d() -> dict[str, torch.Tensor]:
    return timm.create_model("resnet18d").state_dict()


@pytest.fixture(scope="module")
def resnet18c(resnet18d) -> dict[str, torch.Tensor]:
    """Return ResNet-18-C weights: timm's ResNet-18-D with renumbered layers in the shortcuts."""
    numbers = {"downsample.1.": "downsample.0.", "downsample.2.": "downsample.1."}

    def renamed(key: str) -> str:
        for old, new in numbers.items():
            if old in key:
                return key.replace(old, new)
        return key

    return {renamed(key): value for key, value in resnet18d.items()}


def test_safetensors_become_a_file_that_loads(tmp_path, resnet18c):
    save_file(resnet18c, tmp_path / "timm.safetensors")
    target = tmp_path / "new" / "resnet18_v1c.pth"
    done = convert_file(tmp_path / "timm.safetensors", target)
    # 3*32*9 + 32*32*9 + 32*64*9 instead of a 7x7 stem of 3*64*49, 2*(32+32) more of BatchNorm,
    # and 11.18 M of ResNet-18 without its classifier: 11689512 - 513000 - 9408 + 28512 + 128.
    assert done.num_parameters == 11195744
    assert done.backbone == "ResNetV1c, depth 18"
    assert sorted(done.conversion.dropped) == ["fc.bias", "fc.weight"]
    assert done.path == target
    assert load_checkpoint(target)["meta"] == {
        "backbone": "ResNetV1c, depth 18",
        "converted_from": "timm's ResNet with a deep stem",
    }
    backbone = ResNetV1c(18)
    load_pretrained(backbone, target)
    assert torch.equal(backbone.stem[6].weight, resnet18c["conv1.6.weight"])
    own = backbone.layer4[0].downsample[0].weight
    assert torch.equal(own, resnet18c["layer4.0.downsample.0.weight"])


@pytest.mark.parametrize("build", [mit_b0, mit_b1])
def test_sizes_of_mit(tmp_path, build):
    """B0 and B1 have the same number of blocks and are told apart by their width."""
    (tmp_path / "folder").mkdir()
    torch.save(build().state_dict(), tmp_path / "folder" / "pytorch_model.bin")
    done = convert_file(tmp_path / "folder", tmp_path / "new.pth")
    assert done.backbone == build.__name__
    assert done.num_parameters == {"mit_b0": 3319392, "mit_b1": 13151424}[build.__name__]


@pytest.mark.parametrize("name", ["eva02_tiny_patch14_336", "vit_tiny_patch16_dinov3_qkvb"])
def test_vits_become_files_that_load(tmp_path, name):
    """The model is recognised by its depth, width and number of positions."""
    network = timm.create_model(name, num_classes=2)
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    done = convert_file(tmp_path / "timm.pth", tmp_path / "new.pth")
    assert (done.backbone, done.conversion.title) == (name, "timm's names")
    assert done.conversion.dropped == ("head.weight", "head.bias")
    backbone = TIMMViT(name)
    load_pretrained(backbone, tmp_path / "new.pth")
    own, last = backbone.timm_model.state_dict(), "blocks.11.mlp.fc1.weight"
    assert torch.equal(own[last], network.state_dict()[last])


def test_a_convnext_becomes_a_file_that_loads(tmp_path):
    network = timm.create_model("convnext_tiny")
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    done = convert_file(tmp_path / "timm.pth", tmp_path / "new.pth")
    assert (done.backbone, done.num_parameters) == ("convnext_tiny", 27818592)
    weights = load_checkpoint(tmp_path / "new.pth")["state_dict"]
    with torch.device("meta"):
        assert weights.keys() == TIMMBackbone("convnext_tiny").state_dict().keys()
    own, gamma = "timm_model.stages_2.blocks.8.gamma", network.stages[2].blocks[8].gamma
    assert torch.equal(weights[own], gamma)


def test_refusals(tmp_path, resnet18c, resnet18d):
    def message(state_dict) -> str:
        torch.save(state_dict, tmp_path / "in.pth")
        with pytest.raises(InputError) as error:
            convert_file(tmp_path / "in.pth", tmp_path / "new" / "out.pth")
        assert not list(tmp_path.glob("new/*"))
        return str(error.value)

    assert "its shortcuts pool before they convolve" in message(resnet18d)
    assert (
        "match no known pretrained backbone: NVlabs' MiT (our names); OpenMMLab's MiT; "
    ) in message({"a": torch.zeros(1)})
    vit = {
        "blocks.0.norm1.weight": torch.zeros(5),
        "patch_embed.proj.weight": torch.zeros(5, 3, 2, 2),
    }
    assert "(timm's names) has 1 blocks of 5 channels: no DINOv2, DINOv3 or EVA-02" in message(vit)
    short = {key: value for key, value in resnet18c.items() if not key.startswith("layer3.1.")}
    assert (
        "(timm's ResNet with a deep stem) has stages of 2, 2, 1, 2 blocks: no backbone "
        "here has these with the same width and type of block: mit_b0, "
    ) in message(short)
    assert "1 unexpected (layer1.0.se.weight)" in message(
        resnet18c | {"layer1.0.se.weight": torch.zeros(1)}
    )
    lost = {key: value for key, value in resnet18c.items() if key != "bn1.running_var"}
    assert "1 missing (stem.7.running_var)" in message(lost)


def test_files_that_cannot_be_read_or_written(tmp_path, resnet18c):
    def message(source, target) -> str:
        with pytest.raises(InputError) as error:
            convert_file(source, target)
        return str(error.value)

    good, new = tmp_path / "good.pth", tmp_path / "new.pth"
    torch.save(resnet18c, good)
    content = good.read_bytes()
    assert message(tmp_path / "no.pth", new) == f"there is no file or folder {tmp_path / 'no.pth'}"
    assert message(good, tmp_path) == f"{tmp_path} is a folder: name the file to write"
    assert message(good, good) == f"{good} is the file to read: name another to write"
    assert good.read_bytes() == content
    (tmp_path / "bad.safetensors").write_bytes(b"<html>404 not found</html>")
    assert "is not a readable safetensors file" in message(tmp_path / "bad.safetensors", new)
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty", new) == (
        f"the folder {tmp_path / 'empty'} holds neither model.safetensors nor pytorch_model.bin"
    )
    assert not new.exists()


def test_download_takes_the_first_file_there_is(tmp_path, monkeypatch):
    asked = []

    def fetch(repository: str, name: str) -> str:
        asked.append((repository, name))
        if name == "pytorch_model.bin":
            return str(tmp_path / name)
        raise EntryNotFoundError("404")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert download("nvidia/mit-b5") == tmp_path / "pytorch_model.bin"
    assert asked == [("nvidia/mit-b5", "model.safetensors"), ("nvidia/mit-b5", "pytorch_model.bin")]


@pytest.mark.parametrize("raised", [LocalEntryNotFoundError("no\nnetwork"), OSError("no network")])
def test_download_without_network(monkeypatch, raised):
    def fetch(repository: str, name: str) -> str:
        raise raised

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(InputError) as error:
        download("nvidia/mit-b5")
    assert str(error.value) == (
        "could not fetch nvidia/mit-b5 from the Hugging Face hub "
        f"({type(raised).__name__}: no network): check name and network, or fetch the files "
        "elsewhere and convert their folder"
    )


def test_download_without_the_files(monkeypatch):
    def fetch(repository: str, name: str) -> str:
        raise EntryNotFoundError("404")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(InputError, match=r"holds neither model\.safetensors nor pytorch_model"):
        download("nvidia/mit-b5")


def test_download_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        download("nvidia/mit-b5")
