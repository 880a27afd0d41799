"""Write the predictions of a checkpoint as a zip for a benchmark's test server."""

import io
import os
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from numpy.typing import NDArray
from PIL import Image

from mmseg.apis.evaluate import DATA_PARTS
from mmseg.apis.inference import keeping_confidence
from mmseg.apis.init_model import (
    average_views,
    check_trained_classes,
    class_weights_used,
    init_model,
    select_device,
)
from mmseg.apis.test_data import test_loader
from mmseg.config_check import check_config
from mmseg.datasets.class_names import CITYSCAPES_CLASSES, IGNORE_INDEX, label_id_table
from mmseg.datasets.evaluation_sets import TEST_SPLITS, named_set
from mmseg.datasets.loader import loader_errors
from mmseg.engine.distributed import check_alone
from mmseg.engine.performance import Performance
from mmseg.evaluation.engine import predictions, written
from mmseg.evaluation.report import class_weights_text
from mmseg.evaluation.writers import prediction_name
from mmseg.models.segmentors import segmentors_of
from mmseg.models.segmentors.prediction import ClassWeights
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.memory import freed_memory_kept
from tools.submission.check import SubmissionReport, check_submission
from tools.submission.servers import (
    ANYWHERE,
    CONFIDENCE,
    INVALID,
    LABELS,
    Benchmark,
    benchmark_named,
    image_sizes,
)


def submit(
    name: str,
    cfg: Config,
    checkpoint: str | os.PathLike,
    path: str | os.PathLike,
    role: Role = "student",
    aug_test: bool = False,
    device: str = "auto",
    data_root: str | os.PathLike | None = None,
    invalid_below: float = 0.0,
    batch_size: int | None = None,
    performance: Performance | None = None,
    class_weights: ClassWeights = "auto",
) -> SubmissionReport:
    """Predict a benchmark's test images and write the zip for its server.

    The zip is checked before it is moved into place.

    Args:
        name: key of ``BENCHMARKS``.
        cfg: config with ``model``, which is not changed. If it tests or validates on the data set
            of the benchmark, folder and pipeline of that are used.
        checkpoint: checkpoint of a domain-adaptation method or of a segmentor.
        path: path of the zip.
        role: whether the student or the teacher predicts.
        aug_test: whether to average over scales and flips, see :func:`~mmseg.apis.evaluate_on`.
        device: ``auto``, ``cpu`` or ``cuda``.
        data_root: folder of the data set; default: that of the config, or ``data/<name>``.
        invalid_below: pixels of a lower confidence are declared invalid, if the benchmark has that.
        batch_size: see :func:`~mmseg.apis.evaluate_on`.
        performance: see :func:`~mmseg.apis.evaluate_on`.
        class_weights: see :func:`~mmseg.apis.evaluate_on`.

    Returns:
        The result of the check, without errors.

    Raises:
        InputError: for mistakes in the input, before any image is predicted if possible.
    """
    check_alone()
    benchmark = benchmark_named(name)
    path = Path(path)
    _check_options(path, benchmark, invalid_below)
    init_default_scope("mmseg")
    target = select_device(device)
    aug_test = aug_test or bool(cfg.get("aug_test"))
    check_config(cfg, ("model", "tta_model"))
    data = test_images(cfg, name, data_root)
    check_config(data, DATA_PARTS)
    loader = test_loader(data, False, batch_size, target.type, aug_test)
    dataset: BaseDataset = loader.dataset
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    images = image_sizes(benchmark, [info["img_path"] for info in infos])
    model = init_model(
        cfg,
        checkpoint,
        target,
        role,
        performance,
        fold_batch_norm=True,
        class_weights=class_weights,
    )
    if aug_test:
        model = average_views(model)
    _check_classes(model, benchmark, checkpoint)
    check_writable(path.parent, "OUT.zip")
    weights = class_weights_text(class_weights_used(model, dataset.get_data_info(0)))
    with atomic_path(path) as temporary:
        with (
            freed_memory_kept(target.type == "cpu"),
            loader_errors(),
            keeping_confidence(model, CONFIDENCE in benchmark.folders),
            zipfile.ZipFile(temporary, "w") as archive,
        ):
            encode = partial(_encoded, benchmark, invalid_below)
            for files in written(predictions(model, loader), encode):
                for file_name, data in files.items():
                    info = zipfile.ZipInfo(file_name)
                    info.external_attr = 0o644 << 16  # readable for all users when unpacked
                    archive.writestr(info, data)
        report = check_submission(temporary, name, images)
        if report.errors:
            raise InputError(f"the zip would be refused: {'; '.join(report.errors)}")
    return replace(report, notes=report.notes + [f"predicted {weights}"] * bool(weights))


