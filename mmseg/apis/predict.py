"""Predictions of images and videos as files."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, get_args

import cv2
import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from torch import nn

from mmseg.config_check import check_config
from mmseg.datasets.class_names import distinct_palette
from mmseg.datasets.file_checks import MAX_PIXELS, pixels_allowed
from mmseg.datasets.image_files import image_size
from mmseg.datasets.video_files import open_video, write_video
from mmseg.engine.distributed import check_alone
from mmseg.engine.performance import Performance
from mmseg.evaluation.prediction_writer import PredictionWriter, prediction_name
from mmseg.models.segmentors import segmentors_of
from mmseg.models.segmentors.prediction import ClassWeights
from mmseg.utils import InputError, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.jobs import map_ahead, with_progress
from mmseg.utils.memory import freed_memory_kept
from mmseg.visualization import colorize, overlay, save_in_strips

from .class_weights import class_weights_used
from .inference import (
    ImagePreparation,
    PreparedImage,
    UnfitImage,
    batches_of_one_size,
    keeping_confidence,
    predict_batch,
)
from .init_model import init_model, select_device
from .predict_inputs import PredictInput, find_inputs

Kind = Literal["ids", "color", "overlay", "confidence"]
Item = TypeVar("Item")
Result = TypeVar("Result")
COLOURED = ("color", "overlay")
# Threads that decode and encode beside the network; both release Python's lock.
WORKERS = 4
# Of images that wait for the network, and of predictions that wait to be written; a larger one is
# alone in memory.
PIXELS_AHEAD = 2**25
# What can go wrong with one image or video, and need not stop the others.
TROUBLES = (InputError, OSError, MemoryError, cv2.error)
# With these, none of the others could be written.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class PredictionFiles:
    """Which files to make, in a folder of ``out_dir`` for each kind.

    Attributes:
        out_dir: gets ``ids/``, ``color/``, ... with files named like the inputs. Of images all are
            PNGs. Of a video ``color`` and ``overlay`` are MP4 videos, the others folders of PNGs.
        kinds: ``ids``: class indices, 8 bits; ``color``: the colours of the classes; ``overlay``:
            these laid over the image; ``confidence``: the probability of the class, 0 to 255.
        opacity: of the colours in an overlay, in [0, 1].
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
    """What has been done.

    Attributes:
        images, videos: how many were predicted.
        problems: why others could not be; a line each.
        class_weight: whether test-time class weights were used; None: the model has none.
    """

    images: int = 0
    videos: int = 0
    problems: list[str] = field(default_factory=list)
    class_weight: bool | None = None

    @property
    def inputs(self) -> int:
        """How many images and videos there were."""
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
        cfg: holds ``model`` and ``test_dataloader``, whose pipeline says how images are resized;
            see :func:`~mmseg.apis.inference.with_mode` for other ways.
        checkpoint: of a domain-adaptation method or of a segmentor.
        inputs: files, folders and patterns, see :func:`~mmseg.apis.predict_inputs.find_inputs`.
        files: what to make of the predictions.
        role: whether the student or the teacher predicts.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: of how many images of one size the network sees at once.
        performance: see :func:`~mmseg.apis.evaluate_on`.
        class_weights: see :func:`~mmseg.apis.init_model`; "auto" is "off" here.
        max_pixels: larger images are refused by their head, without being decoded.

    Raises:
        InputError: for what the user can put right, before anything is predicted if possible.
        OSError: the disk is full; the error names the file.
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
            select_device(device),
            role,
            performance,
            fold_batch_norm=True,
            class_weights=class_weights,
        )
        return _predict(model, found, files, batch_size)


