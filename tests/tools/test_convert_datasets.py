"""Convert the label files of each data set."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from PIL import Image

from mmseg.datasets import (
    CITYSCAPES_CLASSES,
    LABEL_ID_TO_TRAIN_ID,
    FolderDataset,
    SynthiaDataset,
)
from mmseg.utils import InputError
from tests.datasets.small_data import (
    annotation,
    cut,
    make_cityscapes,
    make_gta,
    write_image,
    write_label,
    write_palette_label,
    write_synthia_label,
)
from tools.convert_datasets import convert
from tools.convert_datasets.conversion import convert_cityscapes, convert_gta, convert_synthia
from tools.convert_datasets.folder import main as convert_folder

ROOT = Path(__file__).parents[2]
STATISTICS = ("sample_class_stats.json", "sample_class_stats_dict.json", "samples_with_class.json")


def _statistics(root: Path) -> list:
    return [json.loads((root / name).read_text()) for name in STATISTICS]


def test_gta_label_ids_become_train_ids(tmp_path):
    ids = np.arange(35, dtype=np.uint8).repeat(2).reshape(7, 10)
    write_palette_label(tmp_path / "labels/00001.png", ids)
    convert_gta(tmp_path)
    written = Image.open(tmp_path / "labels/00001_labelTrainIds.png")
    assert written.mode == "L"
    expected = [LABEL_ID_TO_TRAIN_ID.get(i, 255) for i in range(35) for _ in range(2)]
    assert np.asarray(written).ravel().tolist() == expected


def test_gta_statistics(tmp_path):
    write_palette_label(tmp_path / "labels/00001.png", np.repeat([[7, 26, 0]], 4, axis=0))
    write_palette_label(tmp_path / "labels/00002.png", np.repeat([[26, 26]], 3, axis=0))
    convert_gta(tmp_path)
    first, second = "labels/00001_labelTrainIds.png", "labels/00002_labelTrainIds.png"
    assert _statistics(tmp_path) == [
        [{"0": 4, "13": 4, "file": first}, {"13": 6, "file": second}],
        {first: {"0": 4, "13": 4}, second: {"13": 6}},
        {"0": [[first, 4]], "13": [[first, 4], [second, 6]]},
    ]


def test_second_run_skips_but_counts_and_repairs(tmp_path):
    make_gta(tmp_path)
    before = _statistics(tmp_path)
    kept, broken = (tmp_path / f"labels/0000{i}_labelTrainIds.png" for i in (0, 1))
    content, time = broken.read_bytes(), kept.stat().st_mtime_ns
    cut(broken, -20)
    for name in STATISTICS:
        (tmp_path / name).unlink()
    convert_gta(tmp_path, nproc=2)
    assert _statistics(tmp_path) == before
    assert kept.stat().st_mtime_ns == time
    assert broken.read_bytes() == content


@pytest.mark.parametrize("keep", [0.5, -20])
def test_gta_damaged_files_are_listed_and_the_rest_done(tmp_path, capsys, keep):
    make_gta(tmp_path, convert=False)
    damaged = tmp_path / "labels/00002.png"
    cut(damaged, int(damaged.stat().st_size * keep) if keep > 0 else keep)
    write_palette_label(tmp_path / "labels/00003.png", np.full((48, 96), 77))
    status = convert("gta", "GTA", [str(tmp_path), "--nproc", "1"])
    errors = capsys.readouterr().err
    assert status == 1
    assert f"{damaged} is truncated" in errors
    assert "00003.png holds the value 77, which is not a label id" in errors
    assert "2 of 4 label files" in errors
    assert sorted(p.name for p in tmp_path.glob("labels/*_labelTrainIds.png")) == [
        "00000_labelTrainIds.png",
        "00001_labelTrainIds.png",
    ]
    assert not any((tmp_path / name).exists() for name in STATISTICS)


def test_gta_colour_image_is_not_a_label_map(tmp_path):
    write_image(tmp_path / "labels/00000.png", (4, 6), np.random.default_rng(0))
    (problem,) = convert_gta(tmp_path).problems
    assert "00000.png is not a label map" in problem


def test_gta_label_of_another_size_than_its_image_is_not_drawn(tmp_path):
    make_gta(tmp_path, convert=False)
    write_image(tmp_path / "images/00001.png", (48, 90), np.random.default_rng(0))
    report = convert_gta(tmp_path)
    assert report.problems == []
    assert re.search(
        r"^1 of 4 label maps have another size .*/00001_labelTrainIds\.png is 96x48 pixels large, "
        r"its image .*/images/00001\.png 90x48$",
        report.remarks[0],
    )
    stats, _, samples = _statistics(tmp_path)
    assert stats[1] == {"file": "labels/00001_labelTrainIds.png"}
    assert all(name != stats[1]["file"] for files in samples.values() for name, _ in files)


# SYNTHIA's label ids and the Cityscapes classes that they correspond to.
SYNTHIA = """
3 road, 4 sidewalk, 2 building, 21 wall, 5 fence, 7 pole, 15 traffic light, 9 traffic sign,
6 vegetation, 16 terrain, 1 sky, 10 person, 17 rider, 8 car, 18 truck, 19 bus, 20 train,
12 motorcycle, 11 bicycle
"""


def test_synthia_16_bit_labels_become_train_ids(tmp_path):
    train_ids = np.full(23, 255)
    for entry in SYNTHIA.replace("\n", " ").split(","):
        number, name = entry.strip().split(" ", 1)
        train_ids[int(number)] = CITYSCAPES_CLASSES.index(name)
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(23), 4)).reshape(4, 23)
    write_synthia_label(tmp_path / "GT/LABELS/0000000.png", ids)
    assert convert_synthia(tmp_path).problems == []
    written = Image.open(tmp_path / "GT/LABELS/0000000_labelTrainIds.png")
    assert written.mode == "L"
    np.testing.assert_array_equal(np.asarray(written), train_ids[ids])
    assert _statistics(tmp_path)[1] == {
        "GT/LABELS/0000000_labelTrainIds.png": {str(c): 4 for c in range(19)}
    }


def test_synthia_statistics_and_data_set(tmp_path):
    rng = np.random.default_rng(0)
    for name, ids in (("0000000", [[3, 8], [8, 0]]), ("0000001", [[3, 22], [3, 3]])):
        write_synthia_label(tmp_path / f"GT/LABELS/{name}.png", np.array(ids))
        write_image(tmp_path / f"RGB/{name}.png", (2, 2), rng)
    assert convert("synthia", "SYNTHIA", [str(tmp_path), "--nproc", "2"]) == 0
    first, second = (f"GT/LABELS/000000{i}_labelTrainIds.png" for i in range(2))
    assert _statistics(tmp_path) == [
        [{"0": 1, "13": 2, "file": first}, {"0": 3, "file": second}],
        {first: {"0": 1, "13": 2}, second: {"0": 3}},
        {"0": [[first, 1], [second, 3]], "13": [[first, 2]]},
    ]
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    prefix = {"img_path": "RGB", "seg_map_path": "GT/LABELS"}
    dataset = SynthiaDataset(str(tmp_path), prefix, pipeline=pipeline)
    assert [dataset[i]["gt_seg_map"].tolist() for i in range(2)] == [
        [[0, 13], [13, 255]],
        [[0, 255], [0, 0]],
    ]


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: cut(path, -20), "is truncated"),
        (_flip_a_byte, "cannot be decoded"),
        (lambda path: write_synthia_label(path, np.full((2, 2), 23)), "holds the value 23, which"),
        # 256 + 3 would be a road in 8 bits.
        (lambda path: write_synthia_label(path, np.full((2, 2), 259)), "holds the value 259"),
        (lambda path: write_image(path, (2, 2), np.random.default_rng(0)), "three 16-bit channels"),
    ],
)
def test_synthia_damaged_files_are_listed_and_the_rest_done(tmp_path, capfd, damage, message):
    for name in ("0000000", "0000001"):
        ids = np.random.default_rng(0).integers(0, 23, (20, 20))
        write_synthia_label(tmp_path / f"GT/LABELS/{name}.png", ids)
    damage(tmp_path / "GT/LABELS/0000000.png")
    assert convert("synthia", "SYNTHIA", [str(tmp_path), "--nproc", "1"]) == 1
    errors = capfd.readouterr().err
    kind = "unfit: 1 of 2 label files, the first" if "the value" in message else "damaged"
    assert f"{kind}: {tmp_path}/GT/LABELS/0000000.png" in errors
    assert message in errors
    assert [p.name for p in tmp_path.rglob("*_labelTrainIds.png")] == ["0000001_labelTrainIds.png"]
    assert not any((tmp_path / name).exists() for name in STATISTICS)


def test_cityscapes_label_maps_statistics_and_lists(tmp_path):
    names = {"train": ["aachen/aachen_1", "bonn/bonn_2"], "val": ["ulm/ulm_3"]}
    make_cityscapes(tmp_path, names)
    convert_cityscapes(tmp_path, nproc=2)
    for split, bases in names.items():
        for base in bases:
            path = tmp_path / f"gtFine/{split}/{base}_gtFine_labelTrainIds.png"
            label = np.asarray(Image.open(path))
            assert label.shape == (32, 64)
            assert (label[4:10, 5:15] == 13).all()
            assert np.bincount(label.ravel())[[0, 13]].tolist() == [2048 - 60, 60]
        assert (tmp_path / f"{split}.txt").read_text().split() == bases
    assert (tmp_path / "test.txt").read_text() == ""
    files = [f"gtFine/train/{base}_gtFine_labelTrainIds.png" for base in names["train"]]
    assert _statistics(tmp_path) == [
        [{"0": 1988, "13": 60, "file": file} for file in files],
        {file: {"0": 1988, "13": 60} for file in files},
        {"0": [[file, 1988] for file in files], "13": [[file, 60] for file in files]},
    ]


def test_cityscapes_label_ids_give_what_polygons_give(tmp_path):
    for name in ("polygons", "ids"):
        make_cityscapes(tmp_path / name, {"train": ["aachen/aachen_1"], "val": ["ulm/ulm_2"]})
        train = tmp_path / name / "gtFine/train/aachen/aachen_1_gtFine_polygons.json"
        train.write_text(json.dumps(annotation("terrain", "license plate")))
        for path in (tmp_path / name).rglob("*_polygons.json"):
            if name == "ids":
                drawn = Annotation()
                drawn.fromJsonFile(path)
                createLabelImage(drawn, "ids").save(
                    path.with_name(path.name.replace("polygons.json", "labelIds.png"))
                )
                path.unlink()
        assert convert_cityscapes(tmp_path / name).problems == []
    written = [p.relative_to(tmp_path / "ids") for p in (tmp_path / "ids").rglob("*TrainIds.png")]
    assert len(written) == 2
    for path in (*written, Path("train.txt"), Path("val.txt"), *map(Path, STATISTICS)):
        same = (tmp_path / "ids" / path).read_bytes() == (tmp_path / "polygons" / path).read_bytes()
        assert same, path
    assert _statistics(tmp_path / "ids")[0][0]["9"] == 2048
    # In a mixture the polygons count.
    make_cityscapes(tmp_path / "ids", {"val": ["ulm/ulm_2", "ulm/ulm_3"]})
    assert convert_cityscapes(tmp_path / "ids").num_files == 3
    assert (tmp_path / "ids/val.txt").read_text().split() == ["ulm/ulm_2", "ulm/ulm_3"]


def test_cityscapes_label_ids_beyond_33_are_listed(tmp_path):
    path = tmp_path / "gtFine/train/a/a_gtFine_labelIds.png"
    write_label(path, np.array([[7, 34]]))
    (problem,) = convert_cityscapes(tmp_path).problems
    assert "holds the value 34, which is not a label id (0-33)" in problem


def test_a_folder_of_colours_becomes_indices(tmp_path, capsys):
    ids = np.array([[0, 1, 1], [1, 0, 255]])
    colors = {0: (9, 8, 7), 1: (0, 0, 255), 255: (0, 0, 0)}
    for name in ("train/a", "val/b"):
        write_image(tmp_path / f"images/{name}.JPG", ids.shape, np.random.default_rng(0))
        pixels = np.array([[colors[value] for value in row] for row in ids.tolist()], np.uint8)
        (tmp_path / f"masks/{name}").parent.mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / f"masks/{name}_mask.png")
    content = {"classes": ["x", "y"], "palette": [[9, 8, 7], [0, 0, 255]], "labels": "colors"}
    (tmp_path / "classes.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="1 of 1 label files are unfit"):
        convert_folder([str(tmp_path), "--nproc", "1"])
    assert "a_mask.png holds the colour (0, 0, 0), which" in capsys.readouterr().err
    (tmp_path / "classes.json").write_text(json.dumps(content | {"ignore": ["0 0 0"]}))
    convert_folder([str(tmp_path), "--nproc", "1"])
    assert 'seg_map_path="masks_indices/train" and labels="indices"' in capsys.readouterr().out
    prefix = {"img_path": "images/val", "seg_map_path": "masks_indices/val"}
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = FolderDataset(str(tmp_path), prefix, labels="indices", pipeline=pipeline)
    assert dataset[0]["gt_seg_map"].tolist() == ids.tolist()
    (tmp_path / "classes.json").write_text(json.dumps({"classes": ["x", "y"]}))
    with pytest.raises(InputError, match="says that label maps hold class indices"):
        convert_folder([str(tmp_path)])


def test_cityscapes_group_labels_are_known(tmp_path):
    make_cityscapes(tmp_path, {"train": ["aachen/aachen_1"]})
    path = tmp_path / "gtFine/train/aachen/aachen_1_gtFine_polygons.json"
    path.write_text(json.dumps(annotation("roadgroup", "license plate")))
    assert convert_cityscapes(tmp_path).problems == []
    assert _statistics(tmp_path)[0][0]["0"] == 2048


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"imgHeight": 32, "imgWi', "is not an annotation of polygons"),
        ("[]", "is not an annotation of polygons"),
        ('{"imgHeight": 0, "imgWidth": 0, "objects": []}', "gives no size"),
        (json.dumps(annotation("road", "unicorn")), "names the label 'unicorn'"),
    ],
)
def test_cityscapes_damaged_polygons_are_listed(tmp_path, content, message):
    make_cityscapes(tmp_path, {"train": ["aachen/aachen_1", "aachen/aachen_2"]})
    path = tmp_path / "gtFine/train/aachen/aachen_1_gtFine_polygons.json"
    path.write_text(content)
    (problem,) = convert_cityscapes(tmp_path).problems
    assert str(path) in problem
    assert message in problem
    assert len(list(tmp_path.rglob("*_labelTrainIds.png"))) == 1
    assert not (tmp_path / "train.txt").exists()


@pytest.mark.parametrize(
    ("converter", "folder"),
    [(convert_gta, "labels"), (convert_cityscapes, "gtFine"), (convert_synthia, "GT/LABELS")],
)
def test_missing_and_empty_folders(tmp_path, converter, folder):
    with pytest.raises(InputError, match=f"{folder} does not exist"):
        converter(tmp_path)
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match="extract"):
        converter(tmp_path)


@pytest.mark.parametrize(
    ("command", "labels"),
    [
        (["tools/convert_datasets/gta.py"], "labels"),
        (["-m", "tools.convert_datasets.synthia"], "GT/LABELS"),
    ],
)
def test_command_lines(tmp_path, command, labels):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path), "--nproc", "2"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path}/{labels} does not exist: give the folder that holds {labels}/\n"
    )
