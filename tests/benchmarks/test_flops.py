"""Compare the FLOPs of training steps with numbers worked out by hand."""

import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from benchmarks.measure import sized
from benchmarks.step import count_step_flops, step_counter, synthetic_batch
from tests.benchmarks.small_training import SIDE, small_config
from tools.analysis.complexity import count_cost


def flops_of(layer: nn.Module, *shape: int, needs_gradient: bool = True) -> int:
    with step_counter() as counter:
        layer(torch.randn(*shape, requires_grad=needs_gradient)).sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("layer", "multiplications"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 2 * 6 * 7 * 8 * 9),
        (nn.Conv2d(8, 4, 3, padding=1, groups=2, stride=2), 2 * 3 * 4 * 4 * 4 * 9),
        (nn.Conv2d(8, 5, 1), 2 * 6 * 7 * 8 * 5),
        (nn.ConvTranspose2d(8, 4, 2, stride=2, groups=4), 2 * 6 * 7 * 8 * 4),
    ],
    ids=["depth-wise", "two groups", "plain", "transposed"],
)
def test_a_convolution_gradient_costs_as_much_as_the_output(layer, multiplications):
    assert flops_of(layer, 2, 8, 6, 7) == 3 * 2 * multiplications
    assert flops_of(layer, 2, 8, 6, 7, needs_gradient=False) == 2 * 2 * multiplications


def step_flops(cfg: Config) -> int:
    return count_step_flops(sized(cfg, SIDE), synthetic_batch(5, SIDE, 2))


def test_source_only_is_three_passes_less_the_image_gradient():
    model = small_config("SourceOnly").model
    backbone, head, _ = count_cost(model, (SIDE, SIDE))
    first = 2 * 9 * 3 * 32 * (SIDE // 2) ** 2
    assert step_flops(small_config("SourceOnly")) == 2 * (3 * (backbone.flops + head.flops) - first)


def test_sepico_counts_every_pass_of_both_networks():
    cfg = small_config()
    backbone, head, project = (part.flops for part in count_cost(cfg.model, (SIDE, SIDE)))
    teacher = (2 + 1) * (backbone + head) + backbone + project  # target, crop; source
    first = 2 * 9 * 3 * 32 * (SIDE // 2) ** 2
    student = 3 * (3 * backbone - first + 2 * head + 2 * project)
    boxes = 2 * 10 * SIDE * SIDE * 2 * SIDE * 5 // SIDE
    total = step_flops(cfg)
    assert 2 * (teacher + student + boxes) <= total
    assert total == pytest.approx(2 * (teacher + student + boxes), rel=0.01)


def test_flops_are_counted_without_computing():
    devices = []

    def watch(module, inputs):
        devices.extend(parameter.device.type for parameter in module.parameters())

    handle = register_module_forward_pre_hook(watch)
    step_flops(small_config())
    handle.remove()
    assert set(devices) == {"meta"}
