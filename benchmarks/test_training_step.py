"""Time a whole training step of the demo (experiment 0), with and without adaptation."""

from collections.abc import Callable

import torch

from benchmarks.measure import sized, synthetic_batches
from benchmarks.step import TrainingStep
from benchmarks.training import TrainingSettings, Workload
from experiments import experiment_config


def training_step(stage: int) -> Callable[[], dict]:
    """Return one iteration as a function, in fp32 as configured; SePiCo's has contrast."""
    cfg = sized(experiment_config(0, stage), 128)
    step = TrainingStep(cfg, TrainingSettings.of(cfg), torch.device("cpu"))
    batch = synthetic_batches(step.model, Workload(crop=128))[0]
    return lambda: step(batch)


def test_sepico_step_against_source_only(measure):
    source_only, sepico = training_step(0), training_step(-1)
    assert "tgt.aux.loss_cl" in sepico()
    measure(
        "SePiCo training step of the demo, 2 x 128 x 128",
        sepico,
        than=("source only", source_only),
        rounds=5,
    )
