"""Check where each way to predict applies test-time class weights.

The class weights of the street world turn every prediction into sidewalk; without them it is road.
"""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmseg.apis import inference_model, init_model
from mmseg.apis.init_model import class_weights_used
from mmseg.datasets.class_names import CITYSCAPES_CLASSES
from mmseg.datasets.image_files import read_label
from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from tests.apis.color_world import write_config
from tests.apis.street_world import night_config, write_checkpoint, write_streets
from tests.old_configs import old_config
from tools.experiments.compare import score
from tools.predict import main as predict
from tools.test import main as run_test

WITH = "predicted with the test-time class weights"
WITHOUT = "predicted without the test-time class weights"
ROAD, SIDEWALK, CAR, SKY = map(CITYSCAPES_CLASSES.index, ("road", "sidewalk", "car", "sky"))


@pytest.fixture
def world(tmp_path):
    """Write all data sets, a config and a checkpoint; return the arguments of the tools."""
    cfg = night_config(write_streets(tmp_path / "data"))
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    write_config(cfg, tmp_path / "night.py")
    write_checkpoint(tmp_path / "night.pth")
    return [str(tmp_path / "night.py"), str(tmp_path / "night.pth"), "--device", "cpu"]


def classes_in(folder):
    """Return the set of all predicted classes in a folder."""
    files = sorted(folder.rglob("*.png"))
    assert files
    return set(np.unique([read_label(str(file)) for file in files]))


@pytest.mark.parametrize(
    ("options", "expected", "note"),
    [
        ([], SIDEWALK, WITH),
        (["--class-weights", "off"], ROAD, WITHOUT),
        (["--aug-test"], ROAD, WITHOUT),
        (["--aug-test", "--class-weights", "on"], SIDEWALK, WITH),
    ],
)
def test_our_config_on_dark_zurich(world, tmp_path, capsys, options, expected, note):
    run_test([*world, "--eval", "mIoU", "--out", str(tmp_path / "out"), *options])
    assert classes_in(tmp_path / "out") == {expected}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"note: darkzurich is {note} (--class-weights)"
    assert note.removeprefix("predicted ") in lines[1]  # what was tested and how
    (file,) = tmp_path.glob("night_*_eval.json")
    assert json.loads(file.read_text())["class_weight"] is (note == WITH)
    assert ("_class_weights_" in file.name) == ("--class-weights" in options)


@pytest.mark.parametrize("choice", ["auto", "on"])
def test_other_data_sets_of_the_command_line(world, tmp_path, capsys, choice):
    """Class weights are for Dark Zurich alone, although ACDC's images are named alike."""
    sets = {"acdc": "ACDCDataset", "night_driving": "NightDrivingDataset"}
    for name, kind in sets.items():
        cfg = load_config(world[0])
        dataset = cfg.test_dataloader.dataset
        dataset.update(type=kind, data_root=str(tmp_path / "data" / name))
        dataset.data_prefix = {"img_path": "rgb_anon", "seg_map_path": "gt"}
        if name == "acdc":
            dataset.conditions = ["fog"]
        else:
            dataset.data_prefix = {
                "img_path": "leftImg8bit/test/night",
                "seg_map_path": "gtCoarse_daytime_trainvaltest/test/night",
            }
        cfg.dump(tmp_path / f"{name}.py")
    files = [str(tmp_path / f"{name}.py") for name in sets]
    root = f"dark_zurich={tmp_path / 'data' / 'dark_zurich'}"
    options = ["--dataset", "dark_zurich", *files, "--data-root", root, "--class-weights", choice]
    run_test([*world, "--out", str(tmp_path / "out"), *options])
    expected = SIDEWALK if choice == "on" else ROAD
    assert classes_in(tmp_path / "out" / "dark_zurich") == {SIDEWALK}
    assert all(classes_in(tmp_path / "out" / name) == {expected} for name in sets)
    used = [line.split()[1:4] for line in capsys.readouterr().out.splitlines() if "note" in line]
    assert used == [[name, "is", "predicted"] for name in ("dark_zurich", *sets)]


