"""Test how data sets find images and label maps."""

import numpy as np
import pytest

from mmseg.datasets import BaseSegDataset, CityscapesDataset, GTADataset
from mmseg.registry import DATASETS
from mmseg.utils import InputError
from tests.datasets.small_data import (
    LABELLED,
    SOURCE_PIPELINE,
    TARGET_PIPELINE,
    make_cityscapes,
    make_gta,
    write_image,
)
from tools.convert_datasets.conversion import convert_cityscapes

PACK = {"type": "PackSegInputs"}


def test_gta_pairs_are_sorted(tmp_path):
    make_gta(tmp_path)
    dataset = DATASETS.build(
        {"type": "GTADataset", "data_root": str(tmp_path), "data_prefix": dict(LABELLED)}
    )
    assert len(dataset) == 4
    assert dataset.get_data_info(2) == {
        "img_path": f"{tmp_path}/images/00002.png",
        "seg_map_path": f"{tmp_path}/labels/00002_labelTrainIds.png",
        "num_classes": 19,
        "sample_idx": 2,
    }
    assert dataset.metainfo["classes"][0] == "road"
    assert len(dataset.metainfo["palette"]) == 19


def test_cityscapes_by_folder_and_by_list(tmp_path):
    make_cityscapes(tmp_path, {"train": ["ulm/ulm_1", "aachen/aachen_2", "aachen/aachen_1"]})
    convert_cityscapes(tmp_path)
    prefix = {"img_path": "leftImg8bit/train", "seg_map_path": "gtFine/train"}
    dataset = CityscapesDataset(str(tmp_path), prefix)
    names = [dataset.get_data_info(i)["img_path"] for i in range(len(dataset))]
    folder = tmp_path / "leftImg8bit/train"
    assert names == [
        f"{folder}/{name}_leftImg8bit.png"
        for name in ("aachen/aachen_1", "aachen/aachen_2", "ulm/ulm_1")
    ]
    listed = CityscapesDataset(str(tmp_path), prefix, ann_file="train.txt")
    assert [listed.get_data_info(i)["img_path"] for i in range(len(listed))] == names
    (tmp_path / "few.txt").write_text("ulm/ulm_1\n\n")
    assert len(CityscapesDataset(str(tmp_path), prefix, ann_file="few.txt")) == 1
    (tmp_path / "wrong.txt").write_text("ulm/ulm_1\nulm/ulm_7\n")
    with pytest.raises(InputError, match=r"1 images of the list .*for instance ulm/ulm_7"):
        CityscapesDataset(str(tmp_path), prefix, ann_file="wrong.txt")
    for name, message in (("none.txt", "cannot be read"), ("empty.txt", "names no image")):
        if name == "empty.txt":
            (tmp_path / name).write_text("\n")
        with pytest.raises(InputError, match=message):
            CityscapesDataset(str(tmp_path), prefix, ann_file=name)


def test_test_pipeline_keeps_the_label_size(tmp_path):
    make_gta(tmp_path)
    load_image, load_label, resize, *_, pack = SOURCE_PIPELINE
    pipeline = [load_image, {**resize, "scale": (48, 48)}, load_label, pack]
    sample = GTADataset(str(tmp_path), LABELLED, pipeline=pipeline, test_mode=True)[0]
    assert sample["inputs"].shape == (3, 24, 48)
    assert sample["data_samples"].gt_sem_seg.shape == (48, 96)
    assert sample["data_samples"].ori_shape == (48, 96)


def test_linked_data_root(tmp_path):
    make_gta(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(GTADataset(f"{tmp_path}/link/", LABELLED)) == 4


def test_indices_and_custom_classes(tmp_path):
    make_gta(tmp_path)
    dataset = GTADataset(str(tmp_path), LABELLED, indices=[3, 1], metainfo={"classes": ["a", "b"]})
    assert len(dataset) == 2
    assert dataset.get_data_info(0)["img_path"].endswith("00003.png")
    assert dataset.num_classes == 2
    pipeline = SOURCE_PIPELINE[:2]
    with pytest.raises(InputError, match="but there are 2 classes"):
        GTADataset(str(tmp_path), LABELLED, metainfo={"classes": ["a", "b"]}, pipeline=pipeline)[0]


def test_without_label_prefix_no_label_is_read(tmp_path):
    make_gta(tmp_path)
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
    (tmp_path / "labels").rmdir()
    for prefix in ({"img_path": "images"}, {"img_path": "images", "seg_map_path": None}):
        dataset = GTADataset(str(tmp_path), prefix, pipeline=TARGET_PIPELINE)
        assert "seg_map_path" not in dataset.get_data_info(0)
        assert "gt_sem_seg" not in dataset[0]["data_samples"]


def test_missing_folders_are_named(tmp_path):
    root = str(tmp_path / "gta")
    with pytest.raises(InputError, match=rf"data root {root} does not exist: .*ln -s"):
        GTADataset(root, LABELLED)
    (tmp_path / "gta").mkdir()
    with pytest.raises(InputError, match=r"images does not exist"):
        GTADataset(root, LABELLED)
    (tmp_path / "gta/images").mkdir()
    with pytest.raises(InputError, match=r"images holds no images \(\*\.png\)"):
        GTADataset(root, LABELLED)


def test_labels_that_are_not_converted_are_refused(tmp_path):
    make_gta(tmp_path, convert=False)
    command = f"python -m tools.convert_datasets.gta {tmp_path} --nproc 8"
    with pytest.raises(InputError, match=rf"holds no label maps .*run `{command}`"):
        GTADataset(f"{tmp_path}/", LABELLED)


def test_image_without_label_is_refused(tmp_path):
    make_gta(tmp_path)
    write_image(tmp_path / "images/00009.png", (48, 96), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"1 of 5 images .*00009_labelTrainIds\.png is missing"):
        GTADataset(str(tmp_path), LABELLED)


def test_labels_need_classes(tmp_path):
    make_gta(tmp_path)
    with pytest.raises(InputError, match="reads labels but has no classes"):
        BaseSegDataset(str(tmp_path), LABELLED, img_suffix=".png")
    assert len(BaseSegDataset(str(tmp_path), {"img_path": "images"}, img_suffix=".png")) == 4


def test_ignored_edges_are_fractions_of_the_height(tmp_path):
    make_gta(tmp_path)
    base = {"data_root": str(tmp_path), "data_prefix": {"img_path": "images"}, "img_suffix": ".png"}
    for ignored, expected in ((None, (15 / 640, 120 / 640)), ((0.2, 0.3), (0.2, 0.3))):
        dataset = CityscapesDataset(
            **base, ignored_edges=ignored, pipeline=[{"type": "LoadImageFromFile"}, PACK]
        )
        assert dataset[0]["data_samples"].ignored_edges == expected
    assert "ignored_edges" not in BaseSegDataset(**base).get_data_info(0)
    for edges in ((0.26, 0.25), (-0.1, 0.0)):
        with pytest.raises(InputError, match="leave at least half"):
            CityscapesDataset(**base, ignored_edges=edges)
