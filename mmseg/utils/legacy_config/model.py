"""Translate the segmentor of an old config: backbone, decoder and projection."""

from typing import Any

from mmseg.utils.errors import InputError

from .section import Section

# Settings of decoders with the same name and meaning here.
_HEAD_KEYS = ("dropout_ratio", "norm_cfg", "align_corners", "ignore_index")
_RESNET_KEYS = (
    "depth",
    "strides",
    "dilations",
    "contract_dilation",
    "out_indices",
    "norm_cfg",
    "norm_eval",
    "with_cp",
)
# Older name -> name in the releases.
_OLDER_NAMES = {
    "MultiResEncoderDecoder": "HRDAEncoderDecoder",
    "MultiResAttentionWrapper": "HRDAHead",
    "UniHead": "DAFormerHead",
}
_SEGMENTORS = ("EncoderDecoder", "EncoderDecoderProjector", "HRDAEncoderDecoder")
# Channels of HRDA's scale attention, unless the file sets them.
_ATTENTION_CHANNELS = 256
# Initialisation that heads have here by default.
_HEAD_INIT = {
    "DLV2Head": {"type": "Normal", "std": 0.01, "override": {"name": "aspp_modules"}},
    "DAFormerHead": {"type": "Normal", "std": 0.01, "override": {"name": "conv_seg"}},
}


def segmentor(model: Section) -> dict[str, Any]:
    """Translate ``model`` of the old file to the config of a segmentor.

    An ``EncoderDecoderProjector`` whose projection head has no translation becomes an
    ``EncoderDecoder``, which can be tested.
    """
    name = model.take("type", str)
    name = _OLDER_NAMES.get(name, name)
    if name not in _SEGMENTORS:
        known = f"{', '.join(_SEGMENTORS[:-1])} and {_SEGMENTORS[-1]}"
        raise InputError(f"{model.where('type')} is {name!r}; known are {known}")
    test_cfg, head = model.section("test_cfg"), model.section("decode_head")
    translated: dict[str, Any] = {
        "type": "EncoderDecoder",
        "backbone": _backbone(model.section("backbone")),
        "test_cfg": {
            "mode": test_cfg.take("mode", str),
            **test_cfg.take_all("crop_size", "stride"),
        },
    }
    if name == "HRDAEncoderDecoder":
        translated |= {"type": name, "decode_head": _hrda_head(head), **_scales(model)}
    else:
        translated["decode_head"] = _decode_head(head, "type")
    projection = None
    if name == "EncoderDecoderProjector":
        projection = model.trained("auxiliary_head", _projection)
    if projection:
        translated |= {"type": name, "auxiliary_head": projection}
    pretrained = model.take("pretrained", (str, type(None)), None)
    if pretrained:
        zoo = "open-mmlab://"
        if pretrained.startswith(zoo):  # a name in OpenMMLab's model zoo, not a path
            pretrained = f"pretrained/{pretrained.removeprefix(zoo)}.pth"
        translated["backbone"]["init_cfg"] = {"type": "Pretrained", "checkpoint": pretrained}
    return translated


def _scales(model: Section) -> dict[str, Any]:
    """Translate how HRDA crops and scales images."""
    scales = model.take("scales", (list, tuple))
    numbers = all(isinstance(scale, int | float) for scale in scales)
    if not numbers or len(scales) != 2 or not 0 < min(scales) < max(scales) == 1:
        raise InputError(
            f"{model.where('scales')} is {scales}, but there is only 1 with a smaller one here"
        )
    model.only("hr_slide_inference", True)
    model.only("hr_slide_overlapping", True, required=False)
    model.only("blur_hr_crop", False, required=False)
    model.only_trained("feature_scale", min(scales), required=True)
    return {
        "context_scale": min(scales),
        "detail_size": model.take("hr_crop_size", (list, tuple)),
        "detail_divisor": model.take_trained("crop_coord_divisible", int, 1),
    }


