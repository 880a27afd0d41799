"""What ``tools.test`` writes and refuses to write, on data whose predictions are known."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.utils import InputError
from tests.apis.color_world import (
    COLORS,
    method_model,
    prefixed,
    weights,
    write_config,
    write_world,
)
from tests.apis.street_world import night_config, write_checkpoint, write_streets
from tools.test import main

ROAD_ID, CAR_ID = 7, 26


@pytest.fixture
def colours(tmp_path):
    """Return arguments for the colour world, with images of one name in two folders."""
    cfg = write_world(tmp_path, method_model())
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    write_config(cfg, tmp_path / "config.py")
    for kind in ("images", "labels"):
        for index, folder in enumerate("AB"):
            (tmp_path / kind / folder).mkdir()
            shutil.move(tmp_path / kind / f"im{index}.png", tmp_path / kind / folder / "x.png")
    torch.save({"state_dict": prefixed("model", weights())}, tmp_path / "best.pth")
    return [str(tmp_path / "config.py"), str(tmp_path / "best.pth"), "--device", "cpu"]


@pytest.fixture
def cities(tmp_path):
    """Return arguments for the street world's two Cityscapes images: a road and a car."""
    root = write_streets(tmp_path / "data")
    cfg = night_config(root)
    cfg.test_dataloader = cfg.val_dataloader
    dataset = cfg.test_dataloader.dataset
    dataset.update(type="CityscapesDataset", data_root=str(root / "cityscapes"))
    dataset.data_prefix = {"img_path": "leftImg8bit/val", "seg_map_path": "gtFine/val"}
    write_config(cfg, tmp_path / "config.py")
    write_checkpoint(tmp_path / "best.pth")
    return [str(tmp_path / "config.py"), str(tmp_path / "best.pth"), "--device", "cpu"]


def test_pictures_keep_the_subfolders_of_the_images(colours, tmp_path):
    main([*colours, "--show-dir", str(tmp_path / "shown")])
    found = sorted(
        str(p.relative_to(tmp_path / "shown")) for p in (tmp_path / "shown").rglob("*.png")
    )
    assert found == ["A/x.png", "B/x.png"]
    for name in found:  # the palette is the image's colours: nothing changes
        picture = np.asarray(Image.open(tmp_path / "shown" / name))
        np.testing.assert_array_equal(picture, np.asarray(Image.open(tmp_path / "images" / name)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "o"], "A/x.png and .*B/x.png would both be written to o/x.png"),
        (["--show-dir", "images"], "images/A/x.png is an image or a label map .* overwritten"),
        (["--show-dir", "labels"], "labels/A/x.png is an image or a label map .* overwritten"),
    ],
)
def test_no_existing_file_is_overwritten(colours, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=message):
        main([*colours, *options])
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_two_outputs_in_one_folder_are_refused(cities, tmp_path):
    folder = str(tmp_path / "o")
    options = ["--out", folder, "--format-only", "--eval-options", f"imgfile_prefix={folder}"]
    with pytest.raises(InputError, match="would be written twice: give --out, imgfile_prefix and"):
        main([*cities, *options])


@pytest.mark.parametrize("label_ids", [False, True])
def test_format_only_writes_palette_pngs(cities, tmp_path, label_ids):
    options = ["--format-only", "--eval-options", f"imgfile_prefix={tmp_path / 'o'}"]
    main([*cities, *options, *(["to_label_id=True"] if label_ids else [])])
    expected = {"1": ("road", ROAD_ID), "2": ("car", CAR_ID)}
    for name, (title, label_id) in expected.items():
        index = CITYSCAPES_CLASSES.index(title)
        with Image.open(tmp_path / "o" / f"{name}_leftImg8bit.png") as image:
            assert image.mode == "P"
            assert set(np.asarray(image).flat) == {label_id if label_ids else index}
            assert set(image.convert("RGB").getdata()) == {tuple(CITYSCAPES_PALETTE[index])}


def test_out_is_grey_unless_a_palette_is_requested(cities, tmp_path):
    for option in ([], ["--palette"], ["--palette", "cityscapes"]):
        main([*cities, "--out", str(tmp_path / "o"), *option])
        with Image.open(tmp_path / "o" / "2_leftImg8bit.png") as image:
            assert image.mode == ("P" if option else "L")
            assert set(np.asarray(image).flat) == {CITYSCAPES_CLASSES.index("car")}


