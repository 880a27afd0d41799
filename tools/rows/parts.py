"""What a row of ``experiments.py`` is made of: a task, a network, a method, and differences."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

# Differences from the values of base files: nested dicts as in a config.
Settings = dict[str, Any]


def from_base(name: str) -> str:
    """Refer to a value of the bases, in a form that :func:`config_text` writes for mmengine."""
    return "{{_base_." + name + "}}"


@dataclass(frozen=True)
class Task:
    """A pair of domains.

    Attributes:
        dataset: file in ``configs/_base_/datasets``.
        source: name of the source in messages.
        target: name of the target in messages.
        split: name of the split of published results.
        schedule: file in ``configs/_base_/schedules``; a pretraining takes the file with
            ``_pretraining`` at the end of its name.
        runtime: file in ``configs/_base_``.
        video: video of the target that adapted networks predict after a comparison.
        settings: other differences.
    """

    dataset: str
    source: str
    target: str
    split: str
    schedule: str = "adamw"
    runtime: str = "default_runtime"
    video: str | None = None
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A segmentor.

    Attributes:
        model: file in ``configs/_base_/models``.
        decoder: name of the decoder in names of runs.
        encoder: name of the backbone in names of runs.
        settings: other differences.
    """

    model: str
    decoder: str
    encoder: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A training method.

    Attributes:
        title: name in messages.
        config: file in ``configs/_base_/uda``.
        run_name: function from row and whole config to the name of a run.
        settings: differences from that file and others.
        variants: name of a variant -> further differences.
        demo: differences in a demo.
    """

    title: str
    config: str
    run_name: Callable[["Experiment", Config], str]
    settings: Settings = field(default_factory=dict)
    variants: dict[str, Settings] = field(default_factory=dict)
    demo: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One row.

    Attributes:
        task: key of ``TASKS``.
        network: key of ``NETWORKS``.
        method: key of ``METHODS``.
        variant: name of a variant of the method.
        published_miou: published result in percent.
        release: release whose experiment this is, and its number there.
        settings: other differences.
        stages: methods of its runs, if there are several: the first is a pretraining, and the
            others start from its last weights. ``methods`` of :func:`generate_experiment_cfgs`
            replaces these others.
    """

    task: str
    network: str
    method: str
    variant: str | None = None
    published_miou: float | None = None
    release: str | None = None
    settings: Settings = field(default_factory=dict)
    stages: tuple[str, ...] = ()
