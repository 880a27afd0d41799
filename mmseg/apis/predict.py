"""Predictions of images and videos as files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from torch import nn

from mmseg.datasets.metainfo import distinct_palette
from mmseg.datasets.video_files import open_video, write_video
from mmseg.engine.distributed import check_alone
from mmseg.engine.performance import Performance
from mmseg.evaluation.prediction_writer import PredictionWriter, prediction_name
from mmseg.models.segmentors import segmentors_of
from mmseg.models.segmentors.class_weights import ClassWeights
from mmseg.utils import InputError, check_writable
from mmseg.utils.checkpoint import Role
from mmseg.utils.config_check import check_config
from mmseg.utils.memory import freed_memory_kept
from mmseg.utils.progress import with_progress
from mmseg.utils.threads import map_ahead
from mmseg.visualization import colorize, overlay, save_image

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
COLOURED = ("color", "overlay")
# Threads that decode and encode beside the network; both release Python's lock.
WORKERS = 4


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

    Raises:
        InputError: for what the user can put right, before anything is predicted if possible.
    """
    check_alone()
    found = find_inputs(inputs, files.out_dir)
    _check_targets(found, files)
    check_writable(files.out_dir, "--out-dir")
    if batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, not {batch_size}")
    check_config(cfg, ("model", "test_dataloader"))
    target = select_device(device)
    model = init_model(
        cfg,
        checkpoint,
        target,
        role,
        performance,
        fold_batch_norm=True,
        class_weights=class_weights,
    )
    report = PredictReport(class_weight=class_weights_used(model, {}))
    with (
        freed_memory_kept(target.type == "cpu"),
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
    paths = {os.path.abspath(each.path) for each in inputs}
    for each in inputs:
        for kind in files.kinds:
            target = files.out_dir / kind / each.folder / prediction_name(each.path)
            if os.path.abspath(target) in paths:
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

        def write(done: PreparedImage) -> None:
            done.sample = done.sample.cpu()  # here, where the network need not wait for it
            path = done.sample.img_path
            for kind in self.files.kinds:
                self._write_png(kind, done, folder_of[path], path)

        predicted = self._fit(self._readable(inputs))
        self.report.images += sum(1 for _ in map_ahead(write, predicted, self.pool, self.ahead))

    def predict_video(self, each: PredictInput) -> None:
        """Predict every frame; a video that is damaged becomes a problem in the report."""
        files = self.files
        try:
            video = open_video(each.path)
            frames = with_progress(video.frames(), each.path.name, video.num_frames)
            prepared = map_ahead(self.prepare, frames, self.pool, self.ahead)
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
        except InputError as error:
            self.report.problems.append(_problem(each.path, error))
        else:
            self.report.videos += 1

    def _readable(self, inputs: list[PredictInput]) -> Iterator[PreparedImage]:
        def load(each: PredictInput) -> PreparedImage | str:
            try:
                return self.prepare(each.path)
            except InputError as error:
                return _problem(each.path, error)

        shown = with_progress(inputs, "predicting")
        for loaded in map_ahead(load, shown, self.pool, self.ahead):
            if isinstance(loaded, str):
                self.report.problems.append(loaded)
            else:
                yield loaded

    def _fit(self, prepared: Iterable[PreparedImage]) -> Iterator[PreparedImage]:
        for batch in batches_of_one_size(prepared, self.batch_size):
            try:
                yield from predict_batch(self.model, batch)
            except UnfitImage as error:
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
        if kind == "ids":
            PredictionWriter(parent).write(done.sample.pred_sem_seg.data[0], name)
        else:
            save_image(parent / prediction_name(name), self._picture(kind, done))

    def _picture(self, kind: Kind, done: PreparedImage) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; of ``confidence`` (H, W) uint8."""
        if kind == "confidence":
            return np.rint(255 * done.sample.seg_confidence.data[0].numpy()).astype(np.uint8)
        classes = done.sample.pred_sem_seg.data[0].numpy()
        if kind == "color":
            return colorize(classes, self.palette)
        return overlay(done.image[..., ::-1], classes, self.palette, self.files.opacity)


def _problem(path: str | os.PathLike, error: InputError) -> str:
    return f"{path}: {error}" if isinstance(error, UnfitImage) else str(error)
