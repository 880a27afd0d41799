"""The toy data: real formats, exact labels, every class, a measured gap between the domains."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import CITYSCAPES_CLASSES, CityscapesDataset, GTADataset
from mmseg.datasets.class_names import LABEL_ID_TO_TRAIN_ID, train_id_table
from mmseg.datasets.conversion import draw_train_ids
from mmseg.datasets.toy import ToySettings, draw_source, draw_target, has_toy_data, make_toy_data
from mmseg.datasets.toy.domains import GAME, OVERCAST, PALETTE
from mmseg.datasets.toy.layout import random_scene
from mmseg.datasets.toy.render import render
from mmseg.datasets.toy.scene import Camera, Scene, Thing, front, scene_polygons
from mmseg.datasets.toy.writers import draw_label_ids, label_ids
from mmseg.utils import InputError
from tools.make_toy_data import main

SMALL = ToySettings(num_source=5, num_target_train=4, num_val=3, seed=7)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "set"
    assert make_toy_data(root, SMALL, nproc=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def test_source_is_stored_like_gta(toy: Path) -> None:
    labels = [p for p in sorted((toy / "gta/labels").iterdir()) if "TrainIds" not in p.name]
    images = sorted((toy / "gta/images").iterdir())
    assert [p.name for p in labels] == [p.name for p in images]
    assert images[0].name == "00001.png" and len(images) == 5
    assert len({Image.open(path).size for path in images}) == 4
    for image, label in zip(images, labels, strict=True):
        assert Image.open(label).mode == "P" and Image.open(image).mode == "RGB"
        assert Image.open(label).size == Image.open(image).size
        values = np.unique(read(label))
        # The classes, and what GTA also knows: static (4) and dynamic (5) things.
        assert set(values.tolist()) <= {*LABEL_ID_TO_TRAIN_ID, 4, 5}
        train_ids = read(label.with_name(f"{label.stem}_labelTrainIds.png"))
        np.testing.assert_array_equal(train_ids, train_id_table()[read(label)])
    # Shown as an image, road (label id 7) has the colour of Cityscapes' legend.
    assert Image.open(labels[0]).getpalette()[21:24] == [128, 64, 128]


def test_target_is_stored_like_cityscapes_and_its_polygons_give_the_labels(toy: Path) -> None:
    root = toy / "cityscapes"
    found = sorted(str(p.relative_to(root / "leftImg8bit")) for p in root.rglob("*8bit.png"))
    assert found[-3:] == [
        "val/toymouth/toymouth_000000_000019_leftImg8bit.png",
        "val/toyport/toyport_000000_000019_leftImg8bit.png",
        "val/toyport/toyport_000001_000019_leftImg8bit.png",
    ]
    polygons = root / "gtFine/val/toyport/toyport_000001_000019_gtFine_polygons.json"
    annotation = json.loads(polygons.read_text())
    assert (annotation["imgHeight"], annotation["imgWidth"]) == (128, 256)
    assert annotation["objects"][0]["label"] == "sky"
    assert all(len(item["polygon"]) >= 3 for item in annotation["objects"])
    _, drawn = draw_target("val", SMALL, 2)
    expected = train_id_table()[draw_label_ids(drawn, 256, 128)]
    np.testing.assert_array_equal(draw_train_ids(polygons), expected)
    stored = polygons.with_name(polygons.name.replace("polygons.json", "labelTrainIds.png"))
    np.testing.assert_array_equal(read(stored), expected)


def test_the_data_sets_read_it(toy: Path) -> None:
    source = GTADataset(
        data_root=str(toy / "gta"), data_prefix={"img_path": "images", "seg_map_path": "labels"}
    )
    target = CityscapesDataset(
        data_root=str(toy / "cityscapes"), data_prefix={"img_path": "leftImg8bit/train"}
    )
    assert (len(source), len(target)) == (5, 4)
    assert len(json.loads((toy / "gta/sample_class_stats.json").read_text())) == 5
    assert len((toy / "cityscapes/val.txt").read_text().split()) == 3


def test_every_class_occurs_often_enough_to_be_learnt() -> None:
    num_scenes = 60
    images = np.zeros(19)
    for index in range(num_scenes):
        scene = random_scene(np.random.default_rng([3, index]), 256, 128)
        label = train_id_table()[draw_label_ids(scene_polygons(scene), 256, 128)]
        images += np.bincount(label.ravel(), minlength=256)[:19] > 100
        # Only static and dynamic things have no class.
        assert (label == 255).mean() < 0.06
    rate = dict(zip(CITYSCAPES_CLASSES, images / num_scenes, strict=True))
    assert min(rate.values()) >= 0.15, rate
    assert max(rate[name] for name in ("train", "bus", "truck", "rider", "motorcycle")) <= 0.7


def test_label_follows_the_picture() -> None:
    """A box of 2 m x 3 m at 10 m, 20 pixels a metre: 40 x 60 pixels up from the ground line."""
    camera = Camera(width=200, height=100, horizon=40, centre=100, focal=200, above=2)
    backdrop, box = Thing("sky", 0.0), Thing("building", 10.0)
    backdrop.add("sky", front(-90, 90, -40, 90, 50.0))
    box.add("door", front(-1, 1, 0, 3, 10.0))
    scene = Scene(camera, [backdrop, box])
    label = draw_label_ids(scene_polygons(scene), 200, 100)
    ys, xs = np.nonzero(label == label_ids()["building"])
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (20, 80, 80, 120)
    image = render(scene, GAME, np.random.default_rng(0)).astype(int)
    brown = np.abs(image - PALETTE["door"][0]).max(-1) < 25
    assert (brown == (label == label_ids()["building"])).mean() > 0.985


def test_two_domains_show_one_scene_differently() -> None:
    """The target is darker by more than 20 of 255 levels, and bluer."""
    scene = random_scene(np.random.default_rng(1), 256, 128)
    source = render(scene, GAME, np.random.default_rng(0)).astype(float)
    target = render(scene, OVERCAST, np.random.default_rng(0)).astype(float)
    assert source.shape == target.shape == (128, 256, 3)
    assert source.mean() - target.mean() > 20
    assert np.mean(target[..., 2] - target[..., 0]) > 15 + np.mean(source[..., 2] - source[..., 0])


def test_every_colour_of_a_domain_replaces_a_known_one() -> None:
    assert set(OVERCAST.palette) <= set(PALETTE)


def test_files_depend_on_the_seed_alone(toy: Path, tmp_path: Path) -> None:
    make_toy_data(tmp_path / "again", SMALL, nproc=2)
    assert contents(tmp_path / "again") == contents(toy)
    other, _ = draw_source(ToySettings(seed=8), 0)
    same, _ = draw_source(ToySettings(num_source=99, seed=7), 0)
    np.testing.assert_array_equal(same, read(toy / "gta/images/00001.png"))
    assert not np.array_equal(other, same)


def test_a_complete_set_is_kept_and_anything_else_is_made_anew(tmp_path: Path) -> None:
    settings = ToySettings(num_source=1, num_target_train=1, num_val=1)
    root = tmp_path / "toy"
    assert not has_toy_data(root)
    assert make_toy_data(root, settings, nproc=1)
    assert has_toy_data(root)
    before = contents(root)
    assert not make_toy_data(root, settings, nproc=1)
    # An interrupted run leaves the marker of an unfinished set.
    (root / "toy.json").write_text('{"complete": false}')
    (root / "gta/images/00001.png").write_bytes(b"half")
    assert not has_toy_data(root)
    assert make_toy_data(root, settings, nproc=1)
    assert contents(root) == before
    (root / "gta/labels/00001_labelTrainIds.png").unlink()
    assert make_toy_data(root, settings, nproc=1)
    assert make_toy_data(root, ToySettings(1, 1, 1, seed=1), nproc=1)


def test_a_failed_run_is_not_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmseg.datasets.toy.generate.write_gta", full_disk)
    with pytest.raises(InputError, match="No space left"):
        make_toy_data(tmp_path / "toy", ToySettings(1, 1, 1), nproc=1)
    assert not has_toy_data(tmp_path / "toy")


def test_foreign_files_are_never_removed(tmp_path: Path) -> None:
    precious = tmp_path / "gta/images/00001.png"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"real data")
    with pytest.raises(InputError, match="other files than toy data"):
        make_toy_data(tmp_path, SMALL, nproc=1)
    with pytest.raises(InputError, match="is a file"):
        make_toy_data(precious, SMALL, nproc=1)
    assert precious.read_bytes() == b"real data"


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="num_val must be at least 1, got 0"):
        ToySettings(num_val=0)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(tmp_path / "toy")]
    for option in ("--source", "--target-train", "--val", "--nproc"):
        command += [option, "1"]
    assert main(command) == 0
    assert capsys.readouterr().out.endswith("toy: made\n")
    assert main(command) == 0
    assert "already complete" in capsys.readouterr().out
    with pytest.raises(InputError, match="num_source must be at least 1"):
        main([command[0], "--source", "0"])