def _predict(
    model: nn.Module, found: list[PredictInput], files: PredictionFiles, batch_size: int
) -> PredictReport:
    """Images first, then videos."""
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
    """A model and the files that its predictions become; fills in the report."""

    def __init__(
        self,
        model: nn.Module,
        files: PredictionFiles,
        batch_size: int,
        pool: Executor,
        report: PredictReport,
    ) -> None:
        self.model, self.files, self.report = model, files, report
        self.batch_size, self.pool = batch_size, pool
        self.ahead = 2 * max(batch_size, WORKERS)
        self.prepare = ImagePreparation(model.cfg)
        num_classes = segmentors_of(model)[0].num_classes
        self.palette = model.dataset_meta.get("palette") or distinct_palette(num_classes)

    def predict_images(self, inputs: list[PredictInput]) -> None:
        """Read, predict and write; reading and writing go on beside the network."""
        folder_of = {str(each.path): each.folder for each in inputs}

        def write(done: PreparedImage) -> str | None:
            path = done.sample.img_path
            try:
                done.sample = done.sample.cpu()  # here, where the network need not wait for it
                for kind in self.files.kinds:
                    self._write_png(kind, done, folder_of[path], path)
            except TROUBLES as error:
                return _problem(path, error)
            finally:
                done.free()

        predicted = self._fit(self._readable(inputs))
        for problem in self._map_ahead(write, predicted, lambda done: done.image[..., 0].size):
            if problem:
                self.report.problems.append(problem)
            else:
                self.report.images += 1

    def predict_video(self, each: PredictInput) -> None:
        """Predict every frame; a video that is damaged becomes a problem in the report."""
        files = self.files
        try:
            video = open_video(each.path)
            frames = with_progress(video.frames(), each.path.name, video.num_frames)
            prepared = self._map_ahead(self.prepare, frames, lambda frame: frame[..., 0].size)
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
                    self._write_frame(writers, done, each.target, f"{index:06d}")
        except TROUBLES as error:
            self.report.problems.append(_problem(each.path, error))
        else:
            self.report.videos += 1

    def _map_ahead(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        pixels: Callable[[Item], int],
    ) -> Iterator[Result]:
        return map_ahead(function, items, self.pool, self.ahead, pixels, PIXELS_AHEAD)

    def _readable(self, inputs: list[PredictInput]) -> Iterator[PreparedImage]:
        def load(each: PredictInput) -> PreparedImage | str:
            try:
                return self.prepare(each.path)
            except TROUBLES as error:
                return _problem(each.path, error)

        shown = with_progress(inputs, "predicting")
        for loaded in self._map_ahead(load, shown, _pixels):
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

    def _write_frame(
        self,
        writers: dict[str, Callable[[NDArray[np.uint8]], None]],
        done: PreparedImage,
        target: Path,
        name: str,
    ) -> None:
        done.sample = done.sample.cpu()
        for kind in self.files.kinds:
            if kind in writers:
                writers[kind](self._picture(kind, done))
            else:
                self._write_png(kind, done, target, name)

    def _write_png(self, kind: Kind, done: PreparedImage, folder: Path, name: str) -> None:
        parent = self.files.out_dir / kind / folder
        classes = done.sample.pred_sem_seg.data[0]
        if kind == "ids":
            PredictionWriter(parent).write(classes, name)
            return
        mode = "L" if kind == "confidence" else "RGB"
        save_in_strips(
            parent / prediction_name(name),
            mode,
            tuple(classes.shape),
            lambda rows: self._picture(kind, done, rows),
        )

    def _picture(
        self, kind: Kind, done: PreparedImage, rows: slice = slice(None)
    ) -> NDArray[np.uint8]:
        """Some rows (R, W, 3) uint8, RGB; of ``confidence`` (R, W) uint8."""
        if kind == "confidence":
            confidence = done.sample.seg_confidence.data[0, rows].numpy()
            return np.rint(255 * confidence).astype(np.uint8)
        classes = done.sample.pred_sem_seg.data[0, rows].numpy()
        if kind == "color":
            return colorize(classes, self.palette)
        return overlay(done.image[rows, :, ::-1], classes, self.palette, self.files.opacity)


def _pixels(each: PredictInput) -> int:
    try:
        width, height = image_size(os.fspath(each.path))
    except InputError:  # reading it says so
        return 0
    return width * height


def _problem(path: str | os.PathLike, error: Exception) -> str:
    """Why an image or a video has no prediction, in a line.

    Raises:
        OSError: it is a full disk, of which the others would have none either.
    """
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        raise error
    if isinstance(error, MemoryError):
        return f"{path}: there is too little memory for it"
    if isinstance(error, OSError):
        return f"{path}: {error.filename} cannot be written: {error.strerror or error}"
    named = isinstance(error, InputError) and not isinstance(error, UnfitImage)
    return str(error) if named else f"{path}: {' '.join(str(error).split())}"
