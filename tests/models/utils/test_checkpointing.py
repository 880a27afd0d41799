"""Check that recomputed activations give the same numbers and that BatchNorm counts once."""

import copy

import pytest
import torch

from mmseg.models.backbones import ResNetV1c, mit_b0
from mmseg.models.utils.checkpointing import propagated_separately


def make(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return ResNetV1c(18) if name == "r18" else mit_b0(drop_path_rate=0.5)


@pytest.mark.parametrize("name", ["r18", "mit_b0"])
def test_gradients_statistics_and_random_numbers_are_the_same(name):
    plain = make(name)
    recomputed = copy.deepcopy(plain)
    recomputed.with_cp = True
    image = torch.randn(2, 3, 64, 64)
    kept = {}
    for label, network in (("plain", plain), ("recomputed", recomputed)):
        torch.manual_seed(1)  # for DropPath
        kept[label] = 0

        def keep(tensor, label=label):
            kept[label] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = sum(maps.square().mean() for maps in network(image))
        loss.backward()
    for one, other in zip(plain.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    state = recomputed.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in plain.state_dict().items())
    assert kept["recomputed"] < 0.6 * kept["plain"]


def test_nothing_is_kept_without_gradients():
    network = make("r18")
    network.with_cp = True
    with torch.no_grad():
        assert not network(torch.randn(1, 3, 64, 64))[-1].requires_grad


@pytest.mark.parametrize("separately", [False, True])
def test_gradients_of_the_second_use_are_added_first(separately):
    weight = torch.tensor(2.0, requires_grad=True)
    first = 3 * weight
    seen = []
    first.register_hook(lambda _: seen.append(None if weight.grad is None else weight.grad.item()))
    total = first.square()
    total = total + propagated_separately(lambda: weight**3, separately)
    assert total.item() == 6**2 + 2**3
    total.backward()
    assert seen == [12.0 if separately else None]  # 3 w^2
    assert weight.grad == 36 + 12  # 18 w of the first use


def test_without_gradients_there_is_nothing_to_propagate():
    weight = torch.tensor(2.0, requires_grad=True)
    with torch.no_grad():
        assert not propagated_separately(lambda: weight**3).requires_grad
