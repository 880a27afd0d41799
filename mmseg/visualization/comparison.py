"""What one method sees and another does not, on the same images."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .colors import Picture, colorize
from .layout import legend, panel, stack

Label = NDArray[np.integer]  # (H, W) class indices


def comparison_picture(
    images: Sequence[Picture],
    labels: Sequence[Label],
    predictions: Mapping[str, Sequence[Label]],
    scores: Mapping[str, float],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    cell_width: int = 400,
) -> Picture:
    """One row an image: the image, its ground truth, the prediction of every method; a legend.

    Args:
        images: N of (H, W, 3) uint8, RGB.
        labels: N ground truths; pixels outside the classes are black.
        predictions: method -> N predictions.
        scores: method -> mIoU in percent over the whole data set, for the title.
        class_names: C names for the legend.
        palette: C (red, green, blue).
        cell_width: width of one picture in pixels.

    Returns:
        (H, W, 3) uint8 on white.
    """
    titles = ["image", "ground truth"]
    titles += [f"{name}: {scores[name]:.1f} mIoU" for name in predictions]
    font_size = max(12, round(cell_width / 18))
    rows = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        drawn = [label, *(values[i] for values in predictions.values())]
        pictures = [image, *(colorize(each, palette) for each in drawn)]
        rows.append(list(zip(titles if i == 0 else [""] * len(titles), pictures, strict=True)))
    grid = panel(rows, cell_width, font_size)
    key = legend(class_names, palette, grid.shape[1], font_size)
    return stack([grid, key])
