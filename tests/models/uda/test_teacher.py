"""Test the moving-average teacher."""

import pytest
import torch
from torch import nn

from mmseg.models.backbones import mit_b0
from mmseg.models.uda.teacher import switch_off_dropout, teacher_momentum, update_teacher


def test_momentum_grows_to_alpha():
    assert teacher_momentum(0, 0.999) == 0
    assert teacher_momentum(1, 0.999) == 0.5
    assert teacher_momentum(3, 0.999) == 0.75
    assert teacher_momentum(10**6, 0.999) == 0.999
    assert teacher_momentum(0, 0.0) == 0


def filled(weight: float, running_mean: float) -> nn.Module:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(weight)
    module[1].running_mean.fill_(running_mean)
    return module


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 8.0), (0.75, 5.0), (1.0, 4.0)])
def test_parameters_are_averaged_and_buffers_kept(momentum, expected):
    teacher, student = filled(4.0, 1.0), filled(8.0, 3.0)
    update_teacher(teacher, student, momentum)
    assert all((parameter == expected).all() for parameter in teacher.parameters())
    assert all((parameter == 8).all() for parameter in student.parameters())
    assert (teacher[1].running_mean == 1).all()
    assert all(not parameter.grad_fn for parameter in teacher.parameters())


def test_at_momentum_0_the_teacher_is_a_copy_not_an_alias():
    teacher, student = filled(4.0, 1.0), filled(8.0, 3.0)
    update_teacher(teacher, student, 0.0)
    with torch.no_grad():
        student[0].weight.zero_()
    assert (teacher[0].weight == 8).all()


def test_only_dropout_and_drop_path_are_switched_off():
    module = nn.Sequential(
        mit_b0(drop_path_rate=0.5),
        nn.Dropout(),
        nn.Dropout2d(),
        nn.BatchNorm2d(1),
        nn.Conv2d(1, 1, 1),
    ).train()
    switch_off_dropout(module)
    off = {type(layer).__name__ for layer in module.modules() if not layer.training}
    assert off == {"DropPath", "Dropout", "Dropout2d"}
    still_on = [m for m in module.modules() if "Drop" in type(m).__name__ and m.training]
    assert not still_on