def _backbone(backbone: Section) -> dict[str, Any]:
    name = backbone.take("type", str)
    backbone.only_trained("frozen_stages", -1)
    if name.startswith("mit_b"):
        backbone.only("style", "pytorch", required=False)
        return {"type": name, **backbone.take_all("with_cp")}
    if name != "ResNetV1c":
        raise InputError(f"{backbone.where('type')} is {name!r}; known are ResNetV1c and mit_b0-5")
    return {
        "type": name,
        **backbone.take_all(*_RESNET_KEYS),
        **backbone.drop_default("num_stages", 4),
        **backbone.drop_default("style", "pytorch"),
    }


def _hrda_head(head: Section) -> dict[str, Any]:
    """Translate HRDA's pair of decoders, whose attention is a variant of the decoder."""
    head.only("type", "HRDAHead", "MultiResAttentionWrapper")
    head.only("attention_classwise", True)
    head.only("fixed_attention", None, required=False)
    head.only_trained("lr_loss_weight", 0)
    channels = head.take("attention_embed_dim", int, _ATTENTION_CHANNELS)
    decoder = _decode_head(head, "single_scale_head")
    attention = {key: value for key, value in decoder.items() if key != "loss_decode"}
    if decoder["type"] == "DAFormerHead":
        attention |= {"channels": channels, "embed_dims": channels, "dilations": None}
    return {
        "type": "HRDAHead",
        "head": decoder,
        "scale_attention": attention,
        "detail_loss_weight": head.take_trained("hr_loss_weight", (int, float), 0),
    }


def _decode_head(head: Section, type_key: str) -> dict[str, Any]:
    """Translate the decoder of one scale, whose type is under ``type_key``."""
    old_name = head.take(type_key, str)
    name = _OLDER_NAMES.get(old_name, old_name)
    if name not in _HEAD_INIT:
        known = " and ".join(_HEAD_INIT)
        raise InputError(f"{head.where(type_key)} is {name!r}; known are {known}")
    head.only_trained("sampler", None)
    translated = {
        "type": name,
        "in_channels": head.take("in_channels"),
        "in_index": head.take("in_index"),
        "num_classes": head.take("num_classes", int),
        **head.take_all(*_HEAD_KEYS),
        **head.drop_default("init_cfg", _HEAD_INIT[name], None),
        "loss_decode": head.trained("loss_decode", _cross_entropy),
    }
    if name == "DLV2Head":
        return translated | {"dilations": head.take("dilations")}
    parameters = head.section("decoder_params")
    fusion = parameters.section("fusion_cfg")
    if old_name == "UniHead":
        fusion.take_all("fusion")
    aspp = {"type": "aspp", "sep": True, "pool": False, "act_cfg": {"type": "ReLU"}}
    for key, value in (aspp | {"norm_cfg": translated.get("norm_cfg")}).items():
        fusion.only(key, value)
    for name in ("embed_cfg", "embed_neck_cfg"):
        for key, value in {"type": "mlp", "act_cfg": None, "norm_cfg": None}.items():
            parameters.section(name).only(key, value)
    return translated | {
        "channels": head.take("channels", int),
        "embed_dims": parameters.take("embed_dims", int),
        "dilations": fusion.take("dilations"),
    }


def _cross_entropy(loss: Section) -> dict[str, Any]:
    loss.only("type", "CrossEntropyLoss")
    loss.only("use_sigmoid", False, required=False)
    return {"type": "CrossEntropyLoss", **loss.take_all("loss_weight", "class_weight")}


def _projection(head: Section) -> dict[str, Any]:
    """Translate the projection head; its loss belongs to the method."""
    head.only("type", "ProjHead")
    return {
        "type": "ProjHead",
        "in_channels": head.take("in_channels"),
        "in_index": head.take("in_index"),
        "channels": head.take("channels", int),
        "num_convs": head.take("num_convs", int),
        **head.take_all("input_transform", "norm_cfg", "align_corners"),
    }
