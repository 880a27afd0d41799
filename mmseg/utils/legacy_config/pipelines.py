"""Translate the pipelines of an old config."""

from typing import Any

from mmseg.utils.errors import InputError

from .section import Section


class Preprocessing:
    """Settings for normalising and padding, which old pipelines do and here the model does.

    All pipelines must have the same ones.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self._paths: dict[str, str] = {}

    def take(self, step: Section, name: str) -> None:
        """Take the settings of the step called ``name``, if it normalises or pads.

        Raises:
            InputError: if another pipeline has different ones.
        """
        settings: dict[str, Any] = {}
        if name == "Normalize":
            settings = {"mean": step.take("mean"), "std": step.take("std")}
            settings["bgr_to_rgb"] = step.take("to_rgb", bool, True)
        elif name == "Pad":
            settings = {"size": step.take("size"), **step.take_all("pad_val", "seg_pad_val")}
        for key, value in settings.items():
            first = self._paths.setdefault(key, step.path)
            if self.settings.setdefault(key, value) != value:
                raise InputError(
                    f"{step.path} differs from {first} ({key} is {value} instead of "
                    f"{self.settings[key]}), but the model preprocesses all images alike"
                )


def training_step(step: Section, preprocessing: Preprocessing) -> dict[str, Any] | None:
    """Translate a step of a training pipeline; None: the model or ``PackSegInputs`` does it."""
    name = step.take("type", str)
    if name in ("LoadImageFromFile", "LoadAnnotations"):
        return {"type": name}
    if name == "Resize":
        keep_ratio = step.take("keep_ratio", bool, True)
        return {"type": name, "scale": _scale(step), "keep_ratio": keep_ratio}
    if name == "RandomCrop":
        ratio = step.take("cat_max_ratio", default=1.0)
        return {"type": name, "crop_size": step.take("crop_size"), "cat_max_ratio": ratio}
    if name == "RandomFlip":
        return {"type": name, "prob": step.take("prob")}
    if name not in ("Normalize", "Pad", "DefaultFormatBundle", "ImageToTensor", "Collect"):
        raise InputError(f"{step.where('type')} is {name!r}, which has no translation")
    preprocessing.take(step, name)
    return None


def _scale(step: Section) -> Any:
    """Take the scale, width and height; a list of several is refused."""
    scale = step.take("img_scale", (list, tuple))
    if not is_size(scale):
        raise InputError(f"{step.where('img_scale')} must be one width and height, not {scale}")
    return scale


def is_size(scale: Any) -> bool:
    """Tell whether a value is a pair of numbers of pixels."""
    return (
        isinstance(scale, list | tuple)
        and len(scale) == 2
        and all(isinstance(side, int) and side > 0 for side in scale)
    )


def test_pipelines(
    dataset: Section, labelled: bool, preprocessing: Preprocessing
) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """Translate loading and ``MultiScaleFlipAug``.

    Returns:
        The pipeline for one size without flips, and that for all sizes and flips, with labels; None
        if the old pipeline has one size and no flip.
    """
    steps = dataset.sections("pipeline")
    names = [step.take("type", str) for step in steps]
    if names != ["LoadImageFromFile", "MultiScaleFlipAug"]:
        raise InputError(
            f"{dataset.where('pipeline')} must be LoadImageFromFile and MultiScaleFlipAug, not "
            f"{', '.join(names) or 'empty'}"
        )
    augmentation = steps[1]
    keep_ratio, has_flip = True, False
    for step in augmentation.sections("transforms"):
        name = step.take("type", str)
        if name == "Resize":
            keep_ratio = step.take("keep_ratio", bool, True)
        elif name in ("Normalize", "ImageToTensor", "Collect"):
            preprocessing.take(step, name)
        elif name == "RandomFlip":  # with the settings of MultiScaleFlipAug
            has_flip = True
        else:
            raise InputError(f"{step.where('type')} is {name!r}, which has no translation")
    if not has_flip:
        augmentation.only("flip", False, required=False)
    scale, scales = _test_scales(augmentation)
    resize, *resizes = (
        {"type": "Resize", "scale": each, "keep_ratio": keep_ratio} for each in (scale, *scales)
    )
    flips = _flips(augmentation)
    load, pack = {"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}
    # After Resize: labels keep their size, at which the metric is computed.
    labels = {"type": "LoadAnnotations"}
    plain = [load, resize, *([labels] if labelled else []), pack]
    if len(resizes) * len(flips) == 1:
        return plain, None
    return plain, [load, {"type": "TestTimeAug", "transforms": [resizes, flips, [labels], [pack]]}]


def _test_scales(augmentation: Section) -> tuple[Any, list[Any]]:
    """Take the size (width, height) for tests without augmentation, and all sizes for those with.

    The former is the size in the file, which ``img_ratios`` refer to, or the first of its list.
    """
    ratios = augmentation.take("img_ratios", (list, tuple, float, int, type(None)), None)
    several = augmentation.node.get("img_scale") if ratios is None else None
    if isinstance(several, list | tuple) and several and all(map(is_size, several)):
        augmentation.take("img_scale")
        return several[0], list(several)
    scale = _scale(augmentation)
    if ratios is None:
        return scale, [scale]
    ratios = ratios if isinstance(ratios, list | tuple) else [ratios]
    if not ratios or not all(isinstance(ratio, int | float) and ratio > 0 for ratio in ratios):
        raise InputError(f"{augmentation.where('img_ratios')} must be positive numbers: {ratios}")
    scales = [[int(side * ratio) for side in scale] for ratio in ratios]
    return scales[0] if len(scales) == 1 else scale, scales


def _flips(augmentation: Section) -> list[dict[str, Any]]:
    """Make steps that do not flip and, if the old pipeline flips, one that does per direction.

    There are as many of the former as of the latter.
    """
    directions = augmentation.take("flip_direction", (str, list, tuple), "horizontal")
    directions = [directions] if isinstance(directions, str) else list(directions)
    flip = augmentation.take("flip", bool, False)
    return [
        {"type": "RandomFlip", "prob": prob, "direction": direction}
        for prob in ((0.0, 1.0) if flip else (0.0,))
        for direction in (directions if flip else directions[:1])
    ]
