"""Evaluate one model on several data sets."""

import json
import re
import shutil
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

from mmseg.apis import Outputs, evaluate, evaluate_on, report
from mmseg.datasets.evaluation_sets import EVALUATION_SETS
from mmseg.evaluation.report import table_text
from mmseg.utils import InputError
from tools.test import evaluation_sets

from .street_world import SIZE, night_config, write_checkpoint, write_streets

SCORE = Outputs(metrics=("mIoU",))
NAMES = list(EVALUATION_SETS)
# worked out from the painted classes and the ground truth of street_world
ROAD_AND_SKY = {"aAcc": 50.0, "mIoU": 25.0, "mAcc": 50.0}
SUMMARIES = {
    "cityscapes": {"aAcc": 100.0, "mIoU": 100.0, "mAcc": 100.0, "mIoU_gt": 100.0},
    # class weights: all sidewalk
    "dark_zurich": {"aAcc": 0.0, "mIoU": 0.0, "mAcc": 0.0, "mIoU_gt": 0.0},
    "night_driving": ROAD_AND_SKY | {"mIoU_gt": 25.0},
    "bdd100k_night": ROAD_AND_SKY
    | {"mIoU_gt": 50.0},  # road 50, terrain predicted only; by_day is not listed
    "acdc": {"aAcc": 37.5, "mIoU": 12.5, "mAcc": 33.3333, "mIoU_gt": 12.5},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return the folder of all data sets, and a checkpoint."""
    folder = tmp_path_factory.mktemp("streets")
    checkpoint = write_checkpoint(folder / "night.pth")
    return write_streets(folder / "data"), checkpoint


def sets_of(cfg, root, names):
    """Return the named data sets in ``root``, tested at the size of their images."""
    sets = evaluation_sets(cfg, names, {name: str(root / name) for name in names})
    for each in sets:
        for transform in each.cfg.test_dataloader.dataset.pipeline:
            if transform["type"] == "Resize":
                transform["scale"] = SIZE
    return sets


@pytest.fixture(scope="module")
def results(world):
    """Evaluate all five data sets with a model that is built once."""
    root, checkpoint = world
    cfg = night_config(root)
    cfg.not_for_training = ["it is printed whenever the model is built"]
    with redirect_stderr(StringIO()) as stderr:
        done = evaluate_on(sets_of(cfg, root, NAMES), cfg, checkpoint, SCORE, device="cpu")
    assert stderr.getvalue().count("whenever the model is built") == 1
    return done


def test_scores_of_each_set(results):
    assert {result["name"]: result["summary"] for result in results} == SUMMARIES
    images = {result["dataset"]: result["images"] for result in results}
    assert images == {
        "CityscapesDataset": 2,
        "DarkZurichDataset": 1,
        "NightDrivingDataset": 1,
        "BDD100KNightDataset": 2,
        "ACDCDataset": 4,
    }


def test_class_weights_are_for_dark_zurich_alone(results):
    used = [result["name"] for result in results if result["class_weight"]]
    assert used == ["dark_zurich"]
    assert results[1]["per_class"]["sidewalk"] == {"IoU": 0.0, "Acc": None}
    assert results[2]["per_class"]["sidewalk"] == {"IoU": None, "Acc": None}


def test_a_file_of_scores_for_each_set(results, world):
    _, checkpoint = world
    tags = ("cityscapes", "darkzurich", "nightdriving", "bdd100knight", "acdc")
    for result, tag in zip(results, tags, strict=True):
        file = checkpoint.parent / f"night_{tag}_eval.json"
        assert result["file"] == str(file)
        assert json.loads(file.read_text()) | {"file": str(file)} == result


def test_conditions_of_acdc(results):
    conditions = results[4]["per_condition"]
    summaries = {name: each["summary"]["mIoU"] for name, each in conditions.items()}
    assert summaries == {"fog": 100.0, "night": 0.0, "rain": 25.0, "snow": 0.0}
    assert all("per_condition" not in result for result in results[:4])


def test_one_table_on_the_terminal(results, world):
    lines = report(results).splitlines()
    assert lines[2].split() == ["class", *NAMES]
    assert re.split(" +", lines[4]) == ["road", "100.00", "0.00", "50.00", "50.00", "37.50"]
    means = [f"{SUMMARIES[name]['mIoU']:.2f}" for name in NAMES]
    assert ["mIoU", *means] in [line.split() for line in lines]
    conditions = lines.index("acdc, each condition")
    assert lines[conditions + 2].split() == ["class", "fog", "night", "rain", "snow", "all"]
    root, checkpoint = world
    assert lines[-8:-6] == [
        f"dark_zurich: DarkZurichDataset in {root / 'dark_zurich'}, 1 images, student, "
        "with the test-time class weights",
        f"  saved as {checkpoint.parent / 'night_darkzurich_eval.json'}",
    ]


def test_table_for_a_file_has_a_section_for_each_set(results):
    text = table_text(results)
    titles = re.findall(r"\n\n(\w+)\n=+\n", text)
    assert titles == NAMES
    sections = dict(zip(NAMES, re.split(r"\n\n\w+\n=+\n", text)[1:], strict=True))
    night = sections["night_driving"].splitlines()
    assert ["road", "50.00", "100.00"] in [line.split() for line in night]
    assert ["mAcc", "50.00"] in [line.split() for line in night]
    assert ["mIoU", "100.00", "0.00", "25.00", "0.00", "12.50"] in [
        line.split() for line in sections["acdc"].splitlines()
    ]
    assert "predicted but not in the ground truth; it counts in mIoU" in text


def test_predictions_of_each_set_have_a_separate_folder(world, tmp_path):
    root, checkpoint = world
    cfg = night_config(root)
    outputs = Outputs(folders=(tmp_path / "raw",), show_dir=tmp_path / "shown")
    sets = sets_of(cfg, root, ["dark_zurich", "night_driving"])
    results = evaluate_on(sets, cfg, checkpoint, outputs, device="cpu")
    assert [result["class_weight"] for result in results] == [True, False]
    assert not any("summary" in result for result in results)
    for kind in ("raw", "shown"):
        assert sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / kind).rglob("*.png")) == [
            f"{kind}/dark_zurich/{'s/' if kind == 'shown' else ''}1_rgb_anon.png",
            f"{kind}/night_driving/1_leftImg8bit.png",
        ]


def test_scales_and_flips_on_each_set(world, tmp_path):
    root, checkpoint = world
    cfg = night_config(root)
    cfg.tta_pipeline = [  # for the config's own data set; the others have theirs
        {"type": "LoadImageFromFile"},
        {
            "type": "TestTimeAug",
            "transforms": [
                [{"type": "RandomFlip", "prob": prob} for prob in (0.0, 1.0)],
                [{"type": "LoadAnnotations"}],
                [{"type": "PackSegInputs"}],
            ],
        },
    ]
    sets = sets_of(cfg, root, ["dark_zurich", "night_driving"])
    options = {"aug_test": True, "device": "cpu", "work_dir": tmp_path}
    results = evaluate_on(sets, cfg, checkpoint, SCORE, **options)
    assert [result["summary"]["mIoU"] for result in results] == [25.0, 25.0]
    assert [result["class_weight"] for result in results] == [False, False]
    assert all(result["file"].endswith("_aug_eval.json") for result in results)


def test_mistakes_in_any_set_are_reported_before_predicting(world, tmp_path):
    root, checkpoint = write_streets(tmp_path), world[1]
    cfg = night_config(root)
    for image in (root / "cityscapes").rglob("*_leftImg8bit.png"):
        image.write_text("no image: predicting it is an error")
    shutil.rmtree(root / "acdc" / "rgb_anon")
    sets = evaluation_sets(
        cfg, ["cityscapes", "acdc"], {name: str(root / name) for name in ("cityscapes", "acdc")}
    )
    with pytest.raises(InputError, match=r"folder .*acdc/rgb_anon/fog/val does not exist"):
        evaluate_on(sets, cfg, checkpoint, SCORE, device="cpu")


def test_a_test_set_without_labels_names_the_ways_out(world):
    root, checkpoint = world
    with pytest.raises(InputError) as error:
        evaluate(night_config(root), checkpoint, SCORE, device="cpu")
    message = str(error.value)
    assert "use --dataset dark_zurich" in message
    assert "--format-only" in message and "tools.submit" in message and "\n" not in message


def test_table_needs_scores_and_a_file(tmp_path):
    with pytest.raises(InputError, match="--table needs scores"):
        Outputs(table=Path("t.txt"))
    with pytest.raises(InputError, match="is a folder"):
        Outputs(metrics=("mIoU",), table=tmp_path)
