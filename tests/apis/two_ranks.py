"""Code that two processes run for ``test_train_distributed.py``; they save what they find."""

from pathlib import Path

import pytest
import torch
from mmengine.dist import get_rank, is_main_process

from mmseg.apis.train import train
from mmseg.engine.distributed import (
    broadcast_from_rank0,
    name_failing_rank,
    process_group,
    raise_on_all_ranks,
)
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from tests.models.uda.two_ranks import VARIANTS, trajectory, with_batch_norm

CPU = torch.device("cpu")


def work(folder: Path, config: Path) -> None:
    """Run everything; the findings of rank r go to ``rank<r>.pt``."""
    with process_group("pytorch", CPU, {"timeout": 200}):
        rank = get_rank()
        found = {variant: trajectory(variant) for variant in VARIANTS}
        found["bf16"] = trajectory("dist", precision="bf16")
        found["batch_norm"] = with_batch_norm()
        found["broadcast_from_rank0"] = broadcast_from_rank0(f"from {rank}")
        found["errors"] = errors()
        found["refused"] = refused(config)
        found["diverged"] = diverged(config)
        found["trained"] = whole_run(config)
    torch.save(found, folder / f"rank{rank}.pt")


def errors() -> dict[str, tuple[str, bool]]:
    """Return the errors of one rank or both: the message, and whether this rank prints it."""
    found = {}

    def note(name: str, error: BaseException) -> None:
        found[name] = (str(error), getattr(error, "tell", True))

    with pytest.raises(InputError) as caught, raise_on_all_ranks():
        raise InputError("no such folder")
    note("both", caught.value)
    with pytest.raises(InputError) as caught, raise_on_all_ranks():
        if not is_main_process():
            raise InputError("no such image")
    note("other", caught.value)
    with pytest.raises((InputError, KeyError)) as caught, raise_on_all_ranks():
        if not is_main_process():
            raise KeyError("bug")
    note("bug", caught.value)
    with raise_on_all_ranks():
        pass
    with pytest.raises(InputError) as caught, name_failing_rank():
        raise InputError("a damaged image")
    note("alone", caught.value)
    with pytest.raises(InputError) as caught, name_failing_rank():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    note("lost", caught.value)
    return found


def refused(config: Path) -> dict[str, tuple[str, bool]]:
    """Return the errors of invalid configs: the message, and whether this rank prints it."""
    found = {}
    changes = {
        "sync_bn": {"sync_bn": "torch"},
        "pretrained": {"load_from": "missing.pth"},
        "data": {"val_dataloader.dataset.data_root": "missing"},
    }
    for name, change in changes.items():
        cfg = load_config(config, change)
        cfg.work_dir += f"_{name}"
        with pytest.raises(InputError) as caught:
            train(cfg, device="cpu", launcher="pytorch")
        found[name] = (str(caught.value), caught.value.tell)
        assert not Path(cfg.work_dir).exists() or not is_main_process()
    return found


def diverged(config: Path) -> tuple[str, bool]:
    """Return the error of an infinite loss on rank 1 alone, and whether this rank prints it."""
    weight = "model.segmentor.decode_head.loss_decode.loss_weight"
    cfg = load_config(config, {weight: 1e39} if not is_main_process() else {})
    cfg.work_dir += "_diverged"
    cfg.train_cfg.update(max_iters=4, val_interval=4)
    with pytest.raises(InputError) as caught:
        train(cfg, device="cpu", launcher="pytorch")
    return str(caught.value), caught.value.tell


def whole_run(config: Path, device: str = "cpu") -> dict:
    """Train without interruption; return scores, best checkpoint and final state."""
    runner = train(load_config(config), device=device, launcher="pytorch")
    state = runner.model.state_dict()
    return {
        "scores": {
            role: float(runner.message_hub.get_scalar(f"val/{name}").current())
            for role, name in (("student", "mIoU"), ("teacher", "teacher/mIoU"))
        },
        "best": runner.message_hub.get_info("best_ckpt"),
        "state": {name: v for name, v in state.items() if isinstance(v, torch.Tensor)},
    }


def with_sync_bn(folder: Path) -> None:
    """Record steps with SyncBN; gloo lets the ranks share one GPU, which NCCL refuses."""
    plain_float32()
    with process_group("pytorch", CPU, {}):
        record = trajectory("dist", {"type": "SyncBN"}, "cuda")
        torch.save(record, folder / f"sync_bn{get_rank()}.pt")


def plain_float32() -> None:
    """Forbid TensorFloat-32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def on_own_gpu(folder: Path, config: Path) -> None:
    """Train with NCCL; save the model's device and its final state."""
    found = whole_run(config, "cuda")
    found["device"] = str(next(iter(found["state"].values())).device)
    torch.save(found, folder / f"gpu{found['device'].removeprefix('cuda:')}.pt")
