"""Test launching, resuming and comparing the runs of an experiment."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import experiments
import run_experiments
from experiments import EXPERIMENTS
from mmseg.apis.train import finished, train
from mmseg.models.uda import SelfTraining
from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.config import load_config
from tests.golden import DATA
from tests.tools.reporting.stored import table
from tests.training import small_config
from tools import benchmark
from tools.analysis.logs import read_run
from tools.prediction.videos import open_video
from tools.rows.parts import Experiment, Method


@pytest.fixture
def place(toy_root, tmp_path, monkeypatch) -> Path:
    """Change to a folder with toy data, where generated configs are written too."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy_root, tmp_path / "data" / "toy")
    bases = Path(run_experiments.__file__).parent / "configs" / "_base_"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "_base_").symlink_to(bases)
    monkeypatch.setattr(run_experiments, "GENERATED", tmp_path / "configs" / "generated")
    return tmp_path


def launch(*arguments: str, iterations: int = 1) -> int:
    options = [f"train_cfg.max_iters={iterations}", f"train_cfg.val_interval={iterations}"]
    options += ["default_hooks.checkpoint.interval=1"]
    options += ["default_hooks.checkpoint.save_best=None", "val_dataloader.dataset.indices=1"]
    shared = ["--debug", "--device", "cpu", "--cfg-options", *options]
    return run_experiments.main([*arguments, *shared])


def runs_of(place: Path, title: str) -> list[Path]:
    return sorted(
        path for path in (place / "work_dirs" / "local-exp0").iterdir() if title in path.name
    )


@pytest.mark.slow
def test_the_demo_is_a_chain_that_is_resumed_where_it_stopped(place, capsys):
    launch("--exp", "0", "--seed", "1")
    out = capsys.readouterr().out
    assert "Both started from the same weights" in out
    (pretraining,) = runs_of(place, "pretraining")
    (sepico,) = runs_of(place, "_sepico_")
    (source_only,) = [p for p in runs_of(place, "source_only") if p != pretraining]
    names = [path.name for path in (pretraining, source_only, sepico)]
    assert len({name[:11] for name in names}) == len({name[-5:] for name in names}) == 1
    for path in (source_only, sepico):
        cfg = load_config(path / f"{path.name}.json")
        assert cfg.load_from == str((pretraining / "iter_1.pth").relative_to(place))
        assert cfg.randomness == {"seed": 1}
        assert finished(cfg)
    assert (sepico / "comparison.png").is_file()
    assert f"report: {(sepico / 'comparison.html').relative_to(place)}" in out
    rows = table(sepico / "comparison.html", "run-table")[1:]
    names = ["source only · pretraining", "source only · continued", "SePiCo (DistCL)"]
    assert [row[0] for row in rows] == names
    table_lines = (sepico / "comparison.txt").read_text().splitlines()
    (means,) = (line.split() for line in table_lines if line.startswith("mIoU "))
    assert [rows[1][1], rows[2][1], rows[2][2]] == means[1:]
    for path in (pretraining, source_only, sepico):
        assert f"report: {(path / 'report.html').relative_to(place)}" in out
        assert len(table(path / "report.html", "run-table")) == 2

    # Imitate a kill before the second run was evaluated and the third started.
    shutil.rmtree(sepico)
    (source_only / "finished").unlink()
    recorded = (source_only / f"{source_only.name}.json").read_text()
    launch("--exp", "0", "--seed", "1", "--resume")
    out = capsys.readouterr().out
    assert f"pretraining: already finished, in {pretraining.relative_to(place)}" in out
    assert "source only: training\nmethod      SourceOnly\n" in out
    assert f"\nwork dir    {source_only.relative_to(place)}\n" in out
    assert sepico.is_dir()
    assert (source_only / f"{source_only.name}.json").read_text() == recorded
    assert len(runs_of(place, "")) == 3


