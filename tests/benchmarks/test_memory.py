"""Count the memory of training steps on fake tensors, and compare it with real ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.cards import GIB, cards_table, fits, memory_table
from benchmarks.measure import sized, synthetic_batches
from benchmarks.memory import (
    ACTIVATIONS,
    BUFFERS,
    GRADIENTS,
    KINDS,
    OPTIMIZER,
    WEIGHTS,
    FakeStep,
    MemoryCounter,
    count_memory,
    gpu_rules,
)
from benchmarks.step import TrainingStep
from benchmarks.training import TrainingSettings, Workload
from tests.benchmarks.small_training import SIDE, small_config
from tests.tools.failing import error_of
from tools import benchmark

CPU = torch.device("cpu")


def test_counter_follows_tensors_while_they_live():
    counter = MemoryCounter()
    with counter:
        one = torch.zeros(256)  # 1024 bytes
        view = one.view(16, 16)
        two = torch.zeros(129)  # 516 bytes, in blocks of 512
        assert counter.alive[ACTIVATIONS] == 2048
        counter.label([one], WEIGHTS)
        del two
        assert counter.alive == {ACTIVATIONS: 0, WEIGHTS: 1024}
        del one
        assert counter.alive.total() == 1024
        del view
    assert counter.alive.total() == 0
    assert counter.peak == {ACTIVATIONS: 2048}


def test_activations_of_a_loss_are_its_saved_tensors():
    """Each loss keeps what autograd saves, and its own value; all of it is freed in between."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout())
    losses = (lambda x: net(x).square().mean(), lambda x: net[0](x).exp().mean())
    image, counter = torch.zeros(2, 3, 32, 32), MemoryCounter()
    counter.label([image, list(net.parameters()), list(net.buffers())], WEIGHTS)
    kept = []
    for loss in losses:
        saved = {}

        def pack(tensor, saved=saved):
            saved[tensor.untyped_storage().data_ptr()] = -(-tensor.nbytes // 512) * 512
            return tensor.detach()  # an output that is saved would keep itself alive

        with counter, saved_tensors_hooks(pack, lambda tensor: tensor):
            value = loss(image)
            kept.append(counter.alive[ACTIVATIONS])
        for tensor in (image, *net.parameters(), *net.buffers()):
            saved.pop(tensor.untyped_storage().data_ptr(), None)
        assert kept[-1] == sum(saved.values()) + 512
        del value
    # The output of the convolution, of ReLU, of dropout's mask and of dropout; the statistics.
    maps = 2 * 8 * 32 * 32 * 4
    assert kept == [4 * maps + 2 * 512 + 512, maps + 512]
    assert counter.alive[ACTIVATIONS] == 0


def test_dropout_and_autocast_keep_what_they_keep_on_a_gpu():
    """A mask takes one byte a value, and LayerNorm works in float32."""
    counter, norm = MemoryCounter(), nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64))
    drop = nn.Dropout(0.5)
    x = torch.ones(16, 64, requires_grad=True)
    with gpu_rules(), counter:
        y = drop(x)
        assert counter.alive[ACTIVATIONS] == 16 * 64 * (4 + 1)
        del y
        with torch.autocast("cpu", torch.bfloat16):
            assert norm(x).dtype == torch.float32
            assert F.softmax(x.bfloat16(), 1).dtype == torch.bfloat16  # outside of modules
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(x).dtype == torch.bfloat16


SETTINGS = [
    TrainingSettings(),
    TrainingSettings(precision="bf16", activation_checkpointing=True),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=TrainingSettings.describe)
def test_fake_tensors_take_what_real_ones_take(settings):
    cfg = sized(small_config(), SIDE)
    real, fake = TrainingStep(cfg, settings, CPU), FakeStep(cfg, settings)
    (batch, *_) = synthetic_batches(real.model, Workload(crop=SIDE))
    counted = count_memory(fake, batch)
    assert counted == count_memory(real, batch)
    assert {"teacher", "crop", "statistics", "src", "tgt", "mix", "optimizer"} <= set(counted)


def test_kinds_are_sizes_of_the_network():
    step = FakeStep(sized(small_config(), SIDE), TrainingSettings())
    (batch, *_) = synthetic_batches(step.model, Workload(crop=SIDE))
    peak = count_memory(step, batch)["optimizer"]

    def size(tensors, times=4):
        return sum(-(-tensor.numel() * times // 512) * 512 for tensor in tensors)

    student = list(step.model.model.parameters())
    assert peak[WEIGHTS] == peak[GRADIENTS] == size(student)
    assert peak[OPTIMIZER] == 2 * size(student) + 512 * len(student)  # two moments and the step
    assert peak[BUFFERS] == sum(-(-each.nbytes // 512) * 512 for each in step.model.buffers())


def count(gib: float, saves: bool = False, precision: str = "fp32") -> dict:
    settings = {"precision": precision, "activation_checkpointing": saves}
    peak = dict.fromkeys(KINDS, 0) | {ACTIVATIONS: int(gib * GIB)}
    return {
        "title": "experiment 4",
        "workload": {"batch": 2, "crop": 640},
        "settings": settings,
        "phase": "mix",
        "peak": peak,
        "phases": {"teacher": GIB, "mix": sum(peak.values())},
    }


def test_cards_leave_room():
    """A count of 10.4 GiB and a tenth, and 0.5 GiB, fit into 12 GiB; 10.5 GiB do not."""
    assert fits(count(10.4)["peak"], 12)
    assert not fits(count(10.5)["peak"], 12)
    rows = cards_table([count(45.0), count(11.0, saves=True), count(10.0, precision="bf16")])
    assert rows.splitlines()[2:4] == [
        "| experiment 4, batch 2 + 2, crop 640 | fp32 | 45.00 | 11.00 | does not fit "
        "| fits with checkpointing | fits with checkpointing | fits |",
        "| experiment 4, batch 2 + 2, crop 640 | bf16 | 10.00 |  | fits | fits | fits | fits |",
    ]
    lines = memory_table([count(45.0), count(11.0, saves=True)]).splitlines()
    assert lines[2].split() == ["GiB", "fp32", "fp32,", "checkpointing"]
    assert [line.split() for line in lines if line.startswith(("all", "which", "peak of"))] == [
        ["all,", "at", "the", "peak", "45.00", "11.00"],
        ["which", "is", "in", "mix", "mix"],
        ["peak", "of", "teacher", "1.00", "1.00"],
        ["peak", "of", "mix", "45.00", "11.00"],
    ]


def test_command(tmp_path, capsys):
    small_config().dump(tmp_path / "c.json")
    config = ["--memory", "--config", str(tmp_path / "c.json")]
    options = ["--crop", "32", "--batch", "1", "--amp", "bf16", "--no-activation-checkpointing"]
    benchmark.main([*config, *options])
    out = capsys.readouterr().out
    assert out.startswith("c.json, batch 1 + 1, crop 32\n\nGiB ")
    assert "12 GB                     fits\n" in out
    assert "Left out: CUDA's context (about 0.5 GiB)" in out


def test_several_experiments_are_only_for_memory():
    message = "--exp takes several experiments only with --memory: name one"
    assert error_of(benchmark.main, "--exp", "1", "4") == message
    assert error_of(benchmark.main, "data", "--exp", "1", "4") == message
