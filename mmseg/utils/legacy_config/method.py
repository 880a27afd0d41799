"""The domain-adaptation method of an old config: its ``uda``, and the loss of the projection."""

from typing import Any

from mmseg.utils.errors import InputError

from .section import Section

METHODS = ("SePiCo", "SePiCoDark")
# Their name here, where the value is the same.
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
# Of the class-balanced crop: their name here and the release's default.
_CROP = {
    "pseudo_random_crop": ("pseudo_crop", False),
    "cat_max_ratio": ("cat_max_ratio", 0.75),
    "crop_size": ("crop_size", [640, 640]),
    "regen_pseudo": ("regenerate_pseudo_label", False),
}
# Of (mean(l) - l) / std(l) in class weights 1 + s z, at test time and in training.
_TEST_SPREAD, _TRAINING_SPREAD = 0.16, 0.05


def test_class_weight(old: Section) -> list[float] | None:
    """Class weights that the probabilities are multiplied by in tests of a night model."""
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
    """The config of the model, from the whole old file.

    Args:
        old: its ``uda``, and what of ``model.auxiliary_head`` is not the segmentor's.
        segmentor: translated.
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
        "augment_mixed": True,  # enable_strong_aug is of source and target alone
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
    return {
        "type": "ContrastiveLoss",
        "variant": _variant(loss),
        "temperature": loss.take("contrast_temp"),
        "regularizer_weight": regularizer_weight if loss.take("use_reg", bool) else 0.0,
        "min_ratio": loss.take("scale_min_ratio"),
        "loss_weight": loss.take("loss_weight"),
    }


def _variant(loss: Section) -> str:
    """Two switches name three variants."""
    dist, bank = loss.take("use_dist", bool), loss.take("use_bank", bool)
    if dist and bank:
        raise InputError(f"{loss.path} sets both use_dist and use_bank")
    return "dist" if dist else "bank" if bank else "proto"
