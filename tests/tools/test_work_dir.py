"""Check a work dir after training fails, and while another run uses it."""

import builtins
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmseg.apis.train import train
from mmseg.registry import HOOKS
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.config import load_config
from mmseg.utils.work_dir import locked
from tests.campaigns.kills import fastest_config, logged
from tests.files import full_disk
from tests.tools.failing import error_of
from tools import train as train_tool
from tools.analysis.logs import read_run
from tools.conversion.files import save_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(toy_root, tmp_path_factory) -> Path:
    """Return a folder with ``c.json`` and a ``run`` of 4 iterations, evaluated at 2 and 4."""
    folder = tmp_path_factory.mktemp("trained")
    cfg = fastest_config(toy_root, folder)
    cfg.train_cfg.max_iters = 4
    cfg.work_dir = str(folder / "run")
    cfg = cfg.copy()
    cfg.dump(folder / "c.json")
    cfg = load_config(folder / "c.json")
    train(cfg, device="cpu")
    (folder / "run" / "finished").unlink()
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """Return a copy of the run that a test may change."""
    shutil.copy(trained / "c.json", tmp_path)
    return Path(shutil.copytree(trained / "run", tmp_path / "run"))


def hashes(folder: Path) -> dict[str, str]:
    """Map each path to the SHA-256 of the file, or to "folder"."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def arguments(run: Path, *options: str) -> list[str]:
    """Return arguments of ``tools.train``."""
    shared = [str(run.parent / "c.json"), "--work-dir", str(run), "--device", "cpu"]
    return [*shared, "--cfg-options", *options] if options else shared


def resume(run: Path, *options: str) -> str:
    """Return the error of ``tools.train --resume --cfg-options ...``."""
    return error_of(train_tool.main, *arguments(run, *options), "--resume")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.alfa=0.9", "SePiCo has no argument 'alfa'"),
        ("model.segmentor.backbone.embed_dims=(8,24)", "backbone's maps (0, 1) have [8, 24]"),
        (
            "model.segmentor.decode_head.in_channels=(8,17)",
            "in_channels is (8, 17), but",
        ),
        ("model.segmentor.decode_head.channels=9", "does not fit the model of the config"),
        ("model.prototypes.memory_length=7", "(19, 0, 8) instead of (19, 7, 8)"),
        ("model.contrast.variant=bank2", "'bank2', but it takes 'dist' or 'bank'"),
        ("train_dataloader.dataset.source.data_root=/nowhere", "/nowhere"),
        ("train_dataloader.num_workers=-1", "train_dataloader"),
        ("val_dataloader.dataset.data_root=/nowhere", "/nowhere does not exist"),
        ("optim_wrapper.optimizer.type=Adamm", "did you mean 'Adam"),
    ],
)
def test_a_refused_option_changes_no_file(run, option, message):
    before = hashes(run.parent)
    assert message in resume(run, option, "train_cfg.max_iters=6")
    assert hashes(run.parent) == before


@HOOKS.register_module()
class Ending(Hook):
    """Raise the built-in error of this name when a method of hooks is called."""

    def __init__(self, place: str, error: str) -> None:
        self.error = getattr(builtins, error)
        setattr(self, place, self.end)

    def end(self, *args, **kwargs) -> None:
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("place", ["before_run", "before_train"])
def test_an_end_before_the_first_iteration_changes_no_file(run, error, place):
    cfg = load_config(run / "c.json")
    ending = {"type": "Ending", "place": place, "error": error.__name__, "priority": "HIGHEST"}
    cfg.custom_hooks = [*cfg.get("custom_hooks", ()), ending]
    for config in (run / "c.json", run.parent / "c.json"):  # to resume, and to start a new run
        cfg.dump(config)
    before = hashes(run.parent)
    new = arguments(run)
    new[new.index(str(run))] = str(run.parent / "a" / "b")
    ways = {"--resume goes on from iter_4.pth": [*arguments(run), "--resume"], "start again": new}
    for way, line in ways.items():
        with pytest.raises(error) as end:
            train_tool.main(line)
        assert error is not KeyboardInterrupt or str(end.value) == way
        assert hashes(run.parent) == before


def test_an_option_that_fits_is_stored_with_the_first_iteration(run):
    for name in (".iter_4.ab12cd34.pth", ".best_mIoU_iter_4.k_1.pth", ".c.x.json", ".finished.q"):
        (run / name).touch()
    train_tool.main([*arguments(run, "train_cfg.max_iters=5", "model.alpha=0.5"), "--resume"])
    assert load_config(run / "c.json").model.alpha == 0.5
    assert (run / "finished").read_text() == "5"
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_scores_of_a_run_killed_in_evaluation_are_logged_once(run):
    """Scores that were logged, but are in no checkpoint, are computed again and logged once."""
    checkpoint = load_checkpoint(run / "iter_4.pth")
    checkpoint["message_hub"]["runtime_info"]["evaluated_iter"] = 2
    save_checkpoint(checkpoint, run / "iter_4.pth")
    before = logged(run)
    assert [row["step"] for row in before if "mIoU" in row] == [2, 4]
    train_tool.main([*arguments(run), "--resume"])
    assert logged(run) == before
    assert len(list(run.glob("*/vis_data/scalars.json"))) == 2
    stored = [log.read_text() for log in run.glob("*/vis_data/validation.json")]
    assert sorted(json.loads(line)["step"] for text in stored for line in text.splitlines()) == [
        2,
        4,
    ]


def test_the_last_evaluation_of_a_killed_run_is_in_its_last_checkpoint(trained, tmp_path):
    cfg = load_config(trained / "c.json")
    cfg.work_dir = str(tmp_path / "run")
    cfg.train_cfg.val_interval = 4
    ending = {"type": "Ending", "place": "before_val", "error": "KeyboardInterrupt"}
    killed = cfg.copy()
    killed.custom_hooks = [*cfg.get("custom_hooks", ()), ending]
    with pytest.raises(KeyboardInterrupt):
        train(killed, device="cpu")
    before = load_checkpoint(tmp_path / "run" / "iter_4.pth")["message_hub"]
    assert "val/mIoU" not in before["log_scalars"]
    train(cfg, device="cpu", resume=True)
    hub = load_checkpoint(tmp_path / "run" / "iter_4.pth")["message_hub"]
    score = hub["runtime_info"]["best_score"]
    assert hub["log_scalars"]["val/mIoU"].data[0].tolist() == [score]
    assert hub["runtime_info"]["evaluated_iter"] == 4
    assert (tmp_path / "run" / "best_mIoU_iter_4.pth").is_file()


def test_a_run_that_starts_again_keeps_its_first_log(run):
    """A run without a checkpoint, such as a diverged one, keeps its log when it starts again."""
    for path in run.glob("*.pth"):
        path.unlink()
    (log,) = run.glob("*/vis_data/scalars.json")
    before, first = log.read_bytes(), read_run(run)["lr"]
    train_tool.main(arguments(run, "optim_wrapper.optimizer.lr=0.02"))
    assert log.read_bytes() == before
    again = read_run(run)["lr"]
    assert again.steps.tolist() == first.steps.tolist()
    assert again.values == pytest.approx(2 * first.values)


def test_a_second_run_is_refused_and_the_first_goes_on(run):
    first = run.parent / "first"
    command = [sys.executable, "-m", "tools.train", *map(str, arguments(first))]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (first / "iter_2.pth").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    before = hashes(first)
    for options in ([], ["--resume"]):
        message = error_of(train_tool.main, *arguments(first), *options)
        assert message.startswith(f"{first} is in use by another run: wait until ")
    assert hashes(first) == before
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0
    assert (first / "finished").read_text() == "4"
    with locked(first, "--work-dir"):
        pass


def flip(path: Path) -> None:
    """Change 64 bytes of the largest tensor in a checkpoint."""
    content = bytearray(path.read_bytes())
    largest = max(zipfile.ZipFile(path).infolist(), key=lambda record: record.file_size)
    start = largest.header_offset + 200  # names and padding take fewer bytes
    content[start : start + 64] = (byte ^ 255 for byte in content[start : start + 64])
    path.write_bytes(content)


def test_a_damaged_last_checkpoint_names_the_one_to_resume_from(run):
    flip(run / "iter_4.pth")
    before = hashes(run)
    message = resume(run, "train_cfg.max_iters=5")
    assert message == (
        f"{run}/iter_4.pth is not a readable checkpoint (damaged or cut off?): remove iter_4.pth, "
        "and --resume goes on from iter_2.pth"
    )
    assert hashes(run) == before
    (run / "iter_4.pth").unlink()
    train_tool.main([*arguments(run), "--resume"])
    assert (run / "finished").read_text() == "4"
    for name in ("iter_4.pth", "iter_2.pth"):
        flip(run / name)
    assert resume(run, "train_cfg.max_iters=5").endswith(
        f"no checkpoint in {run} is whole: train without --resume in another folder"
    )


def test_a_full_disk_is_one_line_that_says_how_to_go_on(run):
    size = (run / "iter_4.pth").stat().st_size
    with full_disk(size // 2):
        message = resume(run, "train_cfg.max_iters=6")
        new = error_of(train_tool.main, *arguments(run.parent / "new"))
    way = "(File too large): make space, and"
    assert message == f"cannot write {run}/iter_6.pth {way} --resume goes on from iter_4.pth"
    assert new == f"cannot write {run.parent}/new/iter_2.pth {way} start again"
    assert torch.load(run / "iter_4.pth", weights_only=False)["meta"]["iter"] == 4
    assert len(list(run.glob("best_*.pth"))) == 1
