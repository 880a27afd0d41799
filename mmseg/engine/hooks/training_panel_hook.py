"""Hook that saves pictures of self-training, one panel per target image."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from mmseg.datasets.label_coding import read_label_map
from mmseg.registry import HOOKS
from mmseg.visualization import colorize, denormalize, heatmap, legend, panel, save_image, stack

MASK_PALETTE = ((40, 40, 40), (255, 200, 60))
TITLES = {
    "teacher_prediction": "teacher's prediction",
    "pseudo_label": "pseudo-label",
    "mix_mask": "mix mask: yellow is source",
}


@HOOKS.register_module()
class TrainingPanelHook(Hook):
    """Save ``<work_dir>/<out_dir>/iter_000500_0.png``, ``..._1.png`` and so on during training.

    A panel shows source image and label, the teacher's prediction on the whole target image, the
    target crop with pseudo-label and pixel weight, for night images the day image used for the
    pseudo-label, the mixed image, and the masked image if there is one. The ground truth of the
    crop is shown only if the *validation* data set contains the image; training labels of the
    target are never opened. The hook does nothing for models without visuals.

    Args:
        interval: iterations from one panel to the next; the first iteration has one too.
        out_dir: folder below the work dir.
        max_images: largest number of panels per iteration.
    """

    priority = "VERY_LOW"

    def __init__(
        self, interval: PositiveInt, out_dir: str = "debug", max_images: PositiveInt = 2
    ) -> None:
        self.interval = interval
        self.out_dir = out_dir
        self.max_images = max_images
        self._validation_labels: dict[str, dict] | None = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Make the model keep its pictures of this iteration (on rank 0)."""
        model: Any = runner.model
        due = runner.iter == 0 or self.every_n_train_iters(runner, self.interval)
        if due and getattr(model, "PANEL", ()) and is_main_process():
            model.keep_visuals = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw the pictures that the model has kept, and release them."""
        model: Any = runner.model
        if not getattr(model, "keep_visuals", False):
            return
        model.keep_visuals = False
        visuals, model.visuals = model.visuals, {}
        if not visuals:
            return
        metainfo = runner.train_dataloader.dataset.metainfo
        palette = metainfo["palette"]
        samples = data_batch["target"]["data_samples"]
        mean, std = (
            getattr(model.data_preprocessor, name).flatten().tolist() for name in ("mean", "std")
        )
        folder = Path(runner.work_dir) / self.out_dir
        for i in range(min(self.max_images, len(samples))):
            one = {name: value[i].detach().cpu() for name, value in visuals.items()}
            label = self._ground_truth(runner, samples[i].metainfo, one.get("crop_boxes"))
            grid = training_panel(model.PANEL, one, label, palette, mean, std)
            picture = stack([grid, legend(metainfo["classes"], palette, grid.shape[1])])
            save_image(folder / f"iter_{runner.iter + 1:06d}_{i}.png", picture)
            runner.call_hook("after_panel", name=f"panel_{i}", picture=picture)

    def _ground_truth(
        self, runner: Runner, meta: Mapping[str, Any], box: Tensor | None
    ) -> NDArray[np.uint8] | None:
        """Read the label of a target crop, if its image belongs to the validation set."""
        if self._validation_labels is None:
            self._validation_labels = _labels_of_validation(runner)
        info = self._validation_labels.get(os.path.realpath(meta["img_path"]))
        if info is None:
            return None
        height, width = meta["img_shape"][:2]
        return label_of_crop(
            read_label_map(info), meta, (0, height, 0, width) if box is None else box.tolist()
        )


def training_panel(
    layout: Sequence[Sequence[str]],
    visuals: Mapping[str, Tensor],
    ground_truth: NDArray[np.uint8] | None,
    palette: Sequence[Sequence[int]],
    mean: Sequence[float],
    std: Sequence[float],
) -> NDArray[np.uint8]:
    """Draw the panel of one target image.

    Args:
        layout: names of pictures, row by row.
        visuals: pictures that the model kept, without the batch axis, on the CPU: normalised
            images (3, H, W), labels and masks (H, W) or (1, H, W). Missing ones are left out.
        ground_truth: (H, W) label of the target crop, if it may be shown.
        palette: (red, green, blue) of each class.
        mean: mean of the normalisation.
        std: standard deviation of the normalisation.

    Returns:
        (H, W, 3) uint8.
    """
    pictures = {}
    for name, value in visuals.items():
        if name.endswith("_image") or name == "target_crop":
            pictures[name] = denormalize(value, mean, std)
        elif name == "pixel_weight":
            pictures[name] = heatmap(value.reshape(value.shape[-2:]).float().numpy())
        elif name != "crop_boxes":
            colors = MASK_PALETTE if name == "mix_mask" else palette
            pictures[name] = colorize(value.reshape(value.shape[-2:]).numpy(), colors)
    if ground_truth is not None:
        pictures["ground_truth"] = colorize(ground_truth, palette)
    titles = {name: name.replace("_", " ") for name in pictures} | TITLES
    if "pixel_weight" in visuals:
        titles["pixel_weight"] = f"pixel weight, at most {visuals['pixel_weight'].max():.2f}"
    rows = [[(titles[name], pictures[name]) for name in row if name in pictures] for row in layout]
    return panel(rows)


def label_of_crop(
    label: NDArray[np.uint8], meta: Mapping[str, Any], box: Sequence[int]
) -> NDArray[np.uint8]:
    """Resize, crop and flip a label map like its image.

    Args:
        label: (H, W) class indices.
        meta: metainfo of the image: its shape, and the crop and flip of the pipeline.
        box: y1, y2, x1, x2 of the method's crop.

    Returns:
        (y2 - y1, x2 - x1) uint8.
    """
    height, width = meta.get("uncropped_shape", meta["img_shape"])[:2]
    resized = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    label = resized.astype(np.uint8, copy=False)
    if "crop_box" in meta:
        top, bottom, left, right = meta["crop_box"]
        label = label[top:bottom, left:right]
    if meta.get("flip"):
        axes = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}
        label = np.flip(label, axes[meta["flip_direction"]])
    y1, y2, x1, x2 = box
    return label[y1:y2, x1:x2]


def _labels_of_validation(runner: Runner) -> dict[str, dict]:
    """Map the images of the validation data set to what :func:`read_label_map` takes."""
    if runner.val_loop is None:
        return {}
    dataset = runner.val_dataloader.dataset
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return {os.path.realpath(info["img_path"]): info for info in infos if info.get("seg_map_path")}
