"""Build loaders for a config's test data, with or without labels, scales and flips."""

import copy
from typing import Any

from mmengine.config import Config
from torch.utils.data import DataLoader

from mmseg.datasets.evaluation_sets import TEST_SPLITS, is_labelled, name_of
from mmseg.datasets.loader import build_dataloader
from mmseg.utils import InputError, built_from_config
from mmseg.utils.environment import available_cores

TTA_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def test_loader(
    cfg: Config,
    labelled: bool,
    batch_size: int | None = None,
    device: str = "cpu",
    aug_test: bool = False,
) -> DataLoader:
    """Build the config's ``test_dataloader``; unless ``labelled``, it never searches for labels.

    In a distributed run each rank gets its share of the images, without repetitions: some ranks may
    get one image less.

    Args:
        cfg: config with ``test_dataloader``, which is not changed.
        labelled: whether labels are needed.
        batch_size: number of images to predict at once; default: that of the config, or 1 for
            ``aug_test``, which keeps a dozen predictions of each image in memory.
        device: type of the device that predicts. For ``"cuda"`` batches are in page-locked memory.
        aug_test: whether to load each image in several scales, with and without flip: by the
            config's ``tta_pipeline`` or :func:`tta_pipeline`.

    Raises:
        InputError: if the config has no test data, or labels are needed but missing.
    """
    if batch_size is None and aug_test:
        batch_size = 1
    if batch_size is not None and batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, not {batch_size}")
    if not isinstance(cfg.get("test_dataloader"), dict):
        raise InputError("the config has no test_dataloader")
    loader = copy.deepcopy(cfg.test_dataloader)
    dataset = loader.dataset
    if aug_test:
        if "pipeline" not in dataset:
            raise InputError(f"--aug-test: the test data set {dataset.type} has no pipeline")
        own = copy.deepcopy(cfg.get("tta_pipeline"))
        dataset.pipeline = own or tta_pipeline(dataset.pipeline)
    loader.setdefault("sampler", {"type": "DefaultSampler", "shuffle": False})
    if loader.sampler.get("type") == "DefaultSampler":
        loader.sampler |= {"round_up": False, "seed": 0}  # without a seed, ranks would agree on one
    loader.persistent_workers = False  # the data are read once
    # torch warns of more; without random transforms their number changes nothing.
    loader.num_workers = min(loader.get("num_workers", 0), available_cores())
    loader.pin_memory = device == "cuda"
    if batch_size is not None:
        loader.pop("batch_sampler", None)
        loader.batch_size = batch_size
    if labelled and not is_labelled(dataset):
        raise InputError(_no_labels(dataset))
    if not labelled:
        _drop_labels(dataset)
    with built_from_config("test_dataloader"):
        return build_dataloader(loader)


def _no_labels(dataset: dict[str, Any]) -> str:
    name = name_of(dataset)
    ways_out = [f"--dataset {name} to evaluate on its labelled images"] if name else []
    ways_out.append("--format-only or --out to write the predictions instead")
    if name in TEST_SPLITS:
        ways_out.append("tools.submit for its test server")
    return (
        f"the test data set ({dataset.get('type')}) has no labels (no data_prefix.seg_map_path), "
        f"so it cannot be evaluated: use {'; or '.join(ways_out)}"
    )


def _drop_labels(dataset: dict[str, Any]) -> None:
    if "seg_map_path" in dataset.get("data_prefix", {}):
        dataset["data_prefix"]["seg_map_path"] = None
    if "pipeline" in dataset:
        dataset["pipeline"] = _without_annotations(dataset["pipeline"])


def _without_annotations(pipeline: list[Any]) -> list[Any]:
    """Remove ``LoadAnnotations`` from a pipeline, also inside ``TestTimeAug``."""
    kept = []
    for transform in pipeline:
        if transform["type"] == "LoadAnnotations":
            continue
        if transform["type"] == "TestTimeAug":
            branches = [_without_annotations(branch) for branch in transform["transforms"]]
            transform = {**transform, "transforms": [branch for branch in branches if branch]}
        kept.append(transform)
    return kept


def tta_pipeline(pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put scales and flips around the ``Resize`` of a test pipeline.

    Args:
        pipeline: a pipeline without flips. Without ``Resize`` the scales are relative to the image.

    Returns:
        The transforms before ``Resize``, then one ``TestTimeAug`` over six scales and two flips,
        each followed by the rest.
    """
    types = [transform["type"] for transform in pipeline]
    if "PackSegInputs" not in types:
        raise InputError("--aug-test: the test pipeline has no PackSegInputs; give a tta_pipeline")
    # Without Resize: before the labels, which keep their size.
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
