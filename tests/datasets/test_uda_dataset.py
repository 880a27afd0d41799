"""Test pairs of source and target images."""

import json
import logging
import random
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmseg.datasets import GTADataset, UDADataset, UDASampler
from mmseg.registry import DATASETS
from mmseg.utils import InputError
from tests.datasets.small_data import (
    LABELLED,
    SOURCE_PIPELINE,
    TARGET_PIPELINE,
    make_gta,
    write_image,
)
from tests.files import opened_files
from tools.convert_datasets.conversion import convert_gta

RARE = {"min_pixels": 100, "class_temp": 0.01, "min_crop_ratio": 0.5}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_gta(folder / "source")
    make_gta(folder / "target", num=3, convert=False)
    return folder


def _dataset(root, source_pipeline=SOURCE_PIPELINE, **arguments) -> UDADataset:
    source, target = (
        {
            "type": "GTADataset",
            "data_root": str(root / domain),
            "data_prefix": dict(prefix),
            "pipeline": pipeline,
        }
        for domain, prefix, pipeline in (
            ("source", LABELLED, source_pipeline),
            ("target", {"img_path": "images"}, TARGET_PIPELINE),
        )
    )
    arguments = {"source": source, "target": target, "rare_class_sampling": RARE, **arguments}
    return DATASETS.build({"type": "UDADataset", **arguments})


