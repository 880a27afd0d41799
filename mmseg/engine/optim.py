"""Optimizer steps with several backward passes, and parameter groups of the student alone."""

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS


def accumulate_gradient(optim_wrapper: OptimWrapper, loss: torch.Tensor) -> None:
    """Back-propagate one of the losses of an iteration, without counting an iteration.

    ``OptimWrapper.backward`` counts each call as one, which its gradient accumulation and its
    suppression of gradient synchronisation go by; an iteration of ours has up to three.
    """
    optim_wrapper.backward(optim_wrapper.scale_loss(loss))
    optim_wrapper._inner_count -= 1


def finish_step(optim_wrapper: OptimWrapper) -> None:
    """Count one iteration, and step if its gradients complete a batch."""
    optim_wrapper._inner_count += 1
    if optim_wrapper.should_update():
        optim_wrapper.step()
        optim_wrapper.zero_grad()


def parameter_groups(
    module: nn.Module, lr: float, weight_decay: float, custom_keys: dict[str, dict[str, float]]
) -> list[dict]:
    """One optimizer group for each distinct pair of learning rate and weight decay.

    Args:
        module: whose parameters that need gradients are grouped.
        lr, weight_decay: of parameters without a key.
        custom_keys: ``key -> dict(lr_mult=, decay_mult=)`` for parameters whose name contains the
            key. Of several keys the longest counts, then the first by alphabet, as in mmengine.
    """
    keys = sorted(sorted(custom_keys), key=len, reverse=True)
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        factors = next((custom_keys[key] for key in keys if key in name), {})
        setting = (
            lr * factors.get("lr_mult", 1.0),
            weight_decay * factors.get("decay_mult", 1.0),
        )
        empty = {"params": [], "lr": setting[0], "weight_decay": setting[1]}
        groups.setdefault(setting, empty)["params"].append(parameter)
    return list(groups.values())


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class StudentOptimWrapperConstructor:
    """Optimize the student (the attribute ``model``) in as few groups as there are settings.

    mmengine's own constructor makes a group of every parameter, which leaves the optimizer's
    multi-tensor kernels nothing to work on, and logs a line for each.

    Args:
        optim_wrapper_cfg: config of the wrapper, with its ``optimizer``.
        paramwise_cfg: ``dict(custom_keys=...)``, see :func:`parameter_groups`.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.wrapper_cfg = {"type": "OptimWrapper", **optim_wrapper_cfg}
        self.optimizer_cfg = self.wrapper_cfg.pop("optimizer")
        paramwise_cfg = paramwise_cfg or {}
        if unknown := set(paramwise_cfg) - {"custom_keys"}:
            raise ValueError(f"paramwise_cfg knows only custom_keys, not {sorted(unknown)}")
        self.custom_keys = paramwise_cfg.get("custom_keys", {})

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build optimizer and wrapper for ``model.model``."""
        model = getattr(model, "module", model)
        params = parameter_groups(
            model.model,
            self.optimizer_cfg["lr"],
            self.optimizer_cfg.get("weight_decay", 0.0),
            self.custom_keys,
        )
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, "params": params})
        return OPTIM_WRAPPERS.build(self.wrapper_cfg, default_args={"optimizer": optimizer})
