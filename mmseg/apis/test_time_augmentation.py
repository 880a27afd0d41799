"""Turning a test config into one that tests with several scales and flips."""

import copy
from typing import Any

from mmengine.config import Config

from mmseg.utils import InputError

TTA_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def tta_pipeline(pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put scales and flips around the ``Resize`` of a test pipeline.

    Args:
        pipeline: ..., ``Resize``, ...; with no flip of its own. Without ``Resize`` the scales are
            relative to the image.

    Returns:
        What comes before ``Resize``, then one ``TestTimeAug`` over six scales and two flips, each
        followed by the rest.
    """
    types = [transform["type"] for transform in pipeline]
    if "PackSegInputs" not in types:
        raise InputError("--aug-test: the test pipeline has no PackSegInputs; give a tta_pipeline")
    # Without Resize, before the labels, which keep their size.
    ahead_of = next(
        name for name in ("Resize", "LoadAnnotations", "PackSegInputs") if name in types
    )
    at = types.index(ahead_of)
    resize = pipeline[at] if "Resize" in types else {"type": "Resize", "scale_factor": 1.0}
    rest = pipeline[at + 1 :] if "Resize" in types else pipeline[at:]
    flips = [{"type": "RandomFlip", "prob": prob, "direction": "horizontal"} for prob in (0.0, 1.0)]
    scales = [_rescaled(resize, ratio) for ratio in TTA_RATIOS]
    augmented = {"type": "TestTimeAug", "transforms": [scales, flips, *([each] for each in rest)]}
    return [*copy.deepcopy(pipeline[:at]), augmented]


def _rescaled(resize: dict[str, Any], ratio: float) -> dict[str, Any]:
    resize = copy.deepcopy(resize)
    if resize.get("scale") is not None:
        resize["scale"] = tuple(round(side * ratio) for side in resize["scale"])
    else:
        factor = resize["scale_factor"]
        both = isinstance(factor, list | tuple)
        resize["scale_factor"] = tuple(f * ratio for f in factor) if both else factor * ratio
    return resize


def with_tta(cfg: Config) -> Config:
    """A copy of ``cfg`` whose test data set runs ``tta_pipeline``: the config's or the default.

    ``tta_model`` is filled in too: ``SegTTAModel`` unless the config has one.
    """
    cfg = copy.deepcopy(cfg)
    dataset = cfg.test_dataloader.dataset
    if "pipeline" not in dataset:
        raise InputError(f"--aug-test: the test data set {dataset.type} has no pipeline of its own")
    dataset.pipeline = cfg.get("tta_pipeline") or tta_pipeline(dataset.pipeline)
    if not cfg.get("tta_model"):
        cfg.tta_model = {"type": "SegTTAModel"}
    return cfg
