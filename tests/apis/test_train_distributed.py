"""Check that several processes train like one: same numbers, one writer, one line of error."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mmseg.apis import init_model
from mmseg.apis.train import latest_checkpoint
from mmseg.engine.distributed import process_group, slurm_environment
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS
from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tests.apis import two_ranks
from tests.models.uda.two_ranks import ITERATIONS, VARIANTS, Record, trajectory
from tests.tools.test_training import assert_equal, logged_values
from tests.training import ROOT, small_config
from tools.common.parser import print_on_local_rank0
from tools.experiments.launch import check_processes, launch

VALIDATION_IMAGES = 3  # two ranks cannot share them evenly
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config(toy_root, tmp_path_factory) -> Path:
    """Write a config with a small network and one image per domain and process.

    Its work dir is ``run``.
    """
    folder = tmp_path_factory.mktemp("distributed")
    cfg = small_config(toy_root, folder)
    cfg.train_dataloader.batch_size = 1
    cfg.val_dataloader.dataset.indices = VALIDATION_IMAGES
    cfg.randomness = {"seed": 3, "deterministic": True}
    cfg.train_cfg.update(max_iters=12, val_interval=12)
    for name in ("checkpoint", "panels"):
        cfg.default_hooks[name].interval = 4
    segmentor = cfg.model.segmentor
    segmentor.backbone.update(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
    for head in (segmentor.decode_head, segmentor.auxiliary_head):
        head.update(in_channels=(32, 64), in_index=(0, 1), channels=16)
    segmentor.decode_head.embed_dims = cfg.model.prototypes.feature_dim = 16
    cfg.dump(folder / "config.json")
    return folder / "config.json"


@pytest.fixture(scope="module")
def ranks(config) -> list[dict]:
    """Return what two ranks found, see :mod:`tests.apis.two_ranks`."""
    folder = config.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        launch(two_ranks.work, folder, config, processes=2, device="cpu")
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def assert_close(found: list[Record], expected: list[Record], tolerance: float) -> None:
    """Check that the records agree up to ``tolerance`` times their norm."""
    assert len(found) == len(expected) == ITERATIONS
    for t in range(ITERATIONS):
        assert found[t].keys() == expected[t].keys()
        for name, value in expected[t].items():
            error = (found[t][name] - value).float().norm()
            assert error <= tolerance * value.float().norm(), f"{name} at iteration {t}"


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_with_one_image_equal_one_process_with_two(variant, ranks):
    whole = trajectory(variant)
    assert 0 < whole[0]["log of confidence"] < 1
    for rank in ranks:
        assert_close(rank[variant], whole, 1e-5)


@pytest.mark.slow
def test_two_ranks_in_half_precision_stay_close(ranks):
    whole = trajectory("dist", precision="bf16")
    assert "log of tgt.loss" not in whole[1] and "log of tgt.loss" in whole[2]
    for rank in ranks:
        assert_close(rank["bf16"], whole, 0.15)


@pytest.mark.slow
def test_ranks_are_bit_identical_though_each_draws_for_itself(ranks):
    first, second = (rank["batch_norm"]["state"] for rank in ranks)
    assert any("running_var" in name for name in first)
    assert any("ema_model" in name for name in first)
    assert_equal(second, first)
    first, second = (rank["trained"]["state"] for rank in ranks)
    assert_equal(second, first)


@pytest.mark.slow
def test_a_finished_exchange_keeps_no_thread(ranks):
    """Nothing refers to it when the group is left: threads of gloo would abort the process."""
    assert all(rank["batch_norm"]["released"] for rank in ranks)


@pytest.mark.slow
def test_gradients_are_exchanged_once_a_step(ranks):
    found = ranks[0]["batch_norm"]
    assert sum(found["gradients"]) == found["parameters"]
    *others, largest = sorted(found["sizes"])
    assert found["gradients"] == [largest]
    assert max(others) < 0.02 * largest
    assert len(others) <= 7


@pytest.mark.slow
def test_each_validation_image_counts_once(config, ranks):
    folder = config.parent
    cfg = load_config(config)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    scores = {"once": {}, "padded": {}}
    for role in ("student", "teacher"):
        model = init_model(cfg, folder / "run" / "iter_12.pth", "cpu", role)
        for name, indices in (("once", (0, 1, 2)), ("padded", (0, 1, 2, 0))):
            metric = IoUMetric()
            metric.dataset_meta = dataset.metainfo
            for i in indices:
                samples = model.test_step(pseudo_collate([dataset[i]]))
                metric.process(None, [sample.to_dict() for sample in samples])
            scores[name][role] = metric.evaluate(len(indices))["mIoU"]
    assert len(dataset) == VALIDATION_IMAGES
    assert [rank["trained"]["scores"] for rank in ranks] == [scores["once"]] * 2
    assert all(scores["once"][role] != scores["padded"][role] for role in scores["once"])
    assert ranks[0]["trained"]["best"] == ranks[1]["trained"]["best"]


@pytest.mark.slow
def test_the_main_process_alone_writes(config, ranks):
    run = config.parent / "run"
    assert {path.name for path in run.glob("*.pth")} == {
        "iter_8.pth",
        "iter_12.pth",
        "best_mIoU_iter_12.pth",
    }
    assert (run / "finished").read_text() == "12"
    assert len(list(run.glob("*/vis_data/events.*"))) == len(list(run.glob("*/*.log"))) == 1
    assert {path.name for path in (run / "debug").iterdir()} == {
        f"iter_{t:06d}_0.png" for t in (1, 4, 8, 12)
    }
    assert load_config(run / "config.json").get("launcher", "none") == "none"


@pytest.mark.slow
def test_errors_of_ranks_are_one_line(ranks):
    main, other = (rank["errors"] for rank in ranks)
    assert [main["both"], other["both"]] == [("no such folder", tell) for tell in (True, False)]
    assert [main["other"], other["other"]] == [
        ("rank 1: no such image", tell) for tell in (True, False)
    ]
    assert [main["bug"], other["bug"]] == [("rank 1: KeyError: 'bug'", True), ("'bug'", True)]
    assert other["alone"] == ("rank 1: a damaged image", True)
    assert other["lost"][0].startswith("rank 1: lost contact with the other ranks")
    assert [rank["broadcast_from_rank0"] for rank in ranks] == ["from 0"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sync_bn", "SyncBN needs GPUs"),
        ("pretrained", "no checkpoint at missing.pth"),
        ("data", "missing"),
    ],
)
def test_the_main_process_reports_what_is_refused(name, line, ranks, config):
    (text, tells), (same, tells_too) = (rank["refused"][name] for rank in ranks)
    assert line in text
    assert same == text
    assert (tells, tells_too) == (True, False)
    assert not list(config.parent.glob(f"run_{name}"))


@pytest.mark.slow
def test_all_ranks_end_when_the_loss_of_one_is_infinite(ranks, config):
    (text, tells), (same, tells_too) = (rank["diverged"] for rank in ranks)
    assert "at iteration 1 the loss src.decode.loss_seg is inf" in text
    assert same == text
    assert (tells, tells_too) == (True, False)
    assert not list(config.parent.glob("run_diverged/*.pth"))


def worker_of(launcher: int, rank: int) -> int:
    """Return the id of the process that torchrun has started for a rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # ended in the meantime, or owned by another user
            continue
        if parent == launcher and f"RANK={rank}".encode() in environment:
            return int(folder.name)
    raise AssertionError(f"{launcher} has no process of rank {rank}")


