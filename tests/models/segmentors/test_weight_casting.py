"""Check that casting weights once a step saves casts and changes no number."""

from collections.abc import Iterable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measure import sized, synthetic_batches
from benchmarks.step import TrainingStep
from benchmarks.training import TrainingSettings, Workload
from mmseg.models.segmentors import EncoderDecoderProjector
from mmseg.models.segmentors.weight_casting import cast_weights
from mmseg.registry import MODELS
from tests.benchmarks.small_training import SIDE, small_config
from tests.models.networks import TINY_TRANSFORMER

STEPS = 2


class CountedCasts(TorchDispatchMode):
    """Count how often these tensors are cast to another dtype, one by one or together."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.addresses = {tensor.data_ptr() for tensor in tensors}
        self.single = self.together = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and args[0].data_ptr() in self.addresses:
            self.single += 1
        self.together += func is torch.ops.aten._foreach_copy_.default
        return func(*args, **(kwargs or {}))


@MODELS.register_module()
class CastByAutocast(EncoderDecoderProjector):
    """A segmentor that leaves the casting of weights to autocast."""

    def weights_cast(self):
        return nullcontext()


def trained(
    network: str, segmentor: str = "EncoderDecoderProjector", **switches: object
) -> tuple[list[dict], list[Tensor], CountedCasts]:
    """Train for some steps; return their logs, the weights, and the casts in the last step."""
    options = {"segmentor": TINY_TRANSFORMER} if network == "transformer" else {}
    torch.manual_seed(0)
    cfg = sized(small_config(**options), SIDE)
    cfg.model.segmentor.type = segmentor
    step = TrainingStep(cfg, TrainingSettings(**switches), torch.device("cpu"))
    batches = synthetic_batches(step.model, Workload(crop=SIDE))
    logs = []
    for iteration in range(STEPS):
        torch.manual_seed(iteration)
        with CountedCasts(step.model.parameters()) as casts:
            log = step(batches[iteration])
        logs.append({name: value.item() for name, value in log.items()})
    return logs, list(step.model.parameters()), casts


@pytest.mark.parametrize("network", ["cnn", "transformer"])
@pytest.mark.parametrize(
    "switches",
    [
        {"precision": "bf16", "channels_last": True},
        {"precision": "fp16"},
    ],
    ids=["bf16", "fp16"],
)
def test_steps_are_bit_equal_to_those_of_autocast(network, switches):
    logs, weights, casts = trained(network, **switches)
    expected_logs, expected_weights, expected_casts = trained(network, "CastByAutocast", **switches)
    assert logs == expected_logs
    assert all(map(torch.equal, weights, expected_weights))
    # Teacher and student are cast once, and the student's gradients once for each of 3 losses.
    assert (casts.single, casts.together) == (0, 2 + 3)
    assert expected_casts.single > len(weights) and expected_casts.together == 0


@pytest.mark.parametrize("network", ["cnn", "transformer"])
def test_checkpointing_casts_weights_one_by_one(network):
    logs, weights, _ = trained(network, precision="fp16")
    saving_logs, saving_weights, casts = trained(
        network, precision="fp16", activation_checkpointing=True
    )
    assert casts.single > len(weights) and casts.together == 0
    assert saving_logs == logs
    assert all(map(torch.equal, saving_weights, weights))


def test_in_float32_nothing_is_cast():
    _, _, casts = trained("cnn")
    assert (casts.single, casts.together) == (0, 0)


class Scaled(nn.Conv2d):
    """A convolution that may use its weight in other ways too."""


def test_only_plain_layers_are_cast_and_only_in_the_block():
    torch.manual_seed(0)
    layers = {
        "linear": nn.Linear(2, 3),
        "frozen": nn.Linear(3, 3).requires_grad_(False),
        "norm": nn.LayerNorm(3),
        "scaled": Scaled(3, 3, 1),
        "wide": nn.Linear(3, 3).double(),
    }
    layers["linear"].gain = nn.Parameter(torch.ones(3))
    module = nn.ModuleDict(layers)
    before = dict(module.named_parameters())
    inputs = torch.randn(4, 2)
    with cast_weights(module, torch.bfloat16), torch.autocast("cpu", torch.bfloat16):
        cast = {name for name, layer in layers.items() if layer.weight.dtype == torch.bfloat16}
        assert cast == {"linear", "frozen"}
        assert not layers["frozen"].weight.requires_grad
        assert layers["linear"].gain.dtype == torch.float32
        for _ in range(2):  # two losses
            layers["norm"](layers["frozen"](layers["linear"](inputs))).square().sum().backward()
    with pytest.raises(RuntimeError, match="in the middle"), cast_weights(module, torch.float16):
        raise RuntimeError("in the middle")
    after = dict(module.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    with_gradient = {name for name, parameter in after.items() if parameter.grad is not None}
    assert with_gradient == {"linear.weight", "linear.bias", "norm.weight", "norm.bias"}
    assert after["linear.weight"].grad.dtype == torch.float32
