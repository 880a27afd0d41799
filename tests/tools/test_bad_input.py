"""Every mistake of a user is one line on stderr and status 1, and leaves nothing behind."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

import run_experiments
from mmseg.apis.train import train as train_api
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.cli import run_main
from tests.apis.color_world import method_model, prefixed, weights, write_world
from tests.datasets.small_data import cut
from tests.training import ROOT, own_copy, small_config
from tools import test as test_tool
from tools import train as train_tool


@pytest.fixture(autouse=True)
def quick_start(monkeypatch):
    """Leave out what takes mmengine seconds: compilers' versions, and configs in pretty lines."""

    def plain_text(cfg: Config) -> str:
        return "\n".join(f"{key} = {value!r}" for key, value in cfg.to_dict().items())

    monkeypatch.setattr(Runner, "_log_env", lambda self, env_cfg: None)
    monkeypatch.setattr(Config, "pretty_text", property(plain_text))


def error_of(main, *arguments: str | Path) -> str:
    """What follows ``error:``, the one thing on stderr, when ``main`` fails with status 1."""
    # Only stderr: loggers keep the stdout that they find, so it must outlive the test.
    with contextlib.redirect_stderr(io.StringIO()) as stderr, pytest.raises(SystemExit) as stop:
        run_main(lambda: main([str(argument) for argument in arguments]))
    assert stop.value.code == 1
    (line,) = stderr.getvalue().splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture
def config(toy_config, tmp_path) -> Path:
    """A config file of a run that would work."""
    toy_config.pop("work_dir")
    toy_config.dump(tmp_path / "c.json")
    return tmp_path / "c.json"


def train_error(config: Path, *arguments: str | Path, new: tuple[str, ...] = ()) -> str:
    """The error of ``tools.train``; nothing but ``new`` appears beside the config."""
    before = {path.name for path in config.parent.iterdir()}
    work_dir = config.parent / "deep" / "run"
    options = ["--work-dir", work_dir, "--device", "cpu", *arguments]
    message = error_of(train_tool.main, config, *options)
    assert {path.name for path in config.parent.iterdir()} == before | set(new)
    return message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.type=SePiCoo", "model.type is 'SePiCoo', .* did you mean 'SePiCo'"),
        ("model.alfa=0.9", "SePiCo has no argument 'alfa': did you mean 'alpha'"),
        ("optim_wraper.type=OptimWrapper", "'optim_wraper': did you mean 'optim_wrapper'"),
        ("train_dataloader.batchsize=3", "'batchsize': did you mean 'batch_size'"),
        ("default_hooks.chekpoint.interval=3", "did you mean 'checkpoint'"),
        ("train_cfg.max_iter=3", "did you mean 'max_iters'"),
        (
            "train_dataloader.dataset.rare_class_sampling.min_pixel=3",
            "train_dataloader.dataset.rare_class_sampling has no setting 'min_pixel'",
        ),
        ("model=3", "the config has no model"),
        ("train_cfg.max_iters.x=3", "--cfg-options do not fit the config"),
        ("param_scheduler.9.end=3", "--cfg-options do not fit the config: Index 9"),
        ("model.contrast.variant=foo", "model cannot be built: variant must be one of"),
        ("train_dataloader.num_workers=-1", "train_dataloader .*cannot be built: num_workers"),
        ("val_dataloader.dataset.data_root=/nowhere", "data root /nowhere does not exist"),
        ("load_from=/nowhere.pth", "no checkpoint at /nowhere.pth"),
        ("model.crop_size=(400,400)", r"crop size \(400, 400\).* larger than the target images"),
        (
            "train_dataloader.dataset.source.pipeline.3.crop_size=(400,400)",
            r"one size to be mixed, but they have \(72, 128\) and \(64, 64\) \(h, w\)",
        ),
    ],
)
def test_settings(config, option, message):
    assert re.search(message, train_error(config, "--cfg-options", option))


@pytest.mark.parametrize("value", ["train_cfg.max_iters", "=3", "model..alpha=1", "a=[1,(2"])
def test_malformed_overrides_are_usage_errors(config, value, capsys):
    with pytest.raises(SystemExit) as stop:
        train_tool.main([str(config), "--cfg-options", value])
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("python -m tools.train: error: argument --cfg-options: ")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.py", None, "no config at"),
        ("c.py", "model = (", "cannot be read: SyntaxError"),
        ("c.py", "\0\x80", "cannot be read"),
        ("c.json", "[1, 2]", "cannot be read"),
        ("c.txt", "model = 1", "cannot be read"),
        ("c.py", "", "the config has no model"),
    ],
)
def test_unreadable_config(tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text, encoding="latin1")
    assert message in error_of(train_tool.main, name, "--device", "cpu")
    assert {path.name for path in tmp_path.iterdir()} <= {name}


