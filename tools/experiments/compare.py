"""Compare trained runs on the same images, in tables and pictures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from numpy.typing import NDArray

from mmseg.apis.evaluate import evaluate_on
from mmseg.apis.test_data import test_loader
from mmseg.datasets.evaluation_sets import own_labelled_set
from mmseg.datasets.image_files import read_image, read_label
from mmseg.datasets.label_coding import read_label_map
from mmseg.evaluation import (
    comparison_csv,
    comparison_latex,
    comparison_table,
    methods_of,
    methods_table,
)
from mmseg.evaluation.writers import Outputs, prediction_name
from mmseg.utils import atomic_path
from mmseg.utils.config import load_config
from mmseg.utils.work_dir import latest_checkpoint
from mmseg.visualization import colorize, legend, panel, save_image, stack
from mmseg.visualization.colors import Picture

SHOWN_IMAGES = 4
#: Folder in that of a run.
PREDICTIONS = "predictions"

Label = NDArray[np.integer]  # (H, W) class indices


@dataclass(frozen=True)
class Scored:
    """A trained run and the scores of its last weights.

    Attributes:
        cfg: its config.
        result: result of :func:`~mmseg.evaluation.result_dict`.
        predictions: folder of its predictions.
    """

    cfg: Config
    result: dict[str, Any]
    predictions: Path


@dataclass(frozen=True)
class Comparison:
    """Comparison of several runs on the same images.

    Attributes:
        table: IoU of each class in the ground truth and the means, as text.
        files: file -> what it is: the table as text, CSV and LaTeX, and a picture for each seed
            of a few images with their ground truth and the predictions of all methods.
    """

    table: str
    files: dict[Path, str]


def score(config: Path, device: str = "auto") -> Scored:
    """Evaluate the last weights of a run on its test data, or its validation data if labelled.

    The scores are stored next to the checkpoint, and the predictions in ``predictions/``. If both
    are there they are read.

    Args:
        config: the config in the folder of the run.
        device: see :func:`~mmseg.apis.evaluate_on`.
    """
    if stored := stored_score(config):
        return stored
    cfg, work_dir = load_config(config), config.parent
    predictions = work_dir / PREDICTIONS
    outputs = Outputs(metrics=("mIoU",), folders=(predictions,))
    data, checkpoint = own_labelled_set(cfg), latest_checkpoint(work_dir)
    (result,) = evaluate_on([data], cfg, checkpoint, outputs, device=device)
    return Scored(cfg, result, predictions)


def stored_score(config: Path) -> Scored | None:
    """Read what :func:`score` has stored for the last weights of a run; None: nothing."""
    cfg, work_dir = load_config(config), config.parent
    checkpoint, predictions = latest_checkpoint(work_dir), work_dir / PREDICTIONS
    scores = work_dir / f"{checkpoint.stem}_{own_labelled_set(cfg).tag}_eval.json"
    written = [scores, *predictions.glob("*.png")]
    since = checkpoint.stat().st_mtime
    if not scores.is_file() or any(path.stat().st_mtime < since for path in written):
        return None
    result = json.loads(scores.read_text(encoding="utf-8"))
    return Scored(cfg, result, predictions) if len(written) == 1 + result["images"] else None


def compare(
    runs: Mapping[str, Mapping[str, Scored]], out_dir: Path, name: str, baseline: str
) -> Comparison:
    """Compare the results of several runs in tables and pictures.

    Args:
        runs: heading of a seed -> method -> run; all have the same test data.
        out_dir: folder to write to.
        name: name of the files.
        baseline: method that the others are compared with; the first one if it is not there.
    """
    init_default_scope("mmseg")
    first = next(scored for methods in runs.values() for scored in methods.values())
    data = own_labelled_set(first.cfg)
    dataset: BaseDataset = test_loader(data.cfg, labelled=True).dataset
    classes = dataset.metainfo["classes"]
    results = {
        heading: {method: scored.result for method, scored in methods.items()}
        for heading, methods in runs.items()
    }
    methods = methods_of(results)
    table = comparison_table(results, labelled_classes(first))
    if len(runs) > 1 or len(methods) > 2:
        by_seed = methods_table(results, baseline if baseline in methods else methods[0])
        table = f"{by_seed}\n\n{table}"
    files = {}
    for what, suffix, text in (
        ("table", "txt", table + "\n"),
        ("CSV", "csv", comparison_csv(results, classes)),
        ("LaTeX", "tex", comparison_latex(results, classes)),
    ):
        path = out_dir / f"{name}.{suffix}"
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        files[path] = what
    for seed, scored in runs.items():
        path = out_dir / f"{name}{'_' + seed.replace(' ', '_') if len(runs) > 1 else ''}.png"
        save_image(path, _picture(dataset, scored))
        files[path] = "picture"
    return Comparison(table, files)


def labelled_classes(scored: Scored) -> list[str]:
    """Return the names of the classes in the ground truth."""
    return [name for name, row in scored.result["per_class"].items() if row["Acc"] is not None]


def _picture(dataset: Any, methods: Mapping[str, Scored]) -> np.ndarray:
    """Draw a few images spread over the data set, with ground truth and predictions."""
    chosen = np.linspace(0, len(dataset) - 1, min(SHOWN_IMAGES, len(dataset))).round().astype(int)
    infos = [dataset.get_data_info(int(i)) for i in chosen]
    means = {name: scored.result["summary"] for name, scored in methods.items()}
    return comparison_picture(
        [read_image(info["img_path"])[..., ::-1] for info in infos],
        [read_label_map(info) for info in infos],
        {
            name: [
                read_label(str(scored.predictions / prediction_name(info["img_path"])))
                for info in infos
            ]
            for name, scored in methods.items()
        },
        {name: _title_score(mean) for name, mean in means.items()},
        dataset.metainfo["classes"],
        dataset.metainfo["palette"],
    )


def _title_score(means: Mapping[str, float]) -> str:
    name = "mIoU_gt" if "mIoU_gt" in means else "mIoU"
    return f"{means[name]:.1f} {name}"


def comparison_picture(
    images: Sequence[Picture],
    labels: Sequence[Label],
    predictions: Mapping[str, Sequence[Label]],
    scores: Mapping[str, str],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    cell_width: int = 400,
) -> Picture:
    """Draw one row per image: image, ground truth, prediction of each method; and a legend.

    Args:
        images: N images (H, W, 3) uint8, RGB.
        labels: N ground truths; pixels outside the classes are black.
        predictions: method -> N predictions.
        scores: method -> score over the whole data set, such as "50.3 mIoU", for the title.
        class_names: C names for the legend.
        palette: C (red, green, blue).
        cell_width: width of one picture in pixels.

    Returns:
        (H, W, 3) uint8 on white.
    """
    titles = ["image", "ground truth"]
    titles += [f"{name}: {scores[name]}" for name in predictions]
    font_size = max(12, round(cell_width / 18))
    rows = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        drawn = [label, *(values[i] for values in predictions.values())]
        pictures = [image, *(colorize(each, palette) for each in drawn)]
        rows.append(list(zip(titles if i == 0 else [""] * len(titles), pictures, strict=True)))
    grid = panel(rows, cell_width, font_size)
    key = legend(class_names, palette, grid.shape[1], font_size)
    return stack([grid, key])