@pytest.fixture
def translated(tmp_path):
    """Write configs in the release's schema with class weights that favour sidewalk.

    The small network has random weights, so its class probabilities are nearly equal.
    """
    old = old_config(8)
    old["model"]["backbone"]["type"] = "mit_b0"
    for head in ("decode_head", "auxiliary_head"):
        old["model"][head] |= {"in_channels": [32, 64, 160, 256], "channels": 32}
    old["model"]["decode_head"]["decoder_params"]["embed_dims"] = 32
    old["uda"]["class_weight"] = [1.0] * 19
    old["uda"]["class_weight"][SIDEWALK] = 1000.0
    root = write_streets(tmp_path / "data")
    prefixes = {
        "DarkZurichDataset": ("dark_zurich", "rgb_anon/val/night", "gt/val/night"),
        "NightDrivingDataset": (
            "night_driving",
            "leftImg8bit/test/night",
            "gtCoarse_daytime_trainvaltest/test/night",
        ),
    }
    for kind, (name, images, labels) in prefixes.items():
        old["data"]["test"] |= {"type": kind, "data_root": str(root / name)}
        old["data"]["test"] |= {"img_dir": images, "ann_dir": labels}
        old["data"]["test"]["pipeline"][1]["img_scale"] = [64, 32]
        old["data"]["workers_per_gpu"] = 0
        (tmp_path / f"{kind}.json").write_text(json.dumps(old))
    torch.manual_seed(0)
    segmentor = MODELS.build(load_config(tmp_path / "DarkZurichDataset.json").model.segmentor)
    torch.save(segmentor.state_dict(), tmp_path / "release.pth")
    return tmp_path


def test_a_config_of_the_release(translated, capsys):
    def predicted(kind, *options):
        out = translated / "_".join([kind, *options])
        arguments = [translated / f"{kind}.json", translated / "release.pth", "--out", out]
        run_test([*map(str, arguments), "--device", "cpu", "--eval", "mIoU", *options])
        return classes_in(out), capsys.readouterr().out

    classes, printed = predicted("DarkZurichDataset")
    assert classes == {SIDEWALK} and WITH in printed
    classes, printed = predicted("DarkZurichDataset", "--class-weights", "off")
    plain = classes
    assert plain != {SIDEWALK} and WITHOUT in printed
    classes, printed = predicted("NightDrivingDataset")
    assert classes == plain and WITHOUT in printed
    classes, printed = predicted("NightDrivingDataset", "--class-weights", "on")
    assert classes == {SIDEWALK} and WITH in printed


@pytest.mark.parametrize(
    ("options", "expected", "note"),
    [([], ROAD, WITHOUT), (["--class-weights", "on"], SIDEWALK, WITH)],
)
def test_photos(world, tmp_path, capsys, options, expected, note):
    """Photos are predicted without class weights, even in Dark Zurich's folder."""
    images = str(tmp_path / "data" / "dark_zurich" / "rgb_anon")
    out = tmp_path / "out"
    assert predict([*world[:2], images, "--out-dir", str(out), "--what", "ids", *options]) == 0
    assert classes_in(out) == {expected}
    assert capsys.readouterr().out.startswith(f"note: {note} of the config (--class-weights)\n")


@pytest.mark.parametrize(("options", "expected"), [({}, ROAD), ({"class_weights": "on"}, SIDEWALK)])
def test_inference_in_python(world, tmp_path, options, expected):
    model = init_model(*world[:2], device="cpu", **options)
    image = next((tmp_path / "data" / "dark_zurich" / "rgb_anon").rglob("*.png"))
    assert inference_model(model, image).pred_sem_seg.data.unique().tolist() == [expected]


@pytest.mark.parametrize(("kind", "expected"), [("DarkZurich", SIDEWALK), ("ACDC", ROAD)])
def test_validation_during_training(world, tmp_path, kind, expected):
    cfg = load_config(world[0])
    dataset = cfg.val_dataloader.dataset
    if kind == "ACDC":
        dataset.update(type="ACDCDataset", data_root=str(tmp_path / "data" / "acdc"))
        dataset.data_prefix = {"img_path": "rgb_anon", "seg_map_path": "gt"}
    loader = {**cfg.val_dataloader, "batch_size": 1}
    loader["sampler"] = {"type": "DefaultSampler", "shuffle": False}
    model = init_model(cfg, world[1], device="cpu")
    for batch in Runner.build_dataloader(loader):
        with torch.no_grad():
            (sample,) = model.val_step(batch)
        assert sample.pred_sem_seg.data.unique().tolist() == [expected]


def test_the_comparison_of_runs(world, tmp_path):
    shutil.copy(tmp_path / "night.pth", tmp_path / "iter_1.pth")
    score(Path(world[0]), "cpu")
    assert classes_in(tmp_path / "predictions") == {SIDEWALK}


def test_unknown_or_missing_class_weights_are_refused(world):
    with pytest.raises(InputError, match="class weights 'always' unknown; choose from auto, on"):
        init_model(*world[:2], device="cpu", class_weights="always")
    cfg = load_config(world[0])
    del cfg.model.segmentor.test_cfg
    with pytest.raises(InputError, match="--class-weights on: the config gives the model no"):
        init_model(cfg, world[1], device="cpu", class_weights="on")
    assert class_weights_used(init_model(cfg, world[1], device="cpu"), {}) is None
