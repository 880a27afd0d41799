"""Predict images and videos, and write the predictions to files."""

import errno
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.model import BaseModel
from numpy.typing import NDArray

from mmseg.apis.inference import (
    ImagePreparation,
    PreparedImage,
    UnfitImage,
    batches_of_one_size,
    keeping_confidence,
    predict_batch,
)
from mmseg.apis.init_model import class_weights_used, init_model
from mmseg.config_check import check_config
from mmseg.datasets.class_names import distinct_palette
from mmseg.datasets.file_checks import MAX_PIXELS, pixels_allowed
from mmseg.datasets.image_files import image_size
from mmseg.engine.distributed import check_alone
from mmseg.engine.performance import Performance
from mmseg.evaluation.engine import WORKERS
from mmseg.evaluation.writers import PredictionWriter, drawn, prediction_name, write_picture
from mmseg.models.segmentors import segmentors_of
from mmseg.models.segmentors.prediction import ClassWeights
from mmseg.utils import InputError, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.jobs import map_ahead, with_progress
from mmseg.utils.memory import freed_memory_kept
from tools.prediction.videos import open_video, write_video

from .inputs import PredictInput, find_inputs

Kind = Literal["ids", "color", "overlay", "confidence"]
COLOURED = ("color", "overlay")
# Largest number of pixels of images that wait for the network, and of predictions that wait to be
# written; a larger image is processed alone.
PIXELS_AHEAD = 2**25
# Errors in one image or video that do not stop the others.
TROUBLES = (InputError, OSError, MemoryError, cv2.error)
# Errors after which no other file can be written.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class PredictionFiles:
    """The files to write, in a subfolder of ``out_dir`` for each kind.

    Attributes:
        out_dir: folder with subfolders ``ids/``, ``color/``, ... of files named like the inputs.
            For images all are PNGs. For a video ``color`` and ``overlay`` are MP4 videos, the
            others folders of PNGs.
        kinds: ``ids``: class indices, 8 bits; ``color``: colours of the classes; ``overlay``:
            colours over the image; ``confidence``: probability of the class, 0 to 255.
        opacity: opacity of the colours in an overlay, in [0, 1].
    """

    out_dir: Path
    kinds: tuple[Kind, ...] = ("ids", "overlay")
    opacity: float = 0.5

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in get_args(Kind)]
        if unknown or not self.kinds:
            raise InputError(f"--what {unknown}: choose from {', '.join(get_args(Kind))}")
        if not 0 <= self.opacity <= 1:
            raise InputError(f"the opacity must be in [0, 1], not {self.opacity}")


@dataclass
class PredictReport:
    """Result of predicting images and videos.

    Attributes:
        images: number of predicted images.
        videos: number of predicted videos.
        problems: one line for each input that could not be predicted.
        class_weight: whether test-time class weights were used; None: the model has none.
    """

    images: int = 0
    videos: int = 0
    problems: list[str] = field(default_factory=list)
    class_weight: bool | None = None

    @property
    def inputs(self) -> int:
        """Number of all images and videos."""
        return self.images + self.videos + len(self.problems)


def predict(
    cfg: Config,
    checkpoint: str | os.PathLike,
    inputs: Sequence[str],
    files: PredictionFiles,
    role: Role = "student",
    device: str = "auto",
    batch_size: int = 1,
    performance: Performance | None = None,
    class_weights: ClassWeights = "auto",
    max_pixels: int = MAX_PIXELS,
) -> PredictReport:
    """Predict images and videos of any size. One that cannot be read does not stop the others.

    Args:
        cfg: config with ``model`` and ``test_dataloader``, whose pipeline resizes the images; see
            :func:`~tools.prediction.modes.with_mode` for other ways.
        checkpoint: checkpoint of a domain-adaptation method or of a segmentor.
        inputs: files, folders and patterns, see :func:`find_inputs`.
        files: the files to write.
        role: whether the student or the teacher predicts.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: number of images of one size to predict at once.
        performance: see :func:`~mmseg.apis.evaluate_on`.
        class_weights: see :func:`~mmseg.apis.init_model`; "auto" is "off" here.
        max_pixels: larger images are refused by their header, without being decoded.

    Raises:
        InputError: for mistakes in the input, before anything is predicted if possible.
        OSError: if the disk is full; the error names the file.
    """
    check_alone()
    found = find_inputs(inputs, files.out_dir)
    _check_targets(found, files)
    check_writable(files.out_dir, "--out-dir")
    if batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, not {batch_size}")
    with pixels_allowed(max_pixels):
        check_config(cfg, ("model", "test_dataloader"))
        model = init_model(
            cfg,
            checkpoint,
            device,
            role,
            performance,
            fold_batch_norm=True,
            class_weights=class_weights,
        )
        return _predict(model, found, files, batch_size)