def test_images(cfg: Config, name: str, data_root: str | os.PathLike | None = None) -> Config:
    """Return the config of all images of a benchmark's test split, as ``test_dataloader``.

    Args:
        cfg: config of the model, whose data set is used if it has one of this class; see
            :func:`~mmseg.datasets.evaluation_sets.named_set`.
        name: name in ``TEST_SPLITS``.
        data_root: folder of the data set.
    """
    data = named_set(cfg, name, labelled=False).cfg
    dataset = data.test_dataloader.dataset
    for key in ("data_prefix", "ann_file", "indices", "conditions"):  # these select images
        dataset.pop(key, None)
    dataset.update(TEST_SPLITS[name])
    if data_root is not None:
        dataset.data_root = os.fspath(data_root)
    return data


def submission_maps(
    benchmark: Benchmark,
    labels: NDArray[np.uint8],
    confidence: NDArray[np.float32] | None = None,
    invalid_below: float = 0.0,
) -> dict[str, NDArray[np.uint8]]:
    """Make the maps of one image for a benchmark.

    Args:
        benchmark: a value of ``BENCHMARKS``.
        labels: (H, W) train ids.
        confidence: (H, W) in [0, 1], if the benchmark needs it.
        invalid_below: pixels of a lower confidence are declared invalid.

    Returns:
        Folder -> (H, W).
    """
    if confidence is None:
        return {ANYWHERE: label_id_table()[labels]}
    invalid = np.where(confidence < invalid_below, np.uint8(IGNORE_INDEX), labels)
    levels = np.rint(255 * confidence).astype(np.uint8)
    return {LABELS: labels, INVALID: invalid, CONFIDENCE: levels}


def _check_options(path: Path, benchmark: Benchmark, invalid_below: float) -> None:
    if path.suffix != ".zip" or path.is_dir():
        raise InputError(
            f"{path} is not a valid name for a zip: it must end with .zip and must not be a folder"
        )
    if not 0 <= invalid_below <= 1:
        raise InputError(f"--invalid-below must be in [0, 1], not {invalid_below}")
    if invalid_below and INVALID not in benchmark.folders:
        raise InputError(f"{benchmark.title} has no invalid pixels: leave out --invalid-below")


def _check_classes(model: BaseModel, benchmark: Benchmark, checkpoint: str | os.PathLike) -> None:
    """Check that the model predicts the train ids of Cityscapes."""
    num_classes = segmentors_of(model)[0].num_classes
    if num_classes != len(CITYSCAPES_CLASSES):
        raise InputError(
            f"the model predicts {num_classes} classes, {benchmark.title} wants "
            f"the {len(CITYSCAPES_CLASSES)} of Cityscapes"
        )
    check_trained_classes(model.trained_classes, CITYSCAPES_CLASSES, checkpoint, benchmark.title)


def _encoded(benchmark: Benchmark, invalid_below: float, sample: SegDataSample) -> dict[str, bytes]:
    """Encode one prediction as a dict of paths in the zip and PNGs."""
    labels = sample.pred_sem_seg.data[0].cpu().numpy()
    confidence = sample.seg_confidence.data[0].cpu().numpy() if "seg_confidence" in sample else None
    files = {}
    for folder, values in submission_maps(benchmark, labels, confidence, invalid_below).items():
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG")
        name = prediction_name(sample.img_path)
        files[f"{folder}/{name}" if folder else name] = buffer.getvalue()
    return files