def test_a_palette_of_three_colours_keeps_eight_bits(colours, tmp_path):
    shutil.rmtree(tmp_path / "images" / "B")
    options = [f"imgfile_prefix={tmp_path / 'o'}"]
    main([*colours, "--format-only", "--eval-options", *options])
    content = (tmp_path / "o" / "x.png").read_bytes()
    assert content[24] == 8 and content[25] == 3  # depth and type in a PNG's header
    with Image.open(tmp_path / "o" / "x.png") as image:
        assert image.getpalette()[:9] == COLORS.flatten().tolist()
    with pytest.raises(InputError, match="label ids are for data sets with the 19 classes"):
        main([*colours, "--format-only", "--eval-options", *options, "to_label_id=True"])


def test_evaluation_by_cityscapesscripts(cities, tmp_path, capsys):
    with pytest.raises(
        InputError, match=r"2 of 2 images have no \*_gtFine_labelIds.png: .*extract"
    ):
        main([*cities, "--eval", "cityscapes"])
    folder = tmp_path / "data" / "cityscapes" / "gtFine" / "val"
    truths = {"a/1": [ROAD_ID, 23], "b/2": [CAR_ID, 4]}  # half sky; half without a class
    for name, ids in truths.items():
        label = np.tile(np.repeat(np.array(ids, np.uint8), 8), (8, 1))
        Image.fromarray(label).save(folder / f"{name}_gtFine_labelIds.png")
    main([*cities, "--eval", "mIoU", "cityscapes", "mDice", "mFscore"])
    printed = capsys.readouterr().out
    # road: 64 hits of 128 predicted and 64 true; sky is missed; car is right
    assert "cityscapesscripts: IoU of classes 50.00, of categories 50.00" in printed
    saved = json.loads((tmp_path / "best_cityscapes_eval.json").read_text())
    scores = saved["cityscapes"]
    known = {name: iou for name, iou in scores["classScores"].items() if iou is not None}
    assert known == {"road": 0.5, "sky": 0.0, "car": 1.0}
    assert scores["averageScoreClasses"] == 0.5
    assert saved["summary"]["mDice"] == saved["summary"]["mFscore"] == 100.0  # on train ids


def test_evaluation_by_cityscapesscripts_is_for_cityscapes(colours):
    with pytest.raises(InputError, match="--eval cityscapes is for CityscapesDataset"):
        main([*colours, "--eval", "cityscapes"])


def test_options_without_effect_are_accepted_and_named(colours, tmp_path, capsys):
    options = ["--gpu-collect", "--tmpdir", str(tmp_path / "t")]
    main([*colours, "--show-dir", str(tmp_path / "shown"), *options])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["note: --gpu-collect has no effect", "note: --tmpdir has no effect"]


@pytest.mark.parametrize(
    ("layout", "trained", "difference"),
    [
        ("mmcv", ["Red", "GREEN", "blue"], None),
        ("mmcv", None, None),
        (
            "mmcv",
            ["green", "red", "blue"],
            "class 0 is 'green' in the checkpoint, 'red' in the data",
        ),
        (
            "mmengine",
            ["red", "green", "cyan"],
            "class 2 is 'cyan' in the checkpoint, 'blue' in the data",
        ),
        ("mmengine", ["red", "green"], "class 2 is missing in the checkpoint, 'blue' in the data"),
    ],
)
def test_classes_of_another_order_are_refused(colours, tmp_path, layout, trained, difference):
    meta = {"dataset_meta": {"classes": trained}} if layout == "mmengine" else {"CLASSES": trained}
    content = {"state_dict": prefixed("model", weights()), "meta": meta if trained else {}}
    torch.save(content, tmp_path / "best.pth")
    if difference is None:
        main([*colours, "--eval", "mIoU"])
        assert (tmp_path / "best_baseseg_eval.json").is_file()
        return
    with pytest.raises(InputError) as error:
        main([*colours, "--eval", "mIoU"])
    assert difference in str(error.value) and "\n" not in str(error.value)
    assert "metainfo=dict(classes=[...])" in str(error.value)
    assert not (tmp_path / "best_baseseg_eval.json").exists()
