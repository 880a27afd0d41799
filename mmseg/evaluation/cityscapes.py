"""Evaluation of predictions by Cityscapes' scripts, on label ids."""

import copy
import math
from pathlib import Path
from typing import Any

from mmseg.datasets import CityscapesDataset
from mmseg.utils import InputError

from .writers import prediction_name

LABEL_IDS_SUFFIX = "_gtFine_labelIds.png"
AVERAGES = ("averageScoreClasses", "averageScoreCategories")
SCORES = ("classScores", "categoryScores")


def label_id_files(dataset: Any) -> dict[str, str]:
    """Find the label ids of each image of Cityscapes, which come with the data set.

    Args:
        dataset: data set with labels.

    Returns:
        Path of the image -> path of the label ids.

    Raises:
        InputError: if the data set is not Cityscapes with all of its label ids.
    """
    suffix = CityscapesDataset.SEG_MAP_SUFFIX
    if not isinstance(dataset, CityscapesDataset) or dataset.seg_map_suffix != suffix:
        raise InputError(
            f"--eval cityscapes is for CityscapesDataset with its *{suffix}, not for "
            f"{type(dataset).__name__}: use --eval mIoU"
        )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    files = {
        info["img_path"]: info["seg_map_path"].removesuffix(suffix) + LABEL_IDS_SUFFIX
        for info in infos
    }
    missing = [file for file in files.values() if not Path(file).is_file()]
    if missing:
        raise InputError(
            f"--eval cityscapes: {len(missing)} of {len(files)} images have no "
            f"*{LABEL_IDS_SUFFIX}: {missing[0]} is missing; extract gtFine completely"
        )
    return files


def cityscapes_scores(folder: Path, label_ids: dict[str, str]) -> dict[str, Any]:
    """Score predictions by ``cityscapesscripts``.

    Args:
        folder: folder with a PNG of label ids for each image.
        label_ids: files of :func:`label_id_files`.

    Returns:
        Scores in [0, 1] by the names of that package, ``None`` for classes that neither have ground
        truth nor are predicted: ``averageScoreClasses``, ``averageScoreCategories``,
        ``classScores`` and ``categoryScores``.
    """
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # slow

    args = copy.copy(official.args)
    args.evalInstLevelScore, args.JSONOutput, args.quiet = False, False, True
    predictions = [str(folder / prediction_name(image)) for image in label_ids]
    found = official.evaluateImgLists(predictions, list(label_ids.values()), args)
    scores = {key: {name: _known(v) for name, v in found[key].items()} for key in SCORES}
    return {key: _known(found[key]) for key in AVERAGES} | scores


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
