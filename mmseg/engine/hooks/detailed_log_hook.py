"""Hook that logs panels and the IoU of each class to chosen back ends of the visualizer."""

from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization.vis_backend import BaseVisBackend
from numpy.typing import NDArray

from mmseg.registry import HOOKS

from ..vis_backends import ServiceVisBackend


@HOOKS.register_module()
class DetailedLogHook(Hook):
    """Log what the other hooks leave to files: training panels, and the IoU of each class.

    The names are ``panel_0``, ``IoU/<class>`` and, of the teacher, ``teacher/IoU/<class>``. Classes
    without an IoU are left out.

    Args:
        backends: names of back ends of the visualizer; those that it lacks are ignored.
    """

    def __init__(self, backends: Sequence[str]) -> None:
        self.backends = backends

    def after_panel(self, runner: Runner, name: str, picture: NDArray[np.uint8]) -> None:
        """Log a panel (H, W, 3) that :class:`TrainingPanelHook` has drawn in this iteration."""
        for backend in self._there(runner):
            backend.add_image(name, picture, runner.iter + 1)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the IoU of each class, in percent."""
        scores = {
            f"{'' if network == 'student' else f'{network}/'}IoU/{name}": score["IoU"]
            for network, result in getattr(runner.val_loop, "results", {}).items()
            for name, score in result["per_class"].items()
            if score["IoU"] is not None
        }
        for backend in self._there(runner) if scores else ():
            backend.add_scalars(scores, runner.iter)

    def after_failure(self, runner: Runner) -> None:
        """Tell services that training has ended with an error."""
        for backend in self._there(runner):
            if isinstance(backend, ServiceVisBackend):
                backend.close(failed=True)

    def _there(self, runner: Runner) -> Iterator[BaseVisBackend]:
        if is_main_process():
            yield from filter(None, map(runner.visualizer.get_backend, self.backends))
