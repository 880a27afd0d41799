"""Check that images and label maps have the same size, which some in GTA have not."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .image_files import image_size, size_and_orientation

# Threads help if the files are on a server, where reading a header is mostly waiting.
_THREADS = 8
_PAIRS_PER_TASK = 256


@dataclass(frozen=True)
class PairCheck:
    """Result of comparing the headers of an image and its label map.

    Attributes:
        conflict: how their sizes differ; None if they are equal.
        turned: path of the image, if EXIF data rotate or mirror it without changing its size.
    """

    conflict: str | None = None
    turned: str | None = None


def check_pair(image: str, label: str, size: tuple[int, int] | None = None) -> PairCheck:
    """Compare the sizes of an image and its label map.

    Unreadable files are not reported here but by their reader.

    Args:
        image: path of the image.
        label: path of the label map.
        size: width and height of the label map, if it has been read.
    """
    try:
        size = size or image_size(label)
        of_image, orientation = size_and_orientation(image)
        conflict = size_conflict(image, of_image, label, size)
    except InputError:
        return PairCheck()
    is_doubtful = orientation > 1 and (orientation < 5 or size[0] == size[1])
    return PairCheck(conflict, image if is_doubtful and conflict is None else None)


def size_conflict(
    image: str, of_image: tuple[int, int], label: str, of_label: tuple[int, int]
) -> str | None:
    """Describe how the sizes (width, height) of image and label map differ; None if they agree.

    Args:
        image: path of the image; its header is read if EXIF data may be the reason.
        of_image: size of the image as it is read, rotated by its EXIF data.
        label: path of the label map.
        of_label: size of the label map.

    Raises:
        InputError: if the header of the image cannot be read.
    """
    if of_image == of_label:
        return None
    text = (
        f"{label} is {of_label[0]}x{of_label[1]} pixels large, its image {image} "
        f"{of_image[0]}x{of_image[1]}"
    )
    if of_image == of_label[::-1] and size_and_orientation(image)[1] > 1:
        text += (
            " as its EXIF orientation turns it, but the label map shows the pixels as stored "
            "(`exiftool -Orientation= FILE` removes the orientation)"
        )
    return text


def check_pairs(dataset: BaseSegDataset) -> list[PairCheck]:
    """Compare image and label map of each sample by the headers of the files."""

    def check(start: int) -> list[PairCheck]:
        stop = min(start + _PAIRS_PER_TASK, len(dataset))
        infos = map(dataset.get_data_info, range(start, stop))
        return [check_pair(info["img_path"], info["seg_map_path"]) for info in infos]

    with ThreadPoolExecutor(_THREADS) as pool:
        parts = pool.map(check, range(0, len(dataset), _PAIRS_PER_TASK))
        return [each for part in parts for each in part]


def pair_lines(checks: Sequence[PairCheck]) -> list[str]:
    """Summarise differing and rotated pairs, in a line each with their number and the first."""
    conflicts = [check.conflict for check in checks if check.conflict]
    turned = [check.turned for check in checks if check.turned]
    lines = []
    if conflicts:
        lines.append(
            f"{len(conflicts)} of {len(checks)} label maps have another size than their image and "
            f"are left out of training, the first: {conflicts[0]}"
        )
    if turned:
        lines.append(
            f"EXIF data turn or mirror {len(turned)} of {len(checks)} images, the first: "
            f"{turned[0]}; their label maps must show them as turned"
        )
    return lines
