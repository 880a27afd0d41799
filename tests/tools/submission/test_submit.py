import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_hook

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, LABEL_ID_TO_TRAIN_ID
from mmseg.datasets.evaluation_sets import EVALUATION_SETS
from mmseg.utils import InputError
from tests.apis.color_world import prefixed
from tests.apis.pixel_world import (
    FRAMES,
    PIPELINE,
    probabilities,
    weights,
    write_image,
    write_world,
)
from tests.models.fcn_head import FCNHead
from tools.submission.check import check_submission
from tools.submission.servers import BENCHMARKS
from tools.submission.submit import submission_maps, submit

NIGHT = BENCHMARKS["dark_zurich"]
NAMES = [f"{Path(frame).name}_rgb_anon.png" for frame in FRAMES]

FLIPS = [
    {"type": "LoadImageFromFile"},
    {
        "type": "TestTimeAug",
        "transforms": [
            [{"type": "RandomFlip", "prob": p, "direction": "horizontal"} for p in (0.0, 1.0)],
            [{"type": "PackSegInputs"}],
        ],
    },
]


@pytest.fixture
def world(tmp_path, monkeypatch):
    for name in ("acdc", "cityscapes"):
        monkeypatch.setitem(EVALUATION_SETS[name], "pipeline", PIPELINE)  # no resizing
    return write_world(tmp_path)


