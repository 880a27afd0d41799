"""The moving-average teacher (Tarvainen and Valpola, NeurIPS 2017)."""

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def teacher_momentum(iteration: int, alpha: float) -> float:
    """m = min(1 - 1 / (t + 1), alpha): 0 at t = 0, where the teacher becomes the student."""
    return min(1 - 1 / (iteration + 1), alpha)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher = m * teacher + (1 - m) * student, on parameters only, never on buffers."""
    averaged = list(teacher.parameters())
    current = [parameter.detach() for parameter in student.parameters()]
    torch._foreach_lerp_(averaged, current, 1 - momentum)


def switch_off_dropout(module: nn.Module) -> None:
    """Put every Dropout and DropPath in evaluation mode and leave the other layers as they are."""
    for layer in module.modules():
        if isinstance(layer, _DropoutNd) or type(layer).__name__ == "DropPath":
            layer.eval()
