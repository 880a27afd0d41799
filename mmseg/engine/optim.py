"""Optimizer steps with several backward passes, and the optimizer of the student."""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm

from mmseg.models.uda import UDADecorator
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.utils.memory import give_back_freed_memory

from .parameter_groups import ParamwiseSettings, parameter_groups


class _Pass(nn.Module):
    """Wrap any function of a module as a forward pass, as DistributedDataParallel needs it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return compute()


@OPTIM_WRAPPERS.register_module()
class StudentOptimWrapper(OptimWrapper):
    """Optimizer wrapper for steps on the sum of several losses, with a backward pass for each.

    mmengine's gradient accumulation counts each backward pass as an iteration, but an iteration of
    a domain-adaptation method has several. In a distributed run ``DistributedDataParallel``
    averages the gradients over the ranks during the last backward pass of a step.

    Args:
        optimizer: optimizer of the student's parameters.
        student: the student, for distributed runs; without it gradients are not averaged.
        optim_wrapper: other arguments of ``OptimWrapper``.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        student: nn.Module | None = None,
        **optim_wrapper: Any,
    ) -> None:
        super().__init__(optimizer, **optim_wrapper)
        self.on_cpu = self.param_groups[0]["params"][0].device.type == "cpu"
        self.ranks: DistributedDataParallel | None = None
        if student is not None and get_world_size() > 1:
            # Only for depth-wise convolutions, whose small gradients are cheap to copy.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            # Before contrast begins no gradient reaches the projection head.
            self.ranks = DistributedDataParallel(
                _Pass(student), broadcast_buffers=False, find_unused_parameters=True
            )

    def backward_of(
        self, model: nn.Module, compute: Callable[[], dict[str, Tensor]], last: bool = True
    ) -> dict[str, Tensor]:
        """Compute losses and back-propagate their sum; the last pass counts an iteration.

        Args:
            model: see :meth:`optim_context`.
            compute: scalars by name; those with "loss" in their name are added up.
            last: whether this is the last backward pass before :meth:`finish_step`.

        Returns:
            The scalars, detached, and the sum as ``loss``.
        """
        synchronised = self.ranks is None or (last and self.should_sync())
        with nullcontext() if self.ranks is None or synchronised else self.ranks.no_sync():
            if self.on_cpu:
                give_back_freed_memory()
            with self.optim_context(model):
                parts = compute() if self.ranks is None else self.ranks(compute)
                total = torch.stack([v for name, v in parts.items() if "loss" in name]).sum()
            if self.on_cpu:  # memory that the forward pass has freed (benchmarks/RESULTS.md)
                give_back_freed_memory()
            scaled = self.scale_loss(total)
            if last:
                self.backward(scaled)  # which counts
            else:
                scaled.backward()
        return {name: value.detach() for name, value in {**parts, "loss": total}.items()}

    def stop_exchange(self) -> None:
        """Average no gradients any more, to be called before the process group is left.

        ``DistributedDataParallel`` keeps threads of gloo, which abort a process that ends with
        them.
        """
        if self.ranks is not None:
            self.ranks = None
            gc.collect()  # it is part of reference cycles

    def finish_step(self) -> dict[str, Tensor]:
        """Take a step if enough gradients are accumulated.

        Returns:
            ``gradient_norm``, a scalar on the device: the norm over all parameters before clipping,
            not finite if a gradient is not. An empty dict if no step was taken.
        """
        if not self.should_update():
            return {}
        norm = self.gradient_norm()
        self.step()
        self.zero_grad()
        return {"gradient_norm": norm}

    def gradient_norm(self) -> Tensor:
        """Compute the norm over all gradients, a scalar on their device."""
        parameters = [each for group in self.param_groups for each in group["params"]]
        return get_total_norm([each.grad for each in parameters if each.grad is not None])


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(StudentOptimWrapper):
    """Optimizer wrapper for autocast, with a scaled loss in float16.

    mmengine's ``AmpOptimWrapper`` does the same, but only on GPUs.

    Args:
        precision: "bf16" or "fp16".
        optim_wrapper: arguments of :class:`StudentOptimWrapper`.
    """

    def __init__(self, precision: Literal["bf16", "fp16"], **optim_wrapper: Any) -> None:
        super().__init__(**optim_wrapper)
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.device_type = self.optimizer.param_groups[0]["params"][0].device.type
        self.loss_scaler = torch.amp.GradScaler(self.device_type, enabled=precision == "fp16")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast one forward pass; weights that are cast are not kept for its end."""
        autocast = torch.autocast(self.device_type, self.dtype, cache_enabled=False)
        with super().optim_context(model), autocast:
            yield

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Scale a loss against underflow, and for the accumulation of gradients."""
        return self.loss_scaler.scale(super().scale_loss(loss))

    def gradient_norm(self) -> Tensor:
        """Compute the norm of the gradients without the scale of the loss."""
        norm = super().gradient_norm()
        return norm / self.loss_scaler.scale(torch.ones_like(norm))

    def step(self, **kwargs: Any) -> None:
        """Take a step unless a gradient has overflowed, and update the scale."""
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer, and that of the scale under ``loss_scaler``."""
        return super().state_dict() | {"loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`, with or without ``loss_scaler``."""
        state = dict(state_dict)
        scale = state.pop("loss_scaler", None)
        if scale:
            self.loss_scaler.load_state_dict(scale)
        super().load_state_dict(state)


