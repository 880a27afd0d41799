"""What the Runner needs beyond mmengine's own."""

from .atomic_backend import AtomicBackend
from .hooks import (
    DeferredRuntimeInfoHook,
    IterationSeedHook,
    ResumeValidationHook,
    TrainingPanelHook,
)
from .optim import MixedPrecisionOptimWrapper, StudentOptimWrapperConstructor
from .performance import Performance

__all__ = [
    "AtomicBackend",
    "DeferredRuntimeInfoHook",
    "IterationSeedHook",
    "MixedPrecisionOptimWrapper",
    "Performance",
    "ResumeValidationHook",
    "StudentOptimWrapperConstructor",
    "TrainingPanelHook",
]
