"""The pipelines of an old config, and what they leave to the model's preprocessor."""

from typing import Any

from mmseg.utils.errors import InputError

from .section import Section


class Preprocessing:
    """What old pipelines do to each image and the model does here: normalise and pad.

    There is one way for all of them.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self._paths: dict[str, str] = {}

    def add(self, step: Section, settings: dict[str, Any]) -> None:
        """Take over the settings of a step.

        Raises:
            InputError: another pipeline has others.
        """
        for key, value in settings.items():
            first = self._paths.setdefault(key, step.path)
            if self.settings.setdefault(key, value) != value:
                raise InputError(
                    f"{step.path} differs from {first} ({key} is {value} instead of "
                    f"{self.settings[key]}), but the model preprocesses all images alike"
                )

    def config(self) -> dict[str, Any]:
        """The config of the model's ``data_preprocessor``."""
        return {"type": "SegDataPreProcessor", **self.settings, "non_blocking": True}


def training_step(step: Section, preprocessing: Preprocessing) -> dict[str, Any] | None:
    """A step of a pipeline that is trained on; None: the model or ``PackSegInputs`` does it."""
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
    _preprocess(name, step, preprocessing)
    return None


def _scale(step: Section) -> Any:
    """Width and height; a list of several is a choice that is not made here."""
    scale = step.take("img_scale", (list, tuple))
    if not _is_size(scale):
        raise InputError(f"{step.where('img_scale')} must be one width and height, not {scale}")
    return scale


def _is_size(scale: Any) -> bool:
    return (
        isinstance(scale, list | tuple)
        and len(scale) == 2
        and all(isinstance(side, int) for side in scale)
    )


def _preprocess(name: str, step: Section, preprocessing: Preprocessing) -> None:
    if name == "Normalize":
        bgr_to_rgb = step.take("to_rgb", bool, True)
        settings = {"mean": step.take("mean"), "std": step.take("std"), "bgr_to_rgb": bgr_to_rgb}
        preprocessing.add(step, settings)
    elif name == "Pad":
        settings = {"size": step.take("size"), **step.take_all("pad_val", "seg_pad_val")}
        preprocessing.add(step, settings)


def test_pipelines(
    dataset: Section, labelled: bool, preprocessing: Preprocessing
) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """Translate loading and ``MultiScaleFlipAug``.

    Returns:
        The pipeline of one size without a flip, and that of all sizes and flips, with labels; None
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
    keep_ratio, flips = True, False
    for step in augmentation.sections("transforms"):
        name = step.take("type", str)
        if name == "Resize":
            keep_ratio = step.take("keep_ratio", bool, True)
        elif name in ("Normalize", "ImageToTensor", "Collect"):
            _preprocess(name, step, preprocessing)
        elif name == "RandomFlip":  # does what MultiScaleFlipAug says
            flips = True
        else:
            raise InputError(f"{step.where('type')} is {name!r}, which has no translation")
    if not flips:
        augmentation.only("flip", False, required=False)
    scale, scales = _test_scales(augmentation)
    resize, *resizes = (
        {"type": "Resize", "scale": each, "keep_ratio": keep_ratio} for each in (scale, *scales)
    )
    flips = _flips(augmentation)
    load, pack = {"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}
    # Behind the resize: the labels stay at their own size, where the metric is taken.
    labels = {"type": "LoadAnnotations"}
    plain = [load, resize, *([labels] if labelled else []), pack]
    if len(resizes) * len(flips) == 1:
        return plain, None
    return plain, [load, {"type": "TestTimeAug", "transforms": [resizes, flips, [labels], [pack]]}]


def _test_scales(augmentation: Section) -> tuple[Any, list[Any]]:
    """The size (width, height) to test at without augmentation, and all those to test at with it.

    The first is that of the file itself, which ``img_ratios`` are of, or the first of its list.
    """
    ratios = augmentation.take("img_ratios", (list, tuple, float, int, type(None)), None)
    several = augmentation.node.get("img_scale") if ratios is None else None
    if isinstance(several, list | tuple) and several and all(map(_is_size, several)):
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
    """Steps that leave an image as it is and, if the old pipeline flips, one for each direction.

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
