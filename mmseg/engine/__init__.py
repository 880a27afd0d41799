"""What the Runner needs beyond mmengine's own."""

from .atomic_backend import AtomicBackend
from .hooks import DeferredRuntimeInfoHook, IterationSeedHook, TrainingPanelHook
from .optim import StudentOptimWrapperConstructor

__all__ = [
    "AtomicBackend",
    "DeferredRuntimeInfoHook",
    "IterationSeedHook",
    "StudentOptimWrapperConstructor",
    "TrainingPanelHook",
]
