"""Translate the model of an old config: backbone, decoder, projection and method."""

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
# Initialisation that heads have here by default.
_HEAD_INIT = {
    "DLV2Head": {"type": "Normal", "std": 0.01, "override": {"name": "aspp_modules"}},
    "DAFormerHead": {"type": "Normal", "std": 0.01, "override": {"name": "conv_seg"}},
}


def segmentor(model: Section) -> dict[str, Any]:
    """Translate ``model`` of the old file to the config of a segmentor.

    Without a projection head it is an ``EncoderDecoder``, which can be tested.
    """
    name = model.take("type", str)
    if name not in ("EncoderDecoderProjector", "EncoderDecoder"):
        raise InputError(
            f"{model.where('type')} is {name!r}; known are EncoderDecoderProjector and "
            "EncoderDecoder"
        )
    test_cfg = model.section("test_cfg")
    translated: dict[str, Any] = {
        "type": "EncoderDecoder",
        "backbone": _backbone(model.section("backbone")),
        "decode_head": _decode_head(model.section("decode_head")),
        "test_cfg": {
            "mode": test_cfg.take("mode", str),
            **test_cfg.take_all("crop_size", "stride"),
        },
    }
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


def _decode_head(head: Section) -> dict[str, Any]:
    name = head.take("type", str)
    if name not in _HEAD_INIT:
        known = " and ".join(_HEAD_INIT)
        raise InputError(f"{head.where('type')} is {name!r}; known are {known}")
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


METHODS = ("SePiCo", "SePiCoDark")
# Old name -> name here, for settings with the same values.
_RENAMED = {
    "alpha": "alpha",
    "pseudo_threshold": "pseudo_threshold",
    "enable_self_training": "enable_self_training",
    "enable_strong_aug": "augment_source_and_target",
    "start_distribution_iter": "start_contrast_iter",
    "blur": "blur",
    "color_jitter_strength": "color_jitter_strength",
    "color_jitter_probability": "color_jitter_threshold",
}
# Old name -> name here and default of the release, for settings of the class-balanced crop.
_CROP = {
    "pseudo_random_crop": ("pseudo_crop", False),
    "cat_max_ratio": ("cat_max_ratio", 0.75),
    "crop_size": ("crop_size", [640, 640]),
    "regen_pseudo": ("regenerate_pseudo_label", False),
}
# Factor s of z = (mean(l) - l) / std(l) in class weights 1 + s z, at test time and in training.
_TEST_SPREAD, _TRAINING_SPREAD = 0.16, 0.05


def test_class_weight(old: Section) -> list[float] | None:
    """Return the class weights for the probabilities in tests of a night model."""
    uda = old.node.get("uda")
    if not isinstance(uda, dict) or uda.get("type") == "SePiCo":
        return None
    class_weight = uda.get("class_weight")
    if class_weight is None:
        return None
    if not isinstance(class_weight, list | tuple) or not all(
        isinstance(weight, int | float) for weight in class_weight
    ):
        raise InputError(f"uda.class_weight must be numbers: {class_weight}")
    spread = _TEST_SPREAD / _TRAINING_SPREAD
    return [1 + spread * (weight - 1) for weight in class_weight]


def uda_model(old: Section, segmentor: dict[str, Any]) -> dict[str, Any]:
    """Translate the method, from the whole old file.

    Args:
        old: the file; ``uda`` and the loss of ``model.auxiliary_head`` are used.
        segmentor: the translated segmentor.
    """
    uda = old.section("uda")
    name = uda.take("type", str)
    if name not in METHODS:
        raise InputError(f"uda.type is {name!r}; known are {' and '.join(METHODS)}")
    if "auxiliary_head" not in segmentor:
        raise InputError(f"{name} trains an EncoderDecoderProjector with a ProjHead")
    uda.only("mix", "class")
    uda.only_trained("prod", True)
    uda.only_trained("push_off_self_training", False)
    projection = old.section("model").section("auxiliary_head")
    loss = projection.section("loss_decode")
    num_classes = segmentor["decode_head"]["num_classes"]
    for section in (projection, loss):
        section.only("num_classes", num_classes)
    model = {
        "type": name,
        "segmentor": segmentor,
        "contrast": _contrast(loss),
        "prototypes": {
            "type": "ProtoEstimator",
            "num_classes": num_classes,
            "feature_dim": segmentor["auxiliary_head"]["channels"],
            "memory_length": uda.take("memory_length", int, 0),
        },
        **{new: uda.take(key) for key, new in _RENAMED.items()},
        **{new: uda.take(key, default=default) for key, (new, default) in _CROP.items()},
        "augment_mixed": True,  # enable_strong_aug is only for source and target
    }
    if segmentor["auxiliary_head"].get("input_transform") == "multiple_select":
        model["num_levels"] = len(segmentor["auxiliary_head"]["in_index"])
    if name == "SePiCoDark":
        model |= {
            "class_weight": uda.take("class_weight", default=None),
            "day_ratio": uda.take("day_ratio"),
            "shift_insensitive_classes": uda.take("shift_insensitive_classes"),
        }
    return model


def _contrast(loss: Section) -> dict[str, Any]:
    loss.only("type", "ContrastiveLoss")
    loss.only("use_avg_pool", True)
    regularizer_weight = loss.take("reg_relative_weight")
    dist, bank = loss.take("use_dist", bool), loss.take("use_bank", bool)
    if dist and bank:
        raise InputError(f"{loss.path} sets both use_dist and use_bank")
    return {
        "type": "ContrastiveLoss",
        "variant": "dist" if dist else "bank" if bank else "proto",
        "temperature": loss.take("contrast_temp"),
        "regularizer_weight": regularizer_weight if loss.take("use_reg", bool) else 0.0,
        "min_ratio": loss.take("scale_min_ratio"),
        "loss_weight": loss.take("loss_weight"),
    }