@pytest.mark.slow
def test_methods_of_several_seeds_are_one_table(place, capsys):
    methods = ["--exp", "0", "--methods", "daformer", "--no-validate", "--seeds", "2"]
    launch(*methods, iterations=2)
    (pretraining,) = runs_of(place, "pretraining")
    (daformer,) = runs_of(place, "_fdthings_")
    whole = load_config(daformer / f"{daformer.name}.json")
    assert whole.load_from == whole.model.segmentor.backbone.init_cfg.checkpoint

    # As if it had been killed in the last iteration of the first seed.
    (daformer / "iter_2.pth").unlink()
    (daformer / "finished").unlink()
    frozen = train(whole, "cpu", resume=True).model.terms["feature_distance"].imagenet_backbone
    pretrained = load_checkpoint(pretraining / "iter_2.pth")["state_dict"]
    for name, value in frozen.state_dict().items():
        torch.testing.assert_close(value, pretrained[f"model.backbone.{name}"], rtol=0, atol=0)
    capsys.readouterr()
    assert launch(*methods, "1", "--resume", iterations=2) == 0
    out = capsys.readouterr().out
    assert f"DAFormer, seed 2: already finished, in {daformer.relative_to(place)}" in out
    (grid,) = place.glob("work_dirs/grids/*")
    assert grid.name == daformer.name[:12] + daformer.name[-5:]
    header, _, row, *_, last = (grid / "comparison.txt").read_text().splitlines()
    assert last.split()[0] == "mIoU" and last.split()[1:] == row.split()[-3:]
    assert header.split() == ["mIoU", "seed", "2", "seed", "1", "mean", "±", "std"]
    assert len(row.split()) == 6 and row.startswith("DAFormer")
    assert f"{header}\n" in out and f"{row}\n" in out
    assert len({path.name[:11] + path.name[-5:] for path in runs_of(place, "")}) == 1


@pytest.mark.slow
def test_a_grid_goes_on_after_a_failure_and_is_resumed(place, toy_root, toy_synthia_root, capfd):
    shutil.copytree(toy_synthia_root / "synthia", place / "data" / "toy" / "synthia")
    drawn = [json.loads((root / "toy.json").read_text()) for root in (toy_synthia_root, toy_root)]
    drawn[0]["sets"] |= drawn[1]["sets"]
    (place / "data" / "toy" / "toy.json").write_text(json.dumps(drawn[0]))
    used = place / "grid" / "exp 9" / "seed 3"
    used.mkdir(parents=True)
    (used / "iter_1.pth").touch()
    grid = ["--exp", "9", "1", "--seeds", "3", "--no-validate", "--work-dir", "grid"]
    assert launch(*grid) == 1
    out, err = capfd.readouterr()
    assert "\nGTA to Cityscapes: IoU in percent" in out and "SYNTHIA to" not in out
    refused = "grid/exp 9/seed 3 holds the checkpoints of another run: --resume goes on with it"
    first, *_, count, failed, last = err.splitlines()
    assert first.startswith(f"error: {refused}") and count == "1 of 2 runs failed:"
    assert failed.startswith(f"  DistCL (9), seed 3: {refused}")
    assert last == "the same command with --resume goes on"
    scores = place / "grid" / "exp 1" / "seed 3" / "iter_1_cityscapes_eval.json"
    before = scores.stat().st_mtime_ns

    (used / "config.json").write_text("{}")
    assert launch(*grid, "--resume", "--parallel", "2") == 1
    out, err = capfd.readouterr()
    assert "DistCL (1), seed 3: already finished, in grid/exp 1/seed 3\n" in out
    log = "grid/output/DistCL_9_seed_3.log"
    assert f"DistCL (9), seed 3: started with OMP_NUM_THREADS=1, output in {log}\n" in out
    line = "the config has no model: set model = dict(...)"
    assert f"\n  DistCL (9), seed 3: {line}; log: {log}\n" in err
    assert Path(log).read_text() == f"DistCL (9), seed 3: training\nerror: {line}\n"
    assert scores.stat().st_mtime_ns == before
    tables = {path.name for path in (place / "grid").glob("*.*")}
    suffixes = ("txt", "csv", "tex", "png")
    assert tables == {"comparison.html", *(f"GTA_to_Cityscapes.{suffix}" for suffix in suffixes)}


