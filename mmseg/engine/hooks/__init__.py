"""Hooks for training, named in configs."""

from .checkpoint_hook import CheckpointHook
from .console_hook import ConsoleHook
from .deferred_log_hook import DeferredRuntimeInfoHook
from .detailed_log_hook import DetailedLogHook
from .first_result_hook import FirstResultHook
from .phase_time_hook import PhaseTimeHook
from .resume_hooks import IterationSeedHook, ResumeValidationHook
from .training_panel_hook import TrainingPanelHook
from .validation_panel_hook import ValidationPanelHook

__all__ = [
    "CheckpointHook",
    "ConsoleHook",
    "DeferredRuntimeInfoHook",
    "DetailedLogHook",
    "FirstResultHook",
    "IterationSeedHook",
    "PhaseTimeHook",
    "ResumeValidationHook",
    "TrainingPanelHook",
    "ValidationPanelHook",
]
