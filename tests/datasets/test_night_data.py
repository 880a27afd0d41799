"""Test Dark Zurich, Nighttime Driving and BDD100k-night."""

import numpy as np
import pytest

from mmseg.datasets import (
    BDD100KNightDataset,
    DarkZurichDataset,
    NightDrivingDataset,
    UDADataset,
)
from mmseg.utils import InputError
from tests.datasets.small_data import TARGET_PIPELINE, write_image, write_label

RNG = np.random.default_rng(0)
NIGHT = {"img_path": "rgb_anon/train/night"}
DAY_OF = {"GOPR0351/GOPR0351_frame_000001": "GOPR0345/GOPR0345_frame_000007"} | {
    f"GOPR0356/GOPR0356_frame_00000{i}": f"GOPR0345/GOPR0345_frame_00000{i}" for i in (1, 2)
}


@pytest.fixture
def dark_zurich(tmp_path):
    """Write three night and day images for training in two sequences, and one for validation."""
    lines = {}
    for night, day in DAY_OF.items():
        write_image(tmp_path / f"rgb_anon/train/night/{night}_rgb_anon.png", (9, 16), RNG)
        write_image(tmp_path / f"rgb_anon/train/day/{day}_rgb_anon.png", (9, 16), RNG)
        row = f"train/night/{night},train/day/{day},0.93"
        lines.setdefault(night.split("/")[0], []).append(row)
    for sequence, rows in lines.items():
        path = tmp_path / f"corresp/train/night/{sequence}/{sequence}.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(rows) + "\n")
    name = "GP010376/GP010376_frame_000154"
    write_image(tmp_path / f"rgb_anon/val/night/{name}_rgb_anon.png", (9, 16), RNG)
    write_label(tmp_path / f"gt/val/night/{name}_gt_labelTrainIds.png", np.eye(9, 16) * 18)
    return tmp_path


def with_days(root, **options):
    return DarkZurichDataset(str(root), NIGHT, corresp="corresp/train/night", **options)


def test_dark_zurich_pairs_night_with_day_images(dark_zurich):
    dataset = with_days(dark_zurich)
    images = f"{dark_zurich}/rgb_anon/train"
    assert [
        (info["img_path"], info["day_img_path"]) for info in map(dataset.get_data_info, range(3))
    ] == [
        (f"{images}/night/{night}_rgb_anon.png", f"{images}/day/{day}_rgb_anon.png")
        for night, day in DAY_OF.items()
    ]
    assert "day_img_path" not in DarkZurichDataset(str(dark_zurich), NIGHT).get_data_info(0)


def test_dark_zurich_day_images_reach_training(dark_zurich):
    validation = {"img_path": "rgb_anon/val/night", "seg_map_path": "gt/val/night"}
    source = DarkZurichDataset(
        f"{dark_zurich}/",
        validation,
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations"},
            {"type": "PackSegInputs"},
        ],
    )
    assert source[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [0, 18]
    sample = UDADataset(source, with_days(dark_zurich, pipeline=TARGET_PIPELINE))[0, 0]
    assert sample["target_day"]["inputs"].shape == sample["target"]["inputs"].shape == (3, 36, 64)


def test_the_last_row_counts_and_extra_rows_are_ignored(dark_zurich):
    night = next(iter(DAY_OF))
    other = "GOPR0345/GOPR0345_frame_000002"
    path = dark_zurich / "corresp/train/night/GOPR0351/GOPR0351.csv"
    path.write_text(
        f"\ufefftrain/night/{night},train/day/none\r\n\r\n train/night/{night} , train/day/{other}"
        "\r\ntrain/night/GOPR9/gone,train/day/gone\r\n",
        encoding="utf-8",
    )
    assert with_days(dark_zurich).get_data_info(0)["day_img_path"].endswith(f"{other}_rgb_anon.png")
    few = with_days(dark_zurich, indices=1)
    assert len(few) == 1


def _replace(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda csv, day: csv.unlink(), r"1 of 3 night images have no day image .*train/night/"),
        (lambda csv, day: _replace(csv, ",", ";"), r"0351\.csv, line 1: expected a night image"),
        (lambda csv, day: _replace(csv, "train/day/", "\n,"), r"line 1: expected a night image"),
        (lambda csv, day: _replace(csv, "000001,", "000009,"), r"instance .*0351_frame_000001"),
        (lambda csv, day: csv.write_bytes(b"\xff\xfe\x00"), r"0351\.csv cannot be read \("),
        (lambda csv, day: day.unlink(), r"1 day images .* not there, .*000007_rgb_anon\.png"),
    ],
)
def test_dark_zurich_broken_rows_are_reported_in_one_line(dark_zurich, damage, message):
    damage(
        dark_zurich / "corresp/train/night/GOPR0351/GOPR0351.csv",
        dark_zurich / "rgb_anon/train/day/GOPR0345/GOPR0345_frame_000007_rgb_anon.png",
    )
    with pytest.raises(InputError, match=message) as error:
        with_days(dark_zurich)
    assert "\n" not in str(error.value)


