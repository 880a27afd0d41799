"""Check what the training runner refuses."""

from types import SimpleNamespace

import pytest
from torch import nn

from mmseg.engine.runner import TrainRunner, check_num_classes
from mmseg.utils import InputError


def counting(num_classes: int, **parts: nn.Module) -> nn.Module:
    """Return a module with a number of classes and these children."""
    module = nn.ModuleDict(parts)
    module.num_classes = num_classes
    return module


def test_classes_are_counted_but_not_those_of_pretraining():
    backbone = nn.ModuleDict({"timm_model": counting(1000)})
    model = nn.ModuleDict({"backbone": backbone, "decode_head": counting(2)})
    check_num_classes(model, ("soil", "crop"))
    model["decode_head"].num_classes = 19
    with pytest.raises(InputError, match="the ModuleDict of the model has 19 classes"):
        check_num_classes(model, ("soil", "crop"))


@pytest.mark.parametrize(
    ("wrapper", "sync_bn", "line"),
    [
        ({"type": "MMDistributedDataParallel"}, None, "models are trained without a wrapper"),
        (None, "mmcv", "sync_bn must be None or 'torch', not 'mmcv'"),
        (None, "torch", "SyncBN needs GPUs: leave out sync_bn"),
    ],
)
def test_what_several_processes_do_not_support(wrapper, sync_bn, line):
    runner = SimpleNamespace(distributed=True, cfg={"sync_bn": sync_bn, "device": "cpu"})
    with pytest.raises(InputError, match=line):
        TrainRunner.wrap_model(runner, wrapper, nn.BatchNorm2d(1))


def test_a_model_in_several_processes_is_not_wrapped():
    model = nn.Sequential(nn.BatchNorm2d(1))
    runner = SimpleNamespace(distributed=True, cfg={"device": "cpu"})
    assert TrainRunner.wrap_model(runner, None, model) is model
