"""Find images and their label maps below a folder, by the names of folders and files."""

import bisect
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mmseg.datasets import FolderDataset
from mmseg.datasets.listing import list_files
from mmseg.utils import InputError

# A part of a path that says that the files are label maps.
_LABEL_FOLDER = re.compile(r"label|mask|annot|segm|semantic|ground.?truth|^gt|[_-]gt$", re.I)
_LABEL_NAME = re.compile(
    r"[_.-](label\w*|masks?|gt\w*|seg(mentation)?|semantic|annotation|L)$", re.I
)
_SPLIT = re.compile(
    r"(train|val|test)(ing|id|idation)?([_-].*|\d+|annot.*|labels?|masks?|gt|im(g|age)s?)?$", re.I
)
# JPEG changes values of pixels: label maps are not stored so.
_LOSSY = (".jpg", ".jpeg", ".webp")
_SEPARATOR = re.compile(r"(?=[_.-])")
# Number of images by which folders and suffixes are chosen.
_EXAMPLES = 100
# What a name of label maps means: the first is preferred, the last ones are not class indices.
_PREFERENCE = ("labeltrainids", "labelids", "", "colo", "rgb", "instance")


@dataclass(frozen=True)
class Folders:
    """Images of one split, and their label maps if there are any.

    Attributes:
        root: folder that the other paths are relative to.
        split: ``train``, ``val``, ``test`` or "" for images of no split.
        img_path: folder of the images.
        images: paths of the images, relative to ``img_path``, sorted.
        img_suffix: ends of their names, if these are more than the suffix of a format.
        seg_map_path: folder of the label maps; None: no labels.
        seg_map_suffix: end of their names.
        others: other label maps of the first image.
    """

    root: str
    split: str
    img_path: str
    images: Sequence[str]
    img_suffix: tuple[str, ...] = ()
    seg_map_path: str | None = None
    seg_map_suffix: str = ".png"
    others: tuple[str, ...] = ()

    def arguments(self, labelled: bool = True) -> dict:
        """Return the arguments of a :class:`~mmseg.datasets.FolderDataset`."""
        prefix = {"img_path": self.img_path}
        found: dict = {"data_root": self.root, "data_prefix": prefix}
        if self.img_suffix:
            one = len(self.img_suffix) == 1
            found["img_suffix"] = self.img_suffix[0] if one else list(self.img_suffix)
        if labelled and self.seg_map_path is not None:
            prefix["seg_map_path"] = self.seg_map_path
            if self.seg_map_suffix != FolderDataset.SEG_MAP_SUFFIX:
                found["seg_map_suffix"] = self.seg_map_suffix
        return found

    def describe(self) -> str:
        """Describe the images: "images/train (120 images)"."""
        return f"{os.path.join(self.root, self.img_path)} ({len(self.images)} images)"

    def describe_labels(self) -> str:
        """Describe the label maps: "labels/train/**/*.png"."""
        path = os.path.join(self.root, self.seg_map_path or "")
        return f"{path.rstrip('/')}/**/*{self.seg_map_suffix}"


def find_folders(
    root: str | os.PathLike, images: str | None = None, labels: str | None = None
) -> dict[str, Folders]:
    """Find the images of each split below a folder, and their label maps.

    Args:
        root: the folder.
        images: folder of the images, relative to it; default: wherever they are.
        labels: folder of the label maps, relative to it; default: wherever they are.

    Returns:
        Split -> its images.

    Raises:
        InputError: if the folder does not exist, or there are no images.
    """
    root = os.fspath(root)
    for folder in (root, *(os.path.join(root, each) for each in (images, labels) if each)):
        if not os.path.isdir(folder):
            raise InputError(f"folder {folder} does not exist")
    files = list_files(root, FolderDataset.IMG_SUFFIX)
    label_maps = [f for f in files if (is_below(f, labels) if labels else is_label_map(f))]
    known = set(label_maps)
    pictures = [f for f in files if f not in known and (not images or is_below(f, images))]
    if not pictures:
        raise InputError(
            f"{os.path.join(root, images or '')} holds no images: they have a suffix of "
            f"{', '.join(FolderDataset.IMG_SUFFIX[: len(FolderDataset.IMG_SUFFIX) // 2])}, and "
            'folders that are not named like label maps ("labels", "masks", "gt", ...)'
        )
    found = {}
    for split in sorted({_split_of(f) for f in pictures} if not images else {""}):
        own = [f for f in pictures if images or _split_of(f) == split]
        there = [f for f in label_maps if labels or images or _split_of(f) in (split, "")]
        found[split] = _with_own_suffixes(_pair(root, split, own, there), label_maps)
    return found


def labelled_folders(
    root: str | os.PathLike, images: str | None = None, labels: str | None = None
) -> Folders:
    """Find the images with label maps below a folder: those to train on, if there are splits.

    Args:
        root: the folder.
        images: see :func:`find_folders`.
        labels: see :func:`find_folders`.

    Raises:
        InputError: if there are none.
    """
    found = find_folders(root, images, labels)
    labelled = {split: each for split, each in found.items() if each.seg_map_path is not None}
    if not labelled:
        first = next(iter(found.values()))
        raise InputError(
            f"no label maps fit the images {first.describe()}: give them the names of the images "
            "in a folder named labels, or name their folders by --images and --labels"
        )
    return next(labelled[s] for s in ("train", "", "val", "test") if s in labelled)


