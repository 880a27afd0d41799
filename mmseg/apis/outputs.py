"""What testing leaves behind beside the scores: predictions as files and as pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mmseg.datasets.image_files import read_image
from mmseg.evaluation import PredictionWriter
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, check_writable
from mmseg.visualization import overlay, save_image


@dataclass(frozen=True)
class Outputs:
    """What to make of the predictions.

    Attributes:
        metric: compute and report mIoU.
        folders: each gets the raw predictions, one 8-bit PNG of class indices an image.
        show_dir: gets the predictions laid over the images.
        opacity: of those, in [0, 1].
        table: text file that gets the scores of every class.
    """

    metric: Literal["mIoU"] | None = None
    folders: tuple[Path, ...] = ()
    show_dir: Path | None = None
    opacity: float = 0.5
    table: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise InputError(f"the opacity must be in [0, 1], not {self.opacity}")
        if self.table and not self.metric:
            raise InputError("--table needs scores: it goes with --eval mIoU")
        if self.table and self.table.is_dir():
            raise InputError(f"--table {self.table} is a folder: name a text file")

    def below(self, name: str) -> "Outputs":
        """The same, with what there is for each image in subfolders ``name``."""
        folders = tuple(folder / name for folder in self.folders)
        return replace(self, folders=folders, show_dir=self.show_dir and self.show_dir / name)

    def check_folders(self) -> None:
        """See that everything can be written.

        Raises:
            InputError: something cannot.
        """
        for each in self.folders:
            check_writable(each, "--out or imgfile_prefix")
        if self.show_dir:
            check_writable(self.show_dir, "--show-dir")
        if self.table:
            check_writable(self.table.parent, "--table")


class ImageWriter:
    """Writes the predictions of a data set, image by image, in any number of threads.

    Args:
        outputs: where to.
        dataset: whose colours the pictures have.

    Raises:
        InputError: pictures are asked for, but the data set has no colours; or two of its images
            have one name.
    """

    def __init__(self, outputs: Outputs, dataset: Any) -> None:
        self.outputs = outputs
        self.raw = [PredictionWriter(folder) for folder in outputs.folders]
        if self.raw:
            for index in range(len(dataset)):
                for writer in self.raw:
                    writer.claim(dataset.get_data_info(index)["img_path"])
        self.palette = dataset.metainfo.get("palette")
        if outputs.show_dir and not self.palette:
            raise InputError(
                "--show-dir: the data set names no colours; set metainfo=dict(palette=...)"
            )

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
            save_image(self.outputs.show_dir / f"{Path(sample.img_path).stem}.png", picture)
