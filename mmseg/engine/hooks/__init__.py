"""Hooks for training, named in configs."""

from .checkpoint_hook import CheckpointHook
from .deferred_log_hook import DeferredRuntimeInfoHook
from .detailed_log_hook import DetailedLogHook
from .first_result_hook import FirstResultHook
from .resume_hooks import IterationSeedHook, ResumeValidationHook
from .training_panel_hook import TrainingPanelHook

__all__ = [
    "CheckpointHook",
    "DeferredRuntimeInfoHook",
    "DetailedLogHook",
    "FirstResultHook",
    "IterationSeedHook",
    "ResumeValidationHook",
    "TrainingPanelHook",
]
