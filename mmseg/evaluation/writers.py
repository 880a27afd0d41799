"""Writers of predictions, as label maps and as pictures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mmseg.datasets.basesegdataset import without_suffix
from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, label_id_table
from mmseg.datasets.image_files import read_image
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.visualization import colorize, overlay

Palette = Sequence[Sequence[int]]
Picture = Literal["color", "overlay", "confidence"]
STRIP_PIXELS = 2**20  # of each strip of a large picture
Metric = Literal["mIoU", "mDice", "mFscore", "cityscapes"]


def prediction_name(img_path: str | os.PathLike) -> str:
    """Name the prediction of an image: like the image, with the suffix of a PNG."""
    return f"{Path(img_path).stem}.png"


class PredictionWriter:
    """Write class indices as single-channel 8-bit PNGs that are named like their images.

    Args:
        folder: folder of the files, created with the first one.
        palette: C times (red, green, blue), in which viewers show the values; None: grey.
        label_ids: whether to write the label ids of Cityscapes instead of its train ids.
    """

    def __init__(
        self,
        folder: Path,
        palette: Palette | None = None,
        label_ids: bool = False,
    ) -> None:
        self.folder = folder
        # (256,) uint8: the value to write for each class
        self._values = label_id_table() if label_ids else np.arange(256, dtype=np.uint8)
        self._palette: bytes | None = None
        if palette is not None:
            colours = np.zeros((256, 3), np.uint8)  # with fewer Pillow would save 4 bits
            colours[self._values[: len(palette)]] = palette
            self._palette = colours.tobytes()

    def write(self, pred: Tensor, img_path: str) -> Path:
        """Write one prediction.

        Args:
            pred: (H, W) integers in [0, 255].
            img_path: path of the image, which gives the file its name.

        Returns:
            The path of the file.

        Raises:
            InputError: if a class does not fit in 8 bits.
        """
        path = self.folder / prediction_name(img_path)
        values = pred.cpu().numpy()
        if values.size and values.max() > 255:
            raise InputError(f"{img_path}: class {values.max()} does not fit in an 8-bit PNG")
        # Indexing an array would take eight bytes per pixel.
        image = Image.fromarray(cv2.LUT(values.astype(np.uint8, copy=False), self._values))
        if self._palette is not None:
            image.putpalette(self._palette)
        with atomic_path(path) as temporary:
            image.save(temporary)
        return path


def drawn(
    kind: Picture,
    values: NDArray[Any],
    image: NDArray[np.uint8],
    palette: Palette,
    opacity: float,
) -> NDArray[np.uint8]:
    """Draw predictions, or some rows of them.

    Args:
        kind: "color": colours of the classes; "overlay": colours over the image; "confidence": 0
            to 255.
        values: (H, W) classes, or confidences in [0, 1].
        image: (H, W, 3), BGR.
        palette: C times (red, green, blue).
        opacity: opacity of the colours in an overlay, in [0, 1].

    Returns:
        (H, W, 3), RGB, or (H, W) of confidences.
    """
    if kind == "confidence":
        return np.rint(255 * values).astype(np.uint8)
    if kind == "color":
        return colorize(values, palette)
    return overlay(image[..., ::-1], values, palette, opacity)


def write_picture(
    path: Path,
    kind: Picture,
    values: NDArray[Any],
    image: NDArray[np.uint8],
    palette: Palette,
    opacity: float,
) -> None:
    """Write the picture of :func:`drawn` atomically; it is drawn in strips to save memory."""
    height, width = values.shape
    picture = Image.new("L" if kind == "confidence" else "RGB", (width, height))
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        strip = drawn(kind, values[rows], image[rows], palette, opacity)
        picture.paste(Image.fromarray(strip), (0, top))
    with atomic_path(path) as temporary:
        picture.save(temporary)


@dataclass(frozen=True)
class Outputs:
    """Outputs of a test: scores and files.

    Attributes:
        metrics: metrics to compute: mIoU in any case, "mDice", "mFscore", and "cityscapes", the
            evaluation of ``cityscapesscripts`` on Cityscapes' label ids. Empty: read no labels.
        classes: names of the classes to average over, next to the mean over all.
        folders: folders for the raw predictions, one 8-bit grey PNG of class indices per image.
        formatted: folder for 8-bit PNGs with the colours of the classes as palette.
        label_ids: whether ``formatted`` gets the label ids of Cityscapes instead of class indices.
        palette: colours of ``formatted`` and ``show_dir``: the data set's "own" or those of
            "cityscapes". If given, the files in ``folders`` have it too.
        show_dir: folder for overlays of predictions on images, in the same subfolders as these.
        opacity: opacity of the overlays, in [0, 1].
        table: text file for the scores of every class.
    """

    metrics: tuple[Metric, ...] = ()
    classes: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    formatted: Path | None = None
    label_ids: bool = False
    palette: Literal["own", "cityscapes"] | None = None
    show_dir: Path | None = None
    opacity: float = 0.5
    table: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise InputError(f"the opacity must be in [0, 1], not {self.opacity}")
        for option, given in (("--table", self.table), ("--classes", self.classes)):
            if given and not self.metrics:
                raise InputError(f"{option} needs scores: it goes with --eval mIoU")
        if self.table and self.table.is_dir():
            raise InputError(f"--table {self.table} is a folder: name a text file")

    def below(self, name: str) -> "Outputs":
        """Return a copy in which files per image are written to subfolders ``name``."""
        return replace(
            self,
            folders=tuple(folder / name for folder in self.folders),
            formatted=self.formatted and self.formatted / name,
            show_dir=self.show_dir and self.show_dir / name,
        )

    def check_folders(self) -> None:
        """Check that all folders can be written.

        Raises:
            InputError: if one cannot.
        """
        for folder in self.folders:
            check_writable(folder, "--out")
        others = {
            "imgfile_prefix": self.formatted,
            "--show-dir": self.show_dir,
            "--table": self.table and self.table.parent,
        }
        for option, other in others.items():
            if other:
                check_writable(other, option)


class ImageWriter:
    """Write the predictions of a data set, image by image, in any number of threads.

    Args:
        outputs: the files to write.
        dataset: the data set that is predicted.
        labels: folder of its label maps, which are not overwritten; None: it has none.
        label_ids: another folder for the label ids of Cityscapes.

    Raises:
        InputError: for pictures without colours of the classes, label ids without the classes of
            Cityscapes, or if two files, or a file and an image or label map of the data set, would
            have the same name.
    """

    def __init__(
        self,
        outputs: Outputs,
        dataset: Any,
        labels: str | None = None,
        label_ids: Path | None = None,
    ) -> None:
        self.outputs = outputs
        self.palette = _palette(outputs, dataset.metainfo)
        self.images = dataset.data_prefix["img_path"]
        grey = self.palette if outputs.palette else None
        self.raw = [PredictionWriter(folder, grey) for folder in outputs.folders]
        if outputs.formatted:
            self.raw += [PredictionWriter(outputs.formatted, self.palette, outputs.label_ids)]
        if label_ids:
            self.raw += [PredictionWriter(label_ids, label_ids=True)]
        to_label_ids = outputs.label_ids or label_ids
        if to_label_ids and tuple(dataset.metainfo.get("classes", ())) != CITYSCAPES_CLASSES:
            raise InputError("label ids are for data sets with the 19 classes of Cityscapes")
        #: Whether there are files to write.
        self.has_work = bool(self.raw or outputs.show_dir)
        if self.has_work:
            self._check_names(dataset, labels)

    def write(self, sample: SegDataSample) -> None:
        """Write one prediction in all chosen forms.

        It is copied from the GPU here, so that the thread that predicts need not wait.
        """
        pred = sample.pred_sem_seg.data[0].cpu()
        for writer in self.raw:
            writer.write(pred, sample.img_path)
        if self.outputs.show_dir and self.palette:
            path = self._picture_path(self.outputs.show_dir, sample.img_path)
            image, opacity = read_image(sample.img_path), self.outputs.opacity
            write_picture(path, "overlay", pred.numpy(), image, self.palette, opacity)

    def _picture_path(self, show_dir: Path, img_path: str) -> Path:
        """Return the path of a picture: below ``show_dir`` as the image below its folder."""
        return show_dir / Path(os.path.relpath(img_path, self.images)).with_suffix(".png")

    def _check_names(self, dataset: Any, labels: str | None) -> None:
        """Check that no prediction is written over an image, a label map or another prediction."""
        images = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
        inputs = set(map(os.path.abspath, images))
        if labels is not None:
            for image in images:
                name = without_suffix(os.path.relpath(image, self.images), dataset.img_suffix)
                inputs.add(os.path.abspath(os.path.join(labels, name + dataset.seg_map_suffix)))
        taken: dict[str, str] = {}
        for image in images:
            targets = [str(writer.folder / prediction_name(image)) for writer in self.raw]
            if self.outputs.show_dir:
                targets.append(str(self._picture_path(self.outputs.show_dir, image)))
            for target in targets:
                path = os.path.abspath(target)
                if path in inputs:
                    raise InputError(
                        f"{path} is an image or a label map of the data set and would be "
                        "overwritten: choose another folder for the predictions"
                    )
                first = taken.get(path)
                if first == image:
                    raise InputError(
                        f"{path} would be written twice: give --out, imgfile_prefix and "
                        "--show-dir a folder each"
                    )
                if first is not None:
                    raise InputError(
                        f"{first} and {image} would both be written to {target}; "
                        "test them one folder at a time"
                    )
                taken[path] = image


def _palette(outputs: Outputs, metainfo: dict[str, Any]) -> Palette | None:
    """Choose the colours of the classes for pictures and palettes."""
    if outputs.palette == "cityscapes":
        if len(metainfo.get("classes", ())) > len(CITYSCAPES_PALETTE):
            raise InputError("--palette cityscapes has 19 colours, too few for the data set")
        return CITYSCAPES_PALETTE
    palette = metainfo.get("palette")
    if not palette and (outputs.show_dir or outputs.palette):
        raise InputError(
            f"{'--show-dir' if outputs.show_dir else '--palette'}: the data set names no colours; "
            "set metainfo=dict(palette=...)"
        )
    return palette
