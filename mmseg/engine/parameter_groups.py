"""Parameter groups of an optimizer: learning rate and weight decay by names and by layers."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field, NonNegativeFloat
from torch import nn
from typing_extensions import TypedDict

from mmseg.utils import InputError


class GroupFactors(TypedDict, total=False):
    """Factors of learning rate and weight decay for some parameters."""

    lr_mult: NonNegativeFloat
    decay_mult: NonNegativeFloat


class LayerDecay(TypedDict, total=False):
    """Learning rates that fall from the last layer of a backbone to the first.

    Attributes:
        rate: learning rate of a layer divided by that of the next one; must be given.
        prefix: name of the backbone in the student ("backbone").
    """

    rate: Annotated[float, Field(gt=0, le=1)]
    prefix: str


class ParamwiseSettings(TypedDict, total=False):
    """Type of ``paramwise_cfg``."""

    custom_keys: Mapping[str, GroupFactors]
    layer_decay: LayerDecay | None


# Names in backbones of timm; networks with ``features_only`` write "stages_0" for "stages.0".
_WRAPPERS = r"^(?:[A-Za-z_]+\.)*?"
_EMBEDDING = re.compile(
    _WRAPPERS + r"(?:patch_embed|cls_token|reg_token|pos_embed|mask_token|stem)(?:[._]|$)"
)
_BLOCK = re.compile(_WRAPPERS + r"blocks\.(\d+)\.[A-Za-z]")
_STAGE = re.compile(_WRAPPERS + r"stages[._](\d+)\.(?:blocks\.(\d+)|downsample)\.")


def parameter_groups(
    module: nn.Module,
    lr: float,
    weight_decay: float,
    custom_keys: Mapping[str, GroupFactors],
    layer_decay: LayerDecay | None = None,
) -> list[dict]:
    """Group parameters by learning rate and weight decay, into one optimizer group per pair.

    Args:
        module: module with the parameters; those without gradients are left out.
        lr: learning rate of parameters without a key.
        weight_decay: weight decay of parameters without a key.
        custom_keys: ``key -> dict(lr_mult=, decay_mult=)`` for parameters whose name contains the
            key. If several match, the longest counts, then the first by alphabet, as in mmengine.
        layer_decay: multiplies the learning rates of the backbone also by their
            :func:`layer_factors`.

    Raises:
        InputError: if ``layer_decay`` has no rate, or does not know the layers of the backbone.
    """
    keys = sorted(sorted(custom_keys), key=len, reverse=True)
    names = [name for name, _ in module.named_parameters()]
    by_layer = layer_factors(names, layer_decay) if layer_decay else {}
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        factors = next((custom_keys[key] for key in keys if key in name), GroupFactors())
        setting = (
            lr * factors.get("lr_mult", 1.0) * by_layer.get(name, 1.0),
            weight_decay * factors.get("decay_mult", 1.0),
        )
        empty = {"params": [], "lr": setting[0], "weight_decay": setting[1]}
        groups.setdefault(setting, empty)["params"].append(parameter)
    return list(groups.values())


def layer_factors(names: Iterable[str], layer_decay: LayerDecay) -> dict[str, float]:
    """Compute the factor of the learning rate for each parameter of a backbone.

    A backbone of L blocks has the embedding as layer 0 and its blocks as layers 1 to L: a plain
    ViT of timm (``blocks.i``), or a ConvNeXt (``stem``, ``stages.i.blocks.j``, counted over all
    stages; ``stages.i.downsample`` belongs to the first block after it). The factor of layer l is
    ``rate ** (L + 1 - l)``, and 1 for all others, such as the last norm.

    Args:
        names: names of the parameters of the student.
        layer_decay: rate, and name of the backbone.

    Returns:
        Factor by name, for parameters of the backbone.

    Raises:
        InputError: if there is no rate, no such backbone, or its names do not tell its layers.
    """
    path = "optim_wrapper.paramwise_cfg.layer_decay"
    if "rate" not in layer_decay:
        raise InputError(f"{path} needs a rate, for instance {path}.rate=0.9")
    rate, prefix = layer_decay["rate"], layer_decay.get("prefix", "backbone")
    inside = {name: name[len(prefix) + 1 :] for name in names if name.startswith(f"{prefix}.")}
    if not inside:
        raise InputError(f"{path}.prefix is {prefix!r}, but no parameter's name begins with it")
    block_of = {name: _block(short) for name, short in inside.items()}
    blocks = sorted({block for block in block_of.values() if block is not None})
    if not blocks:
        raise InputError(
            f"{path} does not know the layers of {prefix} (with parameters such as "
            f"{next(iter(inside))}): it takes a plain ViT or a ConvNeXt of timm; leave it out"
        )
    top = len(blocks) + 1
    layers = {block: layer for layer, block in enumerate(blocks, 1)}
    factors = {}
    for name, block in block_of.items():
        end = 0 if _EMBEDDING.match(inside[name]) else top
        factors[name] = rate ** (top - (layers[block] if block else end))
    return factors


def _block(name: str) -> tuple[int, int] | None:
    """Return stage and number of the block that a parameter of a backbone belongs to, if any."""
    if match := _STAGE.match(name):
        return int(match[1]), int(match[2] or 0)
    if match := _BLOCK.match(name):
        return 0, int(match[1])
    return None
