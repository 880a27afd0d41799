"""Plain vision transformers of timm (DINOv2, DINOv3, EVA-02, ...) as backbones with a pyramid."""

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.setting_types import Indices, PartConfig, PositiveInts

from .convert import Conversion
from .pretrained import Backbone
from .timm_weights import check_is_model, convert_vit

#: Parameters before the blocks, which are frozen with the first of them.
EMBEDDINGS = ("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre")


@MODELS.register_module()
class TIMMViT(Backbone):
    """Plain ViT that takes images of any size and returns maps at the strides of a pyramid.

    The image is resized to a multiple of the patch. The outputs of some blocks pass the final
    norm, and are resized bilinearly to the given image's size over each stride, rounded down; so
    they fit the image and its labels with patches of 14 and 16 pixels alike.

    Args:
        model_name: name of a ViT known to ``timm.list_models()``; nothing is downloaded.
        taps: indices of the blocks whose outputs are returned, one for each stride; the last block
            must be the last. None: the ends of equal parts of the network.
        strides: strides of the maps in pixels of the given image.
        image_scale: factor by which images are resized before the next multiple of the patch is
            taken; patches of 14 pixels with 1.09375 cover 12.8 pixels of the image.
        patch_size: side of a patch in pixels; weights of another one are resampled. None: the
            model's.
        drop_path_rate: drop rate of the last block; it grows linearly from 0 at the first.
        freeze: number of first blocks that are not trained, nor are the embeddings if it is > 0.
        with_cp: whether to checkpoint activations: recompute those of blocks in the backward pass.
        options: other arguments of timm's model, for instance ``dict(depth=4, embed_dim=64)``.
        init_cfg: None, or ``dict(type="Pretrained", checkpoint="<file>")`` with a file of Meta,
            of Hugging Face's transformers or of timm.

    Raises:
        InputError: if timm has no such model, or it is not a plain ViT.
        ValueError: if taps, strides or freeze do not fit the number of blocks.
    """

    timm_model: Any  # has methods beyond those of nn.Module

    #: Number of channels of each map, as ``in_channels`` of heads need them.
    channels: list[int]

    def __init__(
        self,
        model_name: str,
        taps: Indices | None = None,
        strides: PositiveInts = (4, 8, 16, 32),
        image_scale: PositiveFloat = 1.0,
        patch_size: PositiveInt | None = None,
        drop_path_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        freeze: NonNegativeInt = 0,
        with_cp: bool = False,
        options: dict[str, Any] | None = None,
        init_cfg: PartConfig | None = None,
    ) -> None:
        super().__init__(init_cfg)
        options = {"drop_path_rate": drop_path_rate, **(options or {})}
        if patch_size is not None:
            with torch.device("meta"):
                grid = _create(model_name, options).patch_embed.grid_size
            # As many positions as before: they are not resampled.
            size = tuple(side * patch_size for side in grid)
            options |= {"patch_size": patch_size, "img_size": size}
        self.timm_model = _create(model_name, options)
        depth, levels = len(self.timm_model.blocks), len(strides)
        self.taps = tuple(taps or ((level + 1) * depth // levels - 1 for level in range(levels)))
        rising = [-1, *self.taps]
        if len(self.taps) != levels or self.taps[-1] != depth - 1 or rising != sorted({*rising}):
            raise ValueError(
                f"taps must be {levels} rising indices of the {depth} blocks, one for each stride, "
                f"that end with {depth - 1}; got {self.taps}"
            )
        if freeze > depth:
            raise ValueError(f"freeze must be at most {depth}, the number of blocks, got {freeze}")
        self.strides = tuple(strides)
        self.image_scale = Fraction(image_scale).limit_denominator(10_000)
        self.with_cp = with_cp
        self.channels = [self.timm_model.embed_dim] * levels
        self._freeze(freeze)

    @property
    def with_cp(self) -> bool:
        """Whether activations of blocks are recomputed in the backward pass."""
        return self.timm_model.grad_checkpointing

    @with_cp.setter
    def with_cp(self, value: bool) -> None:
        self.timm_model.set_grad_checkpointing(value)

    def _freeze(self, num_blocks: int) -> None:
        """Exclude the embeddings and the first blocks from training."""
        if num_blocks == 0:
            return
        for name, parameter in self.timm_model.named_parameters():
            if name.startswith(EMBEDDINGS):
                parameter.requires_grad_(False)
        self.timm_model.blocks[:num_blocks].requires_grad_(False)

    def convert_weights(
        self, weights: Mapping[str, Tensor], source: str | os.PathLike
    ) -> Conversion:
        """Give weights of Meta, transformers or timm the names of this backbone."""
        return convert_vit(weights, self.timm_model, source)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Compute (B, 3, H, W) -> one map (B, C, H // s, W // s), not empty, for each stride s."""
        height, width = inputs.shape[2:]
        down, right = self.timm_model.patch_embed.patch_size
        rows = _number_of_patches(height, down, self.image_scale)
        columns = _number_of_patches(width, right, self.image_scale)
        # Resized even if the size is right, which copies, as an exported graph has no branches.
        image = _resize(inputs, (rows * down, columns * right))
        taps = self.timm_model.forward_intermediates(
            image, indices=self.taps, norm=True, output_fmt="NLC", intermediates_only=True
        )
        # Views in channels-last format, as decoders need it.
        maps = [tokens.unflatten(1, (rows, columns)).permute(0, 3, 1, 2) for tokens in taps]
        return [
            _resize(each, (max(height // stride, 1), max(width // stride, 1)))
            for each, stride in zip(maps, self.strides, strict=True)
        ]


def _create(model_name: str, options: Mapping[str, Any]) -> Any:
    """Create a ViT without classifier that takes images of any size.

    Raises:
        InputError: if timm has no such model, or it does not take these options.
    """
    check_is_model(model_name)
    import timm  # takes two seconds

    from .dinov3_rope import replace_rope

    try:
        model = timm.create_model(
            model_name,
            pretrained=False,
            num_classes=0,
            global_pool="",
            dynamic_img_size=True,
            **options,
        )
    except TypeError as error:
        raise InputError(
            f"timm's {model_name} does not take the arguments of a plain ViT with options "
            f"{dict(options)} ({error}): for other networks use TIMMBackbone"
        ) from error
    replace_rope(model)
    return model


def _number_of_patches(side: int, patch: int, scale: Fraction) -> int:
    """Count the patches that cover a side of the scaled image."""
    # Positive integers only: exported graphs round other numbers in another way, or not at all.
    divisor = scale.denominator * patch
    return (side * scale.numerator + divisor - 1) // divisor


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    return nn.functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
