"""Wrapper of timm's feature extractors (https://github.com/huggingface/pytorch-image-models)."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.layers import BATCH_NORMS
from mmseg.utils.setting_types import MapIndices, PartConfig

from .convert import Conversion, find_layout
from .pretrained import Backbone, check_weights, load_pretrained
from .timm_weights import PREFIX, check_is_model, filtered, readable_by_timm, timm_layout


@MODELS.register_module()
class TIMMBackbone(Backbone):
    """Wrap ``timm.create_model``; nothing is downloaded unless ``pretrained`` is set.

    Args:
        model_name: a name known to ``timm.list_models()``.
        features_only: return maps of several levels; otherwise only the last one
            (``forward_features``).
        pretrained: let timm download its default weights.
        checkpoint_path: a local file of the model's weights, to be loaded at once.
        in_channels: channels of the image.
        out_indices: levels to return; None: timm's default. Needs ``features_only``.
        drop_path_rate: drop rate of the last block, for networks that have it; None: timm's.
        with_cp: whether to checkpoint activations: recompute those of stages in the backward pass.
            Networks with BatchNorm refuse it, as their statistics would be updated twice.
        init_cfg: None, or ``dict(type="Pretrained", checkpoint="<file>")`` with a file of timm or
            of the publisher, as timm reads it.

    Raises:
        InputError: if timm has no such model, or its weights cannot be downloaded or do not fit.
    """

    timm_model: Any  # has methods beyond those of nn.Module

    #: Number of channels of each map, as ``in_channels`` of heads need them.
    channels: list[int]

    def __init__(
        self,
        model_name: str,
        features_only: bool = True,
        pretrained: bool = False,
        checkpoint_path: str = "",
        in_channels: PositiveInt = 3,
        out_indices: MapIndices | None = None,
        drop_path_rate: Annotated[float, Field(ge=0, lt=1)] | None = None,
        with_cp: bool = False,
        init_cfg: PartConfig | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_is_model(model_name)
        if out_indices is not None and not features_only:
            raise ValueError("out_indices needs features_only=True")
        options: dict = {"in_chans": in_channels}
        if features_only:
            options["features_only"] = True
            if out_indices is not None:
                options["out_indices"] = tuple(out_indices)
        if drop_path_rate is not None:
            options["drop_path_rate"] = drop_path_rate
        self.features_only = features_only
        self.model_name, self.options = model_name, options
        try:
            self.timm_model = _create(model_name, options | {"pretrained": pretrained})
        except Exception as error:
            # The exceptions of the hub's client without a network have no common base class.
            if not pretrained:
                raise
            raise InputError(
                f"timm could not fetch the weights of {model_name} ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}): check the network, or set "
                "pretrained=False and checkpoint_path to a local file"
            ) from error
        if checkpoint_path:
            load_pretrained(self, checkpoint_path)
        if with_cp:
            self.with_cp = True

        info = self.timm_model
        self.channels = info.feature_info.channels() if features_only else [info.num_features]

    @property
    def with_cp(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        modules = self.timm_model.modules()
        return any(getattr(module, "grad_checkpointing", False) for module in modules)

    @with_cp.setter
    def with_cp(self, value: bool) -> None:
        network, *parts = self.timm_model.modules()
        if any(isinstance(part, BATCH_NORMS) for part in parts):
            raise InputError(
                f"timm's {self.model_name} has BatchNorm, whose statistics activation "
                "checkpointing would update twice: leave it off"
            )
        # Stages, or a whole ViT, checkpoint their blocks; other networks all stages but the last.
        inner = [part for part in parts if hasattr(part, "grad_checkpointing")]
        for part in inner:
            part.grad_checkpointing = value
        if not inner:
            network.set_grad_checkpointing(value)

    def convert_weights(
        self, weights: Mapping[str, Tensor], source: str | os.PathLike
    ) -> Conversion:
        """Load the weights into another model of timm, which drops unused levels."""
        _, prefix = find_layout(weights)
        dropped = tuple(name for name in weights if not name.startswith(prefix))
        weights = {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
        if any(name.startswith(PREFIX) for name in weights):
            return Conversion(None, weights, dropped)
        layout = timm_layout(weights)
        weights = _checked(self.model_name, self.features_only, weights, source)
        loaded = _create(
            self.model_name,
            {**self.options, "pretrained": True, "pretrained_cfg_overlay": {"state_dict": weights}},
        ).state_dict()
        return Conversion(layout, {PREFIX + name: loaded[name] for name in loaded}, dropped)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Compute (B, 3, H, W) -> list of maps (B, C_i, H_i, W_i)."""
        if not self.features_only:
            return [self._channels_first(self.timm_model.forward_features(inputs))]
        return [self._channels_first(feat) for feat in self.timm_model(inputs)]

    def _channels_first(self, feat: Tensor) -> Tensor:
        """Convert the maps of Swin and others, which are (B, H, W, C), to (B, C, H, W)."""
        order = getattr(self.timm_model, "output_fmt", None)
        return feat.permute(0, 3, 1, 2) if order == "NHWC" else feat


def _create(model_name: str, options: dict[str, Any]) -> Any:
    """Create a model of timm that takes images of any size, if it can."""
    import timm

    try:
        return timm.create_model(model_name, strict_img_size=False, **options)
    except TypeError:  # of most models, which have no such option and need none
        pass
    try:
        return timm.create_model(model_name, **options)
    except TypeError as error:
        if "drop_path_rate" not in options:
            raise
        raise InputError(f"timm's {model_name} has no drop_path_rate: leave it out") from error


def _checked(
    model_name: str,
    features_only: bool,
    weights: Mapping[str, Tensor],
    source: str | os.PathLike,
) -> dict[str, Tensor]:
    """Check that weights fit a model, as timm would silently load only the entries that do.

    Returns:
        The weights under names that timm reads.

    Raises:
        InputError: if they are not of this model; a classifier is optional for ``features_only``.
    """
    import timm

    with torch.device("meta"):
        options: dict[str, Any] = {"num_classes": 0} if features_only else {}
        model: Any = timm.create_model(model_name, **options)
    weights = readable_by_timm(weights, model, source)
    found = filtered(weights, model, source)
    if features_only:
        classifiers = model.pretrained_cfg.get("classifier") or ()
        classifiers = (classifiers,) if isinstance(classifiers, str) else classifiers
        heads = tuple(f"{name}." for name in classifiers)
        found = {name: value for name, value in found.items() if not name.startswith(heads)}
    check_weights(model.state_dict(), found, source)
    return weights
