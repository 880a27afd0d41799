"""A config of SePiCo on a tiny network, and a result of its benchmark."""

from typing import Any

from mmengine.config import Config

from benchmarks.training import TrainingSettings
from tests.models.uda.small_methods import NUM_CLASSES, PREPROCESSOR, projector

SIDE = 32


def small_config(method: str = "SePiCo", **method_options: Any) -> Config:
    """Return a config: one ResNet-18 stage, 5 classes and crops of 64, which benchmarks resize."""
    model = {"type": method, "segmentor": projector(), "data_preprocessor": dict(PREPROCESSOR)}
    if method != "SourceOnly":
        model |= {
            "contrast": {"type": "ContrastiveLoss"},
            "prototypes": {
                "type": "ProtoEstimator",
                "num_classes": NUM_CLASSES,
                "feature_dim": 8,
            },
            "crop_size": (64, 64),
        }
    optim_wrapper = {
        "type": "OptimWrapper",
        "constructor": "StudentOptimWrapperConstructor",
        "optimizer": {"type": "AdamW", "lr": 1e-4, "fused": True},
    }
    return Config({"model": model | method_options, "optim_wrapper": optim_wrapper})


def result(median: float = 2.0, mib: float = 1000.0, **settings: Any) -> dict[str, Any]:
    """Return a result in the form of ``measure_training``, with round numbers."""
    return {
        "benchmark": "training",
        "title": "experiment 4",
        "machine": {
            "device": "cpu",
            "hardware": "Some CPU",
            "threads": 2,
            "torch": "2.0",
            "commit": "abc-dirty",
        },
        "workload": {"crop": 256, "batch": 2, "start_contrast": 0, "iters": 10, "warmup": 3},
        "settings": vars(TrainingSettings(**settings)),
        "seconds": {"median": median, "p10": median / 2, "p90": 2 * median, "each": [median]},
        "images_per_second": 4 / median,
        "peak_memory_mib": {"resident": mib},
        "flops": {
            "step": 3 * 10**12,
            "per_second": 3e12 / median,
            "peak_per_second": 6e12,
            "peak_source": "measured",
            "share_of_peak": 0.5 / median,
        },
        "phases": {"crop": median / 4, "source": median / 2, "rest": median / 4, "contrast": 0.02},
    }