def test_device_work_dir_and_nothing_to_resume(config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device: use --device cpu" in train_error(config, "--device", "cuda")
    assert "nothing to resume: no iter_*.pth in" in train_error(config, "--resume")
    (tmp_path / "file").touch()
    message = train_error(config, "--work-dir", tmp_path / "file" / "run")
    assert message == (
        f"cannot write to {tmp_path}/file/run (Not a directory): choose another folder with "
        "--work-dir"
    )


def test_a_full_disk_is_one_line(config, monkeypatch):
    def put(self, obj, filepath):
        raise OSError(28, "No space left on device", filepath)

    monkeypatch.setattr("mmseg.engine.atomic_backend.AtomicBackend.put", put)
    overrides = ["--cfg-options", "default_hooks.checkpoint.interval=1"]
    message = train_error(config, *overrides, new=("deep",))
    assert message.startswith("[Errno 28] No space left on device: ")


def rewrite(folder: Path, pattern: str, change) -> None:
    for path in folder.rglob(pattern):
        Image.fromarray(change(np.array(Image.open(path)))).save(path)


def cut_all(folder: Path, pattern: str) -> None:
    for path in folder.rglob(pattern):
        cut(path, path.stat().st_size // 2)


LABELS = "*_labelTrainIds.png"
DATA = {
    "empty folder": (
        lambda root: [path.unlink() for path in root.glob("gta/images/*")],
        "gta/images holds no images (*.png)",
    ),
    "no label": (
        lambda root: (root / f"gta/labels/00003{LABELS[1:]}").unlink(),
        "00003_labelTrainIds.png is missing: run `python -m tools.convert_datasets.gta ",
    ),
    "no statistics": (
        lambda root: (root / "gta/sample_class_stats.json").unlink(),
        "gta/sample_class_stats.json is missing, which rare class sampling needs: run `python -m "
        "tools.convert_datasets.gta ",
    ),
    "label value": (
        lambda root: rewrite(root / "gta/labels", LABELS, lambda label: label * 0 + 77),
        "_labelTrainIds.png holds the value 77, but there are 19 classes",
    ),
    "label size": (
        lambda root: rewrite(root / "gta/labels", LABELS, lambda label: label[:-3]),
        "_labelTrainIds.png is 272x149 pixels large, its image ",
    ),
    "truncated target": (
        lambda root: cut_all(root / "cityscapes/leftImg8bit/train", "*.png"),
        "_leftImg8bit.png is truncated (",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_data(toy_root, tmp_path, case):
    damage, message = DATA[case]
    root = own_copy(toy_root, tmp_path)
    damage(root)
    small_config(root, tmp_path).dump(tmp_path / "c.json")
    assert message in train_error(tmp_path / "c.json")


@pytest.fixture(scope="module")
def checkpoint(toy_root, tmp_path_factory) -> Path:
    """Of a run of one iteration."""
    folder = tmp_path_factory.mktemp("one")
    cfg = small_config(toy_root, folder)
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(interval=1, save_best=None)
    train_api(cfg, device="cpu")
    return folder / "run" / "iter_1.pth"


def test_checkpoints_to_start_from(config, checkpoint, tmp_path):
    start = tmp_path / "start.pth"
    option = ("--cfg-options", f"load_from={start}")
    start.write_bytes(checkpoint.read_bytes()[:100000])
    assert train_error(config, *option).startswith(f"{start} is not a readable checkpoint (damaged")
    torch.save({"a": torch.zeros(1), "b": torch.zeros(1)}, start)
    message = train_error(config, *option)
    assert "does not fit the model of the config" in message
    assert "missing (backbone.stem.0.weight, " in message
    assert "2 unexpected (a, b)" in message


def test_checkpoints_to_resume_from(config, checkpoint, tmp_path):
    run = tmp_path / "deep" / "run"
    run.mkdir(parents=True)
    last = run / "iter_1.pth"
    last.write_bytes(checkpoint.read_bytes()[:100000])
    assert f"{last} is not a readable checkpoint" in train_error(config, "--resume")
    content = load_checkpoint(checkpoint)
    torch.save({"state_dict": content["state_dict"]}, last)
    message = train_error(config, "--resume")
    assert "cannot be resumed from, it lacks meta, optimizer, param_schedulers" in message
    assert "--cfg-options load_from=" in message
    student = {k: v for k, v in content["state_dict"].items() if k.startswith("model.")}
    torch.save(content | {"state_dict": student}, last)
    message = train_error(config, "--resume")
    assert "missing (_extra_state, ema_model.backbone.stem.0.weight, " in message
    assert [path.name for path in run.iterdir()] == ["iter_1.pth"]


@pytest.fixture
def experiment_error(tmp_path, monkeypatch):
    """The error of ``run_experiments.py`` in an empty folder, which stays so."""
    monkeypatch.chdir(tmp_path)

    def error(*arguments: str | Path) -> str:
        message = error_of(run_experiments.main, *arguments, "--seed", "99001", "--device", "cpu")
        assert list(tmp_path.iterdir()) == []
        assert list(run_experiments.GENERATED.glob("*seed99001*")) == []
        return message

    return error


def test_experiments(experiment_error):
    message = experiment_error("--exp", "77")
    assert message.startswith("there is no experiment 77. Known are 0: toy GTA -> toy Cityscapes")
    assert "; 4: GTA -> Cityscapes, daformer_sepaspp_proj on mitb5, DistCL" in message
    assert experiment_error("--exp", "1", "--resume").startswith(
        "nothing to resume: no run in work_dirs/"
    )
    message = experiment_error("--exp", "1")
    assert message.startswith("there are no pretrained weights at pretrained/resnet101_v1c.pth: ")
    assert "fetch OpenMMLab's ImageNet weights resnet101_v1c and save them there" in message
    message = experiment_error("--exp", "4")
    assert "pretrained/mit_b5.pth: fetch SegFormer's ImageNet-1k weights of MiT-B5" in message
    assert message.endswith("or start without them by `--from-scratch`")
    option = ("--cfg-options", "param_scheduler.9.end=3")
    assert "--cfg-options do not fit" in experiment_error("--exp", "1", "--dry-run", *option)
    assert "no config at nowhere.py" in experiment_error("--config", "nowhere.py")


def test_from_scratch_needs_no_weights(experiment_error, monkeypatch):
    # What comes next fails too, without building a network of that size.
    monkeypatch.setattr("mmseg.engine.runner.TrainRunner.build_model", lambda self, model: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        experiment_error("--exp", "4", "--from-scratch")
    for path in run_experiments.GENERATED.glob("*seed99001*"):
        path.unlink()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.segmentr=3", "SourceOnly has no argument 'segmentr': did you mean 'segmentor'"),
        ("test_dataloder.batch_size=3", "did you mean 'test_dataloader'"),
        ("test_dataloader.batchsize=3", "did you mean 'batch_size'"),
        ("test_dataloader.dataset.type=BaseSegDatset", "did you mean 'BaseSegDataset'"),
        ("test_evaluator.type=IoUMetrik", "did you mean 'IoUMetric'"),
        ("model.segmentor.test_cfg.mode=slid", "model cannot be built: test_cfg mode must be one"),
    ],
)
def test_settings_of_testing(tmp_path, option, message):
    cfg = write_world(tmp_path, method_model())
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    cfg.dump(tmp_path / "c.py")
    torch.save(prefixed("model", weights()), tmp_path / "best.pth")
    arguments = [tmp_path / "c.py", tmp_path / "best.pth", "--device", "cpu", "--eval", "mIoU"]
    assert message in error_of(test_tool.main, *arguments, "--cfg-options", option)
    assert not list(tmp_path.glob("*_eval.json"))


def program(*arguments: str | Path) -> list[str]:
    """Lines on stderr of a program that fails with status 1."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.splitlines()


def test_truncated_image_in_a_worker_of_a_program(toy_root, tmp_path):
    root = own_copy(toy_root, tmp_path)
    cut_all(root / "gta/images", "*.png")
    cfg = small_config(root, tmp_path)
    cfg.train_dataloader.num_workers = 2
    cfg.dump(tmp_path / "c.json")
    work_dir = tmp_path / "run"
    lines = program(
        "-m", "tools.train", tmp_path / "c.json", "--work-dir", work_dir, "--device", "cpu"
    )
    assert lines[-1].startswith(f"error: {root}/gta/images/0000")
    assert "png is truncated (" in lines[-1]
    assert sum("error:" in line for line in lines) == 1
    assert not work_dir.exists()


def test_truncated_label_in_the_program_that_converts(toy_root, tmp_path):
    root = own_copy(toy_root, tmp_path) / "gta"
    damaged = root / "labels/00002.png"
    statistics = json.loads((root / "sample_class_stats.json").read_text())
    assert len(statistics) == 12
    for path in [*root.glob("*.json"), *root.glob(f"labels/{LABELS}")]:
        path.unlink()
    cut(damaged, -20)
    lines = program("tools/convert_datasets/gta.py", root, "--nproc", "2")
    assert f"damaged: {damaged} is truncated" in lines[-2]
    assert lines[-1].startswith("error: 1 of 12 label files are damaged (listed above)")
    assert list(root.glob("*.json")) == []
