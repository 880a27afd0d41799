"""Hooks that a config names."""

from .checkpoint_hook import CheckpointHook
from .deferred_log_hook import DeferredRuntimeInfoHook
from .first_result_hook import FirstResultHook
from .iteration_seed_hook import IterationSeedHook
from .resume_validation_hook import ResumeValidationHook
from .training_panel_hook import TrainingPanelHook

__all__ = [
    "CheckpointHook",
    "DeferredRuntimeInfoHook",
    "FirstResultHook",
    "IterationSeedHook",
    "ResumeValidationHook",
    "TrainingPanelHook",
]