def read(path):
    """Map the path of each PNG in a zip to its pixels."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: np.array(Image.open(io.BytesIO(archive.read(name))))
            for name in archive.namelist()
        }


def on_cpu(name, world, out, **options):
    return submit(name, *world, out, device="cpu", **options)


def write_acdc(root, split, seed):
    for condition in ("fog", "night", "rain", "snow"):
        write_image(root / f"rgb_anon/{condition}/{split}/a/{condition}_rgb_anon.png", seed)


def images(tmp_path):
    return [tmp_path / f"night/rgb_anon/test/night/{frame}_rgb_anon.png" for frame in FRAMES]


def test_maps_worked_out_by_hand():
    labels = np.array([[0, 13], [18, 5]], np.uint8)
    confidence = np.array([[1.0, 0.5], [0.2, 0.1]], np.float32)
    maps = submission_maps(NIGHT, labels, confidence, invalid_below=0.2)
    assert list(maps) == list(NIGHT.folders)
    assert maps["labelTrainIds"].tolist() == labels.tolist()
    assert maps["labelTrainIds_invalid"].tolist() == [[0, 13], [18, 255]]
    assert maps["confidence"].tolist() == [[255, 128], [51, 26]]
    assert {values.dtype for values in maps.values()} == {np.dtype(np.uint8)}
    maps = submission_maps(BENCHMARKS["cityscapes"], labels)
    assert {folder: values.tolist() for folder, values in maps.items()} == {"": [[7, 26], [33, 17]]}


def test_dark_zurich(world, tmp_path):
    report = on_cpu("dark_zurich", world, tmp_path / "out.zip", invalid_below=0.8)
    assert (report.num_images, report.errors) == (2, [])
    assert report.notes == ["Dark Zurich test has 151 images, not 2"]
    maps = read(tmp_path / "out.zip")
    assert sorted(maps) == sorted(f"{folder}/{name}" for folder in NIGHT.folders for name in NAMES)
    for path in images(tmp_path):
        predicted = probabilities(path)
        labels, top = predicted.argmax(-1), predicted.max(-1)
        np.testing.assert_array_equal(maps[f"labelTrainIds/{path.name}"], labels)
        np.testing.assert_allclose(maps[f"confidence/{path.name}"], 255 * top, atol=0.501)
        expected = np.where(top < 0.8, 255, labels)
        np.testing.assert_array_equal(maps[f"labelTrainIds_invalid/{path.name}"], expected)
        assert 0.2 < (top < 0.8).mean() < 0.8  # both kinds of pixels are there
    assert check_submission(tmp_path / "out.zip", images=tmp_path / "night").errors == []


@pytest.mark.parametrize("name", ["dark_zurich", "acdc"])
def test_class_weights_are_for_dark_zurich(world, tmp_path, name):
    cfg, checkpoint = world
    factors = np.linspace(0.1, 3, 19)
    cfg.model.test_cfg = {"class_weight": factors.tolist()}
    weighted = name == "dark_zurich"
    write_acdc(tmp_path / "acdc", "test", seed=0)
    root = {"data_root": tmp_path / "acdc"} if name == "acdc" else {}
    report = on_cpu(name, (cfg, checkpoint), tmp_path / "out.zip", **root)
    assert report.notes[-1] == (
        f"predicted {'with' if weighted else 'without'} the test-time class weights"
    )
    predicted = probabilities(images(tmp_path)[0])  # the same noise
    maps = read(tmp_path / "out.zip")
    labels = maps[f"labelTrainIds/{NAMES[0] if weighted else 'fog_rgb_anon.png'}"]
    changed = (predicted * factors).argmax(-1) != predicted.argmax(-1)
    assert changed.any()
    np.testing.assert_array_equal(labels != predicted.argmax(-1), changed & weighted)


@pytest.mark.parametrize(
    ("name", "options", "weighted"),
    [
        ("dark_zurich", {"aug_test": True}, False),
        ("dark_zurich", {"aug_test": True, "class_weights": "on"}, True),
        ("dark_zurich", {"class_weights": "off"}, False),
        ("acdc", {"class_weights": "on"}, True),
    ],
)
def test_class_weights_chosen_and_averaged(world, tmp_path, name, options, weighted):
    cfg = world[0]
    factors = np.linspace(0.1, 3, 19)
    cfg.model.test_cfg = {"class_weight": factors.tolist()}
    cfg.tta_pipeline = FLIPS
    write_acdc(tmp_path / "acdc", "test", seed=0)
    root = {"data_root": tmp_path / "acdc"} if name == "acdc" else {}
    report = on_cpu(name, world, tmp_path / "out.zip", **root, **options)
    assert f"predicted {'with' if weighted else 'without'} the test" in report.notes[-1]
    predicted = probabilities(images(tmp_path)[0]) * (factors if weighted else 1)
    file = NAMES[0] if name == "dark_zurich" else "fog_rgb_anon.png"
    labels = read(tmp_path / "out.zip")[f"labelTrainIds/{file}"]
    np.testing.assert_array_equal(labels, predicted.argmax(-1))


def test_a_checkpoint_of_another_order_of_classes_is_refused(world, tmp_path):
    _, checkpoint = world
    meta = {"CLASSES": ("sidewalk", "road", *CITYSCAPES_CLASSES[2:])}
    torch.save({"meta": meta, "state_dict": weights()}, checkpoint)
    with pytest.raises(InputError, match="class 0 is 'sidewalk' in the checkpoint, 'road' in"):
        on_cpu("dark_zurich", world, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_acdc_takes_all_conditions_and_cityscapes_label_ids(world, tmp_path):
    write_acdc(tmp_path / "acdc", "val", seed=2)
    write_acdc(tmp_path / "acdc", "test", seed=1)
    report = on_cpu("acdc", world, tmp_path / "acdc.zip", data_root=tmp_path / "acdc")
    assert (report.num_images, report.notes) == (4, ["ACDC test has 2000 images, not 4"])
    city = "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png"
    write_image(tmp_path / "city" / city, 1)
    report = on_cpu("cityscapes", world, tmp_path / "city.zip", data_root=tmp_path / "city")
    assert (report.num_images, report.errors) == (1, [])
    ((name, label_ids),) = read(tmp_path / "city.zip").items()
    assert name == Path(city).name
    train_ids = np.vectorize(LABEL_ID_TO_TRAIN_ID.get)(label_ids)
    np.testing.assert_array_equal(train_ids, probabilities(tmp_path / "city" / city).argmax(-1))


def test_scales_and_flips_of_the_teacher(world, tmp_path):
    cfg, checkpoint = world
    torch.save(prefixed("ema_model", weights()), checkpoint)
    cfg.tta_pipeline = FLIPS
    on_cpu("dark_zurich", world, tmp_path / "out.zip", role="teacher", aug_test=True)
    maps = read(tmp_path / "out.zip")
    for path in images(tmp_path):  # a flip changes nothing for a pixel-wise network
        predicted = probabilities(path)
        np.testing.assert_array_equal(maps[f"labelTrainIds/{path.name}"], predicted.argmax(-1))
        confidence = maps[f"confidence/{path.name}"]
        np.testing.assert_allclose(confidence, 255 * predicted.max(-1), atol=0.501)


def test_the_same_predictions_are_the_same_bytes(world, tmp_path):
    zips = [tmp_path / f"{i}.zip" for i in range(2)]
    for path in zips:
        on_cpu("dark_zurich", world, path)
    assert zips[0].read_bytes() == zips[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "out.png"}, "out.png is not a valid name for a zip: it must end with .zip"),
        ({"invalid_below": 3}, "--invalid-below must be in [0, 1], not 3"),
        ({"name": "cityscapes", "invalid_below": 0.5}, "Cityscapes test has no invalid pixels"),
        ({"name": "kitti"}, "benchmark 'kitti' unknown; choose from dark_zurich, acdc, cityscapes"),
        ({"name": "acdc", "data_root": "nowhere"}, "data root nowhere does not exist: link the"),
        ({"checkpoint": "nowhere.pth"}, "no checkpoint at nowhere.pth"),
    ],
)
def test_mistakes_leave_nothing_behind(world, tmp_path, options, message):
    before = set(tmp_path.iterdir())
    settings = {"name": "dark_zurich", "checkpoint": world[1], "out": "deep/out.zip"} | options
    out = tmp_path / settings.pop("out")
    with pytest.raises(InputError, match=re.escape(message)):
        submit(cfg=world[0], path=out, device="cpu", **settings)
    assert set(tmp_path.iterdir()) == before


def test_an_image_that_cannot_be_read_leaves_no_half_zip(world, tmp_path):
    path = images(tmp_path)[1]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{path.name} is truncated"):
        on_cpu("dark_zurich", world, tmp_path / "out" / "out.zip")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_of_other_classes_is_refused(world, tmp_path):
    cfg, checkpoint = world
    cfg.model.decode_head.num_classes = 3
    state = weights()
    torch.save({k: v[:3] for k, v in state.items()}, checkpoint)
    with pytest.raises(InputError, match="predicts 3 classes, Dark Zurich test wants the 19 of"):
        on_cpu("dark_zurich", world, tmp_path / "out.zip")


def test_a_zip_that_would_be_refused_is_not_written(world, tmp_path):
    def predict_class_99(module, inputs, logits):
        if isinstance(module, FCNHead):
            return torch.eye(100)[99].view(1, 100, 1, 1).expand(-1, -1, *logits.shape[2:])
        return None

    handle = register_module_forward_hook(predict_class_99)
    with pytest.raises(InputError, match=r"would be refused: .*\(99\)"):
        on_cpu("dark_zurich", world, tmp_path / "out.zip")
    handle.remove()
    assert not (tmp_path / "out.zip").exists()


def test_several_processes_are_refused(world, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="started 2 processes, each of which would do all"):
        submit("dark_zurich", world[0], world[1], tmp_path / "out.zip")
