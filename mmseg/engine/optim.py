"""Optimizer steps with several backward passes, and parameter groups of the student alone."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm
from typing_extensions import TypedDict

from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.utils.memory import give_back_freed_memory


class _Pass(nn.Module):
    """One forward pass of a module by any of its methods, as DistributedDataParallel needs it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return compute()


@OPTIM_WRAPPERS.register_module()
class StudentOptimWrapper(OptimWrapper):
    """One optimizer step on the sum of several losses, each propagated back on its own.

    mmengine counts each backward pass as an iteration, by which its gradient accumulation goes; an
    iteration of a domain-adaptation method has several. In a distributed run
    ``DistributedDataParallel`` averages the gradients over the ranks, during the last backward pass
    of a step.

    Args:
        optimizer: of the student's parameters.
        student: for distributed runs; without it gradients are not exchanged.
        optim_wrapper: the other arguments of ``OptimWrapper``.
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
            # Of depthwise convolutions, whose gradients are as small as their copies are cheap.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            # Before contrast begins no gradient reaches the projection head.
            self.ranks = DistributedDataParallel(
                _Pass(student), broadcast_buffers=False, find_unused_parameters=True
            )

    def backward_of(
        self, model: nn.Module, compute: Callable[[], dict[str, Tensor]], last: bool = True
    ) -> dict[str, Tensor]:
        """Compute losses and propagate the sum of them back, without counting an iteration.

        Args:
            model: see :meth:`optim_context`.
            compute: scalars by name; those with "loss" in their name are added up.
            last: whether this is the last backward pass before :meth:`finish_step`.

        Returns:
            Them, detached, and their sum ``loss``.
        """
        forward = (lambda pass_: pass_()) if self.ranks is None else self.ranks
        alone = self.ranks is not None and not (last and self.should_sync())
        with self.ranks.no_sync() if alone else nullcontext():
            if self.on_cpu:
                give_back_freed_memory()
            with self.optim_context(model):
                parts = forward(compute)
                total = torch.stack([v for name, v in parts.items() if "loss" in name]).sum()
            if self.on_cpu:  # what the forward pass has freed (benchmarks/RESULTS.md)
                give_back_freed_memory()
            self.propagate(self.scale_loss(total))
        return {name: value.detach() for name, value in {**parts, "loss": total}.items()}

    def propagate(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute the gradients of one loss and add them to those there are."""
        loss.backward(**kwargs)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Propagate the one loss of an iteration back, and count the iteration."""
        self.propagate(loss, **kwargs)
        self._inner_count += 1

    def finish_step(self) -> dict[str, Tensor]:
        """Count one iteration, and step if its gradients complete a batch.

        Returns:
            ``gradient_norm``, a scalar on the device: the norm over all parameters before clipping,
            not finite if a gradient is not. Empty without a step.
        """
        self._inner_count += 1
        if not self.should_update():
            return {}
        norm = self.gradient_norm()
        self.step()
        self.zero_grad()
        return {"gradient_norm": norm}

    def gradient_norm(self) -> Tensor:
        """The norm of all gradients together, a scalar on their device."""
        parameters = [each for group in self.param_groups for each in group["params"]]
        return get_total_norm([each.grad for each in parameters if each.grad is not None])


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(StudentOptimWrapper):
    """Forward passes under autocast; in float16 the loss is scaled so that gradients do not vanish.

    mmengine's ``AmpOptimWrapper`` does the same on GPUs alone.

    Args:
        precision: "bf16" or "fp16".
        optim_wrapper: the arguments of :class:`StudentOptimWrapper`.
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

    def propagate(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate the scaled loss."""
        super().propagate(self.loss_scaler.scale(loss), **kwargs)

    def gradient_norm(self) -> Tensor:
        """The norm of the gradients without the scale of the loss."""
        norm = super().gradient_norm()
        return norm / self.loss_scaler.scale(torch.ones_like(norm))

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
        if self.wrapper_cfg["type"] == "OptimWrapper":
            self.wrapper_cfg["type"] = "StudentOptimWrapper"
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
        given = {"optimizer": optimizer, "student": model.model}
        return OPTIM_WRAPPERS.build(self.wrapper_cfg, default_args=given)
