"""Data set of labelled source and unlabelled target images for domain adaptation."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from mmseg.registry import DATASETS
from mmseg.utils import InputError
from mmseg.utils.logs import warn_user
from mmseg.utils.setting_types import PartConfig

from .basesegdataset import BaseSegDataset
from .occurring_classes import check_occurring
from .pairs import check_pairs, pair_lines
from .rare_class_sampling import RareClassSampling, rare_class_table


@DATASETS.register_module()
class UDADataset(Dataset):
    """Random pairs of a source and a target sample.

    ``dataset[seed, position]`` is ``dict(source=..., target=...)``. Classes, files, crops and flips
    are a function of only the seed and the position, so a run can resume anywhere and does not
    depend on the number of workers. The state of the global random number generators is restored.
    Use it with :class:`~mmseg.datasets.UDASampler`.

    The target is drawn uniformly, and so is the source unless ``rare_class_sampling`` is given:
    then a class is drawn, rare ones more often, an image with enough pixels of it, and a crop that
    contains them (Hoyer et al., DAFormer, CVPR 2022). Pairs whose image and label map differ in
    size (GTA has some) are never drawn; a warning says how many there are.

    If samples of the target have a ``day_img_path`` (:class:`~mmseg.datasets.DarkZurichDataset`),
    that image is added as ``target_day``, resized, cropped and flipped like the target.

    Args:
        source: the labelled data set, or its config.
        target: the unlabelled data set; None: train on the source only.
        rare_class_sampling: arguments of :class:`RareClassSampling`; None: draw uniformly.

    Raises:
        InputError: if the target has labels or the source has none, if all pairs of the source
            differ in size, or classes do not occur in it; see also
            :func:`~mmseg.datasets.occurring_classes.check_occurring` and
            :func:`~mmseg.datasets.rare_class_sampling.rare_class_table`.
    """

    def __init__(
        self,
        source: BaseSegDataset | PartConfig,
        target: BaseSegDataset | PartConfig | None = None,
        rare_class_sampling: Mapping | None = None,
    ) -> None:
        self.source = _build(source)
        self.target = None if target is None else _build(target)
        if self.target is not None and "seg_map_path" in self.target.data_prefix:
            raise InputError(
                "the target of a UDADataset must not read labels: "
                'drop data_prefix["seg_map_path"] and LoadAnnotations from it'
            )
        self.usable = _usable_pairs(self.source)
        self.rare_classes = None
        if rare_class_sampling is not None:
            self.settings = _settings(rare_class_sampling)
            self.rare_classes = rare_class_table(self.source, self.settings, self.usable)
        elif warning := check_occurring(self.source):
            warn_user(warning)

    @property
    def metainfo(self) -> dict:
        """Metainfo of the source: classes and palette."""
        return self.source.metainfo

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.source) * (1 if self.target is None else len(self.target))

    def __getitem__(self, index: tuple[int, int]) -> dict:
        """Draw the sample of ``(seed, position)``, both of them at least 0."""
        draws, source_stream, target_stream = np.random.SeedSequence(index).spawn(3)
        rng = np.random.default_rng(draws)
        source_info = self._draw_source(rng)
        with _seeded(source_stream):
            sample = {"source": self.source.pipeline(source_info)}
        if self.target is not None:
            target_info = self.target.get_data_info(int(rng.integers(len(self.target))))
            sample |= self._target_views(self.target, target_info, target_stream)
        return sample

    @staticmethod
    def _target_views(target: BaseSegDataset, info: dict, stream: np.random.SeedSequence) -> dict:
        """Load the target sample and, if it has one, its day image in the same way."""
        paths = {"target": info["img_path"]}
        if "day_img_path" in info:
            paths["target_day"] = info["day_img_path"]
        views = {}
        for name, path in paths.items():
            # The same random numbers for both: both are flipped or neither, and crops are the same.
            with _seeded(stream):
                views[name] = target.pipeline({**info, "img_path": path})
        sizes = {tuple(view["inputs"].shape[-2:]) for view in views.values()}
        if len(sizes) > 1:
            raise InputError(
                f"{paths['target']} and {paths['target_day']} show one place but differ in size, "
                "also after the pipeline: replace one of them"
            )
        return views

    def _draw_source(self, rng: np.random.Generator) -> dict:
        """Draw the paths of a source sample, and for ``RandomCrop`` its rare class."""
        if self.rare_classes is None:
            return self.source.get_data_info(int(self.usable[rng.integers(len(self.usable))]))
        rare_class, index = self.rare_classes.draw(rng)
        info = self.source.get_data_info(index)
        if self.settings.min_crop_ratio > 0:
            info["rare_class"] = rare_class
            info["rare_class_min_pixels"] = self.settings.min_pixels * self.settings.min_crop_ratio
        return info


def _build(dataset: BaseSegDataset | dict) -> BaseSegDataset:
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset


def _usable_pairs(source: BaseSegDataset) -> np.ndarray:
    """Find the indices of the pairs whose image and label map have the same size."""
    if "seg_map_path" not in source.data_prefix:
        raise InputError(
            'the source of a UDADataset must read labels: set its data_prefix["seg_map_path"]'
        )
    checks = check_pairs(source)
    for line in pair_lines(checks):
        warn_user(line)
    usable = np.array([i for i, check in enumerate(checks) if check.conflict is None], np.int64)
    if not usable.size:
        raise InputError(f"no pair is left to train on: {checks[0].conflict}")
    return usable


def _settings(entries: Mapping[str, Any]) -> RareClassSampling:
    try:
        return RareClassSampling(**entries)
    except (TypeError, ValueError) as error:
        names = ", ".join(field.name for field in fields(RareClassSampling))
        reason = str(error).removeprefix("RareClassSampling.__init__() ")
        raise InputError(f"rare_class_sampling takes {names}: {reason}") from error


@contextmanager
def _seeded(stream: np.random.SeedSequence) -> Iterator[None]:
    """Seed the global generators that transforms draw from, and restore them afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = stream.generate_state(6)
    random.seed(words[:2].tobytes())
    np.random.seed(words[2:4])
    # torch.manual_seed would reset the generators of the GPUs too.
    torch.default_generator.manual_seed(int.from_bytes(words[4:].tobytes(), "little"))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
