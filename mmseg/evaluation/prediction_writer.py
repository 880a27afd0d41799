"""Predictions as files."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from mmseg.datasets.class_names import label_id_table
from mmseg.utils import InputError, atomic_path


def prediction_name(img_path: str | os.PathLike) -> str:
    """The name of an image's prediction: the image's, with the suffix of a PNG."""
    return f"{Path(img_path).stem}.png"


class PredictionWriter:
    """Writes class indices as single-channel 8-bit PNGs that are named like their images.

    Args:
        folder: where to; made with the first file.
        palette: C times red, green, blue; if given, viewers show the values in these colours.
        label_ids: whether to write the label ids of Cityscapes instead of its train ids.
    """

    def __init__(
        self,
        folder: Path,
        palette: Sequence[Sequence[int]] | None = None,
        label_ids: bool = False,
    ) -> None:
        self.folder = folder
        # (256,) uint8: what is written for each class
        self._values = label_id_table() if label_ids else np.arange(256, dtype=np.uint8)
        self._palette: bytes | None = None
        if palette is not None:
            colours = np.zeros((256, 3), np.uint8)  # all of them, or Pillow would save 4 bits
            colours[self._values[: len(palette)]] = palette
            self._palette = colours.tobytes()
        self._image_of: dict[str, str] = {}

    def write(self, pred: Tensor, img_path: str) -> Path:
        """Write one prediction.

        Args:
            pred: (H, W) integers in [0, 255].
            img_path: the image; its name without the suffix becomes the name of the file.

        Returns:
            The file.

        Raises:
            InputError: two images have one name, or a class does not fit in 8 bits.
        """
        path = self.claim(img_path)
        values = pred.cpu().numpy()
        if values.size and values.max() > 255:
            raise InputError(f"{img_path}: class {values.max()} does not fit in an 8-bit PNG")
        # An index array would take eight bytes a pixel.
        image = Image.fromarray(cv2.LUT(values.astype(np.uint8, copy=False), self._values))
        if self._palette is not None:
            image.putpalette(self._palette)
        with atomic_path(path) as temporary:
            image.save(temporary)
        return path

    def claim(self, img_path: str) -> Path:
        """The file that the prediction of an image goes to.

        Raises:
            InputError: it is that of another image.
        """
        name = prediction_name(img_path)
        first = self._image_of.setdefault(name, img_path)
        if first != img_path:
            raise InputError(
                f"{first} and {img_path} would both be written to {self.folder / name}; "
                "test them one folder at a time"
            )
        return self.folder / name
