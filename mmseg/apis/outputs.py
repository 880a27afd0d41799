"""Predictions of a data set as files and as pictures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mmseg.datasets.basesegdataset import without_suffix
from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.image_files import read_image
from mmseg.evaluation import PredictionWriter
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, check_writable
from mmseg.visualization import overlay, save_image

Metric = Literal["mIoU", "mDice", "mFscore", "cityscapes"]


@dataclass(frozen=True)
class Outputs:
    """What to make of the predictions.

    Attributes:
        metrics: compute and report these: mIoU in any case, "mDice", "mFscore", and "cityscapes",
            the evaluation of ``cityscapesscripts`` on Cityscapes' label ids. Empty: no labels are
            read.
        folders: each gets the raw predictions, one 8-bit grey PNG of class indices an image.
        formatted: folder that gets them as 8-bit PNGs with the colours of the classes as palette.
        label_ids: whether ``formatted`` gets the label ids of Cityscapes instead of class indices.
        palette: colours of ``formatted`` and ``show_dir``: the data set's "own" or those of
            "cityscapes". If it is given, ``folders`` get it too.
        show_dir: gets the predictions laid over the images, in the subfolders of these.
        opacity: of those, in [0, 1].
        table: text file that gets the scores of every class.
    """

    metrics: tuple[Metric, ...] = ()
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
        if self.table and not self.metrics:
            raise InputError("--table needs scores: it goes with --eval mIoU")
        if self.table and self.table.is_dir():
            raise InputError(f"--table {self.table} is a folder: name a text file")

    def below(self, name: str) -> "Outputs":
        """The same, with what there is for each image in subfolders ``name``."""
        return replace(
            self,
            folders=tuple(folder / name for folder in self.folders),
            formatted=self.formatted and self.formatted / name,
            show_dir=self.show_dir and self.show_dir / name,
        )

    def check_folders(self) -> None:
        """Check that everything can be written.

        Raises:
            InputError: something cannot.
        """
        for folder in self.folders:
            check_writable(folder, "--out")
        if self.formatted:
            check_writable(self.formatted, "imgfile_prefix")
        if self.show_dir:
            check_writable(self.show_dir, "--show-dir")
        if self.table:
            check_writable(self.table.parent, "--table")


class ImageWriter:
    """Writes the predictions of a data set, image by image, in any number of threads.

    Args:
        outputs: where to.
        dataset: whose images are predicted.
        labels: folder of its label maps, which nothing is written over; None if it has none.
        label_ids: another folder that gets the label ids of Cityscapes.

    Raises:
        InputError: pictures are asked for, but the data set has no colours; label ids, but it has
            not the classes of Cityscapes; or two files would have one name, or that of an image or
            a label map of the data set.
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
        if self.raw or outputs.show_dir:
            self._check_names(dataset, labels)

    def write(self, sample: SegDataSample) -> None:
        """Write one prediction in all the forms that are asked for.

        Its labels are fetched from the GPU here: the thread that predicts need not wait for them.
        """
        if not (self.raw or self.outputs.show_dir):
            return
        pred = sample.pred_sem_seg.data[0].cpu()
        for writer in self.raw:
            writer.write(pred, sample.img_path)
        if self.outputs.show_dir:
            image = read_image(sample.img_path)[..., ::-1]
            picture = overlay(image, pred.numpy(), self.palette, self.outputs.opacity)
            save_image(self._picture_path(sample.img_path), picture)

    def _picture_path(self, img_path: str) -> Path:
        """Where the picture of an image goes: below ``show_dir`` as the image below its folder."""
        return self.outputs.show_dir / Path(os.path.relpath(img_path, self.images)).with_suffix(
            ".png"
        )

    def _check_names(self, dataset: Any, labels: str | None) -> None:
        """Claim the files of all images, so that nothing is written over anything."""
        images = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
        inputs = {os.path.abspath(image) for image in images}
        if labels is not None:
            names = (
                without_suffix(os.path.relpath(i, self.images), dataset.img_suffix) for i in images
            )
            inputs |= {
                os.path.abspath(os.path.join(labels, name + dataset.seg_map_suffix))
                for name in names
            }
        taken: set[str] = set()
        for image in images:
            targets = [writer.claim(image) for writer in self.raw]
            targets += [self._picture_path(image)] if self.outputs.show_dir else []
            for target in map(os.path.abspath, targets):
                if target in inputs:
                    raise InputError(
                        f"{target} is an image or a label map of the data set and would be "
                        "overwritten: choose another folder for the predictions"
                    )
                if target in taken:
                    raise InputError(
                        f"{target} would be written twice: give --out, imgfile_prefix and "
                        "--show-dir a folder each"
                    )
                taken.add(target)


def _palette(outputs: Outputs, metainfo: dict[str, Any]) -> Sequence[Sequence[int]] | None:
    """The colours of the classes that pictures and palettes have."""
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
