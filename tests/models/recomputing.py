"""Compare networks with and without activation checkpointing."""

import torch
from torch import Tensor, nn


def kept_by_recomputing(plain: nn.Module, recomputed: nn.Module, image: Tensor) -> float:
    """Check that both have the same gradients; return the share of values kept for them."""
    kept = []
    for network in (plain, recomputed):
        torch.manual_seed(1)  # for DropPath
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, saved=saved: saved.append(tensor.numel()) or tensor, lambda x: x
        ):
            loss = sum(feat.square().mean() for feat in network(image))
        loss.backward()
        kept.append(sum(saved))
    for one, other in zip(plain.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    return kept[1] / kept[0]
