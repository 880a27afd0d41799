"""Format of submissions to the test servers of benchmarks: zips of predictions.

Dark Zurich and ACDC are scored with an uncertainty-aware IoU (Sakaridis et al., TPAMI 2022): next
to the labels a zip holds ``labelTrainIds_invalid``, where pixels that the method declares invalid
are 255, and ``confidence``. Both servers are assumed to accept three folders at the root of the
zip, files named like the images, and confidence in [0, 1] scaled to 8 bits. Cityscapes needs label
ids, not train ids, in files ``<city>_<sequence>_<frame>*.png`` anywhere in the zip.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID
from mmseg.datasets.image_files import image_size
from mmseg.datasets.listing import list_files
from mmseg.evaluation.writers import prediction_name
from mmseg.utils import InputError

Size = tuple[int, int]

LABELS = "labelTrainIds"
INVALID = "labelTrainIds_invalid"
CONFIDENCE = "confidence"
ANYWHERE = ""


@dataclass(frozen=True)
class Benchmark:
    """A test set without public labels, and the format of its submissions.

    Attributes:
        title: name for messages.
        num_images: number of images in the test set.
        size: (width, height) of each image.
        file_name: pattern of the name of a map; group 1 identifies the image.
        file_name_text: the pattern in words.
        folders: folder at the root of the zip -> allowed values of its maps; ``ANYWHERE`` if maps
            may be in any folder.
        ids: name of the values.
    """

    title: str
    num_images: int
    size: Size
    file_name: re.Pattern
    file_name_text: str
    folders: dict[str, frozenset[int]]
    ids: str

    def image_of(self, file_name: str) -> str | None:
        """Return the image that a map of this name belongs to; None if the name is invalid."""
        match = self.file_name.fullmatch(file_name)
        return match and match[1]


_TRAIN_IDS = frozenset((*range(len(CITYSCAPES_CLASSES)), IGNORE_INDEX))


def _uncertainty_aware(title: str, num_images: int) -> Benchmark:
    levels = frozenset(range(256))
    return Benchmark(
        title=title,
        num_images=num_images,
        size=(1920, 1080),
        file_name=re.compile(r"(.+_rgb_anon)\.png"),
        file_name_text="<frame>_rgb_anon.png",
        folders={LABELS: _TRAIN_IDS, INVALID: _TRAIN_IDS, CONFIDENCE: levels},
        ids="train ids",
    )


BENCHMARKS: dict[str, Benchmark] = {
    "dark_zurich": _uncertainty_aware("Dark Zurich test", num_images=151),
    "acdc": _uncertainty_aware("ACDC test", num_images=2000),
    "cityscapes": Benchmark(
        title="Cityscapes test",
        num_images=1525,
        size=(2048, 1024),
        file_name=re.compile(r"([a-z-]+_\d{6}_\d{6}).*\.png"),
        file_name_text="<city>_<sequence>_<frame>*.png",
        # A method may predict 0, "unlabeled", where it is unsure.
        folders={ANYWHERE: frozenset((0, *LABEL_ID_TO_TRAIN_ID))},
        ids="label ids",
    ),
}


def benchmark_named(name: str) -> Benchmark:
    """Return the row of ``BENCHMARKS``.

    Raises:
        InputError: if there is no such benchmark.
    """
    if name not in BENCHMARKS:
        raise InputError(f"benchmark {name!r} unknown; choose from {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def image_sizes(benchmark: Benchmark, paths: Iterable[str | os.PathLike]) -> dict[str, Size]:
    """Map the name of each image in a submission to its (width, height).

    Raises:
        InputError: if an image cannot be read, its name does not fit the benchmark, or two images
            have the same name.
    """
    first: dict[str, str | os.PathLike] = {}
    for path in paths:
        image = benchmark.image_of(prediction_name(path))
        if image is None:
            raise InputError(
                f"{path} is not named like an image of {benchmark.title}: its prediction would be "
                f"{prediction_name(path)} instead of {benchmark.file_name_text}"
            )
        if image in first:
            raise InputError(f"{first[image]} and {path} are one image of {benchmark.title}")
        first[image] = path
    return {image: image_size(os.fspath(path)) for image, path in first.items()}


def images_below(benchmark: Benchmark, folder: Path) -> dict[str, Size]:
    """Return :func:`image_sizes` of the benchmark's images below a folder.

    If some are in folders named ``test``, the others are those of other splits (ACDC).

    Raises:
        InputError: if there are none.
    """
    names = [name for name in list_files(folder, ".png") if benchmark.image_of(Path(name).name)]
    names = [name for name in names if "test" in Path(name).parts] or names
    if not names:
        raise InputError(
            f"no images of {benchmark.title} ({benchmark.file_name_text}) below {folder}"
        )
    return image_sizes(benchmark, [folder / name for name in names])
