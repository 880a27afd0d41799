"""Networks on vision foundation models, and how they are fine-tuned (docs/foundation-models.md)."""

from dataclasses import dataclass, field

from .parts import Network, Settings

# Norms, also those of a ConvNeXt without the word in their names, positions, tokens and scales.
_NO_DECAY = (
    "norm",
    "stem_1",
    "downsample.0",
    "pos_embed",
    "cls_token",
    "reg_token",
    "gamma",
    "bias",
)


@dataclass(frozen=True)
class FoundationModel:
    """A pretrained backbone.

    Attributes:
        name: name of the model in timm; its weights are ``pretrained/<name>.pth``.
        channels: channels of its four maps.
        lr: learning rate of its last block; that of the heads is ten times as high.
        settings: other differences.
    """

    name: str
    channels: tuple[int, int, int, int]
    lr: float = 7e-6
    settings: Settings = field(default_factory=dict)

    def network(self, model: str, decoder: str, encoder: str) -> Network:
        """Make a network of a file in ``configs/_base_/models`` with this backbone."""
        weights = f"pretrained/{self.name}.pth"
        backbone = {
            "type": "TIMMBackbone" if self.name.startswith("convnext") else "TIMMViT",
            "model_name": self.name,
            "init_cfg": {"type": "Pretrained", "checkpoint": weights},
        }
        segmentor = {"backbone": backbone, "decode_head": {"in_channels": self.channels}}
        if decoder.endswith("_proj"):
            segmentor["auxiliary_head"] = {"in_channels": self.channels}
        optimizer = {
            "optimizer": {"lr": self.lr},
            "paramwise_cfg": {
                # The longest key counts.
                "custom_keys": {
                    **{key: {"decay_mult": 0.0} for key in _NO_DECAY},
                    "decode_head": {"lr_mult": 10.0},
                    "auxiliary_head": {"lr_mult": 10.0},
                },
                "layer_decay": {"rate": 0.9, "prefix": "backbone"},
            },
        }
        performance = {"precision": "bf16"}
        ours = {"segmentor": segmentor, "optim_wrapper": optimizer, "performance": performance}
        return Network(model, decoder, encoder, ours | self.settings)


_LARGE = 3e-6
# Mean and standard deviation of CLIP, times 255.
_CLIP_COLOURS = {
    "data_preprocessor": {"mean": (122.77, 116.75, 104.09), "std": (68.50, 66.63, 70.32)}
}
FOUNDATION_MODELS = {
    "dinov2-b": FoundationModel("vit_base_patch14_dinov2", (768,) * 4),
    "dinov2-l": FoundationModel("vit_large_patch14_dinov2", (1024,) * 4, _LARGE),
    "dinov3-b": FoundationModel("vit_base_patch16_dinov3", (768,) * 4),
    "dinov3-l": FoundationModel("vit_large_patch16_dinov3", (1024,) * 4, _LARGE),
    "eva02-l": FoundationModel("eva02_large_patch14_224", (1024,) * 4, _LARGE, _CLIP_COLOURS),
    "dinov3-convnext-b": FoundationModel("convnext_base", (128, 256, 512, 1024)),
}


def foundation_networks() -> dict[str, Network]:
    """Make two networks on each backbone, the second with a projection (``_proj``)."""
    networks = {}
    for key, model in FOUNDATION_MODELS.items():
        for projection in ("", "_proj"):
            decoder = f"daformer_sepaspp{projection}"
            networks[f"{key}{projection}"] = model.network(f"{decoder}_timm", decoder, key)
    return networks
