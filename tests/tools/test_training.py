"""Train from the command line: check the files of a run, resuming and reproducibility."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg.apis.train import train
from mmseg.datasets.image_files import read_label
from mmseg.evaluation.functional import confusion_matrix
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.config import load_config
from mmseg.utils.phases import observers
from tests.campaigns.kills import fastest_config
from tests.tools.reporting.stored import data, table
from tests.training import ROOT, own_copy, small_config
from tools import report as report_tool
from tools import train as train_tool
from tools.analysis.logs import read_rows, read_run

TIMINGS = ("time", "data_time", "memory", "eta")


def command(*arguments: str | Path) -> list[str]:
    options = ["--device", "cpu", "--seed", "3", "--deterministic"]
    return [sys.executable, "-m", "tools.train", *map(str, arguments), *options]


def assert_equal(found, expected, path=""):
    """Check that everything in two checkpoints is equal bit by bit."""
    assert type(found) is type(expected), path
    if isinstance(found, torch.Tensor):
        assert torch.equal(found, expected), path
    elif isinstance(found, dict):
        assert found.keys() == expected.keys(), path
        for key in found:
            assert_equal(found[key], expected[key], f"{path}.{key}")
    elif isinstance(found, list | tuple):
        assert len(found) == len(expected), path
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_equal(a, b, f"{path}[{i}]")
    else:
        assert found == expected, path


def logged_values(checkpoint: dict) -> dict[str, list[float]]:
    """Return all values logged since the start, except those that depend on the clock."""
    histories = checkpoint["message_hub"]["log_scalars"]
    return {
        name: history.data[0].tolist()
        for name, history in histories.items()
        if name.rsplit("/")[-1] not in TIMINGS
    }


def assert_same_state(found: Path, expected: Path) -> None:
    a, b = load_checkpoint(found), load_checkpoint(expected)
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert_equal(a[part], b[part], part)
    values = logged_values(a)
    assert_equal(values, logged_values(b), "logs")
    assert {"train/tgt.aux.loss_cl", "train/lr", "val/mIoU"} <= values.keys()
    assert len(values["train/mix.decode.loss_seg"]) == 12


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted_twice(toy_root, tmp_path):
    cfg = fastest_config(toy_root, tmp_path)
    cfg.pop("randomness")
    cfg.train_cfg.update(max_iters=12, val_interval=6)
    cfg.param_scheduler[0].end = 13
    cfg.default_hooks.checkpoint.update(interval=6, max_keep_ckpts=2)
    cfg.train_dataloader.update(num_workers=1)
    config = tmp_path / "config.json"
    cfg.dump(config)
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    with subprocess.Popen(
        command(config, "--work-dir", killed), cwd=ROOT, stdout=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 200
        while not (killed / "iter_6.pth").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "iter_12.pth").exists()

    for work_dir, options in ((killed, ["--resume"]), (whole, [])):
        train_tool.main(command(config, "--work-dir", work_dir, *options)[3:])
    assert_same_state(killed / "iter_12.pth", whole / "iter_12.pth")

    again = load_config(config)
    again.work_dir = str(tmp_path / "again")
    again.randomness = {"seed": 3, "deterministic": True}
    again.train_dataloader.update(num_workers=0)
    train(again, device="cpu")
    assert_same_state(tmp_path / "again" / "iter_12.pth", whole / "iter_12.pth")


@pytest.fixture(scope="module")
def trained(toy_root, tmp_path_factory) -> Path:
    """Return the work dir of one short run."""
    folder = tmp_path_factory.mktemp("trained")
    cfg = small_config(toy_root, folder)
    train(cfg, device="cpu")
    return Path(cfg.work_dir)


def test_the_log_file_has_what_the_console_leaves_out(trained):
    (log,) = trained.glob("*/*.log")
    text = log.read_text()
    for part in ("System environment:", "Config:\n", "Hooks will be executed", "git revision"):
        assert part in text
    training = re.findall(r"Iter\(train\) \[ ?(\d+)/10\] .* confidence: ", text)
    assert training == ["2", "4", "6", "8", "10"]
    assert "IoU in percent\nclass          student  teacher\n" in text


def test_a_run_leaves_checkpoints_logs_config_and_panels(trained):
    assert {path.name for path in trained.glob("*.pth")} == {
        "iter_5.pth",
        "iter_10.pth",
        "best_mIoU_iter_10.pth",
    }
    assert (trained / "bases.py").is_file()
    (scalars,) = trained.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    training = [row for row in rows if "lr" in row]
    assert [row["step"] for row in training] == [2, 4, 6, 8, 10]
    expected = {"lr", "time", "memory", "confidence", "ignored_pseudo_labels"}
    expected |= {"src.decode.loss_seg", "src.aux.loss_cl", "tgt.aux.loss_cl", "mix.decode.acc_seg"}
    assert expected <= training[-1].keys()
    assert "tgt.aux.loss_cl" not in training[0]
    assert {"aAcc", "mIoU", "mAcc"} <= rows[-1].keys()
    assert list(trained.glob("*/vis_data/events.out.tfevents.*"))
    (start,) = trained.glob("*/environment.json")
    found = json.loads(start.read_text())
    assert (found["device"], found["processes"]) == ("cpu", 1)
    assert found["packages"]["torch"] in torch.__version__
    panels = sorted(path.name for path in (trained / "debug").iterdir())
    assert panels == [f"iter_{t:06d}_{i}.png" for t in (1, 5, 10) for i in (0, 1)]
    assert Image.open(trained / "debug" / panels[0]).size[0] > 300


def test_validation_leaves_its_images_and_their_confusion_matrix(trained):
    """Both images of the validation are stored in full, so the matrix can be counted again."""
    confusion = torch.zeros(19, 19, dtype=torch.int64)
    images = sorted(path.stem for path in (trained / "validation" / "image").iterdir())
    assert len(images) == 2
    for name in images:
        label, prediction = (
            torch.from_numpy(read_label(str(trained / "validation" / kind / f"{name}.png")))
            for kind in ("label", "prediction")
        )
        confusion += confusion_matrix(prediction, label, 19)
    (row,) = read_rows(trained, "validation")
    assert row["step"] == 10
    assert row["results"]["student"]["confusion"] == confusion.tolist()
    assert row["results"]["teacher"]["summary"].keys() == {"aAcc", "mIoU", "mAcc"}
    score = read_run(trained)["mIoU"].values[-1]
    assert row["results"]["student"]["summary"]["mIoU"] == pytest.approx(score, abs=1e-4)


def test_the_phases_of_some_steps_are_measured(trained):
    rows = read_rows(trained, "phases")
    assert [row["iter"] for row in rows] == [2, 4, 6, 8, 10]
    assert {"teacher", "src", "tgt", "mix", "statistics", "optimizer"} < rows[-1].keys()
    assert "tgt" not in rows[0]  # contrast starts later
    for row in rows:
        parts = [row[name] for name in row if name not in ("whole", "iter", "step")]
        assert 0 < sum(parts) < row["whole"]
    assert not observers


def test_the_report_of_a_run(trained, tmp_path):
    report_tool.main([str(trained), "--out", str(tmp_path / "page.html")])
    score = read_run(trained)["mIoU"].values[-1]
    header, row = table(tmp_path / "page.html", "run-table")
    assert row[0] == "SePiCo (DistCL)" and row[header.index("mIoU")] == f"{score:.2f}"
    assert len(table(tmp_path / "page.html", "class-table")) == 1 + 19 + 1
    text = (tmp_path / "page.html").read_text()
    assert text.count("data-layer=") == 2 * 3 and "3 of 6 panels" in text
    (confusion,) = data(tmp_path / "page.html", "confusion-data")
    assert len(confusion["rows"]) == 19 and confusion["classes"][0] == "road"


def test_resuming_needs_no_option_of_the_first_run(toy_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    toy_config.pop("work_dir")
    toy_config.pop("randomness")
    toy_config.train_cfg.update(max_iters=1, val_interval=1)
    toy_config.default_hooks.checkpoint.interval = 1
    toy_config.dump("mine.json")
    train_tool.main(["mine.json", "--device", "cpu", "--cfg-options", "model.alpha=0.5"])
    stored = Path("work_dirs/mine/mine.json")
    first = load_config(stored)
    assert first.model.alpha == 0.5
    capsys.readouterr()
    train_tool.main(
        ["mine.json", "--device", "cpu", "--resume", "--cfg-options", "train_cfg.max_iters=2"]
    )
    assert Path("work_dirs/mine/iter_2.pth").is_file()
    out, err = capsys.readouterr()
    assert_shows_a_resumed_run(out, toy_config, first.randomness.seed)
    assert err == ""
    second = load_config(stored)
    assert second.randomness == first.randomness
    assert (second.model.alpha, second.train_cfg.max_iters) == (0.5, 2)


def assert_shows_a_resumed_run(out: str, cfg: Config, seed: int) -> None:
    """Check the console of a run of 2 iterations that goes on after the first."""
    page, evaluation, end = out.split("\n\n")
    facts = {line[:12].rstrip(): line[12:] for line in page.splitlines()}
    log = facts.pop("log").removesuffix(" in the work dir")
    assert list(Path("work_dirs/mine").glob(log))
    threads = torch.get_num_threads()
    assert facts == {
        "method": "SePiCo (dist)",
        "network": "DAFormerHead on ResNetV1c-18, 2.9 million parameters",
        "source": f"GTADataset in {cfg.train_dataloader.dataset.source.data_root}, 12 images",
        "target": f"CityscapesDataset in {cfg.train_dataloader.dataset.target.data_root}, 8 images "
        "without labels",
        "evaluation": f"CityscapesDataset in {cfg.val_dataloader.dataset.data_root}, 2 images, "
        "every 1 iterations",
        "device": f"CPU, {threads} thread{'s' * (threads > 1)}, fp32",
        "seed": str(seed),
        "iterations": "2 with 2 + 2 images",
        "start": "goes on from iter_1.pth after 1 iterations",
        "work dir": "work_dirs/mine",
    }
    pattern = r"evaluation at iteration 2: (mIoU [\d.]+ \(teacher [\d.]+\)), .*best so far.*"
    values, scored = evaluation.splitlines()
    number = r"\d+\.\d{3}"
    losses = rf"losses  src {number}  mix {number}  (tgt {number}  )?confidence \d\.\d\d"
    assert re.fullmatch(rf"\[2/2\]  {losses}  0:00:00 left", values)
    (scores,) = re.fullmatch(pattern, scored).groups()
    finished, last, best, *files = end.splitlines()
    assert finished.startswith("finished    2 iterations; this start took 0:00:")
    assert last == f"last        iter_2.pth, {scores}"
    assert re.fullmatch(r"best        best_mIoU_iter_[12]\.pth, mIoU [\d.]+", best)
    assert files == ["config      mine.json", "pictures    debug/", "all in      work_dirs/mine"]


def test_target_labels_are_never_opened_in_training(toy_root, tmp_path):
    root = own_copy(toy_root, tmp_path)
    damaged = [*root.glob("cityscapes/gtFine/train/*/*")]
    assert len(damaged) == 3 * 8 - 8
    for path in damaged:
        path.write_bytes(b"not an image")
        path.chmod(0)
    cfg = small_config(root, tmp_path)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    train(cfg, device="cpu")
    assert (tmp_path / "run" / "best_mIoU_iter_2.pth").is_file()


def test_source_only_starts_sepico(toy_root, tmp_path):
    cfg = small_config(toy_root, tmp_path, stage=0)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    runner = train(cfg, device="cpu")
    assert type(runner.model).__name__ == "SourceOnly"
    (tmp_path / "second").mkdir()
    second = small_config(toy_root, tmp_path / "second")
    second.load_from = str(tmp_path / "run" / "best_mIoU_iter_2.pth")
    second.train_cfg.update(max_iters=1, val_interval=1)
    second.optim_wrapper.optimizer.lr = 0.0
    adapted = train(second, device="cpu").model
    curves = [read_run(tmp_path / name) for name in ("run", "second/run")]
    assert [("mIoU" in each, "teacher/mIoU" in each) for each in curves] == [
        (True, False),
        (True, True),
    ]
    source = runner.model.model.state_dict()
    for name, value in adapted.model.named_parameters():
        assert torch.equal(value, source[name]), name
    for name, value in adapted.ema_model.named_parameters():
        assert torch.equal(value, source[name]), name


@pytest.mark.slow
def test_debug_copy_of_an_experiment_then_evaluation(toy_root, tmp_path):
    """``run_experiments.py --exp 4 --debug`` and then ``tools.test`` work as a user types them."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    for name in ("gta", "cityscapes"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(toy_root / name)
    run = [sys.executable, ROOT / "run_experiments.py", "--exp", "4", "--debug", "--device", "cpu"]
    run += ["--cfg-options", "train_cfg.max_iters=4", "train_cfg.val_interval=4"]
    shown = subprocess.run(run, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert len(shown.stdout.splitlines()) < 30 and shown.stderr == ""
    assert "start       random weights\n" in shown.stdout
    (work_dir,) = (tmp_path / "work_dirs" / "local-exp4").iterdir()
    config = work_dir / f"{work_dir.name}.json"
    checkpoint = work_dir / "best_mIoU_iter_4.pth"
    test = [sys.executable, "-m", "tools.test", config, checkpoint, "--eval", "mIoU"]
    printed = subprocess.run(
        test, cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    ).stdout
    assert "CityscapesDataset in data/cityscapes/, 4 images, student" in printed
    scores = json.loads((work_dir / "best_mIoU_iter_4_cityscapes_eval.json").read_text())
    assert f"{scores['summary']['mIoU']:.2f}" in printed
    (ROOT / "configs" / "generated" / f"{work_dir.name}.py").unlink()