def wait_for(path: Path) -> None:
    """Wait until a file exists, or 200 seconds have passed."""
    deadline = time.monotonic() + 200
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_killed_rank_ends_the_run_which_can_be_resumed(config, ranks, tmp_path):
    run = tmp_path / "killed"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*torchrun, "-m", "tools.train", str(config), "--launcher", "pytorch"]
    command += ["--device", "cpu", "--work-dir", str(run)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL) as process:
        wait_for(run / "config.json")
        worker = worker_of(process.pid, 1)
        wait_for(run / "iter_4.pth")
        os.kill(worker, signal.SIGKILL)
        assert process.wait(timeout=60) != 0
    assert not (run / "iter_12.pth").exists()
    last = latest_checkpoint(run)
    assert load_checkpoint(last)["meta"]["iter"] in (4, 8)

    subprocess.run([*command, "--resume"], cwd=ROOT, env=env, check=True)
    found, expected = (
        load_checkpoint(folder / "iter_12.pth") for folder in (run, config.parent / "run")
    )
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert_equal(found[part], expected[part], part)
    assert_equal(logged_values(found), logged_values(expected), "logs")
    assert found["message_hub"]["runtime_info"]["world_size"] == 2


@pytest.mark.gpu
def test_sync_bn_is_batch_norm_of_the_global_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    launch(two_ranks.with_sync_bn, tmp_path, processes=2, device="cpu")
    whole = trajectory("dist", {"type": "BN"}, "cuda")
    for rank in range(2):
        record = torch.load(tmp_path / f"sync_bn{rank}.pt", weights_only=True)
        assert_close(record, whole, 1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_each_rank_has_its_own_gpu(config, tmp_path):
    changes = {"sync_bn": "torch", "randomness.deterministic": False}
    cfg = load_config(config, changes | {"work_dir": str(tmp_path / "run")})
    cfg.dump(tmp_path / "config.json")
    launch(two_ranks.on_own_gpu, tmp_path, tmp_path / "config.json", processes=2, device="cuda")
    first, second = (torch.load(tmp_path / f"gpu{i}.pt", "cpu", weights_only=True) for i in (0, 1))
    assert (first["device"], second["device"]) == ("cuda:0", "cuda:1")
    assert first["mIoU"] == second["mIoU"]
    assert_equal(second["state"], first["state"])


# ------------------------------------------------------------------ without other processes


def test_a_launcher_needs_what_it_puts_into_the_environment(monkeypatch):
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="'pytorch' needs RANK, .* start with torchrun"):
        process_group("pytorch", CPU, {}).__enter__()
    with pytest.raises(InputError, match="'slurm' needs SLURM_PROCID, .* start with srun"):
        process_group("slurm", CPU, {}).__enter__()
    with pytest.raises(InputError, match=r"one of \['none', 'pytorch', 'slurm'\], not 'mpi'"):
        process_group("mpi", CPU, {}).__enter__()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="has started 4 processes.*add --launcher pytorch"):
        process_group("none", CPU, {}).__enter__()