@pytest.mark.slow
def test_a_job_evaluates_a_trained_run(place, capfd):
    run = ["--exp", "1", "--seeds", "3", "--no-validate", "--work-dir", "one"]
    launch(*run)
    assert list(Path("one/seed 3").glob("comparison*")) == []
    capfd.readouterr()
    assert launch(*run, "--resume", "--submit", "local") == 0
    out, err = capfd.readouterr()
    started, ended, *_ = out.splitlines()
    output = re.fullmatch(r"SePiCo, seed 3: job \d+, output in (.*/jobs/\d+_0_log.out)", started)
    assert ended == "SePiCo, seed 3: finished"
    assert "SePiCo, seed 3: already finished, in one/seed 3\n" in Path(output[1]).read_text()
    scores = json.loads(Path("one/seed 3/iter_1_cityscapes_eval.json").read_text())
    assert f"\nmIoU             {scores['summary']['mIoU']:.2f}\n" in out
    assert err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--exp", "0", "--seeds", "1", "2", "--seed", "1"], "--seeds replaces --seed"),
        (["--exp", "0", "--seeds", "1", "1"], "--seeds has the same seed twice"),
        (["--config", "mine.py", "--seeds", "1"], "--methods and --seeds need --exp"),
        (["--exp", "0", "--methods", "dac"], "experiment 0 has no method 'dac' to compare"),
        (["--exp", "1", "4", "1"], "--exp has the same exp twice"),
        (["--exp", "1", "--parallel", "0"], "--parallel must be at least 1, not 0"),
        (["--exp", "1", "--time", "60"], "--time needs --submit"),
        (["--exp", "1", "--partition", "a"], "--partition and --slurm-options need --submit slurm"),
        (["--exp", "1", "--submit", "slurm"], "--submit slurm: there is no srun here"),
    ],
)
def test_options_of_several_runs_that_contradict_others(place, options, message):
    with pytest.raises(InputError, match=message):
        run_experiments.main(options)
    assert not (place / "configs" / "generated").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("demo", "toy", "rows"),
    [
        ("night-demo", "toy_night_root", ["mIoU", "mIoU_gt"]),  # some classes are missing
        ("synthia-demo", "toy_synthia_root", ["mIoU", "mIoU16", "mIoU13"]),
    ],
)
def test_the_other_demos_compare_on_labelled_target_images(place, demo, toy, rows, request):
    shutil.rmtree(place / "data" / "toy")
    shutil.copytree(request.getfixturevalue(toy), place / "data" / "toy")
    launch("--exp", demo)
    (table,) = place.glob(f"work_dirs/local-exp{demo}/*/comparison.txt")
    lines = [line.split() for line in table.read_text().splitlines()]
    assert lines[0] == ["class", "source", "only", "SePiCo", "difference"]
    assert [line[0] for line in lines[-len(rows) :]] == rows
    assert (table.parent / "debug" / "iter_000001_0.png").is_file()


def test_the_photo_demo_ends_with_a_video(place, capsys):
    root = Path(run_experiments.__file__).parent
    (place / "data" / "motorway").symlink_to(root / "data" / "motorway")
    launch("--exp", "photo-demo", "--methods", "sepico")
    out = capsys.readouterr().out
    number = r"\d+\.\d\d"
    scores = ", ".join(rf"{mean} {number} \(teacher {number}\)" for mean in ("mIoU", "mIoU_gt"))
    assert re.search(f"evaluation at iteration 1: {scores}, the best so far\n", out)
    assert "validation images, which show 6 of 19 classes (mIoU_gt)." in out
    (run,) = Path("work_dirs/local-expphoto-demo").glob("*_sepico_*")
    table = (run / "comparison.txt").read_text().splitlines()
    names = [line.split()[0] for line in table if line.strip("-")]
    classes = ["road", "fence", "vegetation", "terrain", "sky", "car"]
    assert names == ["class", *classes, "mIoU", "mIoU_gt"]
    assert len((run / "comparison.csv").read_text().splitlines()) == 1 + 19 + 2
    mp4, gif = (run / "overlay" / f"drive.{suffix}" for suffix in ("mp4", "gif"))
    assert f"video of SePiCo: {mp4}\nvideo of SePiCo: {gif}\n" in out
    assert len(list(open_video(mp4).frames())) == 40
    with Image.open(gif) as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (40, 80, 0)
    assert gif.stat().st_size < 2**20


