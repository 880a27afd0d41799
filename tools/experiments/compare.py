"""Compare checkpoints on the same images, in a table and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from mmseg.apis.evaluate import evaluate_on
from mmseg.apis.test_data import test_loader
from mmseg.datasets.evaluation_sets import own_labelled_set
from mmseg.datasets.image_files import read_image, read_label
from mmseg.evaluation.report import comparison_table
from mmseg.evaluation.writers import Outputs, prediction_name
from mmseg.utils import atomic_path
from mmseg.visualization import colorize, legend, panel, save_image, stack
from mmseg.visualization.colors import Picture

SHOWN_IMAGES = 4

Label = NDArray[np.integer]  # (H, W) class indices


@dataclass(frozen=True)
class Comparison:
    """Results of several runs on the same images.

    Attributes:
        results: name of a run -> result of :func:`~mmseg.evaluation.result_dict`.
        table: their IoU per class.
        picture: path of a picture: a few images with their ground truth and the predictions of each
            run.
    """

    results: dict[str, dict[str, Any]]
    table: str
    picture: Path


def compare(
    runs: Mapping[str, tuple[Config, Path]], out_dir: Path, device: str = "auto"
) -> Comparison:
    """Evaluate several runs, and compare their results in a table and a picture.

    Args:
        runs: name -> config and checkpoint; all are tested on the first config's test data or, if
            these have no labels, its validation data.
        out_dir: folder for ``comparison.txt``, ``comparison.png`` and the predictions of each run.
        device: see :func:`~mmseg.apis.evaluate_on`.
    """
    data = own_labelled_set(next(iter(runs.values()))[0])
    results, folders = {}, {}
    for name, (cfg, checkpoint) in runs.items():
        folders[name] = out_dir / "predictions" / name.replace(" ", "_")
        outputs = Outputs(metrics=("mIoU",), folders=(folders[name],))
        (results[name],) = evaluate_on([data], cfg, checkpoint, outputs, device=device)
    dataset: BaseDataset = test_loader(data.cfg, labelled=True).dataset
    table = comparison_table(results, dataset.metainfo["classes"])
    out_dir.mkdir(parents=True, exist_ok=True)
    with atomic_path(out_dir / "comparison.txt") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    scores = {name: result["summary"]["mIoU"] for name, result in results.items()}
    picture = out_dir / "comparison.png"
    save_image(picture, _picture(dataset, folders, scores))
    return Comparison(results, table, picture)


def _picture(dataset: Any, folders: dict[str, Path], scores: dict[str, float]) -> np.ndarray:
    """Draw a few images spread over the data set, with ground truth and predictions."""
    chosen = np.linspace(0, len(dataset) - 1, min(SHOWN_IMAGES, len(dataset))).round().astype(int)
    infos = [dataset.get_data_info(int(i)) for i in chosen]
    return comparison_picture(
        [read_image(info["img_path"])[..., ::-1] for info in infos],
        [read_label(info["seg_map_path"]) for info in infos],
        {
            name: [read_label(str(folder / prediction_name(info["img_path"]))) for info in infos]
            for name, folder in folders.items()
        },
        scores,
        dataset.metainfo["classes"],
        dataset.metainfo["palette"],
    )


def comparison_picture(
    images: Sequence[Picture],
    labels: Sequence[Label],
    predictions: Mapping[str, Sequence[Label]],
    scores: Mapping[str, float],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    cell_width: int = 400,
) -> Picture:
    """Draw one row per image: image, ground truth, prediction of each method; and a legend.

    Args:
        images: N images (H, W, 3) uint8, RGB.
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