@pytest.mark.parametrize(
    ("exitcode", "error", "text"),
    [(3, SystemExit, "3"), (-9, InputError, r"rank 1 of 2 was killed \(SIGKILL\).*--resume")],
)
def test_a_launch_ends_like_the_process_that_failed_first(exitcode, error, text, monkeypatch):
    def start(*args) -> None:
        raise ChildFailedError("train", {1: ProcessFailure(1, 1234, exitcode, "none")})

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("tools.experiments.launch.elastic_launch", lambda *_: start)
    with pytest.raises(error, match=text):
        launch(print, processes=2, device="cpu")
    assert signal.getsignal(signal.SIGTERM) is before
    assert not logging.root.manager.disable


SLURM_TASK = {
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "1",
    "SLURM_NODELIST": "node[7-8]",
    "SLURM_JOB_ID": "1230042",
}


@pytest.fixture
def scontrol(tmp_path, monkeypatch) -> Path:
    """Put a ``scontrol`` on the PATH that lists the hosts of ``node[7-8]``."""
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$3" = "node[7-8]" ] && printf "node7\\nnode8\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return program


def test_the_environment_of_a_slurm_task(scontrol, monkeypatch):
    task = SLURM_TASK | {"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NTASKS": "8"}
    assert slurm_environment(task) == {
        "RANK": "5",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "8",
        "MASTER_ADDR": "node7",
        "MASTER_PORT": "20042",
    }
    own = slurm_environment(task | {"MASTER_ADDR": "here", "MASTER_PORT": "5"})
    assert (own["MASTER_ADDR"], own["MASTER_PORT"]) == ("here", "5")
    with pytest.raises(InputError, match=r"hosts SLURM_NODELIST=other are: set MASTER_ADDR"):
        slurm_environment(task | {"SLURM_NODELIST": "other"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="set MASTER_ADDR"):
        slurm_environment(task)


def test_a_task_of_slurm_joins_and_leaves(monkeypatch):
    added = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")
    for name in (*added, "MKL_NUM_THREADS"):  # so that they are restored afterwards
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    own = {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for name, value in (SLURM_TASK | own).items():
        monkeypatch.setenv(name, value)
    with process_group("slurm", CPU, {"timeout": 60}):
        assert torch.distributed.get_world_size() == 1
        assert os.environ["LOCAL_RANK"] == "0"
        with process_group("slurm", CPU, {}):
            pass
        assert torch.distributed.is_initialized()
    assert not torch.distributed.is_initialized()


def test_as_many_processes_as_there_are_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes(2, "auto")
    check_processes(3, "cpu")
    with pytest.raises(InputError, match="--gpus 3: this machine shows 2 GPUs.*--device cpu"):
        check_processes(3, "auto")
    with pytest.raises(InputError, match="--gpus must be at least 1, not 0"):
        check_processes(0, "cpu")


@pytest.mark.parametrize(("local_rank", "printed"), [("0", "error: no config\n"), ("1", "")])
def test_an_error_of_all_ranks_is_printed_by_one(local_rank, printed, monkeypatch, capsys):
    def main() -> None:
        with print_on_local_rank0():
            raise InputError("no config")

    monkeypatch.setenv("LOCAL_RANK", local_rank)
    with pytest.raises(SystemExit, match="1"):
        run_main(main)
    assert capsys.readouterr().err == printed
