"""Toy sets are stored like the real ones, and read by the same classes."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from demo.toy import TOY_SETS, ToySettings, make_toy_data
from demo.toy.layout import random_scene
from demo.toy.scene import scene_polygons
from demo.toy.writers import draw_label_ids, draw_synthia_label
from mmseg.datasets import (
    ACDCDataset,
    CityscapesDataset,
    DarkZurichDataset,
    GTADataset,
    SynthiaDataset,
)
from mmseg.datasets.class_names import LABEL_ID_TO_TRAIN_ID
from tools.convert_datasets.conversion import draw_train_ids
from tools.convert_datasets.conversion.label_files import train_id_table
from tools.convert_datasets.conversion.synthia import SYNTHIA_ID_TO_TRAIN_ID

SMALL = ToySettings(num_source=5, num_target_train=4, num_val=3, num_test=2, seed=7)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "set"
    assert make_toy_data(root, SMALL, nproc=1, sets=tuple(TOY_SETS))
    return root


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))


def test_gta(toy: Path) -> None:
    labels = [p for p in sorted((toy / "gta/labels").iterdir()) if "TrainIds" not in p.name]
    images = sorted((toy / "gta/images").iterdir())
    assert [p.name for p in labels] == [p.name for p in images]
    assert images[0].name == "00001.png" and len(images) == 5
    assert len({Image.open(path).size for path in images}) == 4
    for image, label in zip(images, labels, strict=True):
        assert Image.open(label).mode == "P" and Image.open(image).mode == "RGB"
        assert Image.open(label).size == Image.open(image).size
        values = np.unique(read(label))
        # The classes, and the ids for static (4) and dynamic (5) things that GTA has too.
        assert set(values.tolist()) <= {*LABEL_ID_TO_TRAIN_ID, 4, 5}
        train_ids = read(label.with_name(f"{label.stem}_labelTrainIds.png"))
        np.testing.assert_array_equal(train_ids, train_id_table()[read(label)])
    # Shown as an image, road (label id 7) has the colour of Cityscapes' legend.
    assert Image.open(labels[0]).getpalette()[21:24] == [128, 64, 128]
    source = GTADataset(
        data_root=str(toy / "gta"), data_prefix={"img_path": "images", "seg_map_path": "labels"}
    )
    assert len(source) == 5
    assert len(json.loads((toy / "gta/sample_class_stats.json").read_text())) == 5


def test_cityscapes_has_polygons_that_give_the_labels(toy: Path) -> None:
    root = toy / "cityscapes"
    assert names(root / "leftImg8bit", "val/*/*8bit.png") == [
        "val/toymouth/toymouth_000000_000019_leftImg8bit.png",
        "val/toyport/toyport_000000_000019_leftImg8bit.png",
        "val/toyport/toyport_000001_000019_leftImg8bit.png",
    ]
    polygons = root / "gtFine/val/toyport/toyport_000001_000019_gtFine_polygons.json"
    annotation = json.loads(polygons.read_text())
    assert (annotation["imgHeight"], annotation["imgWidth"]) == (128, 256)
    assert annotation["objects"][0]["label"] == "sky"
    assert all(len(item["polygon"]) >= 3 for item in annotation["objects"])
    scene = random_scene(np.random.default_rng([7, 2, 2]), 256, 128, ego_vehicle=True)
    expected = train_id_table()[draw_label_ids(scene_polygons(scene), 256, 128)]
    np.testing.assert_array_equal(draw_train_ids(polygons), expected)
    stored = polygons.with_name(polygons.name.replace("polygons.json", "labelTrainIds.png"))
    np.testing.assert_array_equal(read(stored), expected)
    target = CityscapesDataset(data_root=str(root), data_prefix={"img_path": "leftImg8bit/train"})
    assert len(target) == 4
    assert len((root / "val.txt").read_text().split()) == 3


@pytest.mark.parametrize(
    ("image", "mean", "label", "digest"),
    [
        ("gta/images/00001.png", 134.080, "gta/labels/00001.png", "3523c08eccfd329c"),
        (
            "cityscapes/leftImg8bit/train/toyburg/toyburg_000000_000019_leftImg8bit.png",
            65.950,
            "cityscapes/gtFine/train/toyburg/toyburg_000000_000019_gtFine_labelTrainIds.png",
            "f26842c8e12ab5f2",
        ),
    ],
)
def test_files_of_the_measured_demo_are_unchanged(
    toy: Path, image: str, mean: float, label: str, digest: str
) -> None:
    assert read(toy / image).mean() == pytest.approx(mean, abs=0.01)
    assert hashlib.sha256(read(toy / label).tobytes()).hexdigest()[:16] == digest


def test_synthia(toy: Path) -> None:
    root = toy / "synthia"
    assert names(root, "RGB/*") == [f"RGB/000000{i}.png" for i in range(5)]
    present = set()
    for index in range(5):
        label = cv2.imread(str(root / f"GT/LABELS/000000{index}.png"), cv2.IMREAD_UNCHANGED)
        assert label.dtype == np.uint16 and label.shape == (152, 256, 3)
        assert read(root / f"RGB/000000{index}.png").shape == (152, 256, 3)
        ids = label[..., 2]
        present |= set(np.unique(ids).tolist())
        expected = train_id_table(SYNTHIA_ID_TO_TRAIN_ID)[ids]
        train_ids = read(root / f"GT/LABELS/000000{index}_labelTrainIds.png")
        np.testing.assert_array_equal(train_ids, expected)
        # Things of countable classes (without truck and train) are numbered, and nothing else.
        assert set(np.unique(ids[label[..., 1] > 0])) <= {8, 10, 11, 12, 17, 19}
        assert not (label[..., 1] == 0)[np.isin(ids, (8, 10, 11, 12, 17, 19))].any()
        assert not label[..., 0].any()
    # Terrain, truck and train have ids, but are not in SYNTHIA.
    assert not present & {16, 18, 20}
    assert {1, 2, 3, 4, 6, 7, 8, 9} <= present
    source = SynthiaDataset(
        data_root=str(root), data_prefix={"img_path": "RGB", "seg_map_path": "GT/LABELS"}
    )
    assert len(source) == 5
    assert len(json.loads((root / "sample_class_stats.json").read_text())) == 5


def test_synthia_label_of_two_cars_in_front_of_a_wall() -> None:
    def box(left: int, right: int) -> np.ndarray:
        return np.array([(left, 2), (right, 2), (right, 5), (left, 5)], np.int32)

    polygons = [("wall", box(0, 9)), ("car", box(1, 2)), ("car", box(5, 7)), ("terrain", box(9, 9))]
    label = draw_synthia_label(polygons, 10, 8)
    assert label[3].tolist() == [
        *([0, 0, 21], [0, 1, 8], [0, 1, 8], [0, 0, 21], [0, 0, 21]),
        *([0, 2, 8], [0, 2, 8], [0, 2, 8], [0, 0, 21], [0, 0, 16]),
    ]
    assert not label[:2].any()


def test_dark_zurich(toy: Path) -> None:
    root = toy / "dark_zurich"
    assert names(root / "rgb_anon", "train/night/*/*") == [
        "train/night/TOYN0351/TOYN0351_frame_000001_rgb_anon.png",
        "train/night/TOYN0351/TOYN0351_frame_000002_rgb_anon.png",
        "train/night/TOYN0376/TOYN0376_frame_000001_rgb_anon.png",
        "train/night/TOYN0391/TOYN0391_frame_000001_rgb_anon.png",
    ]
    lines = [p.read_text() for p in sorted((root / "corresp/train/night").glob("*.csv"))]
    pairs = [line.split(",") for line in "".join(lines).splitlines()]
    assert len(pairs) == 4
    for night, day in pairs:
        dark = read(root / f"rgb_anon/{night}_rgb_anon.png")
        bright = read(root / f"rgb_anon/{day}_rgb_anon.png")
        assert dark.shape == bright.shape == (144, 256, 3)
        assert np.median(dark) < 0.75 * np.median(bright)
    assert len(names(root, "rgb_anon/train/day/*/*")) == 4
    # Only validation images have labels.
    assert names(root / "gt", "**/*.png") == [
        name.replace("_rgb_anon", "_gt_labelTrainIds")
        for name in names(root / "rgb_anon", "val/night/*/*.png")
    ]
    label = read(root / "gt/val/night/TOYN0356/TOYN0356_frame_000001_gt_labelTrainIds.png")
    assert label.shape == (144, 256) and set(np.unique(label)) <= {*range(19), 255}
    assert len(names(root, "rgb_anon/test/night/*/*.png")) == 2


def test_dark_zurich_has_a_day_image_of_the_same_place(toy: Path) -> None:
    target = DarkZurichDataset(
        data_root=str(toy / "dark_zurich"),
        data_prefix={"img_path": "rgb_anon/train/night"},
        corresp="corresp/train/night",
    )
    assert len(target) == 4
    assert Path(target.get_data_info(1)["day_img_path"]).name == (
        "TOYD0345_frame_000013_rgb_anon.png"
    )


def test_acdc_shows_its_conditions_in_turn(toy: Path) -> None:
    root = toy / "acdc"
    sizes = {split: len(ACDCDataset(str(root), split)) for split in ("train", "val", "test")}
    # No condition has less than one image.
    assert sizes == {"train": 4, "val": 4, "test": 4}
    assert names(root / "rgb_anon", "*/train/*/*") == [
        "fog/train/TOYF0475/TOYF0475_frame_000001_rgb_anon.png",
        "night/train/TOYN0475/TOYN0475_frame_000001_rgb_anon.png",
        "rain/train/TOYR0475/TOYR0475_frame_000001_rgb_anon.png",
        "snow/train/TOYS0475/TOYS0475_frame_000001_rgb_anon.png",
    ]
    # Labels for training and validation.
    labels = names(root / "gt", "**/*.png")
    assert [name.split("/")[1] for name in labels] == ["train", "val"] * 4
    for name in labels:
        label = read(root / "gt" / name)
        assert label.shape == (144, 256) and set(np.unique(label)) <= {*range(19), 255}
        image = read(root / "rgb_anon" / name.replace("_gt_labelTrainIds", "_rgb_anon"))
        assert image.shape == (144, 256, 3)
