"""Check that loading a weights file runs no code, wherever a config names the file."""

import re
import shutil
from inspect import signature
from pathlib import Path

import pytest
import torch
from mmengine.model import PretrainedInit, initialize
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from mmseg.apis.train import train
from mmseg.utils import InputError
from tests.models.networks import TINY, TINY_TRANSFORMER
from tests.registered import Registered, registered

#: Names of settings that may take a weights file.
PLACES = re.compile(r"init_cfg|checkpoint|pretrained|weights|ckpt|resume|load_from|(_file|_path)$")
#: Settings that are known to load one.
LOADING = ("init_cfg", "checkpoint", "checkpoint_path")
#: Values of arguments without a default, by name or by class and name.
EXAMPLES = {
    "auxiliary_head": TINY_TRANSFORMER["auxiliary_head"] | {"in_channels": (64,), "in_index": (0,)},
    "backbone": TINY["backbone"],
    "channels": 4,
    "decode_head": TINY["decode_head"],
    "HRDAHead.head": TINY["decode_head"],
    "scale_attention": TINY["decode_head"],
    "depth": 18,
    "depths": (1, 1, 1, 1),
    "embed_dims": (8, 8, 10, 8),
    "in_channels": 4,
    "DAFormerHead.in_channels": (4, 4, 4, 4),
    "model_name": "resnet18",
    "TIMMViT.model_name": "vit_tiny_patch16_dinov3_qkvb",
    "num_classes": 5,
}


class Malicious:
    """An object that an attacker puts into a pickle."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save({"state_dict": {"weight": Malicious()}, "meta": {}}, path)
    return path


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Change to an empty folder and check that no code of the file ran."""
    monkeypatch.chdir(tmp_path)
    init_default_scope("mmseg")
    yield
    assert not Path("ran").exists()


def test_the_file_runs_code_if_it_is_trusted(file):
    torch.load(file, weights_only=False)
    Path("ran").unlink()


def places() -> list[tuple[Registered, str]]:
    """List the settings of registered classes that may take such a file; runs are tested below."""
    return [
        (each, name)
        for each in registered()
        for name, parameter in each.parameters.items()
        if PLACES.search(name)
        and parameter.annotation is not bool
        and each.registry.name not in ("runner", "strategy")
    ]


def build_with(kind: Registered, setting: str, value: object) -> None:
    """Build a registered class with one setting, and initialise its weights."""
    required = {
        name: EXAMPLES.get(f"{kind.name}.{name}", EXAMPLES.get(name))
        for name, parameter in kind.parameters.items()
        if parameter.default is parameter.empty and name != setting
    }
    cfg = {"type": kind.name, **required, setting: value}
    if kind.registry.name == "weight initializer":
        initialize(nn.Linear(1, 1), cfg)
        return
    with torch.device("meta"):  # networks of any size
        built = kind.registry.build(cfg)
    if isinstance(built, nn.Module):
        built.to_empty(device="cpu").init_weights()


def values(file: Path) -> list[object]:
    """Return the values by which a setting may name the file."""
    pretrained = {"type": "Pretrained", "checkpoint": str(file)}
    other = {"type": "Constant", "val": 0, "layer": "Conv2d"}
    return [
        str(file),
        pretrained,
        [other, pretrained | {"prefix": "head."}],
        pretrained | {"type": "mmengine.Pretrained"},
        pretrained | {"type": PretrainedInit},
        pretrained | {"_scope_": "mmengine"},
        other | {"override": pretrained | {"name": "conv_seg"}},
    ]


@pytest.mark.parametrize(("kind", "setting"), places(), ids=str)
def test_no_registered_class_runs_the_code(kind, setting, file):
    reasons = []
    for value in values(file):
        try:
            build_with(kind, setting, value)
        except Exception as error:  # most values do not suit this setting
            reasons.append(f"{type(error).__name__}: {error}")
        assert not Path("ran").exists()
    if setting in LOADING:  # the file was opened and refused for its content
        refused = [each for each in reasons if re.search("InputError.*list of safe types", each)]
        assert refused, f"add an example of its arguments: {reasons}"


def test_known_settings_that_load_files_are_covered():
    found = {(kind.name, setting) for kind, setting in places()}
    assert {("TIMMBackbone", "checkpoint_path"), ("Pretrained", "checkpoint")} <= found
    assert {("FCNHead", "init_cfg"), ("EncoderDecoder", "init_cfg")} <= found


def test_neither_a_new_nor_a_resumed_run_loads_the_file(file, toy_config, tmp_path):
    assert {"load_from", "resume"} == set(filter(PLACES.search, signature(Runner).parameters))
    run = Path(toy_config.work_dir)
    run.mkdir()
    shutil.copy(file, run / "iter_1.pth")
    with pytest.raises(InputError, match="list of safe types"):
        train(toy_config, device="cpu", resume=True)
    shutil.rmtree(run)
    toy_config.load_from = str(file)
    with pytest.raises(InputError, match="list of safe types"):
        train(toy_config, device="cpu")


@pytest.mark.parametrize(
    "scheme", ["http://", "torchvision://", "open-mmlab://", "s3://", "a:s3://"]
)
def test_nothing_is_downloaded(scheme):
    with pytest.raises(InputError, match=f"not downloaded in a run: download {scheme}weights.pth"):
        CheckpointLoader.load_checkpoint(f"{scheme}weights.pth")
