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
    "pseudo_random_crop": "pseudo_crop",
    "cat_max_ratio": "cat_max_ratio",
    "crop_size": "crop_size",
    "regen_pseudo": "regenerate_pseudo_label",
}
# Of (mean(l) - l) / std(l) in class weights 1 + s z, at test time and in training.
_TEST_SPREAD, _TRAINING_SPREAD = 0.16, 0.05


def uda_model(uda: Section, projection: Section, segmentor: dict[str, Any]) -> dict[str, Any]:
    """The config of the model.

    Args:
        uda: of the old file.
        projection: its ``model.auxiliary_head``, of which the segmentor's part is taken.
        segmentor: translated; a night model gets its class weights of testing.
    """
    name = uda.take("type", str)
    if name not in METHODS:
        raise InputError(f"uda.type is {name!r}; known are {' and '.join(METHODS)}")
    uda.only("mix", "class")
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
        **{new: uda.take(old) for old, new in _RENAMED.items()},
        "augment_mixed": True,  # enable_strong_aug is of source and target alone
    }
    if segmentor["auxiliary_head"].get("input_transform") == "multiple_select":
        model["num_levels"] = len(segmentor["auxiliary_head"]["in_index"])
    if name == "SePiCoDark":
        model |= _night(uda, segmentor)
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


def _night(uda: Section, segmentor: dict[str, Any]) -> dict[str, Any]:
    """What a night model has beside; where the day images are is the data set's."""
    class_weight = uda.take("class_weight", (list, tuple, type(None)), None)
    if not all(isinstance(weight, int | float) for weight in class_weight or ()):
        raise InputError(f"{uda.where('class_weight')} must be numbers: {class_weight}")
    if class_weight is not None:
        spread = _TEST_SPREAD / _TRAINING_SPREAD
        segmentor["test_cfg"]["class_weight"] = [1 + spread * (w - 1) for w in class_weight]
    return {
        "class_weight": class_weight,
        "day_ratio": uda.take("day_ratio"),
        "shift_insensitive_classes": uda.take("shift_insensitive_classes"),
    }
