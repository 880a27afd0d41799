"""Check the student's optimizer, and that several backward passes count as one step."""

import copy

import pytest
import torch
from torch import nn

from mmseg.engine.optim import StudentOptimWrapper, StudentOptimWrapperConstructor
from tests.models.uda.small_methods import sepico

KEYS = {"head": {"lr_mult": 10.0}, "norm": {"decay_mult": 0.0}}


def test_the_teacher_is_not_optimized():
    model = sepico()
    optimizer = {"type": "AdamW", "lr": 0.1, "weight_decay": 0.01}
    construct = StudentOptimWrapperConstructor({"optimizer": optimizer}, {"custom_keys": KEYS})
    optim_wrapper = construct(model)
    assert type(optim_wrapper) is StudentOptimWrapper
    assert isinstance(optim_wrapper.optimizer, torch.optim.AdamW)
    assert optim_wrapper.optimizer.defaults["fused"]
    groups = optim_wrapper.optimizer.param_groups
    optimized = {id(parameter) for group in groups for parameter in group["params"]}
    assert optimized == {id(parameter) for parameter in model.model.parameters()}
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.1, 0.01), (1.0, 0.01)}


def test_a_state_of_other_switches_is_fitted_to_the_run():
    """A state saved unfused and contiguous gives the same step when fused and channels-last."""
    torch.manual_seed(0)
    keep, switch = sepico(), sepico()
    settings = {"type": "AdamW", "lr": 0.1}
    plain = StudentOptimWrapperConstructor({"optimizer": {**settings, "fused": False}})(keep)
    gradients = [torch.randn_like(parameter) for parameter in keep.model.parameters()]

    def step(model, optim_wrapper):
        for parameter, gradient in zip(model.model.parameters(), gradients, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
        optim_wrapper.step()

    step(keep, plain)
    switch.load_state_dict(keep.state_dict())
    switch.model.use_channels_last()
    fast = StudentOptimWrapperConstructor({"optimizer": settings})(switch)
    fast.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert [group["fused"] for group in fast.param_groups] == [True]
    for parameter, state in fast.optimizer.state.items():
        assert state["exp_avg"].stride() == parameter.stride()
    step(keep, plain)
    step(switch, fast)
    for one, other in zip(keep.model.parameters(), switch.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_configs_are_left_as_they_are():
    wrapper = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}}
    construct = StudentOptimWrapperConstructor(wrapper)
    construct(sepico())
    assert wrapper == {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}}


def quadratic(weight: nn.Parameter) -> list[dict[str, torch.Tensor]]:
    """Return three losses with gradients 2w, 3 and 6w, each with a value that is not a loss."""
    losses = [weight.square().sum(), 3 * weight.sum(), 3 * weight.square().sum()]
    return [{"loss_a": loss / 3, "loss_b": loss * 2 / 3, "acc": loss} for loss in losses]


def wrapper_of(weight: nn.Parameter, accumulative_counts: int = 1) -> StudentOptimWrapper:
    optimizer = torch.optim.SGD([weight], lr=0.1)
    return StudentOptimWrapper(optimizer, accumulative_counts=accumulative_counts)


def propagate(optim_wrapper: StudentOptimWrapper, weight: nn.Parameter) -> list[dict]:
    return [
        optim_wrapper.backward_of(nn.Identity(), lambda parts=parts: parts, last=place == 2)
        for place, parts in enumerate(quadratic(weight))
    ]


def iterate(optim_wrapper: StudentOptimWrapper, weight: nn.Parameter) -> None:
    propagate(optim_wrapper, weight)
    optim_wrapper.finish_step()


def test_losses_one_by_one_are_their_sum_and_make_one_step():
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optim_wrapper = wrapper_of(weight)
    logs = propagate(optim_wrapper, weight)
    assert [log["loss"].item() for log in logs] == pytest.approx([5, -3, 15])
    assert logs[1]["acc"] == -3 and not any(log["loss"].requires_grad for log in logs)
    torch.testing.assert_close(weight.grad, torch.tensor([11.0, -13.0]))
    assert optim_wrapper.finish_step()["gradient_norm"].item() == pytest.approx(290**0.5)
    assert weight.grad is None
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.1, -0.7]))


def test_two_iterations_make_one_step_on_their_mean():
    weight = nn.Parameter(torch.tensor([1.0]))
    optim_wrapper = wrapper_of(weight, accumulative_counts=2)
    iterate(optim_wrapper, weight)
    assert weight.item() == 1
    assert weight.grad.tolist() == [5.5]
    iterate(optim_wrapper, weight)
    assert weight.item() == pytest.approx(1 - 0.1 * 11)


def test_an_iteration_left_over_steps_alone():
    weight = nn.Parameter(torch.tensor([1.0]))
    optim_wrapper = wrapper_of(weight, accumulative_counts=2)
    optim_wrapper.initialize_count_status(nn.Identity(), 0, 3)
    for _ in range(2):
        iterate(optim_wrapper, weight)
    before = weight.item()
    iterate(optim_wrapper, weight)
    assert weight.item() == pytest.approx(before - 0.1 * (8 * before + 3))