def _predict(
    model: BaseModel, found: list[PredictInput], files: PredictionFiles, batch_size: int
) -> PredictReport:
    """Predict the images first, then the videos."""
    report = PredictReport(class_weight=class_weights_used(model, {}))
    on_cpu = model.data_preprocessor.device.type == "cpu"
    with (
        freed_memory_kept(on_cpu),
        keeping_confidence(model, "confidence" in files.kinds),
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        predictor = _Predictor(model, files, batch_size, pool, report)
        predictor.predict_images([each for each in found if not each.is_video])
        for each in found:
            if each.is_video:
                predictor.predict_video(each)
    return report


def _check_targets(inputs: list[PredictInput], files: PredictionFiles) -> None:
    paths = {os.path.realpath(each.path) for each in inputs}
    for each in inputs:
        for kind in files.kinds:
            target = files.out_dir / kind / each.folder / prediction_name(each.path)
            if os.path.realpath(target) in paths:
                raise InputError(f"{target} would overwrite an input: choose another --out-dir")


class _Predictor:
    """Predict with a model, write the files and fill in the report."""

    def __init__(
        self,
        model: BaseModel,
        files: PredictionFiles,
        batch_size: int,
        pool: Executor,
        report: PredictReport,
    ) -> None:
        self.model, self.files, self.report, self.batch_size = model, files, report, batch_size
        ahead = 2 * max(batch_size, WORKERS)
        self.map_ahead = partial(map_ahead, pool=pool, ahead=ahead, heaviest=PIXELS_AHEAD)
        self.prepare = ImagePreparation(model.cfg)
        num_classes = segmentors_of(model)[0].num_classes
        palette = model.dataset_meta.get("palette") or distinct_palette(num_classes)
        self.look = (palette, files.opacity)

    def predict_images(self, inputs: list[PredictInput]) -> None:
        """Read, predict and write; threads read and write while the network predicts."""
        folder_of = {str(each.path): each.folder for each in inputs}

        def write(done: PreparedImage) -> str | None:
            path = done.sample.img_path
            try:
                done.sample = done.sample.cpu()  # in this thread, so that the network need not wait
                for kind in self.files.kinds:
                    self._write_png(kind, done, folder_of[path], path)
            except TROUBLES as error:
                return _problem(path, error)
            finally:
                done.free()
            return None

        predicted = self._fit(self._readable(inputs))
        for problem in self.map_ahead(write, predicted, weight=lambda done: _area(done.image)):
            if problem:
                self.report.problems.append(problem)
            else:
                self.report.images += 1

    def predict_video(self, each: PredictInput) -> None:
        """Predict every frame; report a damaged video as a problem."""
        files = self.files
        try:
            video = open_video(each.path)
            frames = with_progress(video.frames(), each.path.name, video.num_frames)
            prepared = self.map_ahead(self.prepare, frames, weight=_area)
            with ExitStack() as stack:
                writers = {
                    kind: stack.enter_context(
                        write_video(files.out_dir / kind / f"{each.target}.mp4", video.fps)
                    )
                    for kind in files.kinds
                    if kind in COLOURED
                }
                batches = batches_of_one_size(prepared, self.batch_size)
                predicted = (done for batch in batches for done in predict_batch(self.model, batch))
                for index, done in enumerate(predicted):
                    done.sample = done.sample.cpu()
                    for kind in files.kinds:
                        if kind == "ids" or kind not in writers:
                            self._write_png(kind, done, each.target, f"{index:06d}")
                        else:
                            writers[kind](drawn(kind, _values(kind, done), done.image, *self.look))
        except TROUBLES as error:
            self.report.problems.append(_problem(each.path, error))
        else:
            self.report.videos += 1

    def _readable(self, inputs: list[PredictInput]) -> Iterator[PreparedImage]:
        def load(each: PredictInput) -> PreparedImage | str:
            try:
                return self.prepare(each.path)
            except TROUBLES as error:
                return _problem(each.path, error)

        shown = with_progress(inputs, "predicting")
        for loaded in self.map_ahead(load, shown, weight=_pixels):
            if isinstance(loaded, str):
                self.report.problems.append(loaded)
            else:
                yield loaded

    def _fit(self, prepared: Iterable[PreparedImage]) -> Iterator[PreparedImage]:
        for batch in batches_of_one_size(prepared, self.batch_size):
            try:
                yield from predict_batch(self.model, batch)
            except (UnfitImage, MemoryError) as error:
                self.report.problems += [_problem(each.sample.img_path, error) for each in batch]

    def _write_png(self, kind: Kind, done: PreparedImage, folder: Path, name: str) -> None:
        parent = self.files.out_dir / kind / folder
        if kind == "ids":
            PredictionWriter(parent).write(done.sample.pred_sem_seg.data[0], name)
        else:
            path = parent / prediction_name(name)
            write_picture(path, kind, _values(kind, done), done.image, *self.look)


def _values(kind: Kind, done: PreparedImage) -> NDArray[Any]:
    """Return the values of a picture, confidences or classes, (H, W)."""
    sample = done.sample
    return (sample.seg_confidence if kind == "confidence" else sample.pred_sem_seg).data[0].numpy()


def _area(image: NDArray[np.uint8]) -> int:
    return image.shape[0] * image.shape[1]


def _pixels(each: PredictInput) -> int:
    try:
        return math.prod(image_size(os.fspath(each.path)))
    except InputError:  # its reader reports it
        return 0


def _problem(path: str | os.PathLike, error: Exception) -> str:
    """Say in a line why an image or a video has no prediction.

    Raises:
        OSError: if the disk is full, so that other inputs would fail too.
    """
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        raise error
    if isinstance(error, MemoryError):
        return f"{path}: there is too little memory for it"
    if isinstance(error, OSError):
        return f"{path}: {error.filename} cannot be written: {error.strerror or error}"
    named = isinstance(error, InputError) and not isinstance(error, UnfitImage)
    return str(error) if named else f"{path}: {' '.join(str(error).split())}"
