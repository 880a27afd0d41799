"""Fit the settings of a training to the images and label maps of a task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from mmseg.datasets.image_files import image_size
from tools.convert_datasets.conversion import ClassStatistics

SMALLEST_CROP = 64
# The paper resizes GTA to 720 rows and Cityscapes to 640, for crops of 640.
_SOURCE_MARGIN = 1.125
# It trains 40000 iterations of 2 images, and evaluates 40 times.
_LONGEST, _SHORTEST, _EPOCHS = 40_000, 4_000, 20
# It draws images of GTA for a class that has 3000 of their 1914x1052 pixels.
_MIN_SHARE = 3000 / (1914 * 1052)
# The share that remains of a threshold if the image is resized by the same factor as GTA.
_CROP_RATIO = 0.5 * (1914 * 1052) / (1280 * 704)
_FEW_CLASSES = 10


@dataclass(frozen=True)
class Sizes:
    """Sizes of a sample of images.

    Attributes:
        sizes: width and height of each.
    """

    sizes: Sequence[tuple[int, int]]

    @property
    def short(self) -> int:
        """Median of the shorter sides."""
        return int(median(min(size) for size in self.sizes))

    @property
    def ratio(self) -> float:
        """Largest ratio of longer and shorter side."""
        return max(max(size) / min(size) for size in self.sizes)

    @property
    def area(self) -> int:
        """Median of the number of pixels."""
        return int(median(width * height for width, height in self.sizes))

    @property
    def is_uniform(self) -> bool:
        """Whether all sizes are equal."""
        return len(set(self.sizes)) == 1

    def __str__(self) -> str:
        """Describe the range of sizes: "640x480" or "640x480 to 1920x1080"."""
        by_area = sorted(self.sizes, key=lambda size: size[0] * size[1])
        first, last = ("x".join(map(str, by_area[place])) for place in (0, -1))
        return first if self.is_uniform else f"{first} to {last}"


def sizes_of(paths: Sequence[str]) -> Sizes:
    """Read the sizes of images from their headers."""
    return Sizes([image_size(path) for path in paths])


@dataclass(frozen=True)
class Scales:
    """Sizes in training.

    Attributes:
        crop: side of crops.
        source: longer and shorter side that images of the source are resized to fit into.
        target: the same of the target.
    """

    crop: int
    source: tuple[int, int]
    target: tuple[int, int]


def fit_scales(source: Sizes, target: Sizes, is_hrda: bool = False) -> Scales:
    """Choose crops that fit into the images of both domains, and what to resize these to.

    As in the paper, the shorter side of the target becomes a crop's, that of the source a little
    more. Images are enlarged only if they are smaller than the smallest crop.

    Args:
        source: sizes of the source.
        target: sizes of the target.
        is_hrda: whether the network is one of HRDA, whose crops are larger: the half of each is
            seen in detail.
    """
    # Multiples of the stride of the backbones, and the crops of SePiCo and HRDA.
    stride, largest = (64, 1024) if is_hrda else (32, 640)
    side = min(source.short, target.short, largest) // stride * stride
    crop = max(side, SMALLEST_CROP)
    short = max(crop, min(source.short, round(_SOURCE_MARGIN * crop)))
    return Scales(
        crop, (math.ceil(short * source.ratio), short), (math.ceil(crop * target.ratio), crop)
    )


def fit_iterations(num_images: int, batch_size: int = 2) -> tuple[int, int]:
    """Choose by the size of the larger domain the iterations, and those to the next evaluation."""
    wanted = round(_EPOCHS * num_images / batch_size, -3)
    iterations = int(min(max(wanted, _SHORTEST), _LONGEST))
    return iterations, max(iterations // 40, 200)


def fit_sampling(statistics: ClassStatistics, sizes: Sizes, scale: tuple[int, int]) -> dict:
    """Choose the settings of rare class sampling.

    ``min_pixels`` is a share of the image as in the paper, or less if the rarest class is never
    that large. With few classes the temperature is such that the most frequent is drawn a tenth as
    often as the rarest: at the paper's it would never be.

    Args:
        statistics: classes of the source.
        sizes: sizes of its images.
        scale: longer and shorter side that they are resized to.
    """
    largest: dict[int, int] = {}
    for result in statistics.results:
        for label, pixels in result.pixels.items():
            largest[label] = max(largest.get(label, 0), pixels)
    usual = _MIN_SHARE * sizes.area
    min_pixels = max(min(usual, min(largest.values()) / 2), usual / 10, 1)
    factor = min(scale[1] / sizes.short, 1) ** 2
    return {
        "min_pixels": round(min_pixels),
        "class_temp": _temperature(statistics.frequencies),
        "min_crop_ratio": round(max(min(0.5, _CROP_RATIO * factor), 0.01), 2),
    }


def _temperature(frequencies: Mapping[int, float]) -> float:
    spread = max(frequencies.values()) - min(frequencies.values())
    if len(frequencies) >= _FEW_CLASSES:
        return 0.01
    return round(max(spread / math.log(10), 0.01), 2)
