"""Validation during training scores student and teacher side by side."""

import json
from pathlib import Path

import pytest
from mmcv.transforms import BaseTransform

from mmseg.apis import Outputs, evaluate
from mmseg.registry import TRANSFORMS
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.config import load_config
from tests.campaigns.kills import fastest_config
from tests.tools.failing import error_of
from tools import train as train_tool
from tools.analysis.curves import plot_runs

NAMES = ("aAcc", "mIoU", "mAcc")
LOADED: list[str] = []


@TRANSFORMS.register_module()
class NoteImage(BaseTransform):
    """Record which images are loaded."""

    def transform(self, results):
        LOADED.append(results["img_path"])
        return results


@pytest.fixture(scope="module")
def config(toy_root, tmp_path_factory) -> Path:
    """Write a config of two iterations with two images evaluated after the second."""
    folder = tmp_path_factory.mktemp("validation")
    cfg = fastest_config(toy_root, folder)
    cfg.train_cfg.max_iters = 2
    cfg.val_dataloader.dataset.indices = 2
    cfg.val_dataloader.dataset.pipeline.insert(1, {"type": "NoteImage"})
    cfg.custom_imports = {"imports": [__name__]}
    (folder / "c.py").write_text("".join(f"{k} = {v!r}\n" for k, v in cfg.to_dict().items()))
    return folder / "c.py"


def trained(config: Path, name: str, *options: str) -> Path:
    """Train from the command line; return the work dir."""
    run = config.parent / name
    train_tool.main([str(config), "--device", "cpu", "--work-dir", str(run), *options])
    return run


def scores_of(run: Path) -> dict[str, float]:
    """Return the scores, which are the last line of the log."""
    (log,) = run.glob("*/vis_data/scalars.json")
    return json.loads(log.read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def run(config) -> tuple[Path, list[str]]:
    """Return the work dir of a run, and the images that its validation loaded."""
    LOADED.clear()
    return trained(config, "both"), list(LOADED)


def test_both_are_scored_as_by_the_test_tool(run, config, tmp_path):
    folder, _ = run
    logged = scores_of(folder)
    cfg = load_config(folder / "c.py")
    cfg.test_dataloader = cfg.val_dataloader
    tables = {}
    for role, prefix in (("student", ""), ("teacher", "teacher/")):
        result = evaluate(
            cfg, folder / "iter_2.pth", Outputs(metrics=("mIoU",)), role, device="cpu",
            work_dir=tmp_path,
        )  # fmt: skip
        found = {name: logged[prefix + name] for name in NAMES}
        assert found == pytest.approx(result["summary"], abs=0.02)
        tables[role] = result["per_class"]["road"]["IoU"]
    (log,) = folder.glob("*/*.log")
    lines = [line.split() for line in log.read_text().splitlines()]
    assert ["class", "student", "teacher"] in lines
    (road,) = (line for line in lines if line[:1] == ["road"])
    assert list(map(float, road[1:])) == pytest.approx(list(tables.values()), abs=0.02)
    assert ["mIoU", f"{logged['mIoU']:.2f}", f"{logged['teacher/mIoU']:.2f}"] in lines


def test_each_image_is_loaded_once_for_both(run):
    _, loaded = run
    assert len(loaded) == len(set(loaded)) == 2


def test_the_best_checkpoint_follows_the_student(run):
    folder, _ = run
    assert [path.name for path in folder.glob("best_*")] == ["best_mIoU_iter_2.pth"]
    best = load_checkpoint(folder / "best_mIoU_iter_2.pth")["message_hub"]["runtime_info"]
    assert best["best_score"] == scores_of(folder)["mIoU"]


def test_curves_of_both_share_a_panel(run, tmp_path):
    folder, _ = run
    plot_runs([str(folder)], tmp_path / "c.svg", keys=["mIoU", "teacher/mIoU"])
    drawing = (tmp_path / "c.svg").read_text()
    assert "mIoU [%]" in drawing and "<!-- teacher/mIoU -->" in drawing


def test_the_teacher_is_left_out_on_request(run, config):
    both = scores_of(run[0])
    alone = trained(config, "alone", "--no-teacher-validation")
    assert load_config(alone / "c.py").val_cfg.teacher is False
    scores = scores_of(alone)
    assert not any(name.startswith("teacher/") for name in scores)
    assert {name: scores[name] for name in NAMES} == {name: both[name] for name in NAMES}
    message = error_of(
        train_tool.main, config, "--work-dir", alone, "--cfg-options", "val_cfg.teacher=some"
    )
    assert "val_cfg.teacher" in message
