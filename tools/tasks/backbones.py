"""Describe a network of timm as the backbone of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg.models.backbones import TIMMBackbone, TIMMViT
from mmseg.utils import InputError

#: Number of maps that heads read.
_LEVELS = 4


@dataclass(frozen=True)
class TimmBackbone:
    """A network of timm.

    Attributes:
        config: its config, without weights.
        weights: file of its weights; None: start from random ones.
        channels: number of channels of each of its four maps.
        normalisation: what ``data_preprocessor`` needs if the network was not trained on images
            that are normalised as usual.
    """

    config: Mapping[str, Any]
    weights: str | None
    channels: tuple[int, ...]
    normalisation: Mapping[str, Any]

    @classmethod
    def find(cls, model_name: str, weights: str | None) -> "TimmBackbone":
        """Look up the maps of a network by building it.

        Raises:
            InputError: if timm has no such network, or it has no four maps.
        """
        import timm
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        config: dict[str, Any] = {"type": "TIMMBackbone", "model_name": model_name}
        network: TIMMBackbone | TIMMViT = TIMMBackbone(model_name)
        strides = network.timm_model.feature_info.reduction()
        if len(set(strides)) == 1:  # a plain ViT
            config["type"] = "TIMMViT"
            network = TIMMViT(model_name)
        elif len(strides) > _LEVELS:
            config["out_indices"] = tuple(range(len(strides) - _LEVELS, len(strides)))
        channels = tuple(network.channels[-_LEVELS:])
        if len(channels) != _LEVELS:
            raise InputError(
                f"--backbone {model_name} has maps with strides {strides}, but the decoders need "
                f"{_LEVELS}: choose another one"
            )
        trained = timm.get_pretrained_cfg(model_name)
        colors = {} if trained is None else {"mean": trained.mean, "std": trained.std}
        if colors == {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}:
            colors = {}  # as in the bases
        scaled = {key: tuple(round(255 * v, 3) for v in value) for key, value in colors.items()}
        return cls(config, weights, channels, scaled)

    @property
    def settings(self) -> dict[str, Any]:
        """Config of the backbone, which replaces that of a base."""
        weights = {"init_cfg": {"type": "Pretrained", "checkpoint": self.weights}}
        return {"_delete_": True, **self.config, **(weights if self.weights else {})}

    def channels_for(self, in_index: int | Sequence[int]) -> int | tuple[int, ...]:
        """Return ``in_channels`` of a head that reads these maps."""
        if isinstance(in_index, int):
            return self.channels[in_index]
        return tuple(self.channels[i] for i in in_index)
