"""``torch.compile`` captures each network as a whole, and once for each use in training."""

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from benchmarks.measure import sized, synthetic_batches
from benchmarks.step import TrainingStep
from benchmarks.training import TrainingSettings, Workload
from tests.benchmarks.small_training import SIDE, small_config
from tests.models.networks import TINY_TRANSFORMER


@pytest.mark.parametrize(
    ("network", "switches"),
    [
        ("cnn", {"channels_last": True}),
        ("transformer", {"precision": "bf16", "activation_checkpointing": True}),
    ],
    ids=["cnn", "transformer"],
)
def test_networks_are_captured_whole_and_once(capture_only, network, switches):
    options = {"segmentor": TINY_TRANSFORMER} if network == "transformer" else {}
    cfg = sized(small_config(**options), SIDE)
    step = TrainingStep(cfg, TrainingSettings(compile=True, **switches), torch.device("cpu"))
    work = Workload(crop=SIDE)
    batches = synthetic_batches(step.model, work)
    step(batches[0])
    # Teacher: backbone and decoder for the target and its crop, projection; student: one of each.
    assert counters["stats"]["unique_graphs"] == 8
    assert not counters["graph_break"]
    augmentation = step.model.augmentation
    with torch._dynamo.config.patch(error_on_recompile=True):
        for blur in (True, False):
            augmentation.blur_threshold = -1.0 if blur else 1.0
            log = step(batches[1])
        step.model.eval()
        step.model.train()
        step(batches[2])
    assert all(value.isfinite() for value in log.values())
    # Each pass counts once, even if its activations are recomputed.
    student = step.model.model
    norms = [layer for layer in student.modules() if isinstance(layer, nn.BatchNorm2d)]
    counted = {int(layer.num_batches_tracked) for layer in norms}
    steps = 4
    decoder_and_projection = {2 * steps}
    assert counted == decoder_and_projection | ({3 * steps} if network == "cnn" else set())
