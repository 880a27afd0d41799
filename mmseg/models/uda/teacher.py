"""Moving-average teacher (Tarvainen and Valpola, NeurIPS 2017)."""

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mmseg.utils.layers import DROPOUTS


def teacher_momentum(iteration: int, alpha: float) -> float:
    """Compute m = min(1 - 1 / (t + 1), alpha); 0 at t = 0 copies the student to the teacher."""
    return min(1 - 1 / (iteration + 1), alpha)


def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Set teacher = m * teacher + (1 - m) * student, for parameters but not for buffers."""
    average = get_ema_multi_avg_fn(momentum)
    average(list(teacher.parameters()), list(student.parameters()), None)


def switch_off_dropout(module: nn.Module) -> None:
    """Set every Dropout and DropPath to evaluation mode."""
    for layer in module.modules():
        if isinstance(layer, DROPOUTS) or type(layer).__name__ == "DropPath":
            layer.eval()