def _equal(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    fields = {k: v.data for k, v in one.items()}
    return one.metainfo == other.metainfo and _equal(fields, {k: v.data for k, v in other.items()})


def test_sample(root):
    dataset = _dataset(root)
    sample = dataset[3, 14]
    assert sample.keys() == {"source", "target"}
    assert sample["source"]["inputs"].shape == (3, 32, 32)
    assert sample["source"]["data_samples"].gt_sem_seg.data.shape == (1, 32, 32)
    assert sample["target"]["inputs"].shape == (3, 32, 64)
    assert "gt_sem_seg" not in sample["target"]["data_samples"]
    assert len(dataset) == 12
    assert dataset.metainfo["classes"][18] == "bicycle"


def test_access_is_stateless(root):
    dataset = _dataset(root)
    first = [dataset[5, position] for position in range(8)]
    again = [_dataset(root)[5, position] for position in reversed(range(8))]
    assert _equal(first, again[::-1])
    assert not _equal(first[0], first[1])
    assert not _equal(first[0], dataset[6, 0])
    # flips and crops differ between samples, and flips between source and target
    flips = [[s[d]["data_samples"].flip for d in ("source", "target")] for s in first]
    assert len({tuple(flip) for flip in flips}) > 2


def test_global_generators_are_left_alone(root):
    dataset = _dataset(root)

    def numbers():
        return random.random(), np.random.rand(), torch.rand(1).item()

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    expected = [numbers(), numbers()]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    found = [numbers()]
    before = dataset[5, 1]
    found.append(numbers())
    assert found == expected
    assert _equal(before, dataset[5, 1])


def test_generators_are_restored_after_an_error(root):
    dataset = _dataset(root, [lambda info: 1 / 0])
    state = np.random.get_state()[1].copy()
    with pytest.raises(ZeroDivisionError):
        dataset[0, 0]
    assert (np.random.get_state()[1] == state).all()


def test_workers_do_not_change_the_samples(root):
    dataset = _dataset(root)
    batches = []
    for workers in (0, 2):
        sampler = UDASampler(dataset, seed=3)
        loader = DataLoader(
            dataset, 2, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate
        )
        batches.append(list(islice(loader, 4)))
    assert len(batches[0][0]["source"]["inputs"]) == 2
    assert batches[0][0]["target"]["inputs"][0].dtype == torch.uint8
    assert _equal(*batches)
    sampler = UDASampler(dataset, seed=3)
    sampler.skip(4)
    resumed = next(iter(DataLoader(dataset, 2, sampler=sampler, collate_fn=pseudo_collate)))
    assert _equal(resumed, batches[0][2])


def _count_crops_with_rare_class(root, with_class: bool) -> int:
    """Count those of 60 crops that show enough of the class they were drawn for.

    Args:
        with_class: whether the crop is given that class.
    """
    infos = []

    def record(info):
        infos.append(dict(info))
        return {key: value for key, value in info.items() if with_class or "rare_class" not in key}

    dataset = _dataset(root, [record, *SOURCE_PIPELINE])
    labels = [dataset[0, i]["source"]["data_samples"].gt_sem_seg.data for i in range(60)]
    found = zip(labels, infos, strict=True)
    return sum(
        int((label == info["rare_class"]).sum() > info["rare_class_min_pixels"])
        for label, info in found
    )


def test_rare_class_is_in_the_crop(root):
    assert _count_crops_with_rare_class(root, with_class=True) > 50
    assert _count_crops_with_rare_class(root, with_class=False) < 40


class Watched(np.ndarray):
    """A label map that counts how often it is cropped."""

    crops = 0

    def __getitem__(self, box):
        Watched.crops += 1
        return super().__getitem__(box)


def _watch(results):
    results["gt_seg_map"] = results["gt_seg_map"].view(Watched)
    return results


def test_retries_do_not_decode_again(root):
    source = _dataset(root, [*SOURCE_PIPELINE[:3], _watch, *SOURCE_PIPELINE[3:]]).source
    info = source.get_data_info(0)
    before = Watched.crops
    with opened_files() as opened:
        source.pipeline({**info, "rare_class": 3, "rare_class_min_pixels": 10_000})
    assert opened == [info["img_path"], info["seg_map_path"]]
    assert Watched.crops - before > 20


def test_crop_gets_the_rare_class_and_the_minimum(root):
    dataset = _dataset(root, [])
    info = dataset[0, 0]["source"]
    assert info["rare_class"] in dataset.rare_classes.classes
    assert info["rare_class_min_pixels"] == 50
    dataset = _dataset(root, [], rare_class_sampling={**RARE, "min_crop_ratio": 0})
    assert "rare_class" not in dataset[0, 0]["source"]


def test_target_labels_are_never_opened(root):
    dataset = _dataset(root)
    with opened_files() as paths:
        for position in range(6):
            dataset[0, position]
    assert any("target/images" in path for path in paths)
    assert any("source/labels" in path for path in paths)
    assert not any("target/labels" in path for path in paths)


def test_uniform_draws_reach_everything(root):
    dataset = _dataset(root, rare_class_sampling=None)
    samples = [dataset[0, position] for position in range(60)]
    for domain, total in (("source", 4), ("target", 3)):
        assert len({s[domain]["data_samples"].img_path for s in samples}) == total


def test_without_a_target_only_source_images_are_drawn(root):
    dataset = _dataset(root, target=None)
    assert len(dataset) == 4
    assert dataset[0, 0].keys() == {"source"}


def test_target_labels_and_bad_settings_are_refused(root):
    labelled = {"type": "GTADataset", "data_root": str(root / "source"), "data_prefix": LABELLED}
    with pytest.raises(InputError, match="target of a UDADataset must not read labels"):
        _dataset(root, target=labelled)
    with pytest.raises(InputError, match=r"takes min_pixels, class_temp, .*'temperature'"):
        _dataset(root, rare_class_sampling={"temperature": 1})


class NightDataset(GTADataset):
    """A data set whose samples name a day image: the night image itself, or ``DAY``."""

    DAY = ""

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        return info | {"day_img_path": self.DAY or info["img_path"]}


def _with_days(
    root, kind: type[GTADataset] = NightDataset, pipeline: Sequence[dict] = TARGET_PIPELINE
) -> UDADataset:
    prefix = {"img_path": "images"}
    return _dataset(root, target=kind(str(root / "target"), prefix, pipeline=list(pipeline)))


CROP = {"type": "RandomCrop", "crop_size": (16, 16), "cat_max_ratio": 1.0}


@pytest.mark.parametrize("crops", [[], [CROP]])
def test_the_day_image_changes_like_the_night(crops, root):
    *steps, last = TARGET_PIPELINE
    dataset = _with_days(root, pipeline=[*steps, *crops, last])
    flips = set()
    for position in range(12):
        sample = dataset[5, position]
        night, day = sample["target"], sample["target_day"]
        assert torch.equal(night["inputs"], day["inputs"])
        flips.add(night["data_samples"].metainfo["flip"])
    assert flips == {True, False}


def test_day_and_night_of_different_sizes_are_refused(root, tmp_path):
    other = tmp_path / "day.png"
    write_image(other, (48, 90), np.random.default_rng(0))
    dataset = _with_days(root, type("OtherNight", (NightDataset,), {"DAY": str(other)}))
    with pytest.raises(InputError, match=rf"png and {other} show one place but differ in size"):
        dataset[0, 0]


def _write_mismatched_image(folder, name: str = "00001") -> None:
    write_image(folder / f"images/{name}.png", (48, 90), np.random.default_rng(0))


def _write_statistics_of_the_release(folder) -> None:
    """Write statistics of all label maps, of any size, by paths with the data root."""
    stats = json.loads((folder / "sample_class_stats.json").read_text())
    samples = json.loads((folder / "samples_with_class.json").read_text())
    stats = [{**sample, "file": f"data/gta/{sample['file']}"} for sample in stats]
    samples = {c: [[f"data/gta/{f}", n] for f, n in files] for c, files in samples.items()}
    (folder / "sample_class_stats.json").write_text(json.dumps(stats))
    (folder / "samples_with_class.json").write_text(json.dumps(samples))


@pytest.mark.parametrize("statistics", ["ours", "release", "uniform"])
def test_pairs_of_different_sizes_are_never_drawn(statistics, tmp_path, logged):
    source = make_gta(tmp_path / "source", convert=statistics != "ours")
    make_gta(tmp_path / "target", num=2, convert=False)
    _write_mismatched_image(source)
    if statistics == "ours":
        convert_gta(source)
    elif statistics == "release":
        _write_statistics_of_the_release(source)
    dataset = _dataset(tmp_path, rare_class_sampling=None if statistics == "uniform" else RARE)
    warning = "1 of 4 label maps have another size than their image and are left out of training, "
    warning += f"the first: {source}/labels/00001_labelTrainIds.png is 96x48 pixels large"
    assert [line.startswith(warning) for line in logged.messages(logging.WARNING)] == [True]
    drawn = [dataset[3, i]["source"]["data_samples"].img_path[-9:-4] for i in range(40)]
    assert set(drawn) == {"00000", "00002", "00003"}
    again = _dataset(tmp_path, rare_class_sampling=None if statistics == "uniform" else RARE)
    assert drawn[7:9] == [again[3, i]["source"]["data_samples"].img_path[-9:-4] for i in (7, 8)]


def test_a_source_without_any_fitting_pair_is_refused(tmp_path):
    source = make_gta(tmp_path / "source", num=2)
    make_gta(tmp_path / "target", num=2, convert=False)
    for name in ("00000", "00001"):
        _write_mismatched_image(source, name)
    with pytest.raises(InputError, match="no pair is left to train on: .*00000_labelTrainIds.png"):
        _dataset(tmp_path)


@pytest.mark.parametrize("orientation", [6, 3])
def test_exif_orientation_is_named(orientation, tmp_path, logged):
    source = make_gta(tmp_path / "source", num=2)
    make_gta(tmp_path / "target", num=2, convert=False)
    for path in (source / "images").iterdir():
        image = Image.open(path)
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(path, exif=exif)
    if orientation == 6:
        with pytest.raises(InputError, match="48x96 as its EXIF orientation turns it, but the lab"):
            _dataset(tmp_path)
    else:
        _dataset(tmp_path)
        messages = logged.messages(logging.WARNING)
        warned = [line.startswith("EXIF data turn or mirror 2 of 2 images") for line in messages]
        assert warned.count(True) == 1


def test_a_source_without_labels_is_refused(root):
    prefix = {"img_path": "images"}
    source = {"type": "GTADataset", "data_root": str(root / "source"), "data_prefix": prefix}
    with pytest.raises(InputError, match="source of a UDADataset must read labels"):
        _dataset(root, source=source)
