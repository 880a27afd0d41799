"""Hook that stores a few images of each validation with their labels and predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from pydantic import PositiveInt
from torch import Tensor

from mmseg.evaluation.writers import PredictionWriter
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from mmseg.visualization import save_image

MAX_SIDE = 768  # pixels


@HOOKS.register_module()
class ValidationPanelHook(Hook):
    """Store a few images spread over the validation data, for reports of a run.

    The next validation replaces them. They are reduced to at most 768 pixels: ``image/<name>.jpg``,
    and ``label/<name>.png`` and ``prediction/<name>.png`` with the colours of the classes. Of two
    images of one name, the second has its place in the data set behind it. Nothing is predicted or
    read for them.

    Args:
        out_dir: folder below the work dir.
        max_images: largest number of images.
    """

    def __init__(self, out_dir: str = "validation", max_images: PositiveInt = 4) -> None:
        self.out_dir = out_dir
        self.max_images = max_images
        self._seen = 0
        self._names: set[str] = set()

    def before_val_epoch(self, runner: Runner) -> None:
        """Count images from the start."""
        self._seen = 0
        self._names.clear()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Store the chosen images of a batch on rank 0."""
        palette = runner.val_dataloader.dataset.metainfo.get("palette")
        if not (is_main_process() and outputs and palette):
            return
        count = max(1, len(runner.val_dataloader.dataset) // get_world_size())
        last = min(self.max_images, count)
        chosen = {round(i * (count - 1) / max(1, last - 1)) for i in range(last)}
        is_bgr = getattr(runner.model.data_preprocessor, "bgr_to_rgb", True)
        for i, sample in enumerate(outputs, self._seen):
            if i in chosen:
                name = Path(sample.img_path).stem
                name += f"_{i}" * (name in self._names)
                self._names.add(name)
                image = data_batch["inputs"][i - self._seen]
                folder = Path(runner.work_dir, self.out_dir)
                self._store(folder, name, image, sample, palette, is_bgr)
        self._seen += len(outputs)

    def _store(
        self,
        folder: Path,
        name: str,
        image: Tensor,
        sample: SegDataSample,
        palette: Any,
        is_bgr: bool,
    ) -> None:
        picture = image.cpu().numpy().transpose(1, 2, 0)[..., :: -1 if is_bgr else 1]
        save_image(folder / "image" / f"{name}.jpg", _reduced(picture))
        maps = {"label": "gt_sem_seg", "prediction": "pred_sem_seg"}
        for kind, field in maps.items():
            if field in sample:
                classes = sample.get(field).data[0]
                step = -(-max(classes.shape) // MAX_SIDE)
                writer = PredictionWriter(folder / kind, palette)
                writer.write(classes[::step, ::step], f"{name}.png")


def _reduced(picture: np.ndarray) -> np.ndarray:
    """Reduce an image (H, W, 3) uint8 to at most ``MAX_SIDE`` pixels."""
    factor = MAX_SIDE / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = [round(factor * side) for side in reversed(picture.shape[:2])]
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
