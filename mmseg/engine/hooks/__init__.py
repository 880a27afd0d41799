"""Hooks that a config names."""

from .deferred_log_hook import DeferredRuntimeInfoHook
from .iteration_seed_hook import IterationSeedHook
from .resume_validation_hook import ResumeValidationHook
from .training_panel_hook import TrainingPanelHook

__all__ = [
    "DeferredRuntimeInfoHook",
    "IterationSeedHook",
    "ResumeValidationHook",
    "TrainingPanelHook",
]
