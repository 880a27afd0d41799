"""Optimizer steps with several backward passes, and parameter groups of the student alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from pydantic import NonNegativeFloat
from torch import nn
from torch.nn.utils import get_total_norm
from typing_extensions import TypedDict

from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.utils.distributed import average_gradients


def accumulate_gradient(optim_wrapper: OptimWrapper, loss: torch.Tensor) -> None:
    """Back-propagate one of the losses of an iteration, without counting an iteration.

    ``OptimWrapper.backward`` counts each call as one, which its gradient accumulation and its
    suppression of gradient synchronisation go by; an iteration of ours has up to three.
    """
    optim_wrapper.backward(optim_wrapper.scale_loss(loss))
    optim_wrapper._inner_count -= 1


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(OptimWrapper):
    """Forward passes under autocast; in float16 the loss is scaled so that gradients do not vanish.

    mmengine's ``AmpOptimWrapper`` does the same on GPUs alone.

    Args:
        precision: "bf16" or "fp16".
        optim_wrapper: the arguments of ``OptimWrapper``.
    """

    def __init__(self, precision: Literal["bf16", "fp16"], **optim_wrapper: Any) -> None:
        super().__init__(**optim_wrapper)
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.device_type = self.optimizer.param_groups[0]["params"][0].device.type
        self.loss_scaler = torch.amp.GradScaler(self.device_type, enabled=precision == "fp16")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast for one forward pass."""
        with super().optim_context(model), torch.autocast(self.device_type, self.dtype):
            yield

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Back-propagate the scaled loss."""
        super().backward(self.loss_scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Step, unless a gradient has overflowed, and adapt the scale."""
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Of the optimizer, and under ``loss_scaler`` of the scale."""
        return super().state_dict() | {"loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`, or that of a run without a scale."""
        state = dict(state_dict)
        scale = state.pop("loss_scaler", None)
        if scale:
            self.loss_scaler.load_state_dict(scale)
        super().load_state_dict(state)


def finish_step(optim_wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
    """Count one iteration, and step if its gradients complete a batch.

    In a distributed run this is where the ranks exchange gradients, once for all losses.

    Returns:
        ``gradient_norm``, a scalar on the device: the norm over all parameters before clipping, not
        finite if a gradient is not. Empty without a step.
    """
    optim_wrapper._inner_count += 1
    if not optim_wrapper.should_update():
        return {}
    parameters = [each for group in optim_wrapper.param_groups for each in group["params"]]
    average_gradients(parameters)
    norm = get_total_norm([each.grad for each in parameters if each.grad is not None])
    if hasattr(optim_wrapper, "loss_scaler"):
        norm = norm / optim_wrapper.loss_scaler.scale(torch.ones_like(norm))
    optim_wrapper.step()
    optim_wrapper.zero_grad()
    return {"gradient_norm": norm}


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


def fit_state_to_parameters(optimizer: torch.optim.Optimizer, fused: list[bool | None]) -> None:
    """Make a state that was loaded that of this run, which may have other switches than its own.

    torch keeps the memory format that the state was saved in, and the saved run's choice of kernel;
    fused kernels go through parameter and state side by side.

    Args:
        fused: of each group, as the optimizer was built.
    """
    for group, choice in zip(optimizer.param_groups, fused, strict=True):
        group["fused"] = choice
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for key, value in state.items():
                if not isinstance(value, torch.Tensor):
                    continue
                if choice and key == "step":
                    state[key] = value.to(parameter.device)
                elif value.shape == parameter.shape and value.stride() != parameter.stride():
                    state[key] = torch.empty_like(parameter).copy_(value)


class GroupFactors(TypedDict, total=False):
    """Factors of learning rate and weight decay of some parameters."""

    lr_mult: NonNegativeFloat
    decay_mult: NonNegativeFloat


class ParamwiseSettings(TypedDict, total=False):
    """``paramwise_cfg``."""

    custom_keys: Mapping[str, GroupFactors]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class StudentOptimWrapperConstructor:
    """Optimize the student (the attribute ``model``) in as few groups as there are settings.

    mmengine's own constructor makes a group of every parameter, which leaves the optimizer's
    multi-tensor kernels nothing to work on, and logs a line for each.

    Args:
        optim_wrapper_cfg: config of the wrapper, with its ``optimizer``. Adam and AdamW are fused
            (one kernel for all parameters of a group, on CPUs too) unless it says otherwise.
        paramwise_cfg: ``dict(custom_keys=...)``, see :func:`parameter_groups`.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: ParamwiseSettings | None = None
    ) -> None:
        self.wrapper_cfg = {"type": "OptimWrapper", **optim_wrapper_cfg}
        self.optimizer_cfg = self.wrapper_cfg.pop("optimizer")
        if self.optimizer_cfg.get("type") in ("Adam", "AdamW"):
            self.optimizer_cfg = {"fused": True, **self.optimizer_cfg}
        self.custom_keys = (paramwise_cfg or {}).get("custom_keys", {})

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
        fused = [group.get("fused") for group in optimizer.param_groups]
        optimizer.register_load_state_dict_post_hook(partial(fit_state_to_parameters, fused=fused))
        return OPTIM_WRAPPERS.build(self.wrapper_cfg, default_args={"optimizer": optimizer})
