"""Extensions of mmengine's Runner: hooks, optimizer wrappers, distributed training."""

from .hooks import (
    CheckpointHook,
    DeferredRuntimeInfoHook,
    IterationSeedHook,
    ResumeValidationHook,
    TrainingPanelHook,
)
from .hooks.checkpoint_hook import AtomicBackend
from .loops import ValLoop
from .optim import MixedPrecisionOptimWrapper, StudentOptimWrapperConstructor
from .performance import Performance

__all__ = [
    "AtomicBackend",
    "CheckpointHook",
    "DeferredRuntimeInfoHook",
    "IterationSeedHook",
    "MixedPrecisionOptimWrapper",
    "Performance",
    "ResumeValidationHook",
    "StudentOptimWrapperConstructor",
    "TrainingPanelHook",
    "ValLoop",
]
