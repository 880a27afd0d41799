"""Find the model of timm that a file of DINOv2, DINOv3 or EVA-02 holds."""

import os
import re
from collections.abc import Iterator, Mapping
from math import isqrt

import torch
from torch import Tensor

from mmseg.models.backbones import TIMMBackbone, TIMMViT
from mmseg.models.backbones.convert import Conversion, Layout
from mmseg.utils import InputError
from mmseg.utils.checkpoint import mismatches

#: Patterns of the names of ViTs.
VITS = ("vit_*_dinov2", "vit_*_dinov3*", "eva02_*_patch14_[0-9]*")
#: Sizes of ViTs in these names, by their number of channels.
SIZES = {
    192: "tiny",
    384: "small",
    768: "base",
    1024: "large",
    1280: "huge",
    1536: "giant",
    4096: "7b",
}
#: ConvNeXts of DINOv3, with the number of channels of the stem and of blocks of the third stage.
CONVNEXTS = {
    "convnext_tiny": (96, 9),
    "convnext_small": (96, 27),
    "convnext_base": (128, 27),
    "convnext_large": (192, 27),
}


def identify_vision_model(
    weights: Mapping[str, Tensor], layout: Layout, source: str | os.PathLike
) -> tuple[str, TIMMViT | TIMMBackbone, Conversion]:
    """Find the model that weights fit.

    Args:
        weights: the tensors of the file by name.
        layout: their layout.
        source: name of the file for errors.

    Returns:
        The name of timm's model, the backbone, and the weights under its names. If no model fits,
        those of the first one that is as deep and wide.

    Raises:
        InputError: if no model is as deep and wide, or none of these can take the weights.
    """
    depth, width = _depth_and_width(weights)
    nearest = refusal = None
    for name, backbone in _candidates(depth, width):
        try:
            conversion = backbone.convert_weights(weights, source)
        except InputError as error:  # biases that only a variant of the model has
            refusal = error
            continue
        found = name, backbone, conversion
        own = backbone.state_dict()
        if not mismatches(own, conversion.weights) and _grid(own) == _grid(weights):
            return found
        nearest = nearest or found
    if nearest is None:
        raise refusal or InputError(
            f"{source} ({layout.title}) has {depth} blocks of {width} channels: no DINOv2, DINOv3 "
            "or EVA-02 that timm knows has these"
        )
    return nearest


def _depth_and_width(weights: Mapping[str, Tensor]) -> tuple[int, int]:
    """Count the blocks, of a ConvNeXt those of its third stage, and the channels after the stem."""
    block = re.compile(r"(?<!\d\.)\b(?:blocks|layer|stages\.2(?:\.layers|\.blocks)?)\.(\d+)\.")
    blocks = {match[1] for match in map(block.search, weights) if match}
    stems = [value for value in weights.values() if value.ndim == 4 and value.shape[1] == 3]
    return len(blocks), len(stems[0]) if stems else 0


def _grid(weights: Mapping[str, Tensor]) -> int:
    """Return the side of the grid of learned positions, next to which the class may have one."""
    ends = ("pos_embed", "position_embeddings")
    return next((isqrt(v.shape[1]) for name, v in weights.items() if name.endswith(ends)), 0)


def _candidates(depth: int, width: int) -> Iterator[tuple[str, TIMMViT | TIMMBackbone]]:
    """Yield the models of a depth and width on the meta device."""
    import timm

    for name in [name for name, sizes in CONVNEXTS.items() if sizes == (width, depth)]:
        with torch.device("meta"):
            convnext = TIMMBackbone(name)
        yield name, convnext
    size = SIZES.get(width, "no size")
    for name in [name for name in timm.list_models(VITS) if f"_{size}_" in name]:
        with torch.device("meta"):
            vit = TIMMViT(name)
        if (len(vit.timm_model.blocks), vit.channels[0]) == (depth, width):
            yield name, vit