def is_below(path: str, folder: str) -> bool:
    """Tell whether a relative path is below a folder."""
    return Path(folder) in Path(path).parents


def is_label_map(path: str) -> bool:
    """Tell by the names of its folders, and by its own, whether a file is a label map."""
    *folders, name = path.split("/")
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in _LOSSY:
        return False
    return any(map(_LABEL_FOLDER.search, folders)) or bool(_LABEL_NAME.search(stem))


def _split_of(path: str) -> str:
    matches = filter(None, map(_SPLIT.match, path.split("/")[:-1]))
    return next((match[1].lower() for match in matches), "")


def _pair(root: str, split: str, images: list[str], label_maps: list[str]) -> Folders:
    """Choose the folders and suffixes by which the most images have a label map."""
    top = _common_folder(images)
    found = [
        pairing
        for maps in _by_folder(label_maps).values()
        for pairing in _pairings(images, top, maps)
    ]
    if not found:
        return Folders(root, split, top, [_below(f, top) for f in images])
    best = max(found, key=lambda pairing: pairing.score)
    return Folders(
        root,
        split,
        best.img_path,
        [_below(f, best.img_path) for f in images],
        tuple(sorted({best.tail + os.path.splitext(f)[1] for f in images} if best.tail else ())),
        best.seg_map_path,
        best.suffix,
        tuple(sorted({pairing.first for pairing in found} - {best.first})),
    )


class _Pairing(NamedTuple):
    """A way to pair images with label maps, which is better the larger its score.

    ``tail`` ends the names of images before their suffix; ``first`` is the first label map.
    """

    score: tuple[int, int, int, int]
    img_path: str
    tail: str
    seg_map_path: str
    suffix: str
    first: str


def _with_own_suffixes(found: Folders, label_maps: Sequence[str]) -> Folders:
    """Name the suffixes of the images if label maps lie among them."""
    among = [f for f in label_maps if not found.img_path or is_below(f, found.img_path)]
    if not among or found.img_suffix:
        return found
    suffixes = {os.path.splitext(f)[1] for f in found.images}
    if suffixes & {os.path.splitext(f)[1] for f in among}:
        raise InputError(
            f"{os.path.join(found.root, found.img_path)} holds images and, for instance "
            f"{among[0]}, label maps of one suffix: move the label maps to another folder"
        )
    return replace(found, img_suffix=tuple(sorted(suffixes)))


def _pairings(images: list[str], top: str, label_maps: list[str]) -> Iterator[_Pairing]:
    """Yield the ways to pair at least half of the images with the label maps of one folder."""
    step = max(len(images) // _EXAMPLES, 1)
    for img_path in _with_parents(top):
        examples = [os.path.splitext(_below(f, img_path))[0] for f in images[::step]]
        for seg_map_path in _with_parents(_common_folder(label_maps)):
            there = [_below(f, seg_map_path) for f in label_maps]
            for tail in _tails(examples[0]):
                keys = [name.removesuffix(tail) for name in examples if name.endswith(tail)]
                for suffix in _suffixes(there, keys[0]):
                    known = {f.removesuffix(suffix) for f in there if f.endswith(suffix)}
                    count = sum(key in known for key in keys)
                    if 2 * count > len(examples):
                        score = (count, -_rank(seg_map_path + suffix), -len(tail), len(img_path))
                        first = os.path.join(seg_map_path, keys[0] + suffix)
                        yield _Pairing(score, img_path, tail, seg_map_path, suffix, first)


def _rank(name: str) -> int:
    """Rank the name of label maps, the best with 0."""
    name = name.lower().replace("_", "")
    ranks = (i for i, part in enumerate(_PREFERENCE) if part and part in name)
    return next(ranks, _PREFERENCE.index(""))


def _suffixes(label_maps: Sequence[str], key: str) -> list[str]:
    """List what follows a key in the sorted names of label maps, as ``_mask.png``."""
    start = bisect.bisect_left(label_maps, key)
    rests = []
    for name in label_maps[start:]:
        if not name.startswith(key):
            break
        rests.append(name[len(key) :])
    return [rest for rest in rests if rest[:1] in ("_", ".", "-") and "/" not in rest]


def _tails(name: str) -> list[str]:
    """List the ends of a name that could be no part of its key: "", "_rgb", "_1_rgb", ..."""
    stem = name.rpartition("/")[2]
    starts = [match.start() for match in _SEPARATOR.finditer(stem) if match.start()]
    return ["", *(stem[start:] for start in reversed(starts))]


def _by_folder(label_maps: Iterable[str]) -> dict[str, list[str]]:
    """Group label maps by their folder down to the first that is named like one."""
    groups: dict[str, list[str]] = {}
    for path in label_maps:
        folders = path.split("/")[:-1]
        depth = next((i for i, part in enumerate(folders) if _LABEL_FOLDER.search(part)), -1)
        groups.setdefault("/".join(folders[: depth + 1]), []).append(path)
    return groups


def _common_folder(paths: Sequence[str]) -> str:
    return os.path.commonpath([os.path.dirname(path) for path in paths])


def _with_parents(folder: str) -> list[str]:
    """List a folder and those above it: "a/b", "a", ""."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:depth]) for depth in range(len(parts), -1, -1)]


def _below(path: str, folder: str) -> str:
    return path.removeprefix(f"{folder}/") if folder else path