@pytest.mark.parametrize(
    ("exp", "toy", "passes"),
    [
        ("33", "toy_night_root", ["src", "mix", "masked"]),  # HRDA with MIC, to ACDC
        ("42", "toy_root", ["src", "tgt", "mix", "masked"]),  # SePiCo with MIC on HRDA
    ],
)
def test_a_debug_copy_on_hrda_has_all_losses(place, exp, toy, passes, request):
    shutil.copytree(request.getfixturevalue(toy), place / "data" / "toy", dirs_exist_ok=True)
    contrast = ["model.start_contrast_iter=1"] if "tgt" in passes else []
    run_experiments.main(
        ["--exp", exp, "--debug", "--device", "cpu", "--work-dir", "run", "--cfg-options"]
        + ["train_cfg.max_iters=2", "train_cfg.val_interval=2", "default_hooks.logger.interval=1"]
        + ["val_dataloader.dataset.indices=1", *contrast]
    )
    curves = read_run(Path("run"))
    found = {name.removesuffix(".loss") for name in curves if name.endswith(".loss")}
    assert found == set(passes)
    for name in set(passes) - {"tgt"}:
        parts = {f"{name}.decode.loss_seg", f"{name}.decode.hr.loss_seg"}
        assert parts <= curves.keys()
        assert all(np.isfinite(curves[part].values).all() for part in parts)
    assert ("src.loss_imnet_feat_dist" in curves) == (exp == "33")
    assert ("fog/mIoU" in curves) == (exp == "33")
    assert len(list(Path("run/debug").glob("*.png"))) == 2


def test_resuming_keeps_settings_and_used_folders_are_refused(place):
    shared = ["--exp", "2", "--work-dir", "mine"]
    run_experiments.main(
        [*shared, "--seed", "7", "--debug", "--device", "cpu", "--cfg-options", "model.alpha=0.5"]
        + ["train_cfg.max_iters=1", "train_cfg.val_interval=1", "val_dataloader.dataset.indices=1"]
        + ["default_hooks.checkpoint.interval=1"]
    )
    (record,) = Path("mine").glob("*.json")
    before = load_config(record)
    assert (before.model.alpha, before.randomness.seed) == (0.5, 7)
    assert not before.resume
    with pytest.raises(InputError, match="mine holds the checkpoints of another run"):
        launch(*shared)
    assert list(Path("mine").glob("*.json")) == [record]
    Path("mine/finished").unlink()
    run_experiments.main([*shared, "--resume", "--debug", "--device", "cpu"])
    after = load_config(record)
    assert after.to_dict() == before.to_dict()
    assert finished(after)
    with pytest.raises(InputError, match="the run to resume has seed 7, not 8"):
        os.remove("mine/finished")
        run_experiments.main([*shared, "--resume", "--debug", "--device", "cpu", "--seed", "8"])


@MODELS.register_module()
class QuietTeacher(SelfTraining):
    """A third method: without mixing, the student learns from the pseudo-labels directly."""

    def losses(self, batch):
        target = (batch.target, batch.pseudo_label, batch.weight)
        own = {"target": lambda: self.model.losses_of(*target)[1]}
        return {"src": super().losses(batch)["src"], **own}


@pytest.fixture
def third_method(place, monkeypatch) -> Path:
    """Add a method and its row to the table; its config is a file of three lines."""
    (place / "quiet.py").write_text(
        f'_base_ = "{experiments.BASES}/uda/source_only.py"\n'
        'model = dict(type="QuietTeacher", alpha=0.9, enable_self_training=False)\n'
    )
    method = Method(
        "Quiet teacher",
        str(place / "quiet"),
        lambda row, cfg: f"{row.network}_quiet{cfg.model.alpha}_{row.task}",
    )
    monkeypatch.setitem(experiments.METHODS, "quiet", method)
    monkeypatch.setitem(EXPERIMENTS, 99, Experiment("gta2cs", "dlv2", "quiet"))
    return place


@pytest.mark.slow
def test_a_third_method_trains_and_is_named(third_method, capsys):
    launch("--exp", "99", iterations=2)
    (run,) = Path("work_dirs/local-exp99").iterdir()
    assert run.name[12:-6] == "dlv2_quiet0.9_gta2cs_debug"
    cfg = load_config(run / f"{run.name}.json")
    assert cfg.train_dataloader.dataset.target.type == "CityscapesDataset"
    assert (cfg.model.type, cfg.model.segmentor.backbone.depth) == ("QuietTeacher", 18)
    losses = {name for name in read_run(run) if name.endswith(".loss")}
    assert losses == {"src.loss", "target.loss"}
    assert list((run / "debug").glob("*.png"))


def test_a_third_method_is_measured(third_method):
    small = ["model.segmentor.backbone.depth=18"]
    small += [f"model.segmentor.{head}_head.in_channels=512" for head in ("decode", "auxiliary")]
    options = ["--exp", "99", "--crop", "64", "--batch", "1", "--iters", "1", "--warmup", "1"]
    benchmark.main([*options, "--device", "cpu", "--json", "found.json", "--cfg-options", *small])
    found = json.loads(Path("found.json").read_text())
    assert {"teacher", "source", "target", "optimizer"} <= set(found["phases"])
    assert found["images_per_second"] == pytest.approx(2 / found["seconds"]["median"])


