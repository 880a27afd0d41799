"""Options for speed and memory, the ``performance`` of a config."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import nn

from mmseg.models.segmentors import segmentors_of
from mmseg.models.uda import SelfTraining
from mmseg.utils import InputError

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Performance:
    """Options for speed and memory; by default networks run eagerly in float32.

    Attributes:
        precision: "fp32"; "tf32": matrix products in TensorFloat-32 on GPUs that support it;
            "bf16" or "fp16": autocast, with losses, contrast and statistics in float32; in training
            weights are cast once per step, with activation checkpointing layer by layer.
        compile: whether to compile networks by ``torch.compile``: the first iterations take
            minutes, the others are faster.
        channels_last: whether convolutions use the channels-last memory format.
        activation_checkpointing: whether to recompute activations of the student's backbone, and of
            the ASPP of DAFormer's decoder, in the backward pass, and to keep no weights in half
            precision: less memory, more time.
    """

    precision: Precision = "fp32"
    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise InputError(
                f"precision must be one of {list(get_args(Precision))}, not {self.precision!r}"
            )

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> "Performance":
        """Read the options of a config.

        Raises:
            InputError: if an option or its value is unknown.
        """
        settings = dict(cfg.get("performance") or {})
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(settings) - set(known)):
            raise InputError(f"performance knows {', '.join(known)}, not {', '.join(unknown)}")
        return cls(**settings)

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """Dtype that networks are cast to; None: no cast."""
        return _AUTOCAST.get(self.precision)

    def optim_wrapper(self, cfg: Mapping[str, Any]) -> dict[str, Any]:
        """Return an ``optim_wrapper`` config with this precision."""
        if self.autocast_dtype is None:
            return dict(cfg)
        return {**cfg, "type": "MixedPrecisionOptimWrapper", "precision": self.precision}

    def set_backends(self) -> None:
        """Allow or forbid TensorFloat-32 in this process."""
        # What autocast leaves in float32 (losses, contrast, statistics) is meant to be exact.
        torch.backends.cuda.matmul.allow_tf32 = self.precision == "tf32"
        torch.backends.cudnn.allow_tf32 = self.precision == "tf32"

    def apply(self, model: nn.Module) -> None:
        """Set up, in place, the segmentors in ``model``, which is on its device.

        Raises:
            InputError: if device or network do not support an option.
        """
        on_cuda = any(parameter.is_cuda for parameter in model.parameters())
        if (
            self.precision == "bf16"
            and on_cuda
            and not torch.cuda.is_bf16_supported(including_emulation=False)
        ):
            raise InputError(f"{torch.cuda.get_device_name()} has no bf16: choose --amp fp16")
        # Triton compiles the launchers of its kernels with one of these.
        compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
        if self.compile and on_cuda and not any(map(shutil.which, compilers)):
            raise InputError(
                f"--compile needs a C compiler ($CC, gcc or clang), but there is no "
                f"{' and no '.join(compilers)}: install one, or leave out --compile (and --fast)"
            )
        synchronised = any(isinstance(part, nn.SyncBatchNorm) for part in model.modules())
        if self.compile and synchronised:
            raise InputError(
                "SyncBN cannot be compiled: leave out --compile (and --fast) or sync_bn"
            )
        for segmentor in segmentors_of(model):
            segmentor.autocast_dtype = self.autocast_dtype
            if self.channels_last:
                segmentor.use_channels_last()
            if self.activation_checkpointing:
                segmentor.use_activation_checkpointing()
            if self.compile:
                segmentor.compile_parts()
        if isinstance(model, SelfTraining):
            for term in model.terms.values():
                term.set_up(model, self.compile)
