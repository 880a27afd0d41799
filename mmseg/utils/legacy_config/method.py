"""Translate the method of an old config."""

from typing import Any

from mmseg.utils.errors import InputError

from .section import Section

# Settings of self-training: old name -> name here, for the same values.
_SELF_TRAINING = {
    "alpha": "alpha",
    "pseudo_threshold": "pseudo_threshold",
    "blur": "blur",
    "color_jitter_strength": "color_jitter_strength",
    "color_jitter_probability": "color_jitter_threshold",
}
# Settings of SePiCo, likewise.
_SEPICO = {
    "enable_self_training": "enable_self_training",
    "enable_strong_aug": "augment_source_and_target",
    "start_distribution_iter": "start_contrast_iter",
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
    if name not in ("SePiCo", "SePiCoDark", "DACS"):
        raise InputError(f"uda.type is {name!r}; known are SePiCo, SePiCoDark and DACS")
    special = _dacs(uda, segmentor) if name == "DACS" else _sepico(old, name, segmentor)
    uda.only("mix", "class")
    return {
        "type": name,
        "segmentor": segmentor,
        **{new: uda.take(key) for key, new in _SELF_TRAINING.items()},
        "augment_mixed": True,  # enable_strong_aug is only for source and target
        **special,
    }


def _sepico(old: Section, name: str, segmentor: dict[str, Any]) -> dict[str, Any]:
    if "auxiliary_head" not in segmentor:
        raise InputError(f"{name} trains an EncoderDecoderProjector with a ProjHead")
    uda = old.section("uda")
    uda.only_trained("prod", True)
    uda.only_trained("push_off_self_training", False)
    projection = old.section("model").section("auxiliary_head")
    loss = projection.section("loss_decode")
    num_classes = segmentor["decode_head"]["num_classes"]
    for section in (projection, loss):
        section.only("num_classes", num_classes)
    model = {
        "contrast": _contrast(loss),
        "prototypes": {
            "type": "ProtoEstimator",
            "num_classes": num_classes,
            "feature_dim": segmentor["auxiliary_head"]["channels"],
            "memory_length": uda.take("memory_length", int, 0),
        },
        **{new: uda.take(key) for key, new in _SEPICO.items()},
        **{new: uda.take(key, default=default) for key, (new, default) in _CROP.items()},
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
    """Translate the two switches to one of three variants."""
    dist, bank = loss.take("use_dist", bool), loss.take("use_bank", bool)
    if dist and bank:
        raise InputError(f"{loss.path} sets both use_dist and use_bank")
    return "dist" if dist else "bank" if bank else "proto"


def _dacs(uda: Section, segmentor: dict[str, Any]) -> dict[str, Any]:
    """Translate what DACS, DAFormer, HRDA and MIC have and SePiCo has not."""
    uda.only("source_only", False, required=False)
    terms = {"feature_distance": _feature_distance(uda), "mic": _masking(uda, segmentor)}
    terms = {name: term for name, term in terms.items() if term}
    return {"augment_source_and_target": False, **({"terms": terms} if terms else {})}


def _feature_distance(uda: Section) -> dict[str, Any] | None:
    weight = uda.take("imnet_feature_dist_lambda", (int, float))
    classes = uda.take("imnet_feature_dist_classes", (list, tuple, type(None)))
    ratio = uda.take("imnet_feature_dist_scale_min_ratio")
    uda.only("imnet_feature_dist_scale_method", "ratio", required=False)
    if weight == 0:
        return None
    term = {"type": "FeatureDistance", "loss_weight": weight, "classes": classes}
    return term if classes is None else term | {"min_ratio": ratio}


def _masking(uda: Section, segmentor: dict[str, Any]) -> dict[str, Any] | None:
    mode = uda.take("mask_mode", (str, type(None)), None)
    if mode is None:
        uda.take_all("mask_alpha", "mask_pseudo_threshold", "mask_lambda", "mask_generator")
        return None
    uda.only("mask_alpha", "same")
    uda.only("mask_pseudo_threshold", "same")
    weight = uda.take("mask_lambda", (int, float))
    if weight != 1 and segmentor["type"] == "HRDAEncoderDecoder":
        raise InputError(
            f"{uda.where('mask_lambda')} is {weight}, which the release applies to one of HRDA's "
            "two losses; there is only 1 here"
        )
    generator = uda.section("mask_generator")
    generator.only("type", "block")
    return {
        "type": "MaskedConsistency",
        "block_size": generator.take("mask_block_size", int),
        "mask_ratio": generator.take("mask_ratio"),
        "mask_mode": mode,
        "loss_weight": weight,
    }
