"""What the training benchmark runs: how much work, and how it is done."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmseg.utils import InputError

Switches = dict[str, Any]

# Measured steps, where nothing else is asked for.
ITERATIONS = {"cuda": 50, "cpu": 10}
# What `--compare` compares with `--fast`: the fields of Settings that differ from the config's.
PLAIN: Switches = {
    "precision": "fp32",
    "compile": False,
    "channels_last": False,
    "activation_checkpointing": False,
    "attention": "math",
    "optimizer": "unfused",
}


@dataclass(frozen=True)
class Workload:
    """How much is computed and how often.

    Attributes:
        crop: side of the crops in pixels; targets are twice as wide before they are cropped.
        batch: source images of a step, and target images.
        start_contrast: first measured iteration with contrastive losses.
        iters: measured iterations. warmup: iterations before them.
        seed: of weights, images and draws.
    """

    crop: int = 640
    batch: int = 2
    start_contrast: int = 0
    iters: int = ITERATIONS["cuda"]
    warmup: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"crop": 32, "batch": 1, "start_contrast": 0, "iters": 1, "warmup": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {getattr(self, name)}: must be at least {minimum}")


@dataclass(frozen=True)
class Settings:
    """How a step is computed.

    Attributes:
        precision, compile, channels_last, activation_checkpointing: see
            :class:`mmseg.engine.performance.Performance`.
        attention: "math": a product, a softmax and a product; "auto": as torch chooses.
        optimizer: "config": as the config says (fused); "unfused": parameter by parameter.
    """

    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = False
    attention: Literal["auto", "math"] = "auto"
    optimizer: Literal["config", "unfused"] = "config"

    @classmethod
    def of(cls, cfg: Mapping[str, Any], *changes: Mapping[str, Any]) -> "Settings":
        """The settings of a config's training, with changes, of which later ones win."""
        settings = dict(cfg.get("performance") or {})
        for change in changes:
            settings |= change
        return cls(**settings)

    def performance(self) -> Switches:
        """The ``performance`` of a config."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in ("attention", "optimizer")
        }

    def describe(self) -> str:
        """In words, for people."""
        words = [self.precision, "compiled" if self.compile else "eager"]
        words += ["channels last"] if self.channels_last else []
        words += ["activation checkpointing"] if self.activation_checkpointing else []
        words += ["maths attention"] if self.attention == "math" else []
        words += ["unfused optimizer"] if self.optimizer == "unfused" else []
        return ", ".join(words)