def test_dark_zurich_needs_correspondences(dark_zurich):
    with pytest.raises(InputError, match=r"no correspondences \(\*\.csv\) below .*corresp/nowhere"):
        DarkZurichDataset(str(dark_zurich), NIGHT, corresp="corresp/nowhere")
    lazy = DarkZurichDataset(str(dark_zurich), NIGHT, corresp="nowhere", lazy_init=True)
    with pytest.raises(InputError, match="no correspondences"):
        lazy.full_init()


def test_night_driving(tmp_path):
    write_image(tmp_path / "leftImg8bit/test/night/0_leftImg8bit.png", (9, 16), RNG)
    labels = "gtCoarse_daytime_trainvaltest/test/night"
    write_label(tmp_path / labels / "0_gtCoarse_labelTrainIds.png", np.zeros((9, 16)))
    prefix = {"img_path": "leftImg8bit/test/night", "seg_map_path": labels}
    dataset = NightDrivingDataset(str(tmp_path), prefix)
    assert len(dataset) == 1
    assert dataset.get_data_info(0)["seg_map_path"] == (
        f"{tmp_path}/{labels}/0_gtCoarse_labelTrainIds.png"
    )
    assert dataset.metainfo["classes"][18] == "bicycle"


@pytest.fixture
def bdd(tmp_path):
    """Write two images in train, one in val, and one without a label in test."""
    for name in ("train/aa-1", "train/bb-2", "val/cc-3", "test/dd-4"):
        write_image(tmp_path / f"images/10k/{name}.jpg", (9, 16), RNG)
        if "test" not in name:
            write_label(tmp_path / f"labels/sem_seg/masks/{name}.png", np.full((9, 16), 255))
    return tmp_path


def night_dataset(root, text: str | None):
    if text is not None:
        (root / "night.txt").write_text(text)
    prefix = {"img_path": "images/10k", "seg_map_path": "labels/sem_seg/masks"}
    return BDD100KNightDataset(str(root), prefix, ann_file="night.txt")


@pytest.mark.parametrize(
    "line",
    [
        "aa-1",
        "aa-1.jpg",
        "aa-1.png",
        "train/aa-1",
        "train/aa-1.jpg",
        "images/10k/train/aa-1.jpg",
        "/somewhere/else/bdd100k/images/10k/train/aa-1.jpg",
        "labels/sem_seg/masks/train/aa-1.png",
    ],
)
def test_bdd100k_night_accepts_lists_in_many_forms(bdd, line):
    dataset = night_dataset(bdd, f"{line}\ncc-3.jpg\n\n{line}\n")
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info["img_path"] for info in infos] == [
        f"{bdd}/images/10k/{name}.jpg" for name in ("train/aa-1", "val/cc-3")
    ]
    assert infos[0]["seg_map_path"] == f"{bdd}/labels/sem_seg/masks/train/aa-1.png"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"night\.txt is not there, the list of the night images .*data/README\.md"),
        ("\n", "names no image"),
        ("aa-1\nzz-9.jpg\nval/aa-1\n", r"1 images of the list .*, for instance zz-9\.jpg"),
        ("dd-4\n", r"1 of 1 images have no label map: .*masks/test/dd-4\.png is missing"),
        ("both\n", "both may be train/both or val/both: put the folder before"),
    ],
)
def test_bdd100k_night_bad_lists_are_refused(bdd, text, message):
    for split in ("train", "val"):
        write_image(bdd / f"images/10k/{split}/both.jpg", (9, 16), RNG)
    with pytest.raises(InputError, match=message):
        night_dataset(bdd, text)


def test_bdd100k_night_needs_a_list(bdd):
    with pytest.raises(InputError, match="ann_file is not there"):
        BDD100KNightDataset(str(bdd), {"img_path": "images/10k"})
