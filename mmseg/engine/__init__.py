"""What the Runner needs beyond mmengine's own."""

from .atomic_backend import AtomicBackend
from .hooks import (
    DeferredRuntimeInfoHook,
    IterationSeedHook,
    ResumeValidationHook,
    TrainingPanelHook,
)
from .optim import StudentOptimWrapperConstructor

__all__ = [
    "AtomicBackend",
    "DeferredRuntimeInfoHook",
    "IterationSeedHook",
    "ResumeValidationHook",
    "StudentOptimWrapperConstructor",
    "TrainingPanelHook",
]
