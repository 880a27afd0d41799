"""Wrapper of timm's feature extractors (https://github.com/huggingface/pytorch-image-models)."""

from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.setting_types import MapIndices

from .pretrained import Backbone, check_weights, read_weights


@MODELS.register_module()
class TIMMBackbone(Backbone):
    """Wrap ``timm.create_model``; nothing is downloaded unless ``pretrained`` is set.

    Args:
        model_name: a name known to ``timm.list_models()``.
        features_only: return maps of several levels; otherwise only the last one
            (``forward_features``).
        pretrained: let timm download its default weights.
        checkpoint_path: a local file of the model's weights under timm's names.
        in_channels: channels of the image.
        out_indices: levels to return; None: timm's default. Needs ``features_only``.
        init_cfg: must be None: the weights are named by the two arguments above.

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
        init_cfg: None = None,
    ) -> None:
        super().__init__(init_cfg)
        import timm

        if not timm.is_model(model_name):
            raise InputError(f"timm {timm.__version__} has no model named {model_name!r}")
        if out_indices is not None and not features_only:
            raise ValueError("out_indices needs features_only=True")
        options: dict = {"in_chans": in_channels}
        if features_only:
            options["features_only"] = True
            if out_indices is not None:
                options["out_indices"] = tuple(out_indices)
        if checkpoint_path:
            _check_file(model_name, checkpoint_path)
            # timm then loads the file itself: it drops the classifier and unused levels.
            options["pretrained_cfg_overlay"] = {"file": checkpoint_path}
        self.features_only = features_only
        options["pretrained"] = pretrained or bool(checkpoint_path)
        try:
            self.timm_model = _create(model_name, options)
        except Exception as error:
            # The exceptions of the hub's client without a network have no common base class.
            if not pretrained:
                raise
            raise InputError(
                f"timm could not fetch the weights of {model_name} ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}): check the network, or set "
                "pretrained=False and checkpoint_path to a local file"
            ) from error

        info = self.timm_model
        self.channels = info.feature_info.channels() if features_only else [info.num_features]

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
        return timm.create_model(model_name, **options)


def _check_file(model_name: str, path: str) -> None:
    """Check that a file fits a model, as timm would silently load only the entries that do.

    Raises:
        InputError: if the file is missing or is not of this model.
    """
    import timm

    with torch.device("meta"):
        expected = timm.create_model(model_name).state_dict()
    check_weights(expected, read_weights(path), path)