def printed(capsys, *options: str) -> Config:
    """Return the config that --dry-run prints, read through a file in the current folder."""
    run_experiments.main([*options, "--dry-run"])
    Path("printed.py").write_text(capsys.readouterr().out)
    return load_config("printed.py")


def test_dry_run_prints_configs_and_leaves_nothing(place, capsys, formatted):
    short = printed(capsys, "--exp", "4")
    assert len(Path("printed.py").read_text().splitlines()) < 20
    whole = printed(capsys, "--exp", "4", "--flat")
    assert "_base_" not in Path("printed.py").read_text()
    assert whole.model.segmentor.backbone.type == "mit_b5"
    assert whole.train_cfg.max_iters == 40000
    names = {"experiment_name", "work_dir"}  # these contain the time
    settings = {k: v for k, v in whole.to_dict().items() if k not in names}
    assert settings == {k: v for k, v in short.to_dict().items() if k in settings}
    assert {k for k in short if k not in settings} - names == {
        "source_pipeline",
        "target_pipeline",
        "test_pipeline",
    }
    changed = printed(capsys, "--exp", "4", "--cfg-options", "model.alpha=0.9")
    assert changed.to_dict()["model"] == {**whole.to_dict()["model"], "alpha": 0.9}
    assert not list((place / "configs" / "generated").iterdir())
    assert not (place / "work_dirs").exists()


def test_dry_run_prints_an_old_config_translated(place, capsys, formatted):
    old = DATA / "original_configs" / "exp7.json"
    found = printed(capsys, "--config", str(old), "--cfg-options", "model.alpha=0.5").to_dict()
    expected = load_config(old).to_dict()
    expected["model"]["alpha"] = 0.5
    found.pop("work_dir")
    assert found == expected


def test_only_starts_with_a_checkpoint_are_resumed(place):
    names = ["250101_0000_run_aaaaa", "250102_0000_run_bbbbb", "250103_0000_run_debug_ccccc"]
    for age, name in enumerate(names):
        folder = place / "runs" / name
        folder.mkdir(parents=True)
        if "bbbbb" not in name:
            (folder / "iter_5.pth").touch()
        os.utime(folder, (age, age))
    assert run_experiments.newest_start(place / "runs" / "run") == ("250101_0000", "aaaaa")
    with pytest.raises(InputError, match="nothing to resume"):
        run_experiments.newest_start(place / "runs" / "other")


def test_a_custom_config_that_imports_modules_is_resumed(place, monkeypatch, capsys):
    (place / "own_code.py").write_text(
        "from mmengine.hooks import Hook\nfrom mmseg.registry import HOOKS\n"
        "@HOOKS.register_module(force=True)\nclass OwnHook(Hook):\n    pass\n"
    )
    monkeypatch.syspath_prepend(place)
    cfg = small_config(place / "data" / "toy", place, stage=0)
    for key in ("default_scope", "work_dir"):
        cfg.pop(key)
    cfg.visualizer = {"type": "Visualizer"}
    cfg.custom_imports = {"imports": ["own_code"]}
    cfg.custom_hooks = [{"type": "own_code.OwnHook"}]
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(interval=1, save_best=None)
    cfg.dump("mine.py")
    options = ["--config", "mine.py", "--device", "cpu", "--seed", "1"]
    run_experiments.main(options)
    stored = load_config("work_dirs/mine/mine.py")
    assert "not evaluated" not in Path("work_dirs/mine/report.html").read_text()
    assert (stored.custom_imports, stored.default_scope) == ({"imports": ["own_code"]}, "mmseg")
    Path("mine.py").write_text("model = dict()")  # resuming uses the config that the run stored
    more = ["--resume", "--dry-run", "--cfg-options", "train_cfg.max_iters=2"]
    run_experiments.main([*options, *more])
    (place / "resumed.py").write_text(capsys.readouterr().out[-20000:].partition("# mine\n")[2])
    resumed = load_config("resumed.py")
    assert (resumed.custom_hooks, resumed.train_cfg.max_iters) == (stored.custom_hooks, 2)
    assert not list(Path("work_dirs/mine").glob("*.json"))
