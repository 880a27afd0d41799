"""Extensions of mmengine's Runner: hooks, optimizer wrappers, distributed training."""

from .hooks import (
    CheckpointHook,
    DeferredRuntimeInfoHook,
    DetailedLogHook,
    IterationSeedHook,
    ResumeValidationHook,
    TrainingPanelHook,
)
from .hooks.checkpoint_hook import AtomicBackend
from .loops import ValLoop
from .optim import MixedPrecisionOptimWrapper, StudentOptimWrapperConstructor
from .performance import Performance
from .vis_backends import MLflowBackend, WandbBackend

__all__ = [
    "AtomicBackend",
    "CheckpointHook",
    "DeferredRuntimeInfoHook",
    "DetailedLogHook",
    "IterationSeedHook",
    "MLflowBackend",
    "MixedPrecisionOptimWrapper",
    "Performance",
    "ResumeValidationHook",
    "StudentOptimWrapperConstructor",
    "TrainingPanelHook",
    "ValLoop",
    "WandbBackend",
]
