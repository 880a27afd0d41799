"""Every mistake of a user gives one line on stderr and status 1, and leaves nothing behind."""

import os
import re
import sys
from pathlib import Path

import pytest
import torch

import run_experiments
from mmseg.utils.config import load_config
from tests.apis.color_world import method_model, prefixed, weights, write_world
from tests.tools.failing import error_of, train_error
from tools import test as test_tool
from tools import train as train_tool

CROP = "train_dataloader.dataset.source.pipeline.3.crop_size"


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
        ("model=3", "model is 3, but it takes a Module or a dict"),
        ("train_cfg.max_iters.x=3", "--cfg-options do not fit the config"),
        (
            "model.segmentor.backbone.base_channels=31",
            "base_channels is 31, but it takes an integer >= 2 and a multiple of 2",
        ),
        (
            "segmentor.backbone.depth=34",
            "segmentor.backbone.depth has no effect: set model.segmentor.backbone.depth$",
        ),
        (
            "source_pipeline=3",
            "source_pipeline has no effect, as there is no setting 'source_pipeline': .* prints",
        ),
        ("uda.alpha=0.9", "uda.alpha has no effect, as there is no setting 'uda'"),
        ("param_scheduler.9.end=3", "--cfg-options do not fit the config: Index 9"),
        (
            "model.contrast.variant=foo",
            "'foo', but it takes 'dist' or 'bank' or 'proto'",
        ),
        ("train_dataloader.num_workers=-1", "num_workers is -1, but it takes an integer >= 0"),
        ("model.alpha=abc", "model.alpha is 'abc', but it takes a number >= 0 and <= 1"),
        ("train_cfg.max_iters=0", "train_cfg.max_iters is 0, but it takes an integer > 0"),
        ("env_cfg=None", "env_cfg is None, but it takes a dict"),
        ("optim_wrapper.constructor=Foo", "constructor is 'Foo', which is not registered"),
        ("default_hooks.checkpoint.save_best=fooIoU", "'fooIoU', but val_evaluator computes aAcc"),
        ("train_dataloader.sampler.type=InfiniteSampler", "takes 'UDASampler', which draws by the"),
        ("model.prototypes.num_classes=18", "the ProtoEstimator of the model has 18 classes"),
        (
            "model.segmentor.decode_head.in_channels=(32,64,128,255)",
            r"decode_head.in_channels is .*255\), but the backbone's maps .* 256\] channels",
        ),
        ("model.crop_size=(33,37)", "images of 33x37 .* do not go through the model"),
        ("val_dataloader.dataset.data_root=/nowhere", "data root /nowhere does not exist"),
        ("load_from=/nowhere.pth", "no checkpoint at /nowhere.pth"),
        (
            f"model.crop_size=(400,400) model.data_preprocessor.size=None {CROP}=(400,400)",
            r"crop size \(400, 400\).* larger than the target images",
        ),
        (
            "model.pseudo_crop=False",
            r"one size to be mixed, but they have \(64, 64\) and \(64, 128\) \(h, w\)",
        ),
        (
            f"{CROP}=(32,32)",
            r"crop_size is \(64, 64\), train_dataloader\..*3.crop_size is \(32, 32\)$",
        ),
        ("model.crop_size=(32,32)", r"size is \(64, 64\), model.crop_size is \(32, 32\), "),
        (
            "val_evaluator.type=CheckpointHook",
            "CheckpointHook is not in the mmseg::metric registry$",
        ),
        ("param_scheduler.1.begin=4", "end should be larger than begin, but got begin=4, end=3"),
    ],
)
def test_settings(config, option, message):
    assert re.search(message, train_error(config, "--cfg-options", *option.split()))


MALFORMED = ["train_cfg.max_iters", "=3", "model..alpha=1", "a=[1,(2", "name=run[0,1]x"]


@pytest.mark.parametrize("value", MALFORMED)
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


@pytest.fixture
def experiment_error(tmp_path, monkeypatch):
    """Return a function for errors of ``run_experiments.py``, run in a folder that stays empty."""
    monkeypatch.chdir(tmp_path)
    seed = os.getpid()  # tests of another process write configs to the same folder

    def error(*arguments: str | Path) -> str:
        message = error_of(run_experiments.main, *arguments, "--seed", seed, "--device", "cpu")
        assert list(tmp_path.iterdir()) == []
        assert list(run_experiments.GENERATED.glob(f"*seed{seed}_*")) == []
        return message

    return error


def test_experiments(experiment_error):
    message = experiment_error("--exp", "77")
    assert message.startswith("there is no experiment 77: choose from 0, 1, 2, ")
    assert message.endswith("vit-demo, or METHOD-BACKBONE-TASK; --help describes them")
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


def test_from_scratch_needs_no_weights(experiment_error):
    # A smaller network is built faster; the missing data stop the run afterwards.
    channels = "in_channels=(32,64,160,256)"
    small = ["model.segmentor.backbone.type=mit_b0"]
    small += [f"model.segmentor.{head}_head.{channels}" for head in ("decode", "auxiliary")]
    command = ["--exp", "4", "--cfg-options", *small]
    assert "there are no pretrained weights" in experiment_error(*command)
    message = experiment_error(*command, "--from-scratch")
    assert message.startswith("data root data/gta")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.segmentr=3", "SourceOnly has no argument 'segmentr': did you mean 'segmentor'"),
        ("test_dataloder.batch_size=3", "did you mean 'test_dataloader'"),
        ("test_dataloader.batchsize=3", "did you mean 'batch_size'"),
        ("test_dataloader.dataset.type=BaseSegDatset", "did you mean 'BaseSegDataset'"),
        ("test_evaluator.type=IoUMetrik", "did you mean 'IoUMetric'"),
        (
            "model.segmentor.test_cfg.mode=slid",
            "'slid', but it takes 'whole' or 'slide'",
        ),
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


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_visualizer_whose_package_is_missing(config, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    backend = {"wandb": "WandbVisBackend", "mlflow": "MLflowVisBackend"}[name]
    cfg = load_config(config)
    cfg.visualizer.vis_backends = [{"type": "LocalVisBackend"}, {"type": backend}]
    cfg.experiment_name += name  # visualizers are global by this name
    cfg.dump(config)
    assert f'without a package that is missing: Please run "pip install {name}"' in (
        train_error(config)
    )
