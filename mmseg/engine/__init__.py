"""What the Runner needs beyond mmengine's own."""

from .atomic_backend import AtomicBackend
from .hooks import (
    CheckpointHook,
    DeferredRuntimeInfoHook,
    IterationSeedHook,
    ResumeValidationHook,
    TrainingPanelHook,
)
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
]
