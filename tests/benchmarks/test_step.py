"""Time training steps and their phases."""

import pytest
import torch

from benchmarks.measure import mean_phases, sized, synthetic_batches
from benchmarks.step import TrainingStep, time_steps, watched_contrast
from benchmarks.training import TrainingSettings, Workload
from mmseg.utils.phases import PhaseClock
from tests.benchmarks.small_training import SIDE, small_config

CPU = torch.device("cpu")


class Counter(PhaseClock):
    """A clock that advances by one with each mark."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.time = 0

    def mark(self) -> int:
        self.time += 1
        return self.time


class Recorded(TrainingStep):
    """A training step that keeps its logs."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.logs = []

    def __call__(self, batch):
        self.logs.append(super().__call__(batch))
        return self.logs[-1]


def step_and_batches(settings: TrainingSettings = TrainingSettings(), **workload: int):  # noqa: B008
    step = Recorded(sized(small_config(), SIDE), settings, CPU)
    work = Workload(crop=SIDE, **workload)
    return step, synthetic_batches(step.model, work), work


def test_phases_are_parts_of_the_step():
    step, batches, work = step_and_batches(iters=3, warmup=1)
    called = []
    clock = PhaseClock(CPU)
    seconds, total = time_steps(step, batches, work, clock, lambda: called.append(len(clock.spans)))
    assert called == [0]  # warming up is not measured
    assert len(seconds) == 3 and min(seconds) > 0
    phases = mean_phases(total, seconds)
    parts = {name: value for name, value in phases.items() if name != "contrast"}
    assert list(parts) == [
        "teacher",
        "crop",
        "statistics",
        "source",
        "target",
        "mix",
        "optimizer",
        "rest",
    ]
    assert sum(parts.values()) == pytest.approx(sum(seconds) / 3)
    assert 0 < phases["contrast"] < phases["source"] + phases["target"]
    assert step.model.iteration == 4


def test_contrast_begins_at_the_requested_step():
    step, batches, work = step_and_batches(iters=3, warmup=1, start_contrast=2)
    names = []

    class Kept(PhaseClock):
        def seconds(self):
            names.extend(name for name, *_ in self.spans)
            return super().seconds()

    clock = Kept(CPU)
    time_steps(step, batches, work, clock)
    assert names.count("src") == 3
    assert names.count("tgt") == 1
    assert names.count("contrast") == 4  # forward and backward, source and target


def test_contrast_is_watched_forward_and_backward():
    step, batches, _ = step_and_batches()
    clock = Counter()
    with watched_contrast(step.model, clock):
        step(batches[0])
    first, second, *others = clock.spans
    assert [name for name, *_ in clock.spans] == ["contrast"] * 4
    # The two marks of a pass follow each other: no other mark lies between them.
    assert [span[2] - span[1] for span in (first, second, *others)] == [1] * 4
    step(batches[0])
    assert len(clock.spans) == 4


def test_steps_draw_as_training_does():
    """The same seed gives the same losses, and the next iteration gives others."""
    logs = []
    for _ in range(2):
        step, batches, work = step_and_batches(iters=2, warmup=0)
        torch.manual_seed(0)
        step.model.model.load_state_dict(
            {k: torch.ones_like(v) for k, v in step.model.model.state_dict().items()}
        )
        time_steps(step, batches, work, PhaseClock(CPU))
        logs.append([log["src.loss"].item() for log in step.logs])
    assert logs[0] == logs[1]
    assert logs[0][0] != logs[0][1]


def test_settings_reach_the_step():
    plain, *_ = step_and_batches(TrainingSettings(attention="math", optimizer="unfused"))
    group = plain.optim_wrapper.param_groups[0]
    assert group["fused"] is False and group["foreach"] is False
    fast, batches, _ = step_and_batches(TrainingSettings(precision="bf16", channels_last=True))
    assert fast.optim_wrapper.param_groups[0]["fused"] is True
    assert fast.model.model.autocast_dtype == torch.bfloat16
    weight = fast.model.model.backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert fast(batches[0])["confidence"] == 1


def test_building_prints_nothing(capsys):
    step_and_batches()
    assert capsys.readouterr() == ("", "")
