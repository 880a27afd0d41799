"""NaN or infinite values end training and are not saved, evaluated or loaded."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from torch import nn

from mmseg.engine.hooks import DeferredRuntimeInfoHook
from mmseg.engine.optim import MixedPrecisionOptimWrapper, StudentOptimWrapper
from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_for_testing
from mmseg.utils.finite import first_nonfinite

BAD = pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])


class Run:
    """A stand-in for a Runner that trains one weight and saves every 4 iterations."""

    def __init__(self, folder: Path, precision: str | None = None) -> None:
        self.work_dir = str(folder)
        self.model = nn.ParameterDict({"w": nn.Parameter(torch.ones(2))})
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.optim_wrapper = (
            MixedPrecisionOptimWrapper(precision, optimizer=optimizer)
            if precision
            else StudentOptimWrapper(optimizer)
        )
        self.message_hub = MessageHub(str(folder))
        self.hooks = [CheckpointHook(interval=4, by_epoch=False)]
        self.iter, self.max_iters = 0, 100

    def iterate(self, hook: DeferredRuntimeInfoHook, learned: torch.Tensor, **log: float) -> None:
        """Train on a loss, and log it together with further values."""
        self.optim_wrapper.backward_of(self.model, lambda: {"loss": learned})
        outputs = self.optim_wrapper.finish_step()
        outputs |= {name: torch.tensor(value) for name, value in log.items()}
        hook.after_train_iter(self, self.iter, None, outputs)
        self.iter += 1

    def logged(self, name: str) -> list[float]:
        return self.message_hub.get_scalar(f"train/{name}").data[0].tolist()


@BAD
def test_a_loss_ends_training_at_the_next_print(tmp_path, bad):
    hook, run = DeferredRuntimeInfoHook(interval=3), Run(tmp_path)
    run.iterate(hook, run.model["w"].sum(), **{"src.loss_seg": 1.0, "acc_seg": bad})
    run.iterate(hook, run.model["w"].sum(), **{"src.loss_seg": bad, "src.loss": bad})
    with pytest.raises(InputError) as caught:
        run.iterate(hook, run.model["w"].sum(), **{"src.loss_seg": 1.0})
    text = str(caught.value)
    assert f"at iteration 2 the loss src.loss_seg is {bad}" in text
    assert "there is no checkpoint to go on from: start again with a lower learning rate" in text
    assert run.logged("src.loss_seg") == [1.0]


def test_gradients_of_a_finite_loss_end_training(tmp_path):
    hook, run = DeferredRuntimeInfoHook(interval=1), Run(tmp_path)
    run.iterate(hook, (torch.tensor([3.0, 4.0]) * run.model["w"]).sum())
    assert run.logged("gradient_norm") == [5.0]
    for iteration in (5, 10):
        (tmp_path / f"iter_{iteration}.pth").touch()
    with pytest.raises(InputError) as caught:
        run.iterate(hook, (run.model["w"].detach() - run.model["w"]).abs().sqrt().sum(), loss=0.0)
    text = str(caught.value)
    assert "at iteration 2 the norm of the gradients is nan; the last checkpoint is" in text
    assert f"{tmp_path}/iter_10.pth: go on from it with clipped gradients (--resume" in text


def test_weights_are_checked_before_they_are_saved_or_evaluated(tmp_path):
    hook, run = DeferredRuntimeInfoHook(interval=50), Run(tmp_path)
    run.optim_wrapper.param_groups[0]["lr"] = 1e38
    for _ in range(3):
        run.iterate(hook, 1e5 * run.model["w"].sum(), loss=0.0)
    with pytest.raises(InputError, match=r"iteration 3 the weights \(w\) are not finite"):
        hook.before_val(run)
    with pytest.raises(InputError, match=r"iteration 4 the weights \(w\) are not finite"):
        run.iterate(hook, run.model["w"].sum() * 0 + 1, loss=0.0)
    run.model["w"].data.fill_(1.0)
    run.optim_wrapper.optimizer.state[run.model["w"]]["momentum_buffer"].fill_(math.inf)
    with pytest.raises(InputError, match=r"optimizer \(state.0.momentum_buffer\) are not finite"):
        hook.check_state(run, 5)


def test_an_option_lets_training_go_on(tmp_path):
    hook, run = DeferredRuntimeInfoHook(interval=1, terminate_on_nan=False), Run(tmp_path)
    for _ in range(4):
        run.iterate(hook, run.model["w"].sum() * math.nan, loss=math.nan)
    hook.before_val(run)
    assert [math.isnan(value) for value in run.logged("loss")] == [True] * 4
    assert [math.isnan(value) for value in run.logged("gradient_norm")] == [True] * 4


def test_float16_skips_steps_but_not_forever(tmp_path):
    hook, run = DeferredRuntimeInfoHook(interval=1), Run(tmp_path, "fp16")
    run.iterate(hook, run.model["w"].sum() * 1e36, loss=1.0)
    assert run.model["w"].tolist() == [1.0, 1.0]
    run.iterate(hook, run.model["w"].sum() * 3.0, loss=1.0)
    assert run.logged("gradient_norm") == [pytest.approx(3 * math.sqrt(2))]
    assert run.model["w"].tolist() == pytest.approx([0.7, 0.7])
    with pytest.raises(InputError, match="at iteration 3[0-9] the norm of the gradients is nan"):
        for _ in range(60):
            run.iterate(hook, run.model["w"].sum() * math.nan, loss=1.0)
    assert run.model["w"].tolist() == pytest.approx([0.7, 0.7])
    with pytest.raises(InputError, match="the loss loss is nan"):
        run.iterate(hook, run.model["w"].sum(), loss=math.nan)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"a": torch.ones(2), "n": torch.tensor(3)}, None),
        ({"a": torch.full((2,), 3e38)}, None),  # whose squares overflow
        ({"a": torch.full((2,), 6e4).half(), "e": torch.ones(0)}, None),
        ({"a": torch.ones(2), "b": {3: [torch.ones(1), torch.tensor([1, -math.inf])]}}, "b.3.1"),
        ({"a": torch.tensor(math.nan).bfloat16()}, "a"),
    ],
)
def test_the_first_value_that_is_not_finite_is_named(values, name):
    assert first_nonfinite(values) == name


@BAD
@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_weights_that_are_not_finite_are_not_loaded(name, bad):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    state[name].view(-1)[-1] = bad
    before = model.state_dict()[name].clone()
    with pytest.raises(
        InputError, match=rf"c.pth holds NaN or infinite values \(first in {name}\)"
    ):
        load_for_testing(model, state, "student", "c.pth")
    assert torch.equal(model.state_dict()[name], before)