def fit_state_to_parameters(optimizer: torch.optim.Optimizer, fused: list[bool | None]) -> None:
    """Adapt a loaded state to this run, whose speed switches may differ from the saved run's.

    torch keeps the memory format and the choice of kernel of the saved run, but fused kernels need
    parameter and state in the same format.

    Args:
        optimizer: the optimizer, with the loaded state.
        fused: the setting ``fused`` of each group, as the optimizer was built.
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


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class StudentOptimWrapperConstructor:
    """Build the optimizer of the student (the attribute ``model``) with as few groups as possible.

    mmengine's constructor makes a group for every parameter, which defeats the optimizer's
    multi-tensor kernels and logs a line for each.

    Args:
        optim_wrapper_cfg: config of the wrapper, with its ``optimizer``. Adam and AdamW are fused
            (one kernel for all parameters of a group, on CPUs too) unless it has ``fused``.
        paramwise_cfg: ``dict(custom_keys=..., layer_decay=...)``, see :func:`parameter_groups`.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: ParamwiseSettings | None = None
    ) -> None:
        self.wrapper_cfg = {"type": "OptimWrapper", **optim_wrapper_cfg}
        if self.wrapper_cfg["type"] == "OptimWrapper":
            self.wrapper_cfg["type"] = "StudentOptimWrapper"
        self.optimizer_cfg = self.wrapper_cfg.pop("optimizer")
        if self.optimizer_cfg.get("type") in ("Adam", "AdamW"):
            self.optimizer_cfg = {"fused": True, **self.optimizer_cfg}
        self.paramwise: ParamwiseSettings = paramwise_cfg or {}

    def __call__(self, model: UDADecorator) -> OptimWrapper:
        """Build optimizer and wrapper for ``model.model``."""
        params = parameter_groups(
            model.model,
            self.optimizer_cfg["lr"],
            self.optimizer_cfg.get("weight_decay", 0.0),
            self.paramwise.get("custom_keys", {}),
            self.paramwise.get("layer_decay"),
        )
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, "params": params})
        fused = [group.get("fused") for group in optimizer.param_groups]
        optimizer.register_load_state_dict_post_hook(partial(fit_state_to_parameters, fused=fused))
        given = {"optimizer": optimizer, "student": model.model}
        return OPTIM_WRAPPERS.build(self.wrapper_cfg, default_args=given)
