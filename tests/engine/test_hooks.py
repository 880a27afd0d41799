"""Check the hooks for seeds, log values and the evaluation after resuming."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from mmseg.engine.hooks import DeferredRuntimeInfoHook, IterationSeedHook, ResumeValidationHook
from tests.ranks import as_rank


def draws(seed: int, iteration: int) -> tuple[float, ...]:
    runner = SimpleNamespace(seed=seed, iter=iteration)
    IterationSeedHook().before_train_iter(runner, iteration)
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_random_numbers_are_those_of_seed_and_iteration():
    first = draws(3, 10)
    random.random(), np.random.rand(5), torch.rand(7)
    assert draws(3, 10) == first
    others = [draws(3, 11), draws(4, 10), draws(10, 3)]
    # Every generator is set: none gives the same number for another seed or iteration.
    for generator in range(3):
        assert len({one[generator] for one in [first, *others]}) == 4


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_every_seed_works(seed):
    assert draws(seed, 40000) != draws(seed, 39999)


def test_ranks_draw_different_numbers():
    first = draws(3, 10)
    with as_rank(1, 2):
        assert not set(draws(3, 10)) & set(first)


def logging_runner(name: str, max_iters: int = 8) -> SimpleNamespace:
    layer = torch.nn.Linear(2, 1)
    return SimpleNamespace(
        message_hub=MessageHub(name),
        iter=0,
        max_iters=max_iters,
        hooks=[CheckpointHook(interval=4, by_epoch=False)],
        model=layer,
        optim_wrapper=OptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)),
        work_dir=name,
    )


def log(hook: DeferredRuntimeInfoHook, runner: SimpleNamespace, iteration: int) -> None:
    """Log one iteration; from the third one on, log a second value too."""
    outputs = {"loss": torch.tensor(float(iteration))}
    if iteration >= 2:
        outputs["late"] = torch.tensor(10 * iteration)
    runner.iter = iteration
    hook.after_train_iter(runner, iteration, None, outputs)


def logged(hub: MessageHub, name: str) -> list[float]:
    if f"train/{name}" not in hub.log_scalars:
        return []
    return hub.get_scalar(f"train/{name}").data[0].tolist()


def test_values_arrive_in_order_at_the_interval_and_at_the_end():
    hook, runner = DeferredRuntimeInfoHook(interval=3), logging_runner("interval")
    counts = []
    for t in range(8):
        log(hook, runner, t)
        counts.append(len(logged(runner.message_hub, "loss")))
    # The fourth and the eighth iteration are saved.
    assert counts == [0, 0, 3, 4, 4, 6, 6, 8]
    assert logged(runner.message_hub, "loss") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert logged(runner.message_hub, "late") == [20, 30, 40, 50, 60, 70]
    assert not hook.pending


def test_a_checkpoint_holds_all_values_and_none_twice():
    hook, runner = DeferredRuntimeInfoHook(interval=5), logging_runner("checkpoint")
    for t in range(2):
        log(hook, runner, t)
    checkpoint = {"message_hub": "as of the last transfer"}
    hook.before_save_checkpoint(runner, checkpoint)
    saved = MessageHub("saved")
    saved.load_state_dict(checkpoint["message_hub"])
    assert logged(saved, "loss") == [0, 1]
    for t in range(2, 5):
        log(hook, runner, t)
    assert logged(runner.message_hub, "loss") == [0, 1, 2, 3, 4]


def test_one_transfer_for_many_iterations(monkeypatch):
    hook, runner = DeferredRuntimeInfoHook(interval=4), logging_runner("transfer")
    transfers = []
    original = torch.Tensor.tolist
    monkeypatch.setattr(
        torch.Tensor, "tolist", lambda self: transfers.append(len(self)) or original(self)
    )
    for t in range(4):
        log(hook, runner, t)
    assert transfers == [6]


def test_the_memory_is_logged_without_a_gpu():
    hook, runner = DeferredRuntimeInfoHook(interval=1), logging_runner("memory")
    log(hook, runner, 0)
    if not torch.cuda.is_available():
        assert 50 < logged(runner.message_hub, "memory")[0] < 1e6


@pytest.mark.parametrize(
    ("iteration", "val_begin", "evaluations"),
    [(0, 1, 0), (10, 1, 1), (15, 1, 0), (10, 15, 0), (20, 1, 1), (30, 1, 1)],
)
def test_a_due_evaluation_runs_after_resuming(iteration, val_begin, evaluations):
    calls = []
    runner = SimpleNamespace(
        iter=iteration,
        message_hub=MessageHub(f"resumed at {iteration} after {val_begin}"),
        train_loop=SimpleNamespace(val_begin=val_begin, val_interval=10, max_iters=30),
        val_loop=SimpleNamespace(run=lambda: calls.append(iteration)),
    )
    ResumeValidationHook().before_train(runner)
    assert len(calls) == evaluations
    runner.message_hub.update_info("evaluated_iter", iteration)
    ResumeValidationHook().before_train(runner)
    assert len(calls) == evaluations
    runner.message_hub.update_info("evaluated_iter", iteration - 1)
    runner.val_loop = None
    ResumeValidationHook().before_train(runner)
